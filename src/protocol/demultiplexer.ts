/**
 * What an application may send for several requests on one connection, and in which order; from the web server's side.
 * Each record goes to the request of its id. Its sender cannot be seen: a part of an application that takes its request's
 * id for another one speaks for somebody else. So whatever shows that ids are mixed up is an error, and an end to all
 * answers of the connection (T74, T77):
 * - a record of an id that this connection never carried, or whose request has ended;
 * - END_REQUEST for an answer whose STDOUT is not at its end, while other requests are open.
 * What cannot be seen: an application that ends STDOUT and request of another id, and is silent about it later.
 */
import { ProtocolError } from '../base/errors.ts';
import { nullRequestId, RecordType } from './constants.ts';
import { decodeEndRequest, printRecordType } from './record.ts';
import type { RecordListener } from './record-parser.ts';
import { notFromApplication, type ResponseListener } from './response-state.ts';

/** Feed it to a `RecordParser`. Remembers one entry for each request that it ever carried. */
export class Demultiplexer implements RecordListener {
  readonly #responses = new Map<number, OpenResponse | typeof ended | typeof givenUp>();
  #open = 0;
  #surplus: string | undefined;
  #endsStdout = true;

  /** The id of a request that has ended may be used again. */
  begin(requestId: number, listener: ResponseListener): void {
    this.#open += 1;
    this.#responses.set(requestId, { listener, stdout: 'empty', isGivenUp: false });
  }

  /** ABORT_REQUEST was sent: what still comes for it, also after its end, is dropped and is not a fault. */
  giveUp(requestId: number): void {
    const response = this.#responses.get(requestId);
    if (typeof response === 'object') response.isGivenUp = true;
  }

  /** Its request has not ended. */
  isOpen(requestId: number): boolean {
    return typeof this.#responses.get(requestId) === 'object';
  }

  /** What came that should not have and was ignored: the connection must not carry more requests. */
  get surplus(): string | undefined {
    return this.#surplus;
  }

  /** False when the last answer with output did not end its STDOUT before END_REQUEST. */
  get endsStdout(): boolean {
    return this.#endsStdout;
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_REQUEST_ID, GW_ERR_PROTOCOL_RECORD */
  stream(type: number, requestId: number, bytes: Buffer): void {
    const response = this.#find(type, requestId);
    if (response === undefined) return;
    if (type === RecordType.Stdout) {
      if (bytes.length > 0) {
        response.stdout = 'open';
        response.listener.stdout(bytes);
      } else if (response.stdout === 'open') response.stdout = 'ended';
    } else if (type === RecordType.Stderr) {
      if (bytes.length > 0) response.listener.stderr(bytes);
    } else {
      throw notFromApplication(type);
    }
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_REQUEST_ID, GW_ERR_PROTOCOL_RECORD */
  record(type: number, requestId: number, content: Buffer): void {
    // Management records belong to the connection, and ones that nobody knows are to be skipped (FastCGI 4.2).
    if (requestId === nullRequestId && (type >= RecordType.GetValues || type < RecordType.BeginRequest))
      return;
    const response = this.#find(type, requestId);
    if (response === undefined) return;
    if (type !== RecordType.EndRequest) throw notFromApplication(type);
    const { protocolStatus, appStatus } = decodeEndRequest(content);
    if (!response.isGivenUp && response.stdout !== 'empty') {
      this.#endsStdout = response.stdout === 'ended';
      if (!this.#endsStdout && this.#open > 1) throw unfinished(requestId);
    }
    this.#open -= 1;
    this.#responses.set(requestId, response.isGivenUp ? givenUp : ended);
    response.listener.endRequest(protocolStatus, appStatus);
  }

  /** @returns undefined: for no request */
  #find(type: number, requestId: number): OpenResponse | undefined {
    const response = this.#responses.get(requestId);
    if (typeof response === 'object') return response;
    if (response === givenUp) {
      this.#surplus ??= `${printRecordType(type)} for request ${requestId}, which was given up and has ended`;
      return undefined;
    }
    throw new ProtocolError(
      'GW_ERR_PROTOCOL_REQUEST_ID',
      response === ended
        ? `${printRecordType(type)} came for request ${requestId}, which had ended: whose it is cannot be known, nor whose the other answers of this connection are`
        : `${printRecordType(type)} came for request ${requestId}, which this connection does not carry`,
    );
  }
}

interface OpenResponse {
  readonly listener: ResponseListener;
  /** `ended`: its last record had no content. */
  stdout: 'empty' | 'open' | 'ended';
  isGivenUp: boolean;
}

const ended = 'ended';
const givenUp = 'given up';

function unfinished(requestId: number): ProtocolError {
  return new ProtocolError(
    'GW_ERR_PROTOCOL_RECORD',
    `END_REQUEST came for request ${requestId} before the end of its STDOUT, on a connection that carries others: it may be meant for one of them`,
  );
}
