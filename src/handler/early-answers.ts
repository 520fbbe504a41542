/**
 * Keeps the start of answers back for a moment, so that an application that breaks off just then gives a proper 502, or
 * another try, and not half a page (F12). An answer that is complete sooner leaves sooner.
 * One timer for all requests of a rule, and none while there is none.
 */

/** An answer whose head the client has not got yet. */
export interface EarlyAnswer {
  /** The moment is over: what there is may leave. */
  mayLeave(): void;
}

/** They leave after one to two of these: nobody sees the delay, and a process that died was noticed by then. */
export const earlyMs = 10;

export class EarlyAnswers {
  /** The last one. Most answers end before the next one begins, and come no further than here. */
  #last: EarlyAnswer | undefined;
  /** Those since the last tick, and since the one before. */
  #young = new Set<EarlyAnswer>();
  #old = new Set<EarlyAnswer>();
  #due = new Set<EarlyAnswer>();
  #timer: NodeJS.Timeout | undefined;

  /** Tells the answer once when its time is over, unless it is removed before. */
  add(answer: EarlyAnswer): void {
    if (this.#last !== undefined) this.#young.add(this.#last);
    this.#last = answer;
    this.#timer ??= setTimeout(tick, earlyMs, this).unref();
  }

  /** May be called for an answer that is not among them. */
  remove(answer: EarlyAnswer): void {
    if (this.#last === answer) this.#last = undefined;
    else if (!this.#young.delete(answer) && !this.#old.delete(answer)) this.#due.delete(answer);
  }

  /** @internal */
  tick(): void {
    if (this.#last !== undefined) this.#young.add(this.#last);
    this.#last = undefined;
    this.#due = this.#old;
    this.#old = this.#young;
    this.#young = new Set();
    this.#timer = this.#old.size === 0 ? undefined : setTimeout(tick, earlyMs, this).unref();
    // What the system has for us already is read first: it may be the end of a broken answer.
    if (this.#due.size > 0) setImmediate(release, this);
  }

  /** @internal */
  release(): void {
    for (const answer of this.#due) answer.mayLeave();
    this.#due.clear();
  }
}

function tick(answers: EarlyAnswers): void {
  answers.tick();
}

function release(answers: EarlyAnswers): void {
  answers.release();
}
