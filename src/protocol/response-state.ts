/**
 * What an application may send for one request, and in which order; from the web server's side.
 * Everything that affects that order lives here: ids, END_REQUEST, what comes after it. The end of STDOUT ends nothing:
 * there are applications that write an empty record where they flush, and go on.
 * One request at a time on a connection: a record of another id is an error, since its bytes may belong to
 * somebody else's answer (T74, T77).
 */
import { ProtocolError } from '../base/errors.ts';
import { nullRequestId, RecordType } from './constants.ts';
import { decodeEndRequest, printRecordType } from './record.ts';
import type { RecordListener } from './record-parser.ts';

/** What a request's application said, in order. Bytes are views: copy them to keep them. */
export interface ResponseListener {
  stdout(bytes: Buffer): void;
  stderr(bytes: Buffer): void;
  /** Once; nothing follows. */
  endRequest(protocolStatus: number, appStatus: number): void;
}

/** Feed it to a `RecordParser`. May serve one request after the other. */
export class ResponseState implements RecordListener {
  readonly #listener: ResponseListener;
  #requestId: number = nullRequestId;
  #ended = true;
  #surplus: string | undefined;

  constructor(listener: ResponseListener) {
    this.#listener = listener;
  }

  /** A request begins; the previous one has ended. */
  begin(requestId: number): void {
    this.#requestId = requestId;
    this.#ended = false;
  }

  /** END_REQUEST came, or nothing was begun. */
  get ended(): boolean {
    return this.#ended;
  }

  /** What came that should not have and was ignored: the connection must not carry another request. */
  get surplus(): string | undefined {
    return this.#surplus;
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_REQUEST_ID, GW_ERR_PROTOCOL_RECORD */
  stream(type: number, requestId: number, bytes: Buffer): void {
    if (this.#ended) {
      this.#surplus ??= `${printRecordType(type)} after END_REQUEST`;
      return;
    }
    if (requestId !== this.#requestId) throw this.#wrongId(type, requestId);
    if (type === RecordType.Stdout) {
      if (bytes.length > 0) this.#listener.stdout(bytes);
    } else if (type === RecordType.Stderr) {
      if (bytes.length > 0) this.#listener.stderr(bytes);
    } else {
      throw notFromApplication(type);
    }
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_REQUEST_ID, GW_ERR_PROTOCOL_RECORD */
  record(type: number, requestId: number, content: Buffer): void {
    const isManagement = type >= RecordType.GetValues || type < RecordType.BeginRequest;
    if (isManagement && requestId === nullRequestId) {
      // Management records belong to the connection, and ones that nobody knows are to be skipped (FastCGI 4.2).
      if (this.#ended) this.#surplus ??= `${printRecordType(type)} outside a request`;
      return;
    }
    if (this.#ended) {
      this.#surplus ??= `${printRecordType(type)} after END_REQUEST`;
      return;
    }
    if (requestId !== this.#requestId) throw this.#wrongId(type, requestId);
    if (type !== RecordType.EndRequest) throw notFromApplication(type);
    const { protocolStatus, appStatus } = decodeEndRequest(content);
    this.#ended = true;
    this.#listener.endRequest(protocolStatus, appStatus);
  }

  #wrongId(type: number, requestId: number): ProtocolError {
    return new ProtocolError(
      'GW_ERR_PROTOCOL_REQUEST_ID',
      `${printRecordType(type)} came for request ${requestId}, but this connection carries request ${this.#requestId}`,
    );
  }
}

/** @internal Shared with the demultiplexer. */
export function notFromApplication(type: number): ProtocolError {
  return new ProtocolError(
    'GW_ERR_PROTOCOL_RECORD',
    `An application sent ${printRecordType(type)}, which only a web server may send or which is unknown`,
  );
}
