/**
 * Looks at a php-fpm's status page now and then, while requests are answered: each time a real FastCGI request on a
 * connection of its own. It needs a free worker, unless `pm.status_listen` gives the page an address of its own: a look
 * that is not answered in time changes nothing, and no request waits for one.
 */
import type { Address } from '../../base/address.ts';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { type Client, type ClientResponse, createClient } from '../../client/index.ts';
import { PhpFpmCapacity, parsePhpFpmStatus } from './php-fpm-status.ts';

export interface StatusPageOptions {
  /** The source's name, for the log. */
  readonly source: string;
  readonly address: Address;
  /** Its `pm.status_path`. */
  readonly path: string;
  /** Hears how many requests it takes at a time whenever that changes; undefined: no limit is known. */
  readonly changed: (capacity: number | undefined) => void;
  readonly log: Log;
  readonly clock: Clock;
}

/** Between two looks: the number changes only with php-fpm's configuration. */
export const statusEveryMs = 10_000;
/** Until php-fpm has counted its workers again, which it does every second. */
const againMs = 1_500;
/** A look may have to wait for a worker, as everybody. */
const timeoutMs = 5_000;
const pageBytesMax = 65_536;

export class StatusPage {
  readonly #options: StatusPageOptions;
  readonly #client: Client;
  readonly #closing = new AbortController();
  readonly #capacities = new PhpFpmCapacity();
  #isLooking = false;
  #nextLookAt = Number.NEGATIVE_INFINITY;
  /** Something was learnt: `#capacity` is not undefined only because nothing was read yet. */
  #hasLearnt = false;
  #capacity: number | undefined;
  #hasWarned = false;

  /** Connects to nothing yet. */
  constructor(options: StatusPageOptions) {
    this.#options = options;
    this.#client = createClient(options.address, { keepConnections: 0, clock: options.clock });
  }

  /** The source is in use and well: perhaps it is time to look at the page. */
  answered(): void {
    const now = this.#options.clock.now();
    if (this.#isLooking || now < this.#nextLookAt || this.#closing.signal.aborted) return;
    this.#nextLookAt = now + statusEveryMs;
    this.#isLooking = true;
    void this.#look().finally(() => {
      this.#isLooking = false;
    });
  }

  /** Gives up a request for the page that is under way. May be called twice. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#client.close();
  }

  async #look(): Promise<void> {
    const { source, path, log } = this.#options;
    try {
      const response = await this.#client.request({
        script: path,
        query: 'json',
        // php-fpm compares both with its own path, which may have several parts.
        variables: { SCRIPT_NAME: path, REQUEST_URI: `${path}?json` },
        signal: this.#closing.signal,
        timeoutMs,
      });
      const text = await readPage(response);
      if (!this.#closing.signal.aborted) this.#read(response.status, text);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      const { message } = error as Error;
      log.debug('The status page of php-fpm did not answer', { source, reason: message });
    }
  }

  #read(httpStatus: number, text: string): void {
    const status = httpStatus === 200 ? parsePhpFpmStatus(text) : undefined;
    if (status === undefined) {
      this.#missed(httpStatus);
      return;
    }
    this.#hasWarned = false;
    const capacity = this.#capacities.learn(status);
    if (!this.#capacities.isSettled) {
      this.#nextLookAt = this.#options.clock.now() + againMs;
      return;
    }
    if (this.#hasLearnt && capacity === this.#capacity) return;
    this.#hasLearnt = true;
    this.#capacity = capacity;
    const { manager, processes, mostActive, limitReached } = status;
    this.#options.log.debug('The status page of php-fpm says how many requests it takes', {
      source: this.#options.source,
      capacity,
      reason: `process manager ${manager}, total processes ${processes}, max active processes ${mostActive}, max children reached ${limitReached}`,
    });
    this.#options.changed(capacity);
  }

  #missed(httpStatus: number): void {
    const { source, path, log } = this.#options;
    if (httpStatus >= 500) {
      // php-fpm does so when somebody else counts its workers at the same moment.
      log.debug('The status page of php-fpm failed', { source, status: httpStatus });
    } else if (!this.#hasWarned) {
      this.#hasWarned = true;
      const advice = 'set pm.status_path to it in the pool of php-fpm, or remove "statusPath"';
      log.warn(`There is no status page of php-fpm at ${path}; ${advice}`, { source, status: httpStatus });
    }
  }
}

/** As much of the body as a status page can have: the rest of another one is not read. */
async function readPage({ body }: ClientResponse): Promise<string> {
  let text = '';
  for await (const chunk of body as AsyncIterable<Buffer>) {
    text += chunk.toString('latin1');
    if (text.length > pageBytesMax) break;
  }
  return text;
}
