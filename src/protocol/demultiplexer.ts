/**
 * What an application may send for several requests on one connection, and in which order; from the web server's side.
 * Each record goes to the request of its id. One of an id that this connection never carried is an error, since its
 * bytes may belong to somebody else's answer (T74, T77); what comes for a request that has ended is for nobody.
 */
import { ProtocolError } from '../base/errors.ts';
import { nullRequestId, RecordType } from './constants.ts';
import { decodeEndRequest, printRecordType } from './record.ts';
import type { RecordListener } from './record-parser.ts';
import { notFromApplication, type ResponseListener } from './request-state.ts';

/** Feed it to a `RecordParser`. Remembers one entry for each request that it ever carried. */
export class Demultiplexer implements RecordListener {
  readonly #responses = new Map<number, OpenResponse | typeof ended>();
  #hasSurplus = false;

  /** The id of a request that has ended may be used again. */
  begin(requestId: number, listener: ResponseListener): void {
    this.#responses.set(requestId, { listener, stdoutEnded: false });
  }

  /** Its request has not ended. */
  isOpen(requestId: number): boolean {
    const response = this.#responses.get(requestId);
    return response !== undefined && response !== ended;
  }

  /** Something came that should not have and was ignored: the connection must not carry more requests. */
  get hasSurplus(): boolean {
    return this.#hasSurplus;
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_REQUEST_ID, GW_ERR_PROTOCOL_RECORD */
  stream(type: number, requestId: number, bytes: Buffer): void {
    const response = this.#find(type, requestId);
    if (response === ended) {
      this.#hasSurplus = true;
      return;
    }
    if (type === RecordType.Stdout) {
      if (bytes.length === 0) response.stdoutEnded = true;
      else if (response.stdoutEnded) this.#hasSurplus = true;
      else response.listener.stdout(bytes);
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
    if (response === ended) {
      this.#hasSurplus = true;
      return;
    }
    if (type !== RecordType.EndRequest) throw notFromApplication(type);
    const { protocolStatus, appStatus } = decodeEndRequest(content);
    this.#responses.set(requestId, ended);
    response.listener.endRequest(protocolStatus, appStatus);
  }

  #find(type: number, requestId: number): OpenResponse | typeof ended {
    const response = this.#responses.get(requestId);
    if (response !== undefined) return response;
    throw new ProtocolError(
      'GW_ERR_PROTOCOL_REQUEST_ID',
      `${printRecordType(type)} came for request ${requestId}, which this connection does not carry`,
    );
  }
}

interface OpenResponse {
  readonly listener: ResponseListener;
  stdoutEnded: boolean;
}

const ended = 'ended';
