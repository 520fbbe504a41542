/** One request and its answer at an HTTP front (node:http, the Fetch API). */
import type { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver, RequestHead } from './message.ts';
import type { Reply } from './reply.ts';

/** What a front knows of a request, and its body: all of an exchange but the answer. */
export interface ReceivedRequest {
  readonly request: RequestHead;
  /** What the protocol that it came in forbids in this head (RFC 9112 for HTTP/1): to be answered, and nothing else done. */
  readonly headFault: GatewayError | undefined;
  /** Announced body bytes: 0 for none, undefined when chunked. */
  readonly bodyLength: number | undefined;
  /** Body bytes that came from the client so far. */
  readonly bodyBytesReceived: number;
  /**
   * Starts the body's flow; at most once. A client that waits for `100 Continue` is told to go on here, and only here.
   * Errors: GW_ERR_HTTP_BODY_CUT (client left or broke framing), GW_ERR_HTTP_BODY_TIMEOUT (too slow).
   */
  readBody(receiver: BodyReceiver): BodyReader;
  /** Ends the connection after this answer, because what follows on it cannot be trusted. Call before the reply's head. */
  closeAfterAnswer(): void;
}

export interface HttpExchange extends ReceivedRequest {
  /** As the client gets it; a handler is given `RoutedRequest.reply`, which may be one around it. */
  readonly reply: Reply;
  /** At most one observer, set by the router. */
  setObserver(observer: ExchangeObserver): void;
}

/** `whole`: the answer was given to the end. `cut`: we broke it off. `gone`: the client left before its end. */
export type ExchangeEnd = 'whole' | 'cut' | 'gone';

/** Told once that an exchange is over. For the access log, and for metrics. */
export interface ExchangeObserver {
  /** Short, unique within the process: the `request` of its log lines. */
  readonly id: string;
  ended(how: ExchangeEnd): void;
}

/** Answers an exchange. `next` stands for what follows us in a framework: call it, and nothing else, to leave the request to that. */
export type ExchangeHandler = (exchange: HttpExchange, next?: () => void) => void;
