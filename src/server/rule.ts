/** A rule: a match, and the handler for what matches. First match wins. */

import type { Match, ValueMatch } from '../config/match.ts';
import type { PinnedRoot } from '../handler/document-root.ts';
import type { Handler } from '../handler/handler.ts';
import type { ReceivedRequest } from '../http/exchange.ts';
import { joinFields } from '../http/fields.ts';
import { findExtensionEnd, isWithin, type Target } from '../http/target.ts';

/** What a match may look at. */
export interface MatchSubject {
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
export type Matcher = (input: MatchSubject) => MatchResult | undefined;

export interface Rule {
  readonly match: Matcher;
  readonly handler: Handler;
  /** For `explain`: the rule as written. */
  readonly description: string;
}

/** Compiles a match once, so that a request only compares. */
export function compileMatch(match: Match): Matcher {
  switch (match.kind) {
    case 'and':
      return matchAll(match.parts.map(compileMatch));
    case 'or':
      return matchAny(match.parts.map(compileMatch));
    case 'not':
      return matchNot(compileMatch(match.part));
    case 'method':
      return test(({ method }) => match.methods.includes(method));
    case 'path':
      return test(({ target }) => target.path === match.path);
    case 'directory':
      return matchDirectory(match.directory);
    case 'extensions':
      return matchExtensions(match.extensions);
    case 'request':
      return matchRequest(match.expression);
    case 'from':
      return test(({ clientAddress }) => match.addresses.has(clientAddress));
    case 'header':
      return matchAll(Object.entries(match.values).map(matchHeader));
    case 'query':
      return matchAll(Object.entries(match.values).map(matchQuery));
    case 'exists':
      return matchExists(match.names);
    case 'found':
      return matchFoundPart(match.expression);
  }
}

/** Says yes and nothing more. Results are made when a match is compiled and shared by all requests. */
const yes: MatchResult = { directory: '', captures: [], extensions: undefined };

function test(holds: (input: MatchSubject) => boolean): Matcher {
  return (input) => (holds(input) ? yes : undefined);
}

function matchAll(parts: readonly Matcher[]): Matcher {
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

function matchAny(parts: readonly Matcher[]): Matcher {
  return (input) => {
    for (const part of parts) {
      const result = part(input);
      if (result !== undefined) return result;
    }
    return undefined;
  };
}

function matchNot(part: Matcher): Matcher {
  return test((input) => part(input) === undefined);
}

function matchDirectory(directory: string): Matcher {
  const result: MatchResult = { ...yes, directory };
  return (input) => (isWithin(input.target.path, directory) ? result : undefined);
}

function matchExtensions(extensions: readonly string[]): Matcher {
  const known = new Set(extensions);
  const result: MatchResult = { ...yes, extensions };
  return (input) => (findExtensionEnd(input.target.path, known) === -1 ? undefined : result);
}

function matchRequest(expression: RegExp): Matcher {
  return (input) => {
    const groups = expression.exec(input.target.path);
    if (groups === null) return undefined;
    return { ...yes, captures: Array.from(groups, (group) => group ?? '') };
  };
}

/** What an expression finds may be a folder or a script on the way: what lies behind it is not asked for. */
function matchFoundPart(expression: RegExp): Matcher {
  return test(({ documentRoot, target: { path } }) => {
    const found = expression.exec(path);
    if (found === null) return false;
    return documentRoot.find(path.slice(0, found.index + found[0].length)) !== undefined;
  });
}

/** A path that the system forbids is there: its handler says 403, and not the next rule something else. */
function matchExists(names: readonly string[] | undefined): Matcher {
  if (names === undefined) {
    return test(({ documentRoot, target }) => documentRoot.find(target.path) !== undefined);
  }
  return test(({ documentRoot, target: { path } }) => {
    const directory = path.slice(0, path.lastIndexOf('/') + 1);
    return names.some(
      (name) => documentRoot.find(name.startsWith('/') ? name : directory + name) !== undefined,
    );
  });
}

function matchHeader([name, expected]: [string, ValueMatch]): Matcher {
  const holds = compileValue(expected);
  return test((input) => {
    // The host that is routed on, and that applications are told, may be another than the field's (RFC 9112 3.2.2).
    const value =
      name === 'host' && input.authority !== undefined
        ? input.authority
        : joinFields(input.exchange.request.fields, name);
    return value !== undefined && holds(value);
  });
}

function matchQuery([name, expected]: [string, ValueMatch]): Matcher {
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
  return (value) => expected.test(value);
}

/** As forms encode: `+` is a space; a broken escape stands for itself. */
function decodeParameter(text: string): string {
  return text
    .replace(/\+/g, ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
