/**
 * An HTTP front in memory for tests of handlers: it records what a client would have received, and plays a client that
 * is slow, sends a body in pieces, or leaves. Framing as the contract says: Content-Length policed, no body for HEAD,
 * 204 and 304.
 */
import type { GatewayError } from '../../src/base/errors.ts';
import { findField } from '../../src/http/fields.ts';
import type {
  BodyReader,
  BodyReceiver,
  ClientListener,
  ExchangeEnd,
  ExchangeObserver,
  Fields,
  HttpExchange,
  RequestHead,
} from '../../src/http/message.ts';

export interface FakeExchangeOptions {
  readonly method?: string;
  readonly target?: string;
  readonly fields?: Fields;
  readonly bodyLength?: number | undefined;
}

export class FakeExchange implements HttpExchange {
  readonly request: RequestHead;
  readonly bodyLength: number | undefined;
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
  #listener: ClientListener | undefined;
  #observer: ExchangeObserver | undefined;
  #bodyless = false;
  #length: number | undefined;
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

  setListener(listener: ClientListener): void {
    this.#listener = listener;
  }

  setObserver(observer: ExchangeObserver): void {
    this.#observer = observer;
  }

  closeAfterAnswer(): void {}

  inform(status: number, fields: Fields): void {
    if (!this.headSent && !this.ended) this.informed.push([status, fields]);
  }

  respond(status: number, reason: string, fields: Fields): void {
    if (this.headSent) throw new RangeError('The response head was already sent');
    if (this.ended) return;
    this.headSent = true;
    this.status = status;
    this.reason = reason;
    this.fields = fields;
    this.#bodyless = status === 204 || status === 304 || this.request.method === 'HEAD';
    const length = findField(fields, 'content-length');
    this.#length = length === undefined ? undefined : Number(length);
  }

  upgrade(): BodyReader {
    throw new Error('A fake exchange stays HTTP');
  }

  write(chunk: Uint8Array): boolean {
    if (this.ended || this.#bodyless) return true;
    const room = this.#length === undefined ? chunk.length : this.#length - this.bodyBytesSent;
    const taken = Buffer.from(chunk.subarray(0, room));
    this.bodyBytesSent += taken.length;
    this.pieces.push(taken);
    this.window -= taken.length;
    return this.window > 0;
  }

  end(chunk?: Uint8Array): void {
    if (this.ended) return;
    if (chunk !== undefined) this.write(chunk);
    if (!this.#bodyless && this.#length !== undefined && this.bodyBytesSent < this.#length)
      this.wasCut = true;
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
    if (waited && this.window > 0 && !this.ended) this.#listener?.drain();
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
