/** What every layer may say to the operator. The printer that ends in stderr is `createLog`. */
import { escapeControls, escapeJson } from './escape.ts';
import { hidden, hideInText, isSecretName } from './secrets.ts';

/** Facts that go with a message; values are printed with control bytes escaped and secrets hidden. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Shaped so that a pino or console-like logger fits with one line of glue. */
export type Log = { readonly [level in LogLevel]: (message: string, fields?: LogFields) => void };

/** Says nothing: for tests and for those who embed us without a log. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

export interface LogOptions {
  readonly write: (line: string) => void;
  /** Lowest that is written. */
  readonly level: LogLevel;
  /** `text` for people, `json` for collectors (one object a line: time, level, message, fields). */
  readonly format: 'text' | 'json';
  readonly color?: boolean;
  readonly now: () => Date;
}

/**
 * A log that writes whole lines to `write`.
 * Control bytes from applications and clients never reach the terminal (CVE-2009-4489): they are escaped. What is secret by its
 * name or form is hidden: a query with a token, a URL with a password.
 */
export function createLog(options: LogOptions): Log {
  const lowest = logLevels.indexOf(options.level);
  const print = options.format === 'json' ? printJson : printText;
  const at = (level: LogLevel) =>
    logLevels.indexOf(level) < lowest
      ? () => {}
      : (message: string, fields: LogFields = {}) =>
          options.write(print(options.now(), level, message, fields, options.color === true));
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const colors: Record<LogLevel, string> = { debug: '90', info: '36', warn: '33', error: '31' };

function printText(now: Date, level: LogLevel, message: string, fields: LogFields, color: boolean): string {
  const time = now.toISOString().slice(11, 23);
  const mark = color ? `\x1b[${colors[level]}m${level.padEnd(5)}\x1b[0m` : level.padEnd(5);
  return `${time} ${mark} ${printMessage(message, fields)}\n`;
}

/** A message and its facts in one line, without control bytes and secrets. */
export function printMessage(message: string, fields: LogFields = {}): string {
  let line = escapeControls(hideInText(message));
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${name}=${printValue(printFact(name, value))}`;
  }
  return line;
}

function printValue(value: string | number | boolean): string {
  const text = escapeControls(String(value));
  return text === '' || /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}

function printJson(now: Date, level: LogLevel, message: string, fields: LogFields): string {
  const facts = Object.entries(fields).map(([name, value]) => [name, value && printFact(name, value)]);
  const line = { time: now.toISOString(), level, message: hideInText(message), ...Object.fromEntries(facts) };
  return `${escapeJson(JSON.stringify(line))}\n`;
}

/** Without secrets, and without digits that nobody reads. */
function printFact(name: string, value: string | number | boolean): string | number | boolean {
  if (typeof value === 'number') return roundForPeople(value);
  if (typeof value !== 'string') return value;
  return isSecretName(name) ? hidden : hideInText(value);
}

/** Three digits: a clock's 934.5135618593768 ms are 935. Whole numbers stay, whatever their length. */
function roundForPeople(value: number): number {
  if (Number.isInteger(value) || !Number.isFinite(value)) return value;
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
