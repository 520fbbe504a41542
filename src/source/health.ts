/**
 * Whether a source is worth a request, from what became of the earlier ones. Pure: the time is an argument, in
 * milliseconds of any clock that never goes back.
 * In service until 3 failures within 10 s, or one failed connect. Then out, and after 1, 2, 4 ... 30 s one request at a
 * time may try; the first success brings it back.
 */

const failuresMax = 3;
const failureWindowMs = 10_000;
const firstDelayMs = 1_000;
const delayMsMax = 30_000;
/** A trial that nobody ended (its request was aborted) is forgotten after this. */
const trialMs = 10_000;

export class Health {
  /** Times of recent failures, oldest first; at most `failuresMax`. */
  readonly #failures: number[] = [];
  /** Undefined: in service. */
  #outUntil: number | undefined;
  #delayMs = 0;
  #trialUntil = 0;

  /** In service, or a trial is due and none is under way. */
  isAvailable(now: number): boolean {
    return this.#outUntil === undefined || (now >= this.#outUntil && now >= this.#trialUntil);
  }

  /** In service, whatever trials may be due. */
  get isInService(): boolean {
    return this.#outUntil === undefined;
  }

  /** Until the next trial; 0 when one may be made now. */
  delayMs(now: number): number {
    return this.#outUntil === undefined ? 0 : Math.max(0, this.#outUntil - now);
  }

  /** A request is given to the source. While it is out this is the trial, and others stay away until its end. */
  began(now: number): void {
    if (this.#outUntil !== undefined && now >= this.#outUntil) this.#trialUntil = now + trialMs;
  }

  /** @returns true when this brought the source back */
  succeeded(): boolean {
    this.#failures.length = 0;
    if (this.#outUntil === undefined) return false;
    this.#outUntil = undefined;
    this.#delayMs = 0;
    this.#trialUntil = 0;
    return true;
  }

  /**
   * @param isUnreachable nothing listens there: one failure is enough
   * @returns true when this took the source out of service
   */
  failed(now: number, isUnreachable: boolean): boolean {
    if (this.#outUntil !== undefined) {
      // Requests that were under way when it went out say nothing new.
      if (now >= this.#outUntil) this.#takeOut(now);
      return false;
    }
    this.#failures.push(now);
    if (this.#failures[0]! < now - failureWindowMs) this.#failures.shift();
    if (!isUnreachable && this.#failures.length < failuresMax) return false;
    this.#takeOut(now);
    return true;
  }

  #takeOut(now: number): void {
    this.#delayMs = this.#delayMs === 0 ? firstDelayMs : Math.min(this.#delayMs * 2, delayMsMax);
    this.#outUntil = now + this.#delayMs;
    this.#trialUntil = 0;
    this.#failures.length = 0;
  }
}
