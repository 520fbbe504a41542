/** What is particular to HTTP/1 (RFC 9112): what it demands of a request's head, and what can be said in its answers. */
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import { equalsIgnoreCase } from './fields.ts';
import type { Fields } from './message.ts';
import type { ReplyFacts } from './reply.ts';

const http11: ReplyFacts = { canInform: true, canUpgrade: true, endsByClose: false };
const http10: ReplyFacts = { canInform: false, canUpgrade: false, endsByClose: true };

/** @param version as `1.1` */
export function http1Facts(version: string): ReplyFacts {
  return version === '1.0' ? http10 : http11;
}

/**
 * What node:http's parser leaves to us (T36-T39): other versions, Transfer-Encoding, Host, Expect.
 * @param version as `1.1`
 * @returns undefined for a good head. Codes: GW_ERR_HTTP_VERSION, _REQUEST, _TRANSFER_ENCODING, _EXPECTATION
 */
export function http1Fault(version: string, fields: Fields): GatewayError | undefined {
  if (version !== '1.1' && version !== '1.0') return versionFault(version);
  let hosts = 0;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    if (name.length === 4 && equalsIgnoreCase(name, 'host')) hosts++;
    else if (name.length === 17 && equalsIgnoreCase(name, 'transfer-encoding')) {
      const fault = transferEncodingFault(version, fields, index);
      if (fault !== undefined) return fault;
    } else if (name.length === 6 && equalsIgnoreCase(name, 'expect')) {
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
