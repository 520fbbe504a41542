/**
 * One request to a FastCGI application, from the web server's side: what a caller hands in, hears and holds.
 * Promise and stream forms are for others to build on top; here are plain calls, since this is the hot path.
 */
import type { GatewayError } from '../base/errors.ts';
import type { RequestBody } from '../http/message.ts';
import type { RoleName } from '../protocol/constants.ts';
import {
  encodeRequest,
  encodeRequestHead,
  encodeRequestWithoutBody,
  type RequestStart,
} from '../protocol/record-encoder.ts';

/** What is asked of an application. */
export interface ClientRequest {
  /** Meta-variables flat: name, value, name, value ...; byte strings; each name once. */
  readonly variables: readonly string[];
  /** Undefined: no body. */
  readonly body: RequestBody | undefined;
  /** The virtual server: where requests have to wait, those of several take turns. */
  readonly group?: string | undefined;
  /** The client's address: within a group, those of several take turns too. */
  readonly client?: string | undefined;
  /** Undefined: the pool's. */
  readonly role?: RoleName | undefined;
  /** The file that a Filter works on: DATA, after STDIN (FastCGI 6.4). */
  readonly data?: RequestBody | undefined;
  /** It may be sent again after an application may have run it: said once, by the caller, who knows what it does. Undefined: no. */
  readonly mayRunTwice?: boolean | undefined;
  /** Not on a connection with others: its reader or its body may be slow for a long time. */
  readonly ownConnection?: boolean | undefined;
}

/** Hears the answer. Nothing is called before `open` has returned; after `end` or `error`, or after `abort`, nothing more. */
export interface ClientListener {
  /**
   * Output bytes, the listener's to keep. False: pause until `resume`; what was read together with them (up to 64 KiB)
   * still comes in the same turn. An exchange that `isShared` cannot be paused: up to 1 MiB more is kept for it, then it
   * ends with GW_ERR_SOURCE_READER_BEHIND.
   */
  stdout(chunk: Buffer): boolean;
  /** Error output bytes, the listener's to keep; bound what you keep (an application may flood). */
  stderr(chunk: Buffer): void;
  /**
   * There is no more for the moment. True: none of the chunks is needed any more, and they may be overwritten; so a long
   * answer does not take new memory for each of them. Without it, or when false, they stay the listener's.
   */
  sendNow?(): boolean;
  /** The application said that the answer is complete (END_REQUEST); only this makes an answer whole. */
  end(appStatus: number): void;
  error(error: GatewayError): void;
}

/** A request under way. */
export interface ClientExchange {
  /** Goes on after `stdout` returned false. */
  resume(): void;
  /** The answer may go on for as long as it likes: the total limit is lifted. */
  liftTotalLimit(): void;
  /**
   * The client has its answer, so that nobody will end this one if it goes on for ever: where the total limit was lifted, it
   * counts from now on.
   */
  answered(): void;
  /** Gives up: the application is told, or the connection closed. May be called twice, and after the end. */
  abort(): void;
  /**
   * Gives up as `abort`, and counts as a failure of the application, once: for an answer that FastCGI calls complete and we
   * do not. At the latest from within the listener's `end`. May be called twice.
   */
  disown(error: GatewayError): void;
  /** Milliseconds that it waited for a place. */
  readonly waitedMs: number;
  /** Other requests share its connection. False while it waits. */
  readonly isShared: boolean;
  /** It was sent a second time when the first may have run: a kept connection was closed under it (F9). */
  readonly wasRepeated: boolean;
}

/** A request in the form in which it leaves. */
export interface EncodedRequest {
  readonly requestId: number;
  /** The application is asked to keep the connection open. */
  readonly keepConn: boolean;
  /** What leaves in the first write: everything, or everything before a body that is read in pieces. */
  readonly bytes: string | Buffer;
  /** The body to send after `bytes`. */
  readonly streamedBody: RequestBody | undefined;
  /** The file to send after the body. */
  readonly streamedData: RequestBody | undefined;
}

/** @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE */
export function encodeClientRequest(start: RequestStart, request: ClientRequest): EncodedRequest {
  const { body, variables, data: streamedData } = request;
  const { requestId, keepConn } = start;
  if (body === undefined || body.length === 0) {
    const bytes = encodeRequestWithoutBody(start, variables);
    return { requestId, keepConn, bytes, streamedBody: undefined, streamedData };
  }
  if (body.bytes !== undefined) {
    const bytes = encodeRequest(start, variables, body.bytes);
    return { requestId, keepConn, bytes, streamedBody: undefined, streamedData };
  }
  return {
    requestId,
    keepConn,
    bytes: encodeRequestHead(start, variables),
    streamedBody: body,
    streamedData,
  };
}
