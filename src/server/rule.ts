/** A rule: a match, and the handler for what matches. First match wins. */

import type { MatchConfig, ValueMatch } from '../config/schema.ts';
import type { PinnedRoot } from '../handler/document-root.ts';
import type { Handler } from '../handler/handler.ts';
import { AddressSet } from '../http/address-set.ts';
import type { ReceivedRequest } from '../http/exchange.ts';
import { joinFields } from '../http/fields.ts';
import { findExtensionEnd, isWithin, type Target } from '../http/target.ts';

/** What a match may look at. */
export interface MatchInput {
  readonly exchange: ReceivedRequest;
  /** GET after an internal redirect that does not keep the method. */
  readonly method: string;
  readonly target: Target;
  /** Host and port where not the Host field tells them: of an absolute target, or from a proxy. */
  readonly authority: string | undefined;
  readonly clientAddress: string;
  readonly documentRoot: PinnedRoot;
}

/** What a match that succeeded tells its handler. */
export interface MatchResult {
  /** The `directory` that matched, without trailing slash; `` for none. */
  readonly directory: string;
  readonly captures: readonly string[];
  /** The `extensions` that matched, lower case without dot; undefined when the match names none. */
  readonly extensions: readonly string[] | undefined;
}

/** One compiled match: undefined for no. */
export type Match = (input: MatchInput) => MatchResult | undefined;

export interface Rule {
  readonly match: Match;
  readonly handler: Handler;
  /** For `explain`: the rule as written. */
  readonly description: string;
}

/**
 * Compiles a match once, so that a request only compares. The keys of one object must all match; undefined matches all.
 * @throws {RangeError} for an address that is none
 * @throws {SyntaxError} for a regular expression that is none
 */
export function compileMatch(config: MatchConfig | undefined): Match {
  const parts: Match[] = [];
  const { directory, extensions, path, request, exists, header, method, from, query } = config ?? {};
  // What costs least is asked first; the disk last.
  if (method !== undefined) parts.push(test((input) => method.includes(input.method)));
  if (path !== undefined) parts.push(test((input) => input.target.path === path));
  if (directory !== undefined) parts.push(matchDirectory(directory));
  if (extensions !== undefined) parts.push(matchExtensions(extensions));
  if (request !== undefined) parts.push(matchRequest(new RegExp(request)));
  if (from !== undefined) parts.push(matchFrom(new AddressSet(from)));
  if (header !== undefined) parts.push(...Object.entries(header).map(matchHeader));
  if (query !== undefined) parts.push(...Object.entries(query).map(matchQuery));
  if (exists === 'request') parts.push(matchFoundPart(new RegExp(request ?? '$')));
  else if (exists !== undefined) parts.push(matchExists(exists));
  if (config?.any !== undefined) parts.push(matchAny(config.any.map(compileMatch)));
  if (config?.not !== undefined) parts.push(matchNot(compileMatch(config.not)));
  parts.push(...(config?.all ?? []).map(compileMatch));
  return matchAll(parts);
}

/**
 * Asks of a canonical path what a match says of paths alone, whoever asks and how: a rule for some clients or methods makes a
 * path a program for all.
 */
export function compilePathMatch(config: MatchConfig): (path: string) => boolean {
  return (path) => askPath(config, path) === 'yes';
}

/** `open`: the match says nothing of this path. */
function askPath(config: MatchConfig, path: string): 'yes' | 'no' | 'open' {
  const { directory, extensions, path: exact, request, all = [], any, not } = config;
  const answers = all.map((part) => askPath(part, path));
  const add = (holds: boolean) => void answers.push(holds ? 'yes' : 'no');
  if (exact !== undefined) add(path === exact);
  if (directory !== undefined && directory !== '') add(isWithin(path, directory));
  if (extensions !== undefined) add(findExtensionEnd(path, new Set(extensions)) !== -1);
  if (request !== undefined) add(new RegExp(request).test(path));
  if (any !== undefined) {
    const alternatives = any.map((part) => askPath(part, path));
    answers.push(alternatives.includes('yes') ? 'yes' : alternatives.includes('open') ? 'open' : 'no');
  }
  // That something is excepted says nothing of all else.
  if (not !== undefined) answers.push(askPath(not, path) === 'yes' ? 'no' : 'open');
  if (answers.includes('no')) return 'no';
  return answers.includes('yes') ? 'yes' : 'open';
}

