/**
 * The meta-variables of a request that a program makes by hand (RFC 3875 section 4), with what applications cannot do
 * without. From the web server's side.
 */
import { toByteString } from '../base/byte-string.ts';
import { isFieldValue, isToken } from '../http/fields.ts';
import type { RequestBody } from '../http/message.ts';
import type { RoleName } from '../protocol/constants.ts';

/** What a request says about itself. All strings are text and leave as UTF-8. */
export interface RequestDescription {
  /** The script, as the application sees its path. */
  readonly script?: string | undefined;
  /** Default GET, or POST with a body. */
  readonly method?: string | undefined;
  /** What follows the script in the path: PATH_INFO. */
  readonly pathInfo?: string | undefined;
  /** Without the question mark. */
  readonly query?: string | undefined;
  /** Header fields; each becomes `HTTP_*`, Content-Type and Content-Length the variables of that name. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Variables by name. They win over all others; undefined leaves one out. */
  readonly variables?: Readonly<Record<string, string | undefined>> | undefined;
}

/** What follows the variables. */
export interface RequestStreams {
  readonly stdin: RequestBody | undefined;
  readonly data: RequestBody | undefined;
}

/** Variables that depend on the resource, which an Authorizer does not get (FastCGI 6.3). */
const responderOnly = ['CONTENT_LENGTH', 'PATH_INFO', 'PATH_TRANSLATED', 'SCRIPT_NAME'];

const sameForAll: readonly string[] = Object.entries({
  GATEWAY_INTERFACE: 'CGI/1.1',
  SERVER_SOFTWARE: 'fastway',
  SERVER_PROTOCOL: 'HTTP/1.1',
  SERVER_NAME: 'localhost',
  SERVER_ADDR: '127.0.0.1',
  SERVER_PORT: '80',
  REMOTE_ADDR: '127.0.0.1',
  REMOTE_PORT: '0',
  REQUEST_SCHEME: 'http',
  // php-cgi refuses to run a script without it.
  REDIRECT_STATUS: '200',
  HTTP_HOST: 'localhost',
}).flat();

/** As which request it runs; undefined when the caller has taken that variable away. */
export function methodOf(
  { method, variables }: RequestDescription,
  { stdin }: RequestStreams,
): string | undefined {
  if (variables !== undefined && Object.hasOwn(variables, 'REQUEST_METHOD')) return variables.REQUEST_METHOD;
  return method ?? (stdin === undefined ? 'GET' : 'POST');
}

/**
 * Names and values flat, as byte strings.
 * @throws {TypeError} a header field or a variable has no valid name or value
 */
export function createVariables(
  description: RequestDescription,
  role: RoleName,
  streams: RequestStreams,
): string[] {
  const { script = '', query = '', pathInfo = '', headers = {}, variables = {} } = description;
  const path = toByteString(script);
  const scriptName = path === '' ? '' : `/${path.slice(path.lastIndexOf('/') + 1)}`;
  const queryString = toByteString(query);
  const uri = `${scriptName}${toByteString(pathInfo)}${query === '' ? '' : `?${queryString}`}`;
  const all = [...sameForAll];
  const method = methodOf(description, streams);
  if (method !== undefined) all.push('REQUEST_METHOD', method);
  all.push('SCRIPT_NAME', scriptName, 'REQUEST_URI', uri, 'QUERY_STRING', queryString);
  if (path !== '') {
    all.push('SCRIPT_FILENAME', path, 'DOCUMENT_ROOT', path.slice(0, Math.max(path.lastIndexOf('/'), 1)));
  }
  if (pathInfo !== '') all.push('PATH_INFO', toByteString(pathInfo));
  if (streams.stdin?.length !== undefined) all.push('CONTENT_LENGTH', String(streams.stdin.length));
  if (streams.data?.length !== undefined) all.push('FCGI_DATA_LENGTH', String(streams.data.length));
  for (const [name, value] of Object.entries(headers)) setVariable(all, ...toVariable(name, value));
  if (role === 'Authorizer') for (const name of responderOnly) setVariable(all, name, undefined);
  for (const [name, value] of Object.entries(variables)) {
    if (name === '' || (value !== undefined && typeof value !== 'string')) {
      throw new TypeError(`Variable ${JSON.stringify(name)} must have a name, and a string for a value`);
    }
    setVariable(all, toByteString(name), value === undefined ? undefined : toByteString(value));
  }
  return all;
}

/** Each name stands once; undefined takes it away. A Map of so few would cost more, since it had to be taken apart again. */
function setVariable(all: string[], name: string, value: string | undefined): void {
  let index = 0;
  while (index < all.length && all[index] !== name) index += 2;
  if (value === undefined) all.splice(index, 2);
  else all.splice(index, 2, name, value);
}

function toVariable(name: string, value: string): [name: string, value: string] {
  const bytes = typeof value === 'string' ? toByteString(value) : undefined;
  if (!isToken(name) || bytes === undefined || !isFieldValue(bytes)) {
    throw new TypeError(
      `Header field ${JSON.stringify(name)} is invalid: it needs a name and one line of text`,
    );
  }
  const upper = name.toUpperCase().replaceAll('-', '_');
  return [upper === 'CONTENT_TYPE' || upper === 'CONTENT_LENGTH' ? upper : `HTTP_${upper}`, bytes];
}
