/** A clock that stands still until it is told to go on: no limit is met because the machine is busy. */
import type { Clock, Timer } from '../../src/base/clock.ts';

interface ArmedTimer extends Timer {
  readonly fire: () => void;
  /** Undefined: once. */
  readonly intervalMs: number | undefined;
  dueAt: number;
}

export class ManualClock implements Clock {
  readonly #timers = new Set<ArmedTimer>();
  #time = 0;

  readonly now = (): number => this.#time;

  readonly setTimer = (fire: () => void, delayMs: number): Timer => this.#arm(fire, delayMs, undefined);

  readonly setRepeating = (fire: () => void, intervalMs: number): Timer =>
    this.#arm(fire, intervalMs, intervalMs);

  readonly clearTimer = (timer: Timer | undefined): void => {
    this.#timers.delete(timer as ArmedTimer);
  };

  /** Timers that wait. */
  get armed(): number {
    return this.#timers.size;
  }

  /** Lets time pass: timers fire in their order, each at its own time. */
  advance(ms: number): void {
    const end = this.#time + ms;
    for (;;) {
      let next: ArmedTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.dueAt <= end && (next === undefined || timer.dueAt < next.dueAt)) next = timer;
      }
      if (next === undefined) break;
      this.#time = Math.max(this.#time, next.dueAt);
      if (next.intervalMs === undefined) this.#timers.delete(next);
      else next.dueAt = this.#time + next.intervalMs;
      next.fire();
    }
    this.#time = end;
  }

  #arm(fire: () => void, delayMs: number, intervalMs: number | undefined): Timer {
    const timer: ArmedTimer = {
      ...{ fire, intervalMs, dueAt: this.#time + delayMs },
      unref: () => timer,
      refresh: () => {
        timer.dueAt = this.#time + delayMs;
        this.#timers.add(timer);
        return timer;
      },
    };
    this.#timers.add(timer);
    return timer;
  }
}

/** Lets one turn of the event loop pass. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets so many turns pass: what would come at once has come by then. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** Lets events come until something is so: what hangs is ended by the limit of the test. */
export async function turnsUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}

/** Lets time pass, little by little between events, until something has come to its end. */
export async function passUntil<T>(clock: ManualClock, outcome: Promise<T>, stepMs = 5): Promise<T> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  outcome.then(over, over);
  await turnsUntil(() => {
    if (!isOver) clock.advance(stepMs);
    return isOver;
  });
  return outcome;
}
