/**
 * From any value to a `Config`, or to a `ConfigError` with every problem in it.
 * Two looks: the shape (keys, types, values), then what only the whole can tell (names of sources, files, order of rules).
 * What the first look finds wrong is replaced for the second, so that one mistake does not hide another.
 */

import { statSync } from 'node:fs';
import type { z } from 'zod';
import { ConfigError, type ConfigProblem } from '../base/errors.ts';
import { hidden, hideInText, isSecretName } from '../base/secrets.ts';
import { findProblems } from './check.ts';
import { createDefinition } from './definition.ts';
import { isTooDeep, tooDeep } from './depth.ts';
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
  if (isTooDeep(input)) throw toError([{ path: [], message: tooDeep }], options);
  const kindOf = options.kindOf ?? kindOnDisk;
  const { config: definition } = createDefinition(options.directory);
  const first = definition.safeParse(input, { error: printIssue, reportInput: true });
  if (first.success) {
    const found = findProblems(first.data, kindOf);
    if (found.length > 0) throw toError(found, options);
    return first.data;
  }
  const found = first.error.issues.flatMap((issue) => toFound(issue, []));
  if (found.some(({ path, unknownKey }) => path.length === 0 && unknownKey === undefined))
    throw toError(found, options);
  const { value, replaced } = mend(input, found);
  const second = definition.safeParse(value, { error: printIssue, reportInput: true });
  const more = second.success
    ? findProblems(second.data, kindOf)
    : second.error.issues.flatMap((issue) => toFound(issue, []));
  // Of a stand-in nothing is worth saying, and of what it stands for all is said.
  found.push(...more.filter(({ path }) => !replaced.some((place) => startsWith(path, place))));
  throw toError(found, options);
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

/**
 * A copy without unknown keys, in which what is wrong has given way to its default or to a stand-in, so that the second
 * look sees the rest. `replaced`: the places of which it must not speak.
 */
function mend(input: unknown, found: readonly Found[]): { value: unknown; replaced: ConfigPath[] } {
  const value = copyPlain(input);
  const replaced: ConfigPath[] = [];
  for (const { path, unknownKey } of found) {
    const place = unknownKey === undefined ? mendingPlace(path) : [...path, unknownKey];
    let holder = value as Record<PropertyKey, unknown> | undefined;
    for (const part of place.slice(0, -1)) holder = holder?.[part] as typeof holder;
    if (typeof holder !== 'object' || holder === null || place.length === 0) continue;
    replaced.push(place);
    const standIn = standInFor(place);
    if (standIn === undefined) delete holder[place.at(-1)!];
    else holder[place.at(-1)!] = standIn;
  }
  return { value, replaced };
}

/** What has to be replaced for a wrong value: a whole source, match, handler or address, else only the value. */
function mendingPlace(path: ConfigPath): ConfigPath {
  if (path[0] === 'sources') return path.slice(0, 2);
  if (path[0] === 'listen') return path.slice(0, 1);
  if (path[0] === 'virtualServers' && path[2] === 'rules') return path.slice(0, 5);
  return path.slice(0, path[0] === 'virtualServers' ? 3 : 2);
}

/** Undefined: the default will do. */
function standInFor(place: ConfigPath): unknown {
  if (place[0] === 'sources' && place.length === 2) return { address: 'tcp://127.0.0.1:9000' };
  if (place[2] !== 'rules' || place.length !== 5) return undefined;
  switch (place[4]) {
    case 'handler':
      return { type: 'error', status: 404 };
    case 'match':
      return { path: '/stand-in' };
    default:
      return undefined;
  }
}

function startsWith(path: ConfigPath, start: ConfigPath): boolean {
  return start.every((part, index) => path[index] === part);
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
