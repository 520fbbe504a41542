/**
 * Which processes of a local source are not needed any more, and which are worn: too old, too large, or asked too often.
 * It looks and says; ending and replacing them is the source's affair.
 */

import type { InterpreterProcess } from './interpreter-process.ts';
import type { ProcessesOptions, RecycleOptions } from './local-options.ts';

export interface UpkeepOptions {
  readonly processes?: ProcessesOptions | undefined;
  readonly recycle?: RecycleOptions | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface WornProcess {
  readonly interpreter: InterpreterProcess;
  /** For people: `it had 500 requests`. */
  readonly reason: string;
}

/** Longest and shortest time between two looks. */
const tickMsMax = 250;
const tickMsMin = 10;
/** Reading the memory of all processes takes some milliseconds. */
const memoryCheckMs = 3_000;
const mebibyte = 1_048_576;

export class Upkeep {
  readonly #options: UpkeepOptions;
  #memoryCheckedAt: number;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#memoryCheckedAt = options.now();
  }

  /** Milliseconds between two looks; undefined: the options ask for none. */
  get tickMs(): number | undefined {
    const { processes, recycle } = this.#options;
    if (processes === undefined && recycle === undefined) return undefined;
    const shortest = Math.min(processes?.idleMs ?? tickMsMax, recycle?.ageMs ?? tickMsMax);
    return Math.max(tickMsMin, Math.min(tickMsMax, shortest / 4));
  }

  /** It had as many requests as a process may have. */
  isUsedUp(interpreter: InterpreterProcess): boolean {
    return interpreter.requests >= (this.#options.recycle?.requests ?? Number.POSITIVE_INFINITY);
  }

  /** One that had no request for long; the last ones first, since the first ones get most of the work. */
  findIdle(all: readonly InterpreterProcess[]): InterpreterProcess | undefined {
    const { processes, now } = this.#options;
    if (processes === undefined) return undefined;
    return all.findLast(
      ({ state, busy, idleSince }) =>
        state === 'ready' && busy === 0 && now() - idleSince >= processes.idleMs,
    );
  }

  /** One that is to be replaced. */
  findWorn(all: readonly InterpreterProcess[]): WornProcess | undefined {
    const { recycle, now } = this.#options;
    if (recycle === undefined) return undefined;
    const { ageMs = Number.POSITIVE_INFINITY, memoryMb } = recycle;
    const isMemoryDue = memoryMb !== undefined && now() - this.#memoryCheckedAt >= memoryCheckMs;
    if (isMemoryDue) this.#memoryCheckedAt = now();
    for (const interpreter of all) {
      if (interpreter.state !== 'ready' || interpreter.pid === undefined) continue;
      const reason = this.isUsedUp(interpreter)
        ? `it had ${interpreter.requests} requests`
        : now() - interpreter.readyAt >= ageMs
          ? `it is ${Math.round((now() - interpreter.readyAt) / 1000)} s old`
          : isMemoryDue && interpreter.memoryBytes > memoryMb * mebibyte
            ? `it takes ${Math.round(interpreter.memoryBytes / mebibyte)} MiB of memory`
            : undefined;
      if (reason !== undefined) return { interpreter, reason };
    }
    return undefined;
  }
}
