/**
 * When an interpreter that died may be started again. Pure: time and chance are given.
 * 0.1 s, doubled with each exit of the last minute up to 30 s, each +-20 % so that several sources do not start together.
 * More than 5 exits in 60 s: no start for about 30 s, so a crash loop never exceeds 12 starts a minute (G10).
 */

const windowMs = 60_000;
const exitsMax = 5;
const delayMinMs = 100;
const delayMaxMs = 30_000;

export class RestartPolicy {
  readonly #random: () => number;
  #exits: number[] = [];
  #notBefore = Number.NEGATIVE_INFINITY;
  #open = false;

  /** @param random 0 to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The interpreter died, or did not come up. @param now milliseconds of any clock that only goes on */
  exited(now: number): void {
    this.#exits = this.#exits.filter((at) => at > now - windowMs);
    this.#exits.push(now);
    this.#open = this.#exits.length > exitsMax;
    const delay = this.#open ? delayMaxMs : Math.min(delayMaxMs, delayMinMs * 2 ** (this.#exits.length - 1));
    this.#notBefore = now + delay * (0.8 + 0.4 * this.#random());
  }

  /** It cannot be started at all (no such program): another try only after the longest delay (F45). */
  refused(now: number): void {
    this.#open = true;
    this.#notBefore = now + delayMaxMs;
  }

  /** Milliseconds until the next start is due, 0 when it is. */
  delayMs(now: number): number {
    return Math.max(0, this.#notBefore - now);
  }

  /** Requests are answered with an error at once rather than waiting for the next start. */
  isOpen(now: number): boolean {
    return this.#open && this.delayMs(now) > 0;
  }
}
