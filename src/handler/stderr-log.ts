/**
 * What an application says on its error stream, as messages in our log, tied to the request: one for each line, or for
 * each message of PHP however many lines it has, with its severity, file and line.
 * Bounded, for an application may flood (T69): 8 KiB a request, 100 messages a second for a handler; the rest is counted
 * and dropped, and nothing is ever held but one unfinished message.
 */
import { namedLevel } from '../base/line-level.ts';
import type { Log, LogFields } from '../base/log.ts';
import { beginsPhpMessage, endsPhpMessage, fpmPrefix, parsePhpMessage, splitPhpLine } from './php-message.ts';

/** Bytes of error output that are logged for one request. */
export const stderrBytesMax: number = 8 * 1024;

/** Lines a second that one handler logs. */
export const stderrLinesPerSecond: number = 100;

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

export interface StderrLogOptions {
  readonly log: Log;
  readonly limit: StderrLimit;
  /** Go with each message. */
  readonly fields: { readonly request: string; readonly source: string };
  /** A message in which it is found means that the request failed; undefined: none does. */
  readonly failurePattern: RegExp | undefined;
}

/** The error stream of one request. */
export class StderrLog {
  readonly #options: StderrLogOptions;
  /** The unfinished line. */
  #rest: Buffer = Buffer.alloc(0);
  /** A message of PHP whose last line has not come. */
  #unfinished: string | undefined;
  #failure: string | undefined;
  #bytes = 0;
  #droppedBytes = 0;

  constructor(options: StderrLogOptions) {
    this.#options = options;
  }

  /** The first message that means failure; undefined as long as there is none. */
  get failure(): string | undefined {
    return this.#failure;
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

  /** The stream is over: says the last message, and what was dropped. May be called twice. */
  end(): void {
    this.#line(Buffer.alloc(0));
    this.#finishMessage();
    if (this.#droppedBytes === 0) return;
    const { log, fields } = this.#options;
    log.warn(`${this.#droppedBytes} more bytes of error output were dropped`, fields);
    this.#droppedBytes = 0;
  }

  #line(end: Buffer): void {
    const line = this.#rest.length === 0 ? end : Buffer.concat([this.#rest, end]);
    if (this.#rest.length > 0) this.#rest = Buffer.alloc(0);
    const text = line.toString('utf8').trimEnd();
    if (text === '') return;
    const [first, ...others] = splitPhpLine(text);
    const begins = text.startsWith(fpmPrefix) || beginsPhpMessage(first!);
    this.#part(first!, this.#unfinished !== undefined && !begins);
    for (const part of others) this.#part(part, false);
  }

  #part(text: string, isContinued: boolean): void {
    if (!isContinued) this.#finishMessage();
    const message = isContinued ? `${this.#unfinished}\n${text}` : text;
    this.#unfinished = undefined;
    if (beginsPhpMessage(message) && !endsPhpMessage(text)) this.#unfinished = message;
    else this.#say(message);
  }

  #finishMessage(): void {
    const message = this.#unfinished;
    this.#unfinished = undefined;
    if (message !== undefined) this.#say(message);
  }

  #say(message: string): void {
    const { log, limit, fields, failurePattern } = this.#options;
    if (failurePattern?.test(message)) this.#failure ??= message;
    if (!limit.take()) {
      this.#droppedBytes += message.length;
      return;
    }
    const php = parsePhpMessage(message);
    if (php === undefined) {
      log[namedLevel(message) ?? 'warn'](message, fields);
      return;
    }
    const { severity, level, text, trace, file, line } = php;
    const more: LogFields = {
      ...fields,
      file,
      line,
      trace: trace.length === 0 ? undefined : trace.join(' | '),
    };
    log[level](`PHP ${severity}: ${text}`, more);
  }
}
