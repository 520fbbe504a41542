/**
 * From any value to a `Config`, or to a `ConfigError` with every problem in it.
 * Two looks: the shape (keys, types, values), then what only the whole can tell (names of sources, files, order of rules).
 * Unknown keys do not hide what the second look finds; a wrong value does.
 */
import { statSync } from 'node:fs';
import type { z } from 'zod';
import { ConfigError, type ConfigProblem } from '../base/errors.ts';
import { findProblems } from './check.ts';
import { createDefinition } from './definition.ts';
import { printNearest } from './nearest.ts';
import type { Config } from './schema.ts';

/** Path into the configuration: keys and indexes. */
export type ConfigPath = readonly PropertyKey[];

export interface ParseOptions {
  /** Absolute; relative paths start here. */
  readonly directory: string;
  /** What a path (byte string) names; asked for document roots and scripts. The file system, unless a test says otherwise. */
  readonly kindOf?: (path: string) => 'file' | 'directory' | undefined;
  /** Where a problem is, when the file has lines: named in messages. */
  readonly file?: string;
  readonly lineOf?: (path: ConfigPath, unknownKey: string | undefined) => number | undefined;
}

/** A problem before it has a place in a file. */
interface Found {
  readonly path: ConfigPath;
  readonly message: string;
  readonly unknownKey?: string;
}

/** @throws {ConfigError} GW_ERR_CONFIG with all problems in the order of the file */
export function parseConfig(input: unknown, options: ParseOptions): Config {
  const kindOf = options.kindOf ?? kindOnDisk;
  const { config: definition } = createDefinition({
    directory: options.directory,
    isFile: (path) => kindOf(path) === 'file',
  });
  const first = definition.safeParse(input, { error: printIssue, reportInput: true });
  if (first.success) {
    const found = findProblems(first.data, kindOf);
    if (found.length > 0) throw toError(found, options);
    return first.data;
  }
  const found = first.error.issues.flatMap((issue) => toFound(issue, []));
  if (found.every(({ unknownKey }) => unknownKey !== undefined)) {
    const second = definition.safeParse(without(input, found), { error: printIssue, reportInput: true });
    if (second.success) found.push(...findProblems(second.data, kindOf));
    else found.push(...second.error.issues.flatMap((issue) => toFound(issue, [])));
  }
  throw toError(found, options);
}

/** `virtualServers[0].rules[2].handler` */
export function printPath(path: ConfigPath): string {
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
      return issue.keys.map((unknownKey, index) => ({ path, message: messages[index]!, unknownKey }));
    }
    case 'invalid_key':
      return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    case 'invalid_union': {
      // The alternative whose type was right knows best what is wrong inside.
      const near = issue.errors.filter(
        (issues) => !issues.some(({ code, path }) => path.length === 0 && isAboutType(code)),
      );
      if (near.length > 0) return near[0]!.flatMap((inner) => toFound(inner, path));
      return [{ path, message: issue.message }];
    }
    default:
      return [{ path, message: issue.message }];
  }
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

/** A copy without the unknown keys. */
function without(input: unknown, found: readonly Found[]): unknown {
  const copy = copyPlain(input);
  for (const { path, unknownKey } of found) {
    let holder = copy as Record<PropertyKey, unknown> | undefined;
    for (const part of path) holder = holder?.[part] as typeof holder;
    if (holder !== undefined) delete holder[unknownKey!];
  }
  return copy;
}

function copyPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyPlain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copyPlain(inner)]));
}

/** A directory that may not be entered counts as none: nothing below it could be served. */
function kindOnDisk(path: string): 'file' | 'directory' | undefined {
  try {
    if (statSync(Buffer.from(path, 'latin1')).isFile()) return 'file';
    return statSync(Buffer.from(`${path}/.`, 'latin1')).isDirectory() ? 'directory' : undefined;
  } catch {
    return undefined;
  }
}
