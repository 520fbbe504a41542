/**
 * The patience with a client that sends a body. One that sends nothing for the idle time, or after the first 30 s fewer
 * than 500 bytes a second on average, is given up (T45); time in which the receiver itself made it wait does not count.
 */
import { HttpRequestError } from '../base/errors.ts';

export interface BodyLimits {
  /** Longest time without a byte, in milliseconds. */
  readonly bodyIdleMs: number;
  /** After this many milliseconds the body must have come at `bodyBytesPerSecondMin` on average. */
  readonly bodyGraceMs: number;
  readonly bodyBytesPerSecondMin: number;
}

export const bodyLimitsDefault: BodyLimits = {
  bodyIdleMs: 30_000,
  bodyGraceMs: 30_000,
  bodyBytesPerSecondMin: 500,
};

const checkEveryMs = 1000;

export class BodyClock {
  readonly #limits: BodyLimits;
  readonly #giveUp: (error: HttpRequestError) => void;
  readonly #timer: NodeJS.Timeout;
  #received = 0;
  #receivedAtLastByte = 0;
  /** Milliseconds that counted against the client, in all and since its last byte. */
  #waitedMs = 0;
  #idleMs = 0;
  #paused = false;

  /** @param giveUp GW_ERR_HTTP_BODY_TIMEOUT; the clock goes on until it is stopped */
  constructor(limits: BodyLimits, giveUp: (error: HttpRequestError) => void) {
    this.#limits = limits;
    this.#giveUp = giveUp;
    const tick = Math.min(checkEveryMs, limits.bodyIdleMs);
    this.#timer = setInterval(() => this.#check(tick), tick);
    this.#timer.unref();
  }

  /** Bytes came. */
  received(bytes: number): void {
    this.#received += bytes;
  }

  /** The client waits for us. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The error for a client that left, or broke the framing. */
  cut(): HttpRequestError {
    return new HttpRequestError(
      'GW_ERR_HTTP_BODY_CUT',
      `Request body was cut by the client after ${this.#received} bytes`,
    );
  }

  #check(elapsedMs: number): void {
    if (this.#paused) return;
    this.#waitedMs += elapsedMs;
    this.#idleMs = this.#received === this.#receivedAtLastByte ? this.#idleMs + elapsedMs : 0;
    this.#receivedAtLastByte = this.#received;
    const { bodyIdleMs, bodyGraceMs, bodyBytesPerSecondMin } = this.#limits;
    const owed = ((this.#waitedMs - bodyGraceMs) / 1000) * bodyBytesPerSecondMin;
    if (this.#idleMs >= bodyIdleMs) this.#stopped(`no byte came for ${bodyIdleMs} ms`);
    else if (this.#received < owed) this.#stopped(`it comes slower than ${bodyBytesPerSecondMin} bytes/s`);
  }

  #stopped(reason: string): void {
    this.#giveUp(
      new HttpRequestError(
        'GW_ERR_HTTP_BODY_TIMEOUT',
        `Request body stopped after ${this.#received} bytes: ${reason}`,
      ),
    );
  }
}
