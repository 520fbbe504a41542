/**
 * The request that meta-variables describe (RFC 3875 section 4), from the application's side: what a web server took
 * apart is put together again.
 */
import type { Fields } from '../http/message.ts';
import { encodePath } from '../http/target.ts';

/** A request head as an HTTP server would have received it. Strings are byte strings. */
export interface CgiRequestHead {
  readonly method: string;
  /** Origin form: REQUEST_URI when the web server told it, else made from SCRIPT_NAME, PATH_INFO and QUERY_STRING. */
  readonly url: string;
  /** As `1.1`. */
  readonly version: string;
  /** Names in lower case: those of HTTP_*, and content-type and content-length. */
  readonly fields: Fields;
  readonly secure: boolean;
  /** Empty when the web server did not tell. */
  readonly remoteAddress: string;
  /** 0 when the web server did not tell. */
  readonly remotePort: number;
}

/** Reads the variables of one request; missing ones get what HTTP would have meant without them. */
export function requestFromVariables(params: ReadonlyMap<string, string>): CgiRequestHead {
  const fields: string[] = [];
  const type = params.get('CONTENT_TYPE');
  if (type !== undefined && type !== '') fields.push('content-type', type);
  const length = params.get('CONTENT_LENGTH');
  if (length !== undefined && length !== '') fields.push('content-length', length);
  for (const [name, value] of params) {
    // Web servers that pass these two again mean the same, or were tricked into it (T3).
    if (!name.startsWith('HTTP_') || name === 'HTTP_CONTENT_TYPE' || name === 'HTTP_CONTENT_LENGTH') continue;
    fields.push(name.slice(5).toLowerCase().replaceAll('_', '-'), value);
  }
  return {
    method: params.get('REQUEST_METHOD') ?? 'GET',
    url: urlOf(params),
    version: (params.get('SERVER_PROTOCOL') ?? 'HTTP/1.1').replace(/^HTTP\//, ''),
    fields,
    secure: /^(on|1)$/i.test(params.get('HTTPS') ?? '') || params.get('REQUEST_SCHEME') === 'https',
    remoteAddress: params.get('REMOTE_ADDR') ?? '',
    remotePort: Number.parseInt(params.get('REMOTE_PORT') ?? '', 10) || 0,
  };
}

function urlOf(params: ReadonlyMap<string, string>): string {
  const uri = params.get('REQUEST_URI');
  if (uri?.startsWith('/')) return uri;
  const path = encodePath(`${params.get('SCRIPT_NAME') ?? ''}${params.get('PATH_INFO') ?? ''}`);
  const query = params.get('QUERY_STRING') ?? '';
  return `${path.startsWith('/') ? path : `/${path}`}${query === '' ? '' : `?${query}`}`;
}
