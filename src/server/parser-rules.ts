/**
 * What the HTTP parser of the front refuses: for `explain`, whose request was written by hand and came through no parser.
 * `test/explain.test.ts` plays the same requests to the parser itself.
 */
import { METHODS } from 'node:http';
import { HttpRequestError } from '../base/errors.ts';
import { findFields, isFieldValue, isToken } from '../http/fields.ts';
import type { Fields, RequestHead } from '../http/message.ts';
import { serverLimitsDefaults } from './server.ts';

const methods: ReadonlySet<string> = new Set(METHODS);
/** Of the two that are not served the check of the head says so. */
const versions: ReadonlySet<string> = new Set(['0.9', '1.0', '1.1', '2.0']);

/**
 * @param headerBytesMax of the listener
 * @returns GW_ERR_HTTP_REQUEST or GW_ERR_HTTP_HEAD_TOO_LARGE; undefined: it would become a request
 */
export function refuseAsParser(
  { method, target, version, fields }: RequestHead,
  headerBytesMax: number = serverLimitsDefaults.headerBytesMax,
): HttpRequestError | undefined {
  const bytes = fields.reduce((sum, { length }) => sum + length, target.length);
  if (bytes >= headerBytesMax) {
    const message = `Request head has ${bytes} bytes, and less than ${headerBytesMax} are allowed (limits.headerBytesMax)`;
    return new HttpRequestError('GW_ERR_HTTP_HEAD_TOO_LARGE', message);
  }
  const fault = faultOfLine(method, target, version) ?? faultOfFields(fields) ?? faultOfFraming(fields);
  return fault === undefined ? undefined : new HttpRequestError('GW_ERR_HTTP_REQUEST', fault);
}

function faultOfLine(method: string, target: string, version: string): string | undefined {
  if (!methods.has(method)) return `Method ${JSON.stringify(method)} is none that HTTP knows`;
  if (!/^[\x21-\x7e]+$/.test(target)) {
    return `Request-target ${JSON.stringify(target)} is empty, or holds a byte that no URL has`;
  }
  return versions.has(version) ? undefined : `Request is HTTP/${version}, expected HTTP/1.0 or HTTP/1.1`;
}

function faultOfFields(fields: Fields): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    if (!isToken(name)) return `Field name ${JSON.stringify(name)} is no token`;
    if (!isFieldValue(fields[i + 1]!)) return `Field ${name} holds a control byte`;
  }
  return undefined;
}

/** RFC 9112 6.3. */
function faultOfFraming(fields: Fields): string | undefined {
  const lengths = findFields(fields, 'content-length');
  const codings = findFields(fields, 'transfer-encoding');
  if (lengths.length > 1) return 'Request has more than one Content-Length';
  if (lengths.length === 1 && codings.length > 0)
    return 'Request has a Content-Length and a Transfer-Encoding';
  const coded = codings.join(',').toLowerCase().split(',');
  if (coded.slice(0, -1).some((coding) => coding.trim() === 'chunked'))
    return 'Transfer-Encoding goes on behind chunked, which is the last';
  const length = lengths[0]?.trim();
  if (length !== undefined && !(/^\d+$/.test(length) && BigInt(length) < 2n ** 64n))
    return `Content-Length is ${JSON.stringify(length)}, expected a number of bytes`;
  return undefined;
}
