/**
 * What an application says on its error stream, as lines in our log, tied to the request.
 * Bounded, for an application may flood (T69): 8 KiB a request, 100 lines a second for a handler; the rest is counted
 * and dropped, and nothing is ever held but one unfinished line.
 */
import type { Log } from '../base/log.ts';

/** Bytes of error output that are logged for one request. */
export const stderrBytesMax: number = 8 * 1024;

/** Lines a second that one handler logs. */
export const stderrLinesPerSecond: number = 100;

/** php-fpm puts all messages of a request into one line. */
const phpSeparator = /; (?=PHP message: )/;

/** Counts the lines of the current second, for all requests of one handler. */
export class StderrLimit {
  readonly #now: () => number;
  #second = Number.NEGATIVE_INFINITY;
  #lines = 0;

  /** @param now milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** One more line may be logged. */
  take(): boolean {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
    }
    this.#lines += 1;
    return this.#lines <= stderrLinesPerSecond;
  }
}

/** The error stream of one request. */
export class StderrLog {
  readonly #log: Log;
  readonly #fields: { readonly request: string; readonly source: string };
  readonly #limit: StderrLimit;
  /** The unfinished line. */
  #rest: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #droppedBytes = 0;

  constructor(log: Log, limit: StderrLimit, fields: { readonly request: string; readonly source: string }) {
    this.#log = log;
    this.#limit = limit;
    this.#fields = fields;
  }

  push(chunk: Buffer): void {
    const room = stderrBytesMax - this.#bytes;
    const taken = chunk.length > room ? chunk.subarray(0, room) : chunk;
    this.#bytes += taken.length;
    this.#droppedBytes += chunk.length - taken.length;
    let start = 0;
    for (let end = taken.indexOf(10); end !== -1; end = taken.indexOf(10, start)) {
      this.#line(taken.subarray(start, end));
      start = end + 1;
    }
    if (start < taken.length) this.#rest = Buffer.concat([this.#rest, taken.subarray(start)]);
  }

  /** The stream is over: says the last line, and what was dropped. */
  end(): void {
    this.#line(Buffer.alloc(0));
    if (this.#droppedBytes === 0) return;
    this.#log.warn(`${this.#droppedBytes} more bytes of error output were dropped`, this.#fields);
    this.#droppedBytes = 0;
  }

  #line(end: Buffer): void {
    const line = this.#rest.length === 0 ? end : Buffer.concat([this.#rest, end]);
    if (this.#rest.length > 0) this.#rest = Buffer.alloc(0);
    const text = line.toString('utf8').trimEnd();
    if (text === '') return;
    for (const message of text.split(phpSeparator)) {
      if (this.#limit.take()) this.#log.warn(message, this.#fields);
      else this.#droppedBytes += message.length;
    }
  }
}
