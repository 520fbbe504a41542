/**
 * A Request and its Response as an `HttpExchange`, and its own `Reply`.
 * The head and the first pieces of body wait for the end of the tick: an answer that is whole by then is a Response without
 * a stream. About 64 KiB wait for the stream's reader; then `write` returns false until the reader has taken some.
 * The stream itself holds nothing, so that it ends or fails in a read that waits: an error between two reads is taken for the
 * end by some servers (@hono/node-server 2 completes such an answer).
 */
import type { Timer } from '../base/clock.ts';
import { GatewayError } from '../base/errors.ts';
import type { ExchangeEnd, ExchangeObserver, HttpExchange } from '../http/exchange.ts';
import { findField } from '../http/fields.ts';
import { http1Fault } from '../http/http1.ts';
import { FailedBodyReader, MemoryBodyReader } from '../http/memory-body.ts';
import type { BodyReader, BodyReceiver, Fields, RequestHead } from '../http/message.ts';
import type { Reply, ReplyFacts, ReplyListener } from '../http/reply.ts';
import {
  announcedLength,
  answerLength,
  framedFields,
  lengthAfter,
  unknownLength,
  withinLength,
} from '../http/reply-framing.ts';
import type { BodyLimits } from './body-intake.ts';
import { FetchBodyReader } from './fetch-body.ts';

export interface FetchFrontOptions extends BodyLimits {
  /** An answer of which nothing is taken for this long is given up, in milliseconds. */
  readonly writeIdleMs: number;
}

/** Bytes that wait for the reader of the Response. */
const queueBytesMax = 65_536;

/** What nginx calls a client that closed its request. */
const clientLeftStatus = 499;

export class FetchExchange implements HttpExchange, Reply {
  readonly request: RequestHead;
  readonly bodyLength: number | undefined;
  headSent = false;
  ended = false;
  status = 0;
  bodyBytesSent = 0;
  readonly #from: Request;
  readonly #front: FetchFrontOptions;
  readonly #answer: (response: Response) => void;
  #listener: ReplyListener | undefined;
  #observer: ExchangeObserver | undefined;
  #body: FetchBodyReader | undefined;
  /** The head that waits for the end of the tick. */
  #heldHead: { readonly reason: string; readonly fields: Fields } | undefined;
  /** Body that nobody has read. */
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** What a read finds behind the queue. */
  #tail: 'more' | 'end' | 'cut' = 'more';
  /** A read waits. */
  #isAwaited = false;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Body bytes that are still to come; `unknownLength` without a Content-Length. */
  #left = unknownLength;
  /** `write` said no. */
  #isBlocked = false;
  #writeTimer: Timer | undefined;