/** Says yes and nothing more. Results are made when a match is compiled and shared by all requests. */
const yes: MatchResult = { directory: '', captures: [], extensions: undefined };

function test(holds: (input: MatchInput) => boolean): Match {
  return (input) => (holds(input) ? yes : undefined);
}

function matchAll(parts: readonly Match[]): Match {
  if (parts.length === 1) return parts[0]!;
  return (input) => {
    let merged = yes;
    for (const part of parts) {
      const result = part(input);
      if (result === undefined) return undefined;
      if (result !== yes) merged = merged === yes ? result : merge(merged, result);
    }
    return merged;
  };
}

/** The first to say something is heard. */
function merge(first: MatchResult, second: MatchResult): MatchResult {
  return {
    directory: first.directory || second.directory,
    captures: first.captures.length > 0 ? first.captures : second.captures,
    extensions: first.extensions ?? second.extensions,
  };
}

function matchAny(parts: readonly Match[]): Match {
  return (input) => {
    for (const part of parts) {
      const result = part(input);
      if (result !== undefined) return result;
    }
    return undefined;
  };
}

function matchNot(part: Match): Match {
  return test((input) => part(input) === undefined);
}

function matchDirectory(written: string): Match {
  const directory = written.endsWith('/') ? written.slice(0, -1) : written;
  const result: MatchResult = { ...yes, directory };
  return (input) => (isWithin(input.target.path, directory) ? result : undefined);
}

function matchExtensions(extensions: readonly string[]): Match {
  const known = new Set(extensions);
  const result: MatchResult = { ...yes, extensions };
  return (input) => (findExtensionEnd(input.target.path, known) === -1 ? undefined : result);
}

function matchRequest(expression: RegExp): Match {
  return (input) => {
    const groups = expression.exec(input.target.path);
    if (groups === null) return undefined;
    return { ...yes, captures: Array.from(groups, (group) => group ?? '') };
  };
}

function matchFrom(addresses: AddressSet): Match {
  return test((input) => addresses.has(input.clientAddress));
}

/** What an expression finds may be a folder or a script on the way: what lies behind it is not asked for. */
function matchFoundPart(expression: RegExp): Match {
  return test(({ documentRoot, target: { path } }) => {
    const found = expression.exec(path);
    if (found === null) return false;
    return documentRoot.find(path.slice(0, found.index + found[0].length)) !== undefined;
  });
}

/** A path that the system forbids is there: its handler says 403, and not the next rule something else. */
function matchExists(exists: true | readonly string[]): Match {
  if (exists === true) {
    return test(({ documentRoot, target }) => documentRoot.find(target.path) !== undefined);
  }
  return test(({ documentRoot, target: { path } }) => {
    const directory = path.slice(0, path.lastIndexOf('/') + 1);
    return exists.some(
      (name) => documentRoot.find(name.startsWith('/') ? name : directory + name) !== undefined,
    );
  });
}

function matchHeader([name, expected]: [string, ValueMatch]): Match {
  const holds = compileValue(expected);
  const lower = name.toLowerCase();
  return test((input) => {
    // The host that is routed on, and that applications are told, may be another than the field's (RFC 9112 3.2.2).
    const value =
      lower === 'host' && input.authority !== undefined
        ? input.authority
        : joinFields(input.exchange.request.fields, lower);
    return value !== undefined && holds(value);
  });
}

function matchQuery([name, expected]: [string, ValueMatch]): Match {
  const holds = compileValue(expected);
  return test((input) => {
    if (input.target.query === '') return false;
    for (const pair of input.target.query.split('&')) {
      const equals = pair.indexOf('=');
      const written = equals === -1 ? pair : pair.slice(0, equals);
      if (decodeParameter(written) !== name) continue;
      if (holds(equals === -1 ? '' : decodeParameter(pair.slice(equals + 1)))) return true;
    }
    return false;
  });
}

function compileValue(expected: ValueMatch): (value: string) => boolean {
  if (expected === true) return () => true;
  if (typeof expected === 'string') return (value) => value === expected;
  const expression = new RegExp(expected.regex);
  return (value) => expression.test(value);
}

/** As forms encode: `+` is a space; a broken escape stands for itself. */
function decodeParameter(text: string): string {
  return text
    .replace(/\+/g, ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
