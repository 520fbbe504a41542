/**
 * Finds the addresses of an application's host name, from the web server's side: asked again after a while and after a
 * connection that failed, so that an application may move; while the name service fails, the last good ones stay (F5).
 * All of them are tried in turn: node's sockets do that by themselves when they get several.
 */
import { type LookupAddress, type LookupOptions, lookup as lookUpByName } from 'node:dns';
import type { LookupFunction } from 'node:net';

/** As `dns.lookup`, asked for all addresses. */
export type NameService = (
  name: string,
  options: LookupOptions & { readonly all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** So long an answer is not asked for again: `dns.lookup` tells nothing of a record's own time. */
const freshMs = 30_000;

export class Resolver {
  readonly #now: () => number;
  readonly #nameService: NameService;
  /** Of one name: a pool has one address. */
  #addresses: LookupAddress[] | undefined;
  #freshUntil = Number.NEGATIVE_INFINITY;

  /** @param now monotonic milliseconds */
  constructor(now: () => number, nameService: NameService = lookUpByName) {
    this.#now = now;
    this.#nameService = nameService;
  }

  /** For `net.connect`. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    const answer = (addresses: LookupAddress[]) => {
      const [first] = addresses;
      if (options.all === true) (callback as (error: null, all: LookupAddress[]) => void)(null, addresses);
      else callback(null, first!.address, first!.family);
    };
    const known = this.#addresses;
    if (known !== undefined && this.#now() < this.#freshUntil) {
      process.nextTick(answer, known);
      return;
    }
    this.#nameService(name, { ...options, all: true }, (error, addresses) => {
      if (error === null && addresses.length > 0) {
        this.#addresses = addresses;
        this.#freshUntil = this.#now() + freshMs;
        answer(addresses);
      } else if (this.#addresses !== undefined) answer(this.#addresses);
      else callback(error ?? new Error(`${name} has no address`), '', 0);
    });
  };

  /** A connection failed: the application may have moved. */
  expire(): void {
    this.#freshUntil = Number.NEGATIVE_INFINITY;
  }
}
