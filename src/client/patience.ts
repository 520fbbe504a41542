/**
 * How long something may take, counted by `check`, which is called now and then: no timer is armed per chunk.
 * A limit is met at most two calls late.
 */

export class Patience {
  #progressed = true;
  #gapEnds = 0;
  /** When it becomes too long in all; 0 while that is not yet known. */
  #totalEnds = 0;
  #checkedAt = 0;

  /** From now on the whole time counts anew. */
  begin(): void {
    this.#progressed = true;
    this.#totalEnds = 0;
  }

  /** Something moved. */
  progress(): void {
    this.#progressed = true;
  }

  /**
   * @param waits somebody else is waited for: no limit runs
   * @param gapMs longest time in which nothing moves
   * @param totalMs longest time in all, without that in which somebody else was waited for; Infinity: no limit
   * @returns the limit that was met
   */
  check(now: number, waits: boolean, gapMs: number, totalMs: number): 'gap' | 'total' | undefined {
    if (this.#totalEnds === 0) this.#totalEnds = now + totalMs;
    else if (waits) this.#totalEnds += now - this.#checkedAt;
    else if (now >= this.#totalEnds && totalMs !== Number.POSITIVE_INFINITY) return 'total';
    this.#checkedAt = now;
    if (this.#progressed || waits) {
      this.#progressed = false;
      this.#gapEnds = now + gapMs;
      return undefined;
    }
    return now >= this.#gapEnds ? 'gap' : undefined;
  }
}
