/**
 * An HTTP front in memory for tests of handlers: it records what a client would have received, and plays a client that
 * is slow, sends a body in pieces, or leaves. Framing as the contract says.
 */
import type { GatewayError } from '../../src/base/errors.ts';
import type { ExchangeEnd, ExchangeObserver, HttpExchange } from '../../src/http/exchange.ts';
import { findField } from '../../src/http/fields.ts';
import { http1Fault } from '../../src/http/http1.ts';
import type { BodyReader, BodyReceiver, Fields, RequestHead } from '../../src/http/message.ts';
import type { Reply, ReplyFacts, ReplyListener } from '../../src/http/reply.ts';
import {
  announcedLength,
  answerLength,
  framedFields,
  interimFields,
  lengthAfter,
  unknownLength,
  withinLength,
} from '../../src/http/reply-framing.ts';

export interface FakeExchangeOptions {
  readonly method?: string;
  readonly target?: string;
  readonly fields?: Fields;
  readonly bodyLength?: number | undefined;
}

export class FakeExchange implements HttpExchange, Reply {
  readonly request: RequestHead;
  readonly bodyLength: number | undefined;
  readonly facts: ReplyFacts = { canInform: true, canUpgrade: false, endsByClose: false };
  headSent = false;
  ended = false;
  wasCut = false;
  status = 0;
  reason = '';
  bodyBytesSent = 0;
  bodyBytesReceived = 0;
  fields: Fields = [];
  /** Interim heads: status and fields. */
  readonly informed: [number, Fields][] = [];
  /** The pieces as the client received them. */
  readonly pieces: Buffer[] = [];
  /** Bytes the client takes before it says "wait"; refilled by `take`. */
  window: number = Number.POSITIVE_INFINITY;
  bodyReads = 0;
  bodyPaused = false;
  bodyClosed = false;
  #body: BodyReceiver | undefined;
  #listener: ReplyListener | undefined;
  #observer: ExchangeObserver | undefined;
  #left = unknownLength;
  #whenEnded: (() => void)[] = [];

  constructor(options: FakeExchangeOptions = {}) {
    this.request = {
      method: options.method ?? 'GET',
      target: options.target ?? '/',
      version: '1.1',
      fields: options.fields ?? ['Host', 'site.test'],
      secure: false,
      remoteAddress: '192.0.2.7',
      remotePort: 40_000,
      localAddress: '127.0.0.1',
      localPort: 8080,
    };
    this.bodyLength = 'bodyLength' in options ? options.bodyLength : 0;
  }

  get headFault(): GatewayError | undefined {
    return http1Fault(this.request.version, this.request.fields);
  }

  get reply(): Reply {
    return this;
  }

  /** Everything the client received after the head. */
  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }

  field(name: string): string | undefined {
    return findField(this.fields, name.toLowerCase());
  }

  readBody(receiver: BodyReceiver): BodyReader {
    this.bodyReads += 1;
    this.#body = receiver;
    return {
      resume: () => {
        this.bodyPaused = false;
      },
      close: () => {
        this.bodyClosed = true;
        this.#body = undefined;
      },
    };
  }

  /** The client sends a piece of body. */
  sendBody(chunk: Uint8Array): void {
    this.bodyBytesReceived += chunk.length;
    if (this.#body?.data(chunk) === false) this.bodyPaused = true;
  }

  endBody(): void {
    this.#body?.end();
  }

  failBody(error: GatewayError): void {
    this.#body?.error(error);
  }

  setListener(listener: ReplyListener): void {
    this.#listener = listener;
  }

  setObserver(observer: ExchangeObserver): void {
    this.#observer = observer;
  }

  closeAfterAnswer(): void {}

  inform(status: number, fields: Fields): void {
    if (!this.headSent && !this.ended) this.informed.push([status, interimFields(fields)]);
  }

  respond(status: number, reason: string, fields: Fields): void {
    if (this.headSent) throw new RangeError('The response head was already sent');
    if (this.ended) return;
    this.headSent = true;
    this.status = status;
    this.reason = reason;
    this.fields = framedFields(status, fields);
    this.#left = answerLength(this.request.method, status, announcedLength(fields));
  }

  upgrade(): BodyReader {
    throw new Error('A fake exchange stays HTTP');
  }

  write(chunk: Uint8Array): boolean {
    if (this.ended) return true;
    if (!this.headSent) throw new RangeError('The response head must be sent before its body');
    const taken = Buffer.from(withinLength(chunk, this.#left));
    if (taken.length === 0) return true;
    this.#left = lengthAfter(this.#left, taken.length);
    this.bodyBytesSent += taken.length;
    this.pieces.push(taken);
    this.window -= taken.length;
    return this.window > 0;
  }

  sendNow(): boolean {
    return false;
  }

  end(chunk?: Uint8Array): void {
    if (this.ended) return;
    if (chunk !== undefined) this.write(chunk);
    if (this.#left > 0) this.wasCut = true;
    this.#finish(this.wasCut ? 'cut' : 'whole');
  }

  cut(): void {
    if (this.ended) return;
    this.wasCut = true;
    this.#finish('cut');
  }

  /** The client takes `bytes` more. */
  take(bytes: number): void {
    const waited = this.window <= 0;
    this.window += bytes;
    if (waited && this.window > 0 && !this.ended) this.#listener?.drained();
  }

  /** The client goes away. */
  leave(): void {
    if (this.ended) return;
    this.#finish('gone');
    this.#listener?.gone();
  }

  /** Resolves when the answer has ended, was cut, or the client left. */
  whenEnded(): Promise<void> {
    return this.ended ? Promise.resolve() : new Promise((resolve) => this.#whenEnded.push(resolve));
  }

  #finish(how: ExchangeEnd): void {
    this.ended = true;
    this.#observer?.ended(how);
    for (const resolve of this.#whenEnded) resolve();
  }
}
