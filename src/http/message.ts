/**
 * Our neutral HTTP words, between an HTTP front (node:http, the Fetch API) and the handlers: a request's head, and bodies.
 * `reply.ts` is the answer, `exchange.ts` both together. Everything is synchronous calls with boolean backpressure.
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
  /** As it is written behind `HTTP/`: for those that print it. What can be done in it is said by `ReplyFacts`. */
  readonly version: string;
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
