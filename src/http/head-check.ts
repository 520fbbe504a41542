/**
 * What a request head must be before anybody routes it: the rules that node:http's parser leaves to us (T36-T40).
 * Said of the neutral head, so that every front is as strict.
 */
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import type { RequestHead } from './message.ts';

/** More field lines than this are refused, because a parser that drops lines would drop the one that matters (T40). */
export const fieldLinesMax = 128;

/**
 * @returns what is wrong with the head, undefined for a good one. After a fault the connection's framing is in doubt:
 * answer and close. Codes: GW_ERR_HTTP_VERSION, _REQUEST, _METHOD, _TRANSFER_ENCODING, _HEAD_TOO_LARGE, _EXPECTATION.
 */
export function checkRequestHead(
  head: RequestHead,
  linesMax: number = fieldLinesMax,
): GatewayError | undefined {
  const { fields, version, method } = head;
  if (version !== '1.1' && version !== '1.0') return versionFault(version);
  if (method === 'CONNECT') {
    return new HttpRequestError('GW_ERR_HTTP_METHOD', 'Method is CONNECT, and this server is no proxy');
  }
  if (fields.length > linesMax * 2) {
    return new HttpRequestError(
      'GW_ERR_HTTP_HEAD_TOO_LARGE',
      `Request has ${fields.length / 2} field lines, and ${linesMax} are allowed`,
    );
  }
  let hosts = 0;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
    else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      const fault = transferEncodingFault(version, fields, index);
      if (fault !== undefined) return fault;
    } else if (name.length === 6 && name.toLowerCase() === 'expect') {
      const fault = expectationFault(version, fields[index + 1]!);
      if (fault !== undefined) return fault;
    }
  }
  if (hosts > 1 || (hosts === 0 && version === '1.1')) {
    return new HttpRequestError('GW_ERR_HTTP_REQUEST', `Request has ${hosts} Host fields, expected 1`);
  }
  return undefined;
}

function versionFault(version: string): GatewayError {
  // HTTP/0.9 has no head at all, so that nothing of it can be trusted: 400. Others are real, and not spoken here: 505.
  return version === '0.9'
    ? new HttpRequestError('GW_ERR_HTTP_REQUEST', 'Request is HTTP/0.9, expected HTTP/1.0 or HTTP/1.1')
    : new HttpRequestError(
        'GW_ERR_HTTP_VERSION',
        `Request is HTTP/${version}, expected HTTP/1.0 or HTTP/1.1`,
      );
}

/** RFC 9110 10.1.1. HTTP/1.0 has no expectations, and an empty field expects nothing. */
function expectationFault(version: string, expected: string): GatewayError | undefined {
  if (version === '1.0' || expected.trim() === '' || /(?:^|\W)100-continue(?:$|\W)/i.test(expected))
    return undefined;
  const message = `Expect is ${JSON.stringify(expected)}, and only 100-continue can be met`;
  return new HttpRequestError('GW_ERR_HTTP_EXPECTATION', message);
}

function transferEncodingFault(
  version: string,
  fields: readonly string[],
  index: number,
): GatewayError | undefined {
  // RFC 9112 6.1: a chunked body in HTTP/1.0 was framed by somebody who does not know HTTP/1.0.
  if (version === '1.0') {
    return new HttpRequestError('GW_ERR_HTTP_REQUEST', 'Request is HTTP/1.0 with a Transfer-Encoding');
  }
  const coding = fields[index + 1]!.trim().toLowerCase();
  const repeated = fields.some(
    (name, at) => at % 2 === 0 && at > index && name.toLowerCase() === 'transfer-encoding',
  );
  if (coding === 'chunked' && !repeated) return undefined;
  return new HttpRequestError(
    'GW_ERR_HTTP_TRANSFER_ENCODING',
    `Transfer-Encoding is ${repeated ? 'repeated' : JSON.stringify(coding)}, expected exactly chunked`,
  );
}
