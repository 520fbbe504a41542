/**
 * Reads a request's body from node:http for one receiver, with its pauses and its patience.
 * A client that sends nothing for the idle time, or after the first 30 s fewer than 500 bytes a second on average,
 * is given up (T45); time in which the receiver itself made it wait does not count.
 */
import type { IncomingMessage } from 'node:http';
import { GatewayError, HttpRequestError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';

export interface BodyLimits {
  /** Longest time without a byte, in milliseconds. */
  readonly bodyIdleMs: number;
  /** After this many milliseconds the body must have come at `bodyBytesPerSecondMin` on average. */
  readonly bodyGraceMs: number;
  readonly bodyBytesPerSecondMin: number;
}

const checkEveryMs = 1000;

export class NodeBodyReader implements BodyReader {
  readonly #req: IncomingMessage;
  readonly #limits: BodyLimits;
  #receiver: BodyReceiver | undefined;
  /** Bytes that came so far. */
  bytesReceived = 0;
  #receivedAtLastByte = 0;
  /** Milliseconds that counted against the client, in all and since its last byte. */
  #waitedMs = 0;
  #idleMs = 0;
  #paused = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(req: IncomingMessage, receiver: BodyReceiver, limits: BodyLimits) {
    this.#req = req;
    this.#receiver = receiver;
    this.#limits = limits;
    if (req.readableDidRead) {
      process.nextTick(() =>
        this.fail(
          new GatewayError(
            'GW_ERR_INTERNAL',
            'The request body was already read by a body parser: mount Fastway before it',
          ),
        ),
      );
      return;
    }
    req.on('data', (chunk: Buffer) => this.#data(chunk));
    req.on('end', () => this.#end());
    req.on('error', () => this.#cut());
    req.on('close', () => this.#cut());
    const tick = Math.min(checkEveryMs, limits.bodyIdleMs);
    this.#timer = setInterval(() => this.#check(tick), tick);
    this.#timer.unref();
  }

  /** The receiver still waits for bytes. */
  get isOpen(): boolean {
    return this.#receiver !== undefined;
  }

  resume(): void {
    this.#paused = false;
    if (this.#receiver !== undefined) this.#req.resume();
  }

  close(): void {
    this.#receiver = undefined;
    clearInterval(this.#timer);
    this.#req.removeAllListeners('data');
    this.#req.pause();
  }

  /** Ends the body with an error, unless it has ended. */
  fail(error: GatewayError): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.close();
    receiver.error(error);
  }

  #data(chunk: Buffer): void {
    this.bytesReceived += chunk.length;
    if (this.#receiver?.data(chunk) === false) {
      this.#paused = true;
      this.#req.pause();
    }
  }

  #end(): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.#receiver = undefined;
    clearInterval(this.#timer);
    receiver.end();
  }

  #cut(): void {
    this.fail(
      new HttpRequestError(
        'GW_ERR_HTTP_BODY_CUT',
        `Request body was cut by the client after ${this.bytesReceived} bytes`,
      ),
    );
  }

  #check(elapsedMs: number): void {
    if (this.#paused) return;
    this.#waitedMs += elapsedMs;
    this.#idleMs = this.bytesReceived === this.#receivedAtLastByte ? this.#idleMs + elapsedMs : 0;
    this.#receivedAtLastByte = this.bytesReceived;
    const { bodyIdleMs, bodyGraceMs, bodyBytesPerSecondMin } = this.#limits;
    const owed = ((this.#waitedMs - bodyGraceMs) / 1000) * bodyBytesPerSecondMin;
    if (this.#idleMs >= bodyIdleMs) this.#giveUp(`no byte came for ${bodyIdleMs} ms`);
    else if (this.bytesReceived < owed) this.#giveUp(`it comes slower than ${bodyBytesPerSecondMin} bytes/s`);
  }

  #giveUp(reason: string): void {
    this.fail(
      new HttpRequestError(
        'GW_ERR_HTTP_BODY_TIMEOUT',
        `Request body stopped after ${this.bytesReceived} bytes: ${reason}`,
      ),
    );
  }
}
