/**
 * From any value to a `Config`, or to a `ConfigError` with every problem in it. Presets become rules first. Then two looks: the
 * shape (keys, types, values), and what only the whole can tell (names of sources, files, order of rules), which sees all that is
 * right, so that one mistake does not hide another.
 */

import { statSync } from 'node:fs';
import type { z } from 'zod';
import { ConfigError, type ConfigProblem } from '../base/errors.ts';
import { hidden, hideInText, isSecretName } from '../base/secrets.ts';
import { type ConfigPath, findProblems, type Problem } from './check.ts';
import { createDefinition, findBodyLimit } from './definition.ts';
import { isTooDeep, tooDeep } from './depth.ts';
import { printNearest } from './nearest.ts';
import { expandPresets, isWritten } from './presets.ts';
import type { Config } from './types.ts';

export interface ParseOptions {
  /** Absolute; relative paths start here. */
  readonly directory: string;
  /** What a path (byte string) names; asked for document roots and scripts. The file system, unless a test says otherwise. */
  readonly kindOf?: (path: string) => 'file' | 'directory' | undefined;
  /** Where a problem is, when the file has lines: named in messages. */
  readonly file?: string;
  readonly lineOf?: (path: ConfigPath, unknownKey: string | undefined) => number | undefined;
}

interface Found extends Problem {
  readonly unknownKey?: string;
}

/** @throws {ConfigError} GW_ERR_CONFIG with all problems in the order of the file */
export function parseConfig(input: unknown, options: ParseOptions): Config {
  if (isTooDeep(input)) throw toError([{ path: [], message: tooDeep }], options);
  const found: Found[] = [];
  const report = (problem: Found) => void found.push(problem);
  const written = isWritten(input) ? expandPresets(input, report) : input;
  const definition = createDefinition(options.directory, findBodyLimit(written));
  const read = definition.config.safeParse(written, { error: printIssue, reportInput: true });
  if (!read.success) found.unshift(...read.error.issues.flatMap((issue) => toFound(issue, [])));
  const whole = read.success ? read : definition.tolerant.safeParse(written);
  if (whole.success) {
    const wrong = new Set(found.map(({ path }) => printPath(path)));
    const more = findProblems(whole.data, options.kindOf ?? kindOnDisk);
    found.push(...more.filter(({ path }) => !wrong.has(printPath(path))));
  }
  if (found.length > 0 || !read.success) throw toError(found, options);
  return read.data;
}

/** `virtualServers[0].rules[2].handler` */
function printPath(path: ConfigPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_$][\w$]*$/.test(String(part))) text += `${text === '' ? '' : '.'}${String(part)}`;
    else text += `[${JSON.stringify(String(part))}]`;
  }
  return text;
}

function toError(found: readonly Found[], { file, lineOf }: ParseOptions): ConfigError {
  const problems = found.map(({ path, message, unknownKey }): ConfigProblem => {
    const line = lineOf?.(path, unknownKey);
    return { path: printPath(path), message, file, line };
  });
  // Stable: problems without a line stay where they were found.
  if (problems.every(({ line }) => line !== undefined)) problems.sort((a, b) => a.line! - b.line!);
  return new ConfigError(problems);
}

function toFound(issue: z.core.$ZodIssue, before: ConfigPath): Found[] {
  const path = [...before, ...issue.path];
  switch (issue.code) {
    case 'unrecognized_keys': {
      const messages = issue.message.split('\n');
      return issue.keys.map((key, index) => {
        const message = messages[index]!;
        // One that is known elsewhere has a place and a sentence of its own.
        if (!message.startsWith('Unknown key')) return { path: [...path, key], message };
        return { path, message, unknownKey: key };
      });
    }
    case 'invalid_key':
      return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    case 'invalid_union': {
      // The alternative whose type was right knows best what is wrong inside.
      const near = issue.errors.filter(
        (issues) => !issues.some(({ code, path }) => path.length === 0 && isAboutType(code)),
      );
      if (near.length > 0) return near[0]!.flatMap((inner) => toFound(inner, path));
      return [{ path, message: hideGiven(path, issue.message) }];
    }
    default:
      return [{ path, message: hideGiven(path, issue.message) }];
  }
}

/** A message goes into bug reports as the printed configuration does. */
function hideGiven(path: ConfigPath, message: string): string {
  const isSecret = path.length > 1 && isSecretName(String(path.at(-1))) && isNamed(path.at(-2));
  return hideInText(
    isSecret ? message.replace(/^Is (?:"(?:[^"\\]|\\.)*"|[\d.-]+)/, `Is ${hidden}`) : message,
  );
}

function isNamed(key: PropertyKey | undefined): boolean {
  return key === 'env' || key === 'ini' || key === 'header' || key === 'query';
}

function isAboutType(code: z.core.$ZodIssue['code']): boolean {
  return code === 'invalid_type' || code === 'invalid_value' || code === 'invalid_union';
}

/** Our words for zod's findings; `undefined` leaves the schema's own message. */
function printIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type': {
      const expected = kindNames[issue.expected] ?? `a ${issue.expected}`;
      return issue.input === undefined
        ? `Is missing; expected ${expected}`
        : `Is ${printValue(issue.input)}, but must be ${expected}`;
    }
    case 'invalid_value':
      return printChoice(issue.input, issue.values);
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? 'Is empty'
        : `Is ${printValue(issue.input)}, but must be at least ${issue.minimum}`;
    case 'too_big':
      return `Is ${printValue(issue.input)}, but must be at most ${issue.maximum}`;
    case 'invalid_union':
      return printUnion(issue);
    default:
      return undefined;
  }
}

const kindNames: Readonly<Record<string, string>> = {
  string: 'text in quotes',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object with keys',
  record: 'an object with names as keys',
};

function printUnion(issue: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidUnion>): string {
  const given = issue.input === undefined ? 'Is missing' : `Is ${printValue(issue.input)}`;
  const options = (issue as { options?: readonly unknown[] }).options;
  if (issue.discriminator !== undefined) {
    const values = options ?? [];
    const value = (issue.input as Record<string, unknown> | undefined)?.[issue.discriminator];
    return printChoice(value, values as string[]);
  }
  const wanted = issue.errors
    .flatMap((errors) => errors.slice(0, 1))
    .map((error) =>
      error.code === 'invalid_type'
        ? (kindNames[error.expected] ?? error.expected)
        : error.code === 'invalid_value'
          ? error.values.map((value) => JSON.stringify(value)).join(', ')
          : error.message,
    );
  return `${given}, but must be ${[...new Set(wanted)].join(' or ')}`;
}

function printChoice(input: unknown, values: readonly unknown[]): string {
  const known = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
  const wanted = known.length === 1 ? known[0]! : `one of ${known.join(', ')}`;
  if (input === undefined) return `Is missing; expected ${wanted}`;
  return `Is ${printValue(input)}, but must be ${wanted}${typeof input === 'string' ? printNearest(input, known) : ''}`;
}

function printValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value === null) return 'null';
  switch (typeof value) {
    case 'object':
      return 'an object';
    case 'string':
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return `a ${typeof value}`;
  }
}

/** A directory that may not be entered counts as none: nothing below it could be served. */
export function kindOnDisk(path: string): 'file' | 'directory' | undefined {
  try {
    if (statSync(Buffer.from(path, 'latin1')).isFile()) return 'file';
    return statSync(Buffer.from(`${path}/.`, 'latin1')).isDirectory() ? 'directory' : undefined;
  } catch {
    return undefined;
  }
}
