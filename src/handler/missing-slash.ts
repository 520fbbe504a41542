/** A directory that was asked for without its slash: relative links would miss it, so that the client is sent to it with one. */
import { encodeOwnPath } from '../http/target.ts';
import type { RoutedRequest } from './handler.ts';

export interface MissingSlash {
  /** 308 keeps method and body (RFC 9110 15.4.9). */
  readonly status: 301 | 308;
  /** Encoded path and query. One slash at the front: two would send the browser to another host. */
  readonly to: string;
}

/**
 * Where to send the client; undefined when it did write the slash, and a rewrite took it off.
 * A rewrite that kept the last name has changed what lies before it: then the client's own prefix stays.
 */
export function findMissingSlash(request: RoutedRequest): MissingSlash | undefined {
  const { target, clientTarget, method, errorPage } = request;
  const isRewritten = target !== clientTarget && errorPage === undefined;
  if (isRewritten && clientTarget.path.endsWith('/')) return undefined;
  const known = isRewritten && lastName(clientTarget.path) === lastName(target.path) ? clientTarget : target;
  return {
    status: method === 'GET' || method === 'HEAD' ? 301 : 308,
    to: `${encodeOwnPath(known)}/${known.hasQuery ? `?${known.query}` : ''}`,
  };
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
