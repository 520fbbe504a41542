/** Plays a web server against any FastCGI application, case by case. */
import { type Address, parseAddress } from '../base/address.ts';
import { ApplicationTarget } from './application-target.ts';
import { type Case, type CaseResult, runCases } from './case.ts';
import { connectionCases } from './connection-cases.ts';
import { requestCases } from './request-cases.ts';

export interface CheckApplicationOptions {
  /**
   * The script to ask for, as the application sees it. Best one that echoes: its variables as `NAME=VALUE` lines, an
   * empty line, then its STDIN (and a Filter's DATA), as text/plain. Without an echo some cases see nothing.
   */
  readonly script?: string | undefined;
  /** Further variables of every request; they win. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
  /** The longest wait for anything; default 3000. Silence is found by waiting this long. */
  readonly timeoutMs?: number | undefined;
  /** Parts of case ids; default all. */
  readonly only?: readonly string[] | undefined;
  /** Hears each result as it comes. */
  readonly onResult?: ((result: CaseResult) => void) | undefined;
}

/** The ids of all cases, in order. */
export const applicationCases: readonly string[] = [...requestCases, ...connectionCases].map(({ id }) => id);

/**
 * Never rejects because of what the application does: that is a result.
 * @throws {GatewayError} GW_ERR_ADDRESS
 */
export async function checkApplication(
  address: string | Address,
  options: CheckApplicationOptions = {},
): Promise<CaseResult[]> {
  const parsed = typeof address === 'string' ? parseAddress(address) : address;
  const { script, variables, timeoutMs = 3_000, only, onResult } = options;
  const target = new ApplicationTarget(parsed, timeoutMs, { ...basicVariables(script), ...variables });
  await target.findEcho();
  const cases = [...requestCases, ...connectionCases].map(
    (each): Case<ApplicationTarget> => ({
      ...each,
      // An application with few workers is not to wait for connections of the case before.
      run: (found) => each.run(found).finally(() => found.closeAll()),
    }),
  );
  return runCases(cases, target, only, onResult);
}

function basicVariables(script: string | undefined): Record<string, string> {
  return {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'conformance',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: 'localhost',
    SERVER_PORT: '80',
    REMOTE_ADDR: '127.0.0.1',
    REQUEST_METHOD: 'GET',
    REQUEST_URI: '/conformance',
    QUERY_STRING: '',
    SCRIPT_NAME: '/conformance',
    // php-cgi refuses to run a script without it.
    REDIRECT_STATUS: '200',
    ...(script === undefined
      ? {}
      : { SCRIPT_FILENAME: script, DOCUMENT_ROOT: script.replace(/\/[^/]*$/, '') || '/' }),
  };
}
