/**
 * How loud a line of another program is in our log: what it says of itself, in the forms of the usual loggers, or a guess.
 * Only the line's beginning is looked at, so that its time does not grow with it.
 */
import type { LogLevel } from './log.ts';

/** Loggers put their level in front, behind a time and a name at most. Characters. */
const beginningMax = 160;

const levels: Readonly<Record<string, LogLevel>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  information: 'info',
  notice: 'info',
  warn: 'warn',
  warning: 'warn',
  err: 'error',
  error: 'error',
  severe: 'error',
  crit: 'error',
  critical: 'error',
  alert: 'error',
  emerg: 'error',
  fatal: 'error',
  'fatal error': 'error',
  panic: 'error',
};

const words = Object.keys(levels).join('|');

const forms: readonly RegExp[] = [
  // `error: no such file`, `Warning: ...`
  new RegExp(`^(${words}):`, 'i'),
  // `[28-Nov-2026 12:00:00] NOTICE: ready`, `2026-11-28 12:00:00,123 INFO django`, `W, [...] WARN -- :`
  new RegExp(`(?:^|[\\s[(|<])(${words.toUpperCase()})(?=[\\]\\s:)|>,]|$)`),
  // `[2026-11-28 12:00:00 +0000] [7] [info] listening`
  new RegExp(`[[(<](${words})[\\])>]`, 'i'),
  // `level=info msg=...`, `{"level":"warn",...}`
  new RegExp(`\\b(?:level|severity)["']?\\s?[=:]\\s?["']?(${words})\\b`, 'i'),
];

/** A line of an access log (Common Log Format), as Plack and Rack write one for each request. */
const request = /\[[^\]]+\] "[A-Z]+ \S+ HTTP\/\d(?:\.\d)?" ([1-5])\d\d /;

/** The level that the line names; undefined: it names none. */
export function namedLevel(line: string): LogLevel | undefined {
  const beginning = line.slice(0, beginningMax);
  const status = request.exec(beginning)?.[1];
  if (status !== undefined) return status === '5' ? 'warn' : 'info';
  for (const form of forms) {
    const word = form.exec(beginning)?.[1];
    if (word !== undefined) return levels[word.toLowerCase()];
  }
  return undefined;
}

/** Words of trouble, and not a part of a path, a query or a name. */
const trouble =
  /(?<![\w/=.-])(?:\w*(?:error|exception)s?|abort(?:ed|ing)?|can ?not|can't|core dumped|could(?: not|n't)|denied|exceeded|fail(?:ed|s|ure)?|fatal|forbidden|illegal|invalid|killed|missing|no such|not found|panic(?:ked)?|refused|segmentation fault|traceback|unable|unexpected|warning)(?![\w/=])/i;

/** The level of a line of error output: the one that it names, else `warn` for trouble and `info` for the rest. */
export function levelOfErrorOutput(line: string): LogLevel {
  return namedLevel(line) ?? (trouble.test(line.slice(0, beginningMax)) ? 'warn' : 'info');
}
