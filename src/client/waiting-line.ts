/**
 * The line of those that wait for a place: of a pool, of a local source's processes, of CGI programs. Fair between virtual servers and
 * clients, bounded, and not for ever. The owner asks `expire` now and then: no timer runs here.
 */
import { type Claim, FairQueue } from './fair-queue.ts';

/** Most that wait for places that are all taken: more would wait longer than their clients do. */
export const waitingMax = 100;
/** Longest time that one waits, in milliseconds. */
export const waitingTimeoutMs = 5_000;

/** One of those that wait. */
export interface Waiter {
  /** Since when, by the line's clock. */
  waitsSince: number;
  /** It has its turn, after so many milliseconds. */
  waited(ms: number): void;
}

export interface WaitingLineOptions {
  /** Default `waitingMax`. */
  readonly max?: number | undefined;
  /** Default `waitingTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class WaitingLine<T extends Waiter> {
  readonly timeoutMs: number;
  readonly #queue: FairQueue<T>;
  readonly #now: () => number;
  /** Waiting before that does not count as too long. */
  #countsFrom = Number.NEGATIVE_INFINITY;

  constructor({ max = waitingMax, timeoutMs = waitingTimeoutMs, now }: WaitingLineOptions) {
    this.timeoutMs = timeoutMs;
    this.#queue = new FairQueue(max);
    this.#now = now;
  }

  get size(): number {
    return this.#queue.size;
  }

  /** @returns who has to go for it: the new one itself, another one, or undefined when there was room */
  push(waiter: T, claim: Claim): T | undefined {
    waiter.waitsSince = this.#now();
    return this.#queue.push(waiter, claim);
  }

  /** Whose turn it is; undefined when nobody waits. */
  shift(): T | undefined {
    const waiter = this.#queue.shift();
    waiter?.waited(this.#now() - waiter.waitsSince);
    return waiter;
  }

  /** It has left. @returns false when it did not wait */
  remove(waiter: T): boolean {
    return this.#queue.remove(waiter);
  }

  /** There are places from now on: until now nobody could have had one. */
  countFromNow(): void {
    this.#countsFrom = this.#now();
  }

  /** Takes out those that waited too long for a place. */
  expire(): T[] {
    const limit = this.#now() - this.timeoutMs;
    if (this.#countsFrom > limit) return [];
    const expired = this.#queue.items().filter(({ waitsSince }) => waitsSince <= limit);
    for (const waiter of expired) this.#queue.remove(waiter);
    return expired;
  }

  /** Takes out all. */
  clear(): T[] {
    return this.#queue.clear();
  }
}
