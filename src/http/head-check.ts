/** What a request head must be before anybody routes it, whatever the protocol that it came in. */
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import type { RequestHead } from './message.ts';

/** More field lines than this are refused, because a parser that drops lines would drop the one that matters (T40). */
export const fieldLinesMax = 128;

/** @returns what is wrong with the head, undefined for a good one. Codes: GW_ERR_HTTP_METHOD, _HEAD_TOO_LARGE. */
export function checkRequestHead(
  { fields, method }: RequestHead,
  linesMax: number = fieldLinesMax,
): GatewayError | undefined {
  if (method === 'CONNECT') {
    return new HttpRequestError('GW_ERR_HTTP_METHOD', 'Method is CONNECT, and this server is no proxy');
  }
  // An answer would repeat cookies and credentials to a script that must not see them (RFC 9110 9.3.8, CVE-2003-1567).
  if (method === 'TRACE')
    return new HttpRequestError('GW_ERR_HTTP_METHOD', 'Method is TRACE, and no request is sent back');
  if (fields.length > linesMax * 2) {
    return new HttpRequestError(
      'GW_ERR_HTTP_HEAD_TOO_LARGE',
      `Request has ${fields.length / 2} field lines, and ${linesMax} are allowed`,
    );
  }
  return undefined;
}
