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
  /**
   * Names in lower case: those of HTTP_*, and content-type and content-length. Without what concerned only the client's
   * connection to the web server; `transfer-encoding: chunked` stays where nothing else says that a body comes.
   */
  readonly fields: Fields;
  /** Body bytes by CONTENT_LENGTH; undefined when it was not told, then STDIN's end is the body's. */
  readonly bodyLength: number | undefined;
  /** What the client asked for: the Host field, else SERVER_NAME with SERVER_PORT. Empty when neither was told. */
  readonly host: string;
  readonly secure: boolean;
  /** Empty when the web server did not tell. */
  readonly remoteAddress: string;
  /** 0 when the web server did not tell. */
  readonly remotePort: number;
  /** Empty when the web server did not tell. */
  readonly localAddress: string;
  /** 0 when the web server did not tell. */
  readonly localPort: number;
}

/** Names of fields by their variables: the same few come with every request. */
export type FieldNames = Map<string, string | undefined>;

/** Names are taken into a `FieldNames` up to this count, since clients choose them. */
const fieldNamesMax = 500;

/** They concern the client's connection to the web server, and `expect` was answered by it (RFC 9110 7.6.1, 10.1.1). */
const connectionFields = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
]);

/**
 * Reads the variables of one request; missing ones get what HTTP would have meant without them.
 * @param names speeds up the next request; it belongs to the caller that reads many
 */
export function requestFromVariables(
  params: ReadonlyMap<string, string>,
  names: FieldNames = new Map(),
): CgiRequestHead {
  const fields: string[] = [];
  const type = params.get('CONTENT_TYPE');
  if (type !== undefined && type !== '') fields.push('content-type', type);
  const length = params.get('CONTENT_LENGTH') ?? '';
  const bodyLength = /^\d{1,15}$/.test(length) ? Number(length) : undefined;
  if (length !== '') fields.push('content-length', length);
  for (const [variable, value] of params) {
    if (!variable.startsWith('HTTP_')) continue;
    const name = fieldName(variable, names);
    if (name === undefined || (name === 'transfer-encoding' && bodyLength !== undefined)) continue;
    fields.push(name, value);
  }
  return {
    method: params.get('REQUEST_METHOD') ?? 'GET',
    url: urlOf(params),
    version: (params.get('SERVER_PROTOCOL') ?? 'HTTP/1.1').replace(/^HTTP\//, ''),
    fields,
    bodyLength,
    host: params.get('HTTP_HOST') ?? serverOf(params),
    secure: /^(on|1)$/i.test(params.get('HTTPS') ?? '') || params.get('REQUEST_SCHEME') === 'https',
    remoteAddress: params.get('REMOTE_ADDR') ?? '',
    remotePort: portOf(params.get('REMOTE_PORT')),
    localAddress: params.get('SERVER_ADDR') ?? '',
    localPort: portOf(params.get('SERVER_PORT')),
  };
}

/** The field of an HTTP_* variable; undefined: no field to pass on. */
function fieldName(variable: string, names: FieldNames): string | undefined {
  if (names.has(variable)) return names.get(variable);
  const lower = variable.slice(5).toLowerCase().replaceAll('_', '-');
  // Web servers that pass these two again mean the same as CONTENT_*, or were tricked into it (T3).
  const isTold = lower === 'content-type' || lower === 'content-length' || connectionFields.has(lower);
  const name = isTold || !/^[!#$%&'*+.^`|~\w-]+$/.test(lower) ? undefined : lower;
  if (names.size < fieldNamesMax) names.set(variable, name);
  return name;
}

function urlOf(params: ReadonlyMap<string, string>): string {
  const uri = params.get('REQUEST_URI');
  if (uri !== undefined && (uri.startsWith('/') || uri === '*')) return uri;
  const path = encodePath(`${params.get('SCRIPT_NAME') ?? ''}${params.get('PATH_INFO') ?? ''}`);
  const query = params.get('QUERY_STRING') ?? '';
  return `${path.startsWith('/') ? path : `/${path}`}${query === '' ? '' : `?${query}`}`;
}

function serverOf(params: ReadonlyMap<string, string>): string {
  const name = params.get('SERVER_NAME') ?? '';
  const port = params.get('SERVER_PORT') ?? '';
  const isIpv6 = name.includes(':') && !name.startsWith('[');
  return `${isIpv6 ? `[${name}]` : name}${name === '' || port === '' ? '' : `:${port}`}`;
}

function portOf(text: string | undefined): number {
  return Number.parseInt(text ?? '', 10) || 0;
}
