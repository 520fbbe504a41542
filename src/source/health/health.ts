/**
 * Whether a source is worth a request, and how much of its share, from what became of the earlier ones. Pure: time and
 * randomness are arguments; times are milliseconds of any clock that never goes back.
 * In service until 3 failures within 10 s, or one failed connect. Then out, and after 1, 2, 4 ... 30 s (a fifth more or
 * less, so that several gateways do not come at once) one request at a time may try; the first success brings it back,
 * and for 10 s it gets less than its share (F43, F44).
 */

/** What a failure says: nothing listens there; we may not connect, which no waiting mends; anything else. */
export type HealthFault = 'unreachable' | 'forbidden' | 'failed';

const failuresMax = 3;
const failureWindowMs = 10_000;
const firstDelayMs = 1_000;
const delayMsMax = 30_000;
const jitter = 0.2;
/** A trial that nobody ended (its request was aborted) is forgotten after this. */
const trialMs = 10_000;
const slowStartMs = 10_000;
/** How long an application that said that it is overloaded gets less (F21). */
const overloadMs = 1_000;
/** Less than its share is still enough to see that it works. */
const shareMin = 0.1;

/** @param sinceMs since a source came back. @returns the part of its weight that it gets */
export function warmShare(sinceMs: number): number {
  return sinceMs >= slowStartMs ? 1 : Math.max(shareMin, sinceMs / slowStartMs);
}

export class Health {
  readonly #random: () => number;
  /** Times of recent failures, oldest first; at most `failuresMax`. */
  readonly #failures: number[] = [];
  /** Undefined: in service. */
  #outUntil: number | undefined;
  #delayMs = 0;
  #trialUntil = 0;
  #warmFrom = Number.NEGATIVE_INFINITY;
  #overloadedUntil = Number.NEGATIVE_INFINITY;

  /** @param random 0 to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** In service, or a trial is due and none is under way. */
  isAvailable(now: number): boolean {
    return this.#outUntil === undefined || (now >= this.#outUntil && now >= this.#trialUntil);
  }

  /** In service, whatever trials may be due. */
  get isInService(): boolean {
    return this.#outUntil === undefined;
  }

  /** Part of its weight that it can take: 1, less while it warms up or is overloaded. */
  share(now: number): number {
    return now < this.#overloadedUntil ? shareMin : warmShare(now - this.#warmFrom);
  }

  /** Until the next trial; 0 when one may be made now. */
  delayMs(now: number): number {
    return this.#outUntil === undefined ? 0 : Math.max(0, this.#outUntil - now);
  }

  /** A request is given to the source. While it is out this is the trial, and others stay away until its end. */
  began(now: number): void {
    if (this.#outUntil !== undefined && now >= this.#outUntil) this.#trialUntil = now + trialMs;
  }

  /** @param now asked only when this brings the source back. @returns true when it does */
  succeeded(now: () => number): boolean {
    this.#failures.length = 0;
    if (this.#outUntil === undefined) return false;
    this.#outUntil = undefined;
    this.#delayMs = 0;
    this.#trialUntil = 0;
    this.#warmFrom = now();
    return true;
  }

  /** @returns true when this took the source out of service */
  failed(now: number, fault: HealthFault): boolean {
    if (this.#outUntil !== undefined) {
      // Requests that were under way when it went out say nothing new.
      if (now >= this.#outUntil) this.#takeOut(now, fault);
      return false;
    }
    this.#failures.push(now);
    if (this.#failures[0]! < now - failureWindowMs) this.#failures.shift();
    if (fault === 'failed' && this.#failures.length < failuresMax) return false;
    this.#takeOut(now, fault);
    return true;
  }

  /** The application said OVERLOADED: nothing is wrong with it, but the others should help. */
  overloaded(now: number): void {
    this.#overloadedUntil = now + overloadMs;
  }

  #takeOut(now: number, fault: HealthFault): void {
    this.#delayMs =
      fault === 'forbidden'
        ? delayMsMax
        : this.#delayMs === 0
          ? firstDelayMs
          : Math.min(this.#delayMs * 2, delayMsMax);
    this.#outUntil = now + this.#delayMs * (1 - jitter + 2 * jitter * this.#random());
    this.#trialUntil = 0;
    this.#failures.length = 0;
  }
}
