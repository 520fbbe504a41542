/** A name service in place of the system's, for names below `.test` (RFC 6761): it knows what it is told. */
import dns, { type LookupAddress } from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';

export interface NameServiceUnderTest {
  /** IPv4 address by name. */
  readonly addresses: Map<string, string>;
  /** Names that were asked for in vain. */
  readonly failures: readonly string[];
  /** Puts the system's back. */
  restore(): void;
}

/** Before the gateway is made that shall ask it. */
export function replaceNameService(): NameServiceUnderTest {
  const addresses = new Map<string, string>();
  const failures: string[] = [];
  const original = dns.lookup;
  const put = (lookup: unknown) => {
    dns.lookup = lookup as typeof dns.lookup;
    syncBuiltinESMExports();
  };
  put((name: string, ...rest: unknown[]) => {
    if (!name.endsWith('.test')) {
      Reflect.apply(original, dns, [name, ...rest]);
      return;
    }
    const answer = rest.pop() as (error: Error | null, found: LookupAddress[]) => void;
    const address = addresses.get(name);
    if (address !== undefined) process.nextTick(answer, null, [{ address, family: 4 }]);
    else {
      failures.push(name);
      process.nextTick(answer, Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' }), []);
    }
  });
  return { addresses, failures, restore: () => put(original) };
}
