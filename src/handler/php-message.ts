/**
 * PHP's error messages as data, from the error output of php-fpm, php-cgi and the embedded PHP.
 * PHP prints `PHP Warning:  text in FILE on line N`; a text may have several lines, a trace among them (main/main.c,
 * php_error_cb). php-fpm puts `PHP message: ` before each and `; ` between them.
 */
import type { LogLevel } from '../base/log.ts';

export interface PhpMessage {
  /** `Fatal error`, `Warning` and so on, as PHP names it. */
  readonly severity: string;
  readonly level: LogLevel;
  /** In one line, without trace, file and line. */
  readonly text: string;
  /** The lines from `Stack trace:` on; empty for none. */
  readonly trace: readonly string[];
  readonly file: string;
  readonly line: number;
}

/** What PHP calls its severities, and how loud each is in our log. */
const levels: ReadonlyMap<string, LogLevel> = new Map<string, LogLevel>([
  ['Fatal error', 'error'],
  ['Recoverable fatal error', 'error'],
  ['Parse error', 'error'],
  ['Warning', 'warn'],
  ['Unknown error', 'warn'],
  ['Notice', 'info'],
  ['Deprecated', 'info'],
  ['Strict Standards', 'info'],
]);

const start = /^PHP ([A-Z][A-Za-z ]+):\s+/;
/** What a place begins with: an absolute path, a URL of a stream, or what PHP says without a file. */
const placeStart = /(?:\/|[A-Za-z]:\\|\w+:\/\/|Unknown|Command line)/y;
const placeEnd = / on line (\d+)$/;
/** Longest ` on line N`, in characters. */
const placeEndMax = 40;
const fpmSeparator = /; (?=PHP message: )/;
/** Before each message in php-fpm's output. */
export const fpmPrefix = 'PHP message: ';

/** A line of php-fpm may hold several messages; what else runs here prints one a line. */
export function splitPhpLine(line: string): readonly string[] {
  if (!line.includes(fpmPrefix)) return [line];
  return line
    .split(fpmSeparator)
    .map((part) => (part.startsWith(fpmPrefix) ? part.slice(fpmPrefix.length) : part));
}

/** The first line of a message of PHP, and not of what a program wrote by itself. */
export function beginsPhpMessage(line: string): boolean {
  return levels.has(start.exec(line)?.[1] ?? '');
}

/** The last line of a message of PHP. */
export function endsPhpMessage(line: string): boolean {
  return findPlace(line) !== undefined;
}

/** @returns undefined for anything but a whole message */
export function parsePhpMessage(message: string): PhpMessage | undefined {
  const severity = start.exec(message)?.[1] ?? '';
  const level = levels.get(severity);
  const place = findPlace(message);
  if (level === undefined || place === undefined) return undefined;
  const { before, file, line } = place;
  const lines = before.replace(start, '').split('\n');
  const traceAt = lines.indexOf('Stack trace:');
  const [text, trace] = traceAt === -1 ? [lines, []] : [lines.slice(0, traceAt), lines.slice(traceAt + 1)];
  return {
    severity,
    level,
    // An uncaught exception says its place twice: `in FILE:N` before the trace, `thrown in FILE on line N` after it.
    text: text.join(' ').replace(`${file}:${line}`, '').replace(/ in $/, '').trimEnd(),
    trace: trace.map((line) => line.trim()).filter((line) => line !== 'thrown'),
    file,
    line,
  };
}

/** Where a message ends with ` in FILE on line N`: the last ` in ` before what may be a file. Its time grows with the length. */
function findPlace(message: string): { before: string; file: string; line: number } | undefined {
  // No number of a line is longer; so the expression looks at the end alone.
  const tail = message.slice(-placeEndMax);
  const end = placeEnd.exec(tail);
  if (end === null) return undefined;
  const fileEnd = message.length - tail.length + end.index;
  for (let at = fileEnd; at > 0; ) {
    at = message.lastIndexOf(' in ', at - 1);
    if (at === -1) return undefined;
    placeStart.lastIndex = at + 4;
    if (placeStart.test(message) && placeStart.lastIndex <= fileEnd) {
      return { before: message.slice(0, at), file: message.slice(at + 4, fileEnd), line: Number(end[1]) };
    }
  }
  return undefined;
}
