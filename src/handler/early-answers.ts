/**
 * Keeps the start of answers back for a moment, so that an application that breaks off just then gives a proper 502, or
 * another try, and not half a page (F12). An answer that is complete sooner leaves sooner.
 * One timer for all requests of a rule, and none while there is none.
 */
import type { Clock, Timer } from '../base/clock.ts';

/** An answer whose head the client has not got yet. */
export interface EarlyAnswer {
  /** The moment is over: what there is may leave. */
  mayLeave(): void;
}

/** They leave after one to two of these: nobody sees the delay, and a process that died was noticed by then. */
export const earlyMs = 10;

export class EarlyAnswers {
  readonly #clock: Clock;
  readonly #tick = (): void => this.#growOld();
  /** The last one. Most answers end before the next one begins, and come no further than here. */
  #last: EarlyAnswer | undefined;
  /** Those since the last tick, and since the one before. */
  #young = new Set<EarlyAnswer>();
  #old = new Set<EarlyAnswer>();
  readonly #due = new Set<EarlyAnswer>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells the answer once when its time is over, unless it is removed before. */
  add(answer: EarlyAnswer): void {
    if (this.#last !== undefined) this.#young.add(this.#last);
    this.#last = answer;
    if (this.#timer === undefined) this.#arm();
  }

  /** May be called for an answer that is not among them. */
  remove(answer: EarlyAnswer): void {
    if (this.#last === answer) this.#last = undefined;
    else if (!this.#young.delete(answer) && !this.#old.delete(answer)) this.#due.delete(answer);
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(this.#tick, earlyMs);
    this.#timer.unref();
  }

  #growOld(): void {
    if (this.#last !== undefined) this.#young.add(this.#last);
    this.#last = undefined;
    const old = this.#old;
    this.#old = this.#young;
    this.#young = new Set();
    this.#timer = undefined;
    if (this.#old.size > 0) this.#arm();
    if (old.size === 0) return;
    // What the system has for us already is read first: it may be the end of a broken answer.
    if (this.#due.size === 0) setImmediate(release, this);
    for (const answer of old) this.#due.add(answer);
  }

  /** @internal */
  release(): void {
    for (const answer of this.#due) answer.mayLeave();
    this.#due.clear();
  }
}

function release(answers: EarlyAnswers): void {
  answers.release();
}
