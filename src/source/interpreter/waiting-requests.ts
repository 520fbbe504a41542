/**
 * Requests that wait for a process of a local source: fair between virtual servers and clients, bounded, and not for ever.
 */
import { FairQueue } from '../../client/fair-queue.ts';
import type { LocalExchange } from './local-exchange.ts';

/** While nothing runs yet: one start is enough for all of them (F47). */
const startingMax = 1_000;
/** While processes work: more would wait longer than their clients do, as in the pool of a remote source. */
const busyMax = 100;
/** How long one waits while all processes that there may be are busy. */
const waitingTimeoutMs = 5_000;

export class WaitingRequests {
  readonly #queue = new FairQueue<LocalExchange>(startingMax);
  readonly #now: () => number;

  /** @param now monotonic milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#queue.size;
  }

  /**
   * @param isStarting no process works yet
   * @returns who has to go for it: the request itself, another one, or undefined when there was room
   */
  push(exchange: LocalExchange, isStarting: boolean): LocalExchange | undefined {
    this.#queue.max = isStarting ? startingMax : busyMax;
    exchange.waitsSince = this.#now();
    return this.#queue.push(exchange, exchange.claim);
  }

  /** Whose turn it is; undefined when nobody waits. */
  shift(): LocalExchange | undefined {
    const exchange = this.#queue.shift();
    exchange?.waited(this.#now() - exchange.waitsSince);
    return exchange;
  }

  /** Its client has left. */
  remove(exchange: LocalExchange): void {
    this.#queue.remove(exchange);
  }

  /** Takes out those that waited too long. */
  expire(): LocalExchange[] {
    const limit = this.#now() - waitingTimeoutMs;
    const expired = this.#queue.items().filter(({ waitsSince }) => waitsSince <= limit);
    for (const exchange of expired) this.#queue.remove(exchange);
    return expired;
  }

  /** Takes out all. */
  clear(): LocalExchange[] {
    return this.#queue.clear();
  }
}
