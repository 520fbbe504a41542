/**
 * What a client gets: the answer to one request, whatever the front. Handlers are given one, and a wrapper (a cache, a compression,
 * an inspector) gives the handler that it stands before another one, around its own.
 * Everything is synchronous calls with boolean backpressure; nothing here costs a promise or a stream.
 */
import type { BodyReader, BodyReceiver, Fields } from './message.ts';

/** What comes back from a client while it gets an answer. Nothing more once the answer has ended or was cut. */
export interface ReplyListener {
  /** The client takes bytes again, after `write` returned false. */
  drained(): void;
  /** The client went away before the answer was complete. */
  gone(): void;
}

/** What the client's protocol can express. The front says it, so that nothing else branches on a version. */
export interface ReplyFacts {
  /** Interim heads (1xx) reach the client. */
  readonly canInform: boolean;
  /** A request may ask for another protocol (RFC 9110 7.8): where not, its Upgrade is ignored. A front that has none throws. */
  readonly canUpgrade: boolean;
  /** An answer of unknown length ends where the connection does, so that only a reset shows that one was cut. */
  readonly endsByClose: boolean;
}

/**
 * An answer. Life: any `inform`s, `respond` (or `upgrade`), any `write`s, then `end` or `cut`.
 *
 * An answer has two ends. `end` is the client's: it has all that it was promised, and its connection goes on. The application's
 * is `SourceListener.end`: it says that it is done, and its place is free. Either may come first: an application works on behind
 * its Content-Length, a slow client still reads when it has long been done. Without a Content-Length only the second says that
 * the answer is whole, so that `end` has to wait for it.
 */
export interface Reply {
  readonly facts: ReplyFacts;
  /** The head was given to `respond`. */
  readonly headSent: boolean;
  /** The answer has ended, was cut, or the client is gone: further calls do nothing. */
  readonly ended: boolean;
  /** Final status given to `respond`; 0 before. */
  readonly status: number;
  /** Body bytes given to `write` and `end` that count: none for HEAD, none beyond the Content-Length. */
  readonly bodyBytesSent: number;
  /** At most one listener, the last one that was set; set it before the first `write`. */
  setListener(listener: ReplyListener): void;
  /** Sends an interim head (1xx) at once, where that is possible (`canInform`); does nothing after `respond`. */
  inform(status: number, fields: Fields): void;
  /**
   * Sends the response head. Framing is the front's business, as `reply-framing.ts` says: with a Content-Length in `fields` exactly
   * so many bytes go out (more is cut off, fewer makes `end` a `cut`); without, chunked or close-delimited.
   * For HEAD, 204, 205 and 304 body bytes are dropped. Connection, Keep-Alive, Transfer-Encoding and Date are added here.
   * An empty `reason` stands for the status's usual phrase.
   * @param endsNow `end` or `cut` follows before anything else happens: the head needs no timer until then
   * @throws {RangeError} when the head was already sent
   */
  respond(status: number, reason: string, fields: Fields, endsNow?: boolean): void;
  /**
   * In place of `respond`, where that is possible (`canUpgrade`) and for a request without body: sends a head of status 101, after
   * which the client's bytes go to the receiver, and `write` and `end` send as they are. The receiver is never called before this
   * returns.
   * @throws {RangeError} when a head was already sent
   * @throws {GatewayError} GW_ERR_INTERNAL: this front cannot, as the Fetch API
   */
  upgrade(fields: Fields, receiver: BodyReceiver): BodyReader;
  /**
   * Hand over bytes that nobody will overwrite. False: wait for `drained`.
   * @throws {RangeError} before `respond`
   */
  write(chunk: Uint8Array): boolean;
  /**
   * Nothing follows for the moment: sends what waits for more. True: the system has taken every byte, and the chunks may be
   * overwritten. Until then, or when false, they are still needed.
   */
  sendNow(): boolean;
  /** The answer is complete for the client. */
  end(chunk?: Uint8Array): void;
  /** Ends so that the client sees that the answer is not whole (connection destroyed, no final chunk). */
  cut(): void;
}

/**
 * A reply that hands everything on to another one: to be extended by what changes or watches answers. What a subclass does not
 * know, now or after the next ability was added to `Reply`, still reaches the inner one.
 */
export class ForwardingReply implements Reply, ReplyListener {
  protected readonly inner: Reply;
  protected listener: ReplyListener | undefined;

  constructor(inner: Reply) {
    this.inner = inner;
  }

  get facts(): ReplyFacts {
    return this.inner.facts;
  }

  get headSent(): boolean {
    return this.inner.headSent;
  }

  get ended(): boolean {
    return this.inner.ended;
  }

  get status(): number {
    return this.inner.status;
  }

  get bodyBytesSent(): number {
    return this.inner.bodyBytesSent;
  }

  /** The inner reply tells this one, and this one the listener. */
  setListener(listener: ReplyListener): void {
    this.listener = listener;
    this.inner.setListener(this);
  }

  drained(): void {
    this.listener?.drained();
  }

  gone(): void {
    this.listener?.gone();
  }

  inform(status: number, fields: Fields): void {
    this.inner.inform(status, fields);
  }

  respond(status: number, reason: string, fields: Fields, endsNow?: boolean): void {
    this.inner.respond(status, reason, fields, endsNow);
  }

  upgrade(fields: Fields, receiver: BodyReceiver): BodyReader {
    return this.inner.upgrade(fields, receiver);
  }

  write(chunk: Uint8Array): boolean {
    return this.inner.write(chunk);
  }

  sendNow(): boolean {
    return this.inner.sendNow();
  }

  end(chunk?: Uint8Array): void {
    this.inner.end(chunk);
  }

  cut(): void {
    this.inner.cut();
  }
}
