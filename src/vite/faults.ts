/**
 * What goes wrong in requests, from the gateway's log: everything to the terminal, by Vite's logger, and what made a request
 * fail to whoever answers that request.
 */
import { relative } from 'node:path';
import type { Logger } from 'vite';
import { type Log, type LogFields, type LogLevel, printMessage } from '../base/log.ts';

/** Why a request failed. */
export interface Fault {
  readonly message: string;
  /** Of a script, absolute, as PHP sees it; undefined: nobody knows a place. */
  readonly file: string | undefined;
  readonly line: number | undefined;
  /** Of the script, from the inside out, as PHP prints it. */
  readonly trace: readonly string[];
}

export class Faults {
  readonly log: Log;
  readonly #logger: Logger;
  readonly #root: string;
  /** Of the requests under way, by their ids. */
  readonly #found = new Map<string, Fault | undefined>();

  /** @param root absolute: files below it are named from it */
  constructor(logger: Logger, root: string) {
    this.#logger = logger;
    this.#root = root;
    const at = (level: Exclude<LogLevel, 'debug'>) => (message: string, fields?: LogFields) =>
      this.#say(level, message, fields ?? {});
    this.log = { debug() {}, info: at('info'), warn: at('warn'), error: at('error') };
  }

  /** From now on the faults of a request are kept, until `close`. */
  open(id: string): void {
    this.#found.set(id, undefined);
  }

  /** The fault of a request so far. */
  of(id: string): Fault | undefined {
    return this.#found.get(id);
  }

  close(id: string): void {
    this.#found.delete(id);
  }

  #say(level: Exclude<LogLevel, 'debug'>, message: string, fields: LogFields): void {
    const { request, source, file, line, trace, ...others } = fields;
    // Of itself the gateway tells much, as that PHP has started; of the application everything.
    if (level === 'info' && file === undefined) return;
    const place = file === undefined ? '' : ` in ${relative(this.#root, String(file))}:${line}`;
    this.#logger[level](`[fastway] ${printMessage(message + place, others)}`, { timestamp: true });
    // Ours have a code, and are told quieter where another request may succeed.
    const isFault = level === 'error' || (level === 'warn' && fields.code !== undefined);
    if (!isFault || typeof request !== 'string' || !this.#found.has(request)) return;
    // What PHP said comes before what became of it.
    const first = this.#found.get(request);
    this.#found.set(request, first ?? toFault(message, { file, line, trace }));
  }
}

function toFault(message: string, { file, line, trace }: LogFields): Fault {
  return {
    message,
    file: file === undefined ? undefined : String(file),
    line: line === undefined ? undefined : Number(line),
    trace: trace === undefined ? [] : String(trace).split(' | '),
  };
}
