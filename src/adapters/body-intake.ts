/**
 * A request body on its way from a client to one receiver, whatever the front, and the patience with that client: one that
 * sends nothing for the idle time, or after the first 30 s fewer than 500 bytes a second on average, is given up (T45);
 * time in which the receiver itself made it wait does not count.
 */
import { type Clock, systemClock, type Timer } from '../base/clock.ts';
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import { usualFrontLimits } from '../http/front-limits.ts';
import type { BodyReceiver } from '../http/message.ts';

export interface BodyLimits {
  /** Longest time without a byte, in milliseconds. */
  readonly bodyIdleMs: number;
  /** After this many milliseconds the body must have come at `bodyBytesPerSecondMin` on average. */
  readonly bodyGraceMs: number;
  readonly bodyBytesPerSecondMin: number;
  /** By which they are measured. */
  readonly clock: Clock;
}

export const bodyLimitsDefault: BodyLimits = {
  bodyIdleMs: usualFrontLimits.bodyIdleTimeoutMs,
  bodyGraceMs: usualFrontLimits.bodyGraceMs,
  bodyBytesPerSecondMin: usualFrontLimits.bodyBytesPerSecondMin,
  clock: systemClock,
};

const checkEveryMs = 1000;

export class BodyIntake {
  readonly #limits: BodyLimits;
  readonly #clock: Clock;
  readonly #stop: () => void;
  readonly #timer: Timer;
  #receiver: BodyReceiver | undefined;
  /** Bytes that came so far. */
  bytesReceived = 0;
  #receivedAtLastByte = 0;
  /** Milliseconds that counted against the client, in all and since its last byte. */
  #waitedMs = 0;
  #idleMs = 0;
  #paused = false;

  /** @param stop ends the client's sending; called when the body failed, before the receiver hears of it */
  constructor(receiver: BodyReceiver, limits: BodyLimits, stop: () => void) {
    this.#receiver = receiver;
    this.#limits = limits;
    this.#clock = limits.clock;
    this.#stop = stop;
    const tick = Math.min(checkEveryMs, limits.bodyIdleMs);
    this.#timer = this.#clock.setRepeating(() => this.#check(tick), tick);
    this.#timer.unref();
  }

  /** The receiver still waits for bytes. */
  get isOpen(): boolean {
    return this.#receiver !== undefined;
  }

  /** False: the receiver wants no more before it calls for it. */
  data(chunk: Uint8Array): boolean {
    this.bytesReceived += chunk.length;
    this.#paused = this.#receiver?.data(chunk) === false;
    return !this.#paused;
  }

  resume(): void {
    this.#paused = false;
  }

  end(): void {
    const receiver = this.#receiver;
    this.close();
    receiver?.end();
  }

  /** The client has its answer. A reader of the body would wait for what nobody sends any more. */
  answered(): void {
    const message = `Request was answered after ${this.bytesReceived} bytes of its body`;
    this.fail(new HttpRequestError('GW_ERR_HTTP_BODY_CUT', message));
  }

  /** The client went away, or broke the framing. */
  cut(): void {
    const message = `Request body was cut by the client after ${this.bytesReceived} bytes`;
    this.fail(new HttpRequestError('GW_ERR_HTTP_BODY_CUT', message));
  }

  /** Ends the body with an error, unless it has ended. */
  fail(error: GatewayError): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.close();
    this.#stop();
    receiver.error(error);
  }

  /** The receiver hears nothing more. */
  close(): void {
    this.#receiver = undefined;
    this.#clock.clearTimer(this.#timer);
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
    const message = `Request body stopped after ${this.bytesReceived} bytes: ${reason}`;
    this.fail(new HttpRequestError('GW_ERR_HTTP_BODY_TIMEOUT', message));
  }
}