  constructor(
    from: Request,
    head: RequestHead,
    front: FetchFrontOptions,
    answer: (response: Response) => void,
  ) {
    this.#from = from;
    this.#front = front;
    this.#answer = answer;
    this.request = head;
    this.bodyLength = requestLength(from, head.fields);
    from.signal.addEventListener('abort', this.#clientLeft);
    // An abort in the past tells nobody.
    if (from.signal.aborted) process.nextTick(this.#clientLeft);
  }

  get reply(): Reply {
    return this;
  }

  get facts(): ReplyFacts {
    return fetchFacts;
  }

  /** A Request stands for one of HTTP/1.1. */
  get headFault(): GatewayError | undefined {
    return http1Fault(this.request.version, this.request.fields);
  }

  get bodyBytesReceived(): number {
    return this.#body?.bytesReceived ?? 0;
  }

  readBody(receiver: BodyReceiver): BodyReader {
    const { body } = this.#from;
    if (body === null || this.bodyLength === 0) return new MemoryBodyReader(new Uint8Array(0), receiver);
    if (body.locked || this.#from.bodyUsed) {
      const message =
        'The request body was already read: give Fastway a request before whatever reads its body, or a clone of it';
      return new FailedBodyReader(new GatewayError('GW_ERR_INTERNAL', message), receiver);
    }
    this.#body = new FetchBodyReader(body, receiver, this.#front);
    return this.#body;
  }

  setListener(listener: ReplyListener): void {
    this.#listener = listener;
  }

  setObserver(observer: ExchangeObserver): void {
    this.#observer = observer;
  }

  /** The connection belongs to the server that made the Request. */
  closeAfterAnswer(): void {}

  inform(): void {}

  respond(status: number, reason: string, fields: Fields): void {
    if (this.headSent) throw new RangeError('The response head was already sent');
    if (this.ended) return;
    this.headSent = true;
    this.status = status;
    this.#left = answerLength(this.request.method, status, announcedLength(fields));
    this.#heldHead = { reason, fields: framedFields(status, fields) };
    process.nextTick(flushHeld, this);
  }

  /** @throws {GatewayError} GW_ERR_INTERNAL: a Response cannot become another protocol */
  upgrade(): BodyReader {
    throw new GatewayError(
      'GW_ERR_INTERNAL',
      'An upgrade cannot pass through a Response of the Fetch API: give its requests to gateway.listener on node:http',
    );
  }

  write(chunk: Uint8Array): boolean {
    const allowed = this.#allow(chunk);
    if (allowed === undefined) return true;
    this.#queue.push(allowed);
    this.#queuedBytes += allowed.length;
    if (this.#queuedBytes >= queueBytesMax) this.flush();
    this.#give();
    this.#isBlocked = this.#queuedBytes >= queueBytesMax;
    if (this.#isBlocked) this.#armWriteTimer();
    return !this.#isBlocked;
  }

  /** The pieces belong to the reader of the stream, who does not say when he has done with them. */
  sendNow(): boolean {
    return false;
  }

  end(chunk?: Uint8Array): void {
    if (this.ended) return;
    if (chunk !== undefined) this.write(chunk);
    if (this.#left > 0) {
      this.cut();
      return;
    }
    if (this.#heldHead !== undefined) this.#send(this.#hasBody ? Buffer.concat(this.#queue) : null);
    this.#finish('whole');
  }

  cut(): void {
    if (this.ended) return;
    if (this.#hasBody) this.flush();
    if (this.#stream === undefined) this.#answer(new Response(null, { status: 500 }));
    this.#finish('cut');
  }

  /** Leaves the request to somebody else; the observer hears nothing. */
  leave(): void {
    this.ended = true;
    this.#from.signal.removeEventListener('abort', this.#clientLeft);
  }

  /** Sends what waited for the end of the tick. */
  flush(): void {
    if (this.#heldHead === undefined) return;
    if (!this.#hasBody) {
      this.#send(null);
      return;
    }
    const body = new ReadableStream<Uint8Array>(
      {
        start: (stream) => {
          this.#stream = stream;
        },
        pull: () => this.#readerWaits(),
        cancel: () => this.#clientLeft(),
      },
      { highWaterMark: 0 },
    );
    this.#send(body);
  }

  /** A Response takes none with some statuses, not even an empty one. */
  get #hasBody(): boolean {
    return answerLength(this.request.method, this.status, unknownLength) !== 0;
  }

  /** The part of a chunk that may still be sent; undefined for nothing. */
  #allow(chunk: Uint8Array): Uint8Array | undefined {
    if (this.ended) return undefined;
    if (!this.headSent) throw new RangeError('The response head must be sent before its body');
    const allowed = withinLength(chunk, this.#left);
    if (allowed.length === 0) return undefined;
    this.#left = lengthAfter(this.#left, allowed.length);
    this.bodyBytesSent += allowed.length;
    return allowed;
  }

  #send(body: ReadableStream<Uint8Array> | Buffer<ArrayBuffer> | null): void {
    const { reason, fields } = this.#heldHead!;
    this.#heldHead = undefined;
    try {
      const headers = toHeaders(fields);
      this.#answer(new Response(body, { status: this.status, statusText: reason, headers }));
    } catch {
      // A status above 599, or bytes that no head may hold (T78). The code that made this head should have seen it; this is the last check.
      this.status = 500;
      this.#left = 0;
      this.#stream = undefined;
      this.#answer(new Response(null, { status: 500 }));
    }
  }

  #readerWaits(): void {
    this.#front.clock.clearTimer(this.#writeTimer);
    this.#isAwaited = true;
    this.#give();
    if (!this.#isBlocked || this.#queuedBytes >= queueBytesMax) return;
    this.#isBlocked = false;
    if (!this.ended) this.#listener?.drained();
  }

  /** Gives what is next to the read that waits. */
  #give(): void {
    if (!this.#isAwaited) return;
    const chunk = this.#queue.shift();
    if (chunk === undefined && this.#tail === 'more') return;
    this.#isAwaited = false;
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length;
      this.#stream!.enqueue(chunk);
    } else if (this.#tail === 'end') this.#stream!.close();
    else this.#failStream();
  }

  #failStream(): void {
    const message = 'The answer was cut and is not whole; the log says why';
    this.#stream?.error(new GatewayError('GW_ERR_SOURCE_CLOSED', message));
  }

  #armWriteTimer(): void {
    this.#front.clock.clearTimer(this.#writeTimer);
    this.#writeTimer = this.#front.clock.setTimer(() => {
      this.#failStream();
      this.#clientLeft();
    }, this.#front.writeIdleMs);
    this.#writeTimer.unref();
  }

  /** The signal aborted, or the reader of the answer stopped. */
  readonly #clientLeft = (): void => {
    if (this.ended) return;
    this.#isAwaited = false;
    this.#finish('gone');
    this.#answer(new Response(null, { status: clientLeftStatus }));
    this.#stream?.error(this.#from.signal.reason);
    this.#listener?.gone();
    this.#body?.cut();
  };

  #finish(how: ExchangeEnd): void {
    this.leave();
    this.#front.clock.clearTimer(this.#writeTimer);
    this.#heldHead = undefined;
    this.#tail = how === 'whole' ? 'end' : 'cut';
    this.#give();
    this.#observer?.ended(how);
  }
}

function flushHeld(exchange: FetchExchange): void {
  exchange.flush();
}

/** A Response has no place for interim heads. Nor for another protocol; who asks for one hears why, from `upgrade`. */
const fetchFacts: ReplyFacts = { canInform: false, canUpgrade: true, endsByClose: false };

/** 0 for none, undefined when it is not known. */
function requestLength({ body }: Request, fields: Fields): number | undefined {
  if (body === null) return 0;
  const announced = findField(fields, 'content-length') ?? '';
  return /^\d+$/.test(announced) ? Number(announced) : undefined;
}

/** Each field line by itself, as Set-Cookie needs it. */
function toHeaders(fields: Fields): Headers {
  const headers = new Headers();
  for (let index = 0; index < fields.length; index += 2) {
    headers.append(fields[index]!, fields[index + 1]!);
  }
  return headers;
}
