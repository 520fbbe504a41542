/**
 * The Fetch API as an HTTP front: a Request in, a Response out, in any server that is written for it (Hono, srvx, Deno, Bun).
 * Both bodies stream with backpressure. An answer that was cut is a stream that fails, never a shorter body.
 * A Request and a Response cost more than node:http's own objects: below node:http `gateway.listener` is the faster front.
 */

import { canonicalAddress } from '../http/address-set.ts';
import type { ExchangeHandler } from '../http/exchange.ts';
import { usualFrontLimits } from '../http/front-limits.ts';
import type { Fields, RequestHead } from '../http/message.ts';
import { bodyLimitsDefault } from './body-intake.ts';
import { FetchExchange, type FetchFrontOptions } from './fetch-exchange.ts';
import { isWithinMount } from './mount.ts';
import { plainAddress } from './node-connection.ts';

export type { BodyLimits } from './body-intake.ts';
export type { FetchFrontOptions } from './fetch-exchange.ts';

/** What a Request does not say about its connection: the server that accepted it knows. */
export interface FetchConnection {
  /** The peer, as rules, `realIp` and REMOTE_ADDR take it; empty on a unix socket. By default, and for anything that is not an address: `unknown`, which is in no range. */
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  /** By default the port of the URL, or its scheme's usual one. */
  readonly localPort?: number | undefined;
  /** TLS ends at this server. By default: the URL begins with `https:`. */
  readonly secure?: boolean | undefined;
}

/** Answers a Request; undefined when no rule matches, so that the caller can answer it. */
export type FetchRequestHandler = (
  request: Request,
  connection?: FetchConnection,
) => Promise<Response | undefined>;

export interface FetchHandlerOptions extends Partial<FetchFrontOptions> {
  /** The path that this handler answers at and below, as `/php`: for every other one it gives undefined. By default all. */
  readonly mount?: string | undefined;
}

export const fetchFrontDefaults: FetchFrontOptions = {
  ...bodyLimitsDefault,
  writeIdleMs: usualFrontLimits.sendIdleTimeoutMs,
};

/**
 * `serve({ fetch: async (request) => (await handler(request)) ?? new Response('Nothing here', { status: 404 }) })`.
 * Path and query reach the application as `request.url` has them: a URL, so that dot segments (also as `%2e`) are
 * gone, a backslash is a slash, and characters that no URL may hold are percent-encoded; every other byte is the client's.
 * Host is the URL's. Interim answers (103) have no place in a Response and are dropped; an upgrade fails with a 500.
 * A client that aborted gets a Response of status 499, which nobody will read.
 * @param gateway made by `createGateway`; the caller closes it
 */
export function createFetchHandler(
  gateway: { readonly handle: ExchangeHandler },
  { mount = '', ...options }: FetchHandlerOptions = {},
): FetchRequestHandler {
  const front: FetchFrontOptions = { ...fetchFrontDefaults, ...options };
  return (request, connection = {}) =>
    new Promise((resolve) => {
      if (mount !== '' && !isWithinMount(targetOf(request.url), targetOf(request.url), mount)) {
        resolve(undefined);
        return;
      }
      const exchange = new FetchExchange(request, readHead(request, connection), front, resolve);
      gateway.handle(exchange, () => {
        exchange.leave();
        resolve(undefined);
      });
    });
}

function readHead(request: Request, connection: FetchConnection): RequestHead {
  const { url, method } = request;
  // Not `new URL`, which would cost more and say nothing more: scheme://host/target#fragment.
  const hostAt = url.indexOf('//') + 2;
  const targetAt = url.indexOf('/', hostAt);
  const host = url.slice(hostAt, targetAt);
  const { secure = url.startsWith('https:') } = connection;
  return {
    method,
    target: targetOf(url),
    version: '1.1',
    fields: readFields(request, host),
    secure,
    remoteAddress: readPeer(connection.remoteAddress),
    remotePort: connection.remotePort ?? 0,
    localAddress: plainAddress(connection.localAddress),
    localPort: connection.localPort ?? Number(/:(\d+)$/.exec(host)?.[1] ?? (secure ? 443 : 80)),
  };
}

/** Path and query of a Request's URL. */
export function targetOf(url: string): string {
  const targetAt = url.indexOf('/', url.indexOf('//') + 2);
  const fragmentAt = url.indexOf('#', targetAt);
  return url.slice(targetAt, fragmentAt === -1 ? undefined : fragmentAt);
}

/** Not empty when it is not told: that is a unix socket's, which `realIp` may trust. */
function readPeer(written: string | undefined): string {
  return written === '' ? '' : (canonicalAddress(written ?? '') ?? 'unknown');
}

function readFields({ headers, body }: Request, host: string): Fields {
  const fields = ['host', host];
  for (const [name, value] of headers) {
    // The body has been taken out of its framing, and may be none.
    if (name === 'host' || name === 'transfer-encoding' || (name === 'content-length' && body === null))
      continue;
    fields.push(name, value);
  }
  return fields;
}
