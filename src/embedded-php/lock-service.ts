/**
 * File locks between the workers of the embedded PHP, from the supervisor's side. PHP in WebAssembly has none of its own,
 * and without them sessions lose values and SQLite files break.
 * A worker asks over a pipe, one question at a time, and stands still until the answer comes: one JSON value a line.
 * Processes outside know nothing of these locks.
 */
import type { Duplex } from 'node:stream';
import { type Lock, LockTable, type LockType } from './lock-table.ts';

/** What a worker asks. Answers: `lock` true or false, `unlock` true, `conflict` the lock in the way or null. */
export interface LockQuestion {
  readonly ask: 'lock' | 'unlock' | 'conflict';
  readonly file: string;
  /** Which open file of the worker; undefined: the worker as a whole. */
  readonly descriptor?: number | undefined;
  readonly type: LockType;
  readonly start: number;
  readonly end: number;
  /** Wait until the lock can be had. */
  readonly waits: boolean;
}

/** Answers to the conflict question: a worker's id goes with it. */
export interface LockConflict {
  readonly type: LockType;
  readonly start: number;
  readonly end: number;
  readonly pid: number;
}

interface Waiting {
  readonly pid: number;
  readonly file: string;
  readonly lock: Lock;
  readonly grant: () => void;
}

export class LockService {
  readonly #table = new LockTable();
  /** In order of arrival. */
  #waiting: Waiting[] = [];

  /** Answers a worker for as long as its pipe is open. */
  serve(pid: number, pipe: Duplex): void {
    let text = '';
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const question = JSON.parse(text.slice(0, end)) as LockQuestion;
        text = text.slice(end + 1);
        this.#answer(pid, question, (value) => pipe.write(`${JSON.stringify(value)}\n`));
      }
    });
    // The worker has gone; `left` says so too.
    pipe.on('error', () => {});
  }

  /** It stands still for a lock, and not because its script computes. */
  isWaiting(pid: number): boolean {
    return this.#waiting.some((waiting) => waiting.pid === pid);
  }

  /** The worker has gone, and its locks with it. */
  left(pid: number): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting.pid !== pid);
    this.#table.release((owner) => pidOf(owner) === pid);
    this.#grant();
  }

  #answer(pid: number, question: LockQuestion, reply: (value: boolean | LockConflict | null) => void): void {
    const { ask, file, type, start, end, descriptor } = question;
    const lock: Lock = {
      owner: descriptor === undefined ? `${pid}` : `${pid}:${descriptor}`,
      type,
      start,
      end,
    };
    switch (ask) {
      case 'conflict': {
        const conflict = this.#table.conflict(file, lock);
        reply(conflict === undefined ? null : { ...conflict, pid: pidOf(conflict.owner) });
        return;
      }
      case 'unlock':
        this.#table.unlock(file, lock);
        reply(true);
        this.#grant();
        return;
      case 'lock': {
        const isLocked = this.#table.lock(file, lock);
        if (!isLocked && question.waits) this.#waiting.push({ pid, file, lock, grant: () => reply(true) });
        else reply(isLocked);
        // An exclusive lock that became a shared one lets others in.
        if (isLocked) this.#grant();
      }
    }
  }

  #grant(): void {
    this.#waiting = this.#waiting.filter(({ file, lock, grant }) => {
      const isLocked = this.#table.lock(file, lock);
      if (isLocked) grant();
      return !isLocked;
    });
  }
}

function pidOf(owner: string): number {
  return Number.parseInt(owner, 10);
}
