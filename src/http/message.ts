/**
 * Our neutral HTTP words, between an HTTP front (node:http, the Fetch API) and the handlers.
 * Everything is synchronous calls with boolean backpressure; nothing here costs a promise or a stream.
 * All strings are byte strings: each UTF-16 unit is one byte (latin1), as HTTP fields arrive.
 */
import type { GatewayError } from '../base/errors.ts';

/** Field lines flat: name, value, name, value ..., in order of arrival, in the sender's letter case. */
export type Fields = readonly string[];

/** The request as the front received it; nothing is decoded, nothing is trusted. */
export interface RequestHead {
  readonly method: string;
  /** The request-target, byte for byte: origin, absolute, authority or asterisk form (RFC 9112 3.2). */
  readonly target: string;
  readonly version: '1.0' | '1.1';
  readonly fields: Fields;
  /** TLS ends at this listener. */
  readonly secure: boolean;
  /** The socket's peer: no brackets, no zone, IPv4-mapped IPv6 as IPv4; empty on a unix socket, `unknown` when the front is not told. */
  readonly remoteAddress: string;
  /** 0 on a unix socket. */
  readonly remotePort: number;
  /** Empty on a unix socket. */
  readonly localAddress: string;
  /** 0 on a unix socket. */
  readonly localPort: number;
}

/** Takes a body in pieces. After `end` or `error` nothing more comes. */
export interface BodyReceiver {
  /** The bytes are the receiver's to keep. False asks the sender to wait for `resume`. */
  data(chunk: Uint8Array): boolean;
  end(): void;
  error(error: GatewayError): void;
}

/** The other end of a `BodyReceiver`. */
export interface BodyReader {
  /** Goes on after `data` returned false. */
  resume(): void;
  /** Stops for good; the receiver hears nothing more. May be called twice. */
  close(): void;
}

/** A request body on its way to an application. */
export interface RequestBody {
  /** Bytes, exact; undefined only while a body of unknown length is streamed through. */
  readonly length: number | undefined;
  /** The whole body when it is in memory, so that it can leave in one write with the request. */
  readonly bytes: Uint8Array | undefined;
  /** Can be read from its start again, for another try. */
  readonly replayable: boolean;
  /** One side of a conversation: the client may say nothing for long, and is not waited for as for the rest of an upload. */
  readonly isConversation?: boolean;
  /** Reads from the start. The receiver is never called before this returns. */
  read(receiver: BodyReceiver): BodyReader;
}

/** What a handler hears of the client after it took the exchange. */
export interface ClientListener {
  /** The client takes bytes again, after `write` returned false. */
  drain(): void;
  /** The client went away before the answer was complete. */
  gone(): void;
}

/** `whole`: the answer was given to the end. `cut`: we broke it off. `gone`: the client left before its end. */
export type ExchangeEnd = 'whole' | 'cut' | 'gone';

/** Hears once that an exchange is over. For the access log, and for metrics. */
export interface ExchangeObserver {
  /** Short, unique within the process: the `request` of its log lines. */
  readonly id: string;
  ended(how: ExchangeEnd): void;
}

/** One request and its answer at the HTTP front. Life: any `inform`s, `respond`, any `write`s, then `end` or `cut`. */
export interface HttpExchange {
  readonly request: RequestHead;
  /** Announced body bytes: 0 for none, undefined when chunked. */
  readonly bodyLength: number | undefined;
  /**
   * Starts the body's flow; at most once. A client that waits for `100 Continue` is told to go on here, and only here.
   * Errors: GW_ERR_HTTP_BODY_CUT (client left or broke framing), GW_ERR_HTTP_BODY_TIMEOUT (too slow).
   */
  readBody(receiver: BodyReceiver): BodyReader;
  /** At most one listener; set it before the first `write`. */
  setListener(listener: ClientListener): void;
  /** At most one observer, set by whoever routes the exchange. */
  setObserver(observer: ExchangeObserver): void;
  /** Ends the connection after this answer, because what follows on it cannot be trusted. Call before `respond`. */
  closeAfterAnswer(): void;
  /** The head was given to `respond`. */
  readonly headSent: boolean;
  /** The answer has ended, was cut, or the client is gone: further calls do nothing. */
  readonly ended: boolean;
  /** Final status given to `respond`; 0 before. */
  readonly status: number;
  /** Body bytes given to `write` and `end`. */
  readonly bodyBytesSent: number;
  /** Body bytes that came from the client so far. */
  readonly bodyBytesReceived: number;
  /** Sends an interim head (1xx) at once, to a client that speaks HTTP/1.1; does nothing after `respond`. */
  inform(status: number, fields: Fields): void;
  /**
   * Sends the response head. Framing is the exchange's business: with a Content-Length in `fields` exactly so many
   * bytes go out (more is cut off, fewer makes `end` a `cut`); without, chunked or close-delimited.
   * For HEAD, 204 and 304 body bytes are dropped. Connection, Keep-Alive, Transfer-Encoding and Date are added here.
   * An empty `reason` stands for the status's usual phrase.
   * @param endsNow `end` or `cut` follows before anything else happens: nobody has to look after the head until then
   * @throws {RangeError} when the head was already sent
   */
  respond(status: number, reason: string, fields: Fields, endsNow?: boolean): void;
  /**
   * In place of `respond`, in HTTP/1.1 and for a request without body: sends a head of status 101, after which the client's
   * bytes go to the receiver, and `write` and `end` send as they are. The receiver is never called before this returns.
   * @throws {RangeError} when a head was already sent
   */
  upgrade(fields: Fields, receiver: BodyReceiver): BodyReader;
  /** Hand over bytes that nobody will overwrite. False: wait for `drain`. */
  write(chunk: Uint8Array): boolean;
  /**
   * Nothing follows for the moment: sends what waits for more. True: the system has taken every byte, and the chunks may be
   * overwritten. Without it, or when false, they are still needed.
   */
  sendNow?(): boolean;
  end(chunk?: Uint8Array): void;
  /** Ends so that the client sees that the answer is not whole (connection destroyed, no final chunk). */
  cut(): void;
}

/** Answers an exchange. `next` stands for what follows us in a framework: call it, and nothing else, to leave the request to that. */
export type ExchangeHandler = (exchange: HttpExchange, next?: () => void) => void;
