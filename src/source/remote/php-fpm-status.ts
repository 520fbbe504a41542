/**
 * What the status page of a php-fpm (`pm.status_path`) says about how many requests it takes at a time. Pure.
 * FCGI_GET_VALUES does not tell, and nor does the page in so many words (measured with PHP 8.2):
 * - `static`: `total processes` are all that there will be. Each worker counts itself, and php-fpm corrects that every
 *   second: now and then the number is off by one, so that it is believed when it was said twice.
 * - `dynamic` and `ondemand`: they are those that there are now. `pm.max_children` shows only once `max children reached`
 *   is above 0: then the most that were there or at work at any time.
 */

/** The part of the page that is of use. */
export interface PhpFpmStatus {
  readonly manager: 'static' | 'dynamic' | 'ondemand';
  /** Unix seconds of its start or reload: all other numbers began there. */
  readonly startTime: number;
  readonly processes: number;
  /** The most that worked at the same time. */
  readonly mostActive: number;
  /** How often it wanted another worker, and had as many as it may have. */
  readonly limitReached: number;
}

/** @param text the page in JSON. @returns undefined: it is none */
export function parsePhpFpmStatus(text: string): PhpFpmStatus | undefined {
  let page: Readonly<Record<string, unknown>>;
  try {
    page = Object(JSON.parse(text));
  } catch {
    return undefined;
  }
  const manager = page['process manager'];
  if (manager !== 'static' && manager !== 'dynamic' && manager !== 'ondemand') return undefined;
  const names = ['start time', 'total processes', 'max active processes', 'max children reached'];
  const [startTime, processes, mostActive, limitReached] = names.map((name) => page[name]);
  if (!isCount(startTime) || !isCount(processes) || !isCount(mostActive) || !isCount(limitReached))
    return undefined;
  return { manager, startTime, processes, mostActive, limitReached };
}

/** What several looks at the page of one php-fpm come to, each more than a second after the other. */
export class PhpFpmCapacity {
  #startTime: number | undefined;
  #manager: PhpFpmStatus['manager'] | undefined;
  #lastProcesses = 0;
  /** Said twice. */
  #processes: number | undefined;
  #most = 0;

  /** @returns requests at a time, at least 1; undefined: no limit can be told */
  learn({ manager, startTime, processes, mostActive, limitReached }: PhpFpmStatus): number | undefined {
    if (startTime !== this.#startTime) {
      this.#startTime = startTime;
      this.#manager = manager;
      this.#most = 0;
    }
    if (processes > 0 && processes === this.#lastProcesses) this.#processes = processes;
    this.#lastProcesses = processes;
    this.#most = Math.max(this.#most, processes, mostActive);
    switch (manager) {
      case 'static':
        return this.#processes;
      case 'dynamic':
        // Too few correct themselves: while all of them work it has some to spare, up to its limit, and the next look
        // counts those.
        return limitReached === 0 ? undefined : this.#most;
      case 'ondemand':
        // This one starts another only for a request that finds none: one more shows whether it can.
        return limitReached === 0 ? undefined : this.#most + 1;
    }
  }

  /** False: another look is needed to be sure. */
  get isSettled(): boolean {
    return this.#manager !== 'static' || this.#processes === this.#lastProcesses;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
