/**
 * Asks an application what it can do (FastCGI 4.1), on a connection of its own that is thrown away after the answer:
 * some applications close it then, and many never answer. From the web server's side.
 */

import { type Address, printAddress } from '../base/address.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { type GatewayError, SourceError } from '../base/errors.ts';
import { RecordType, valueNames } from '../protocol/constants.ts';
import { decodePairs } from '../protocol/name-value.ts';
import { encodeGetValues } from '../protocol/record-encoder.ts';
import { RecordParser } from '../protocol/record-parser.ts';
import { explainConnectError } from './connect-error.ts';
import { ApplicationSocket } from './socket.ts';
import { type RecordTrace, TracedRecords, traceSent } from './trace.ts';

export interface GetValuesOptions {
  /** Default: FCGI_MAX_CONNS, FCGI_MAX_REQS and FCGI_MPXS_CONNS. */
  readonly names?: readonly string[] | undefined;
  /** Connecting included; default 1000, since an application that does not know the question is silent. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly trace?: RecordTrace | undefined;
  /** Default: that of the machine. */
  readonly clock?: Clock | undefined;
}

/**
 * The values that the application told, by name; those that it does not know are not in it.
 * @throws {SourceError} GW_ERR_SOURCE_CONNECT, GW_ERR_SOURCE_DESCRIPTORS; GW_ERR_SOURCE_READ_TIMEOUT when it is silent;
 * GW_ERR_SOURCE_CLOSED
 * @throws {ProtocolError} the answer is not FastCGI
 */
export function getValues(address: Address, options: GetValuesOptions = {}): Promise<Map<string, string>> {
  const { names = valueNames, timeoutMs = 1_000, signal, trace, clock = systemClock } = options;
  const where = printAddress(address);
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const buffer = Buffer.allocUnsafeSlow(65_536);
    const finish = () => {
      clock.clearTimer(timer);
      signal?.removeEventListener('abort', aborted);
      socket.abandon();
    };
    const fail = (error: unknown) => {
      finish();
      reject(error as GatewayError);
    };
    const aborted = () => fail(signal!.reason);
    const timer = clock.setTimer(() => {
      const message = `The application at ${where} did not answer GET_VALUES within ${timeoutMs} ms; many never do`;
      fail(new SourceError('GW_ERR_SOURCE_READ_TIMEOUT', message, { delivery: 'maybe' }));
    }, timeoutMs);
    const listener = {
      stream() {},
      record(type: number, _requestId: number, content: Buffer) {
        // UNKNOWN_TYPE is an answer too: it has no values to tell.
        if (type !== RecordType.GetValuesResult && type !== RecordType.UnknownType) return;
        const pairs = type === RecordType.GetValuesResult ? decodePairs(content) : [];
        finish();
        const values = new Map<string, string>();
        for (let i = 0; i < pairs.length; i += 2) values.set(pairs[i]!, pairs[i + 1]!);
        resolve(values);
      },
    };
    const parser = new RecordParser(trace === undefined ? listener : new TracedRecords(listener, trace));
    let isConnected = false;
    const socket = new ApplicationSocket(address, {
      connected() {
        isConnected = true;
        // libfcgi reads the question as a stream, and answers only when an empty record ends it.
        const question = Buffer.concat([encodeGetValues(names), encodeGetValues([])]);
        if (trace !== undefined) traceSent(trace, question);
        socket.write(question);
      },
      readBuffer: () => buffer,
      received(length) {
        try {
          parser.push(buffer.subarray(0, length));
        } catch (error) {
          fail(error);
        }
        return true;
      },
      drained() {},
      lost(cause) {
        if (!isConnected) {
          explainConnectError(address, cause ?? new Error('the connection was closed at once'), fail);
          return;
        }
        const message = `The application at ${where} closed the connection without an answer to GET_VALUES; many do`;
        fail(new SourceError('GW_ERR_SOURCE_CLOSED', message, { cause, delivery: 'maybe' }));
      },
    });
    signal?.addEventListener('abort', aborted, { once: true });
  });
}
