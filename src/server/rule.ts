/** A rule: a match, and the handler for what matches. First match wins. */

import type { DocumentRoot, FileEntry, PinnedRoot } from '../handler/document-root.ts';
import type { Handler, Site } from '../handler/handler.ts';
import { onlyRefuses } from '../handler/refusing-script.ts';
import type { ReceivedRequest } from '../http/exchange.ts';
import { joinFields } from '../http/fields.ts';
import type { Match, ValueMatch } from '../http/match.ts';
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
  readonly site: Pick<Site, 'documentRoot' | 'directoryIndex'>;
  /** What a root leads to, the same for the whole request. */
  pin(root: DocumentRoot): PinnedRoot;
}

/** What a match that succeeded tells its handler. */
export interface MatchResult {
  /** The `directory` that matched, without trailing slash; `` for none. */
  readonly directory: string;
  readonly captures: readonly string[];
  /** The `extensions` that matched, lower case without dot; undefined when the match names none. */
  readonly extensions: readonly string[] | undefined;
  /** `path` matched. */
  readonly isWholePath: boolean;
  /** Path of the file that `nearest` found; `` for none. */
  readonly nearest: string;
}

/**
 * One compiled match: undefined for no.
 * @param directory what the parts before have matched: a root of the rule's own stands for it
 */
export type Matcher = (input: MatchSubject, directory?: string) => MatchResult | undefined;

/** A root of a rule's own, in which its handler looks. */
export interface RuleRoot {
  readonly documentRoot: DocumentRoot;
  /** It takes the place of the rule's directory. */
  readonly isDirectory: boolean;
}

export interface Rule {
  readonly match: Matcher;
  readonly handler: Handler;
  /** For `explain`: the rule as written. */
  readonly description: string;
}

/**
 * Compiles a match once, so that a request only compares.
 * @param ownRoot the root of the rule's handler, in which is looked up what exists; undefined: the virtual server's
 */
export function compileMatch(match: Match, ownRoot?: RuleRoot): Matcher {
  const compile = (part: Match) => compileMatch(part, ownRoot);
  switch (match.kind) {
    case 'and':
      return matchAll(directoriesFirst(match.parts).map(compile));
    case 'or':
      return matchAny(match.parts.map(compile));
    case 'not':
      return matchNot(compile(match.part));
    case 'method':
      return test(({ method }) => match.methods.includes(method));
    case 'path':
      return ({ target }) => (target.path === match.path ? wholePath : undefined);
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
      return matchExists(match.names, ownRoot);
    case 'servable':
      return matchServable(ownRoot);
    case 'found':
      return matchPart(({ expression }, path) => endOf(expression.exec(path)), match, ownRoot);
    case 'script': {
      const known = new Set(match.extensions);
      return matchPart((_, path) => findExtensionEnd(path, known), match, ownRoot);
    }
    case 'nearest':
      return matchNearest(match.name, ownRoot);
  }
}

/** What is looked up in a root of the rule's own depends on the directory that the root stands for. */
function directoriesFirst(parts: readonly Match[]): readonly Match[] {
  const first = parts.filter(({ kind }) => kind === 'directory');
  return [...first, ...parts.filter(({ kind }) => kind !== 'directory')];
}

/** Says yes and nothing more. Results are made when a match is compiled and shared by all requests. */
const yes: MatchResult = {
  directory: '',
  captures: [],
  extensions: undefined,
  isWholePath: false,
  nearest: '',
};
const wholePath: MatchResult = { ...yes, isWholePath: true };

function test(holds: (input: MatchSubject) => boolean): Matcher {
  return (input) => (holds(input) ? yes : undefined);
}

function matchAll(parts: readonly Matcher[]): Matcher {
  if (parts.length === 1) return parts[0]!;
  return (input, directory = '') => {
    let merged = yes;
    for (const part of parts) {
      const result = part(input, merged.directory || directory);
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
    isWholePath: first.isWholePath || second.isWholePath,
    nearest: first.nearest || second.nearest,
  };
}

function matchAny(parts: readonly Matcher[]): Matcher {
  return (input, directory) => {
    for (const part of parts) {
      const result = part(input, directory);
      if (result !== undefined) return result;
    }
    return undefined;
  };
}

function matchNot(part: Matcher): Matcher {
  return (input, directory) => (part(input, directory) === undefined ? yes : undefined);
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

/** What is asked for may be a folder or a script on the way: what lies behind it is not looked up. */
function matchPart<Leaf>(
  endOfPart: (leaf: Leaf, path: string) => number,
  leaf: Leaf,
  ownRoot: RuleRoot | undefined,
): Matcher {
  return (input, directory = '') => {
    const end = endOfPart(leaf, input.target.path);
    return end !== -1 && lookUp(input, ownRoot, directory, end) !== undefined ? yes : undefined;
  };
}

function endOf(found: RegExpExecArray | null): number {
  return found === null ? -1 : found.index + found[0].length;
}

/** A path that the system forbids is there: its handler says 403, and not the next rule something else. */
function matchExists(names: readonly string[] | undefined, ownRoot: RuleRoot | undefined): Matcher {
  if (names === undefined) {
    return (input, directory) => (lookUp(input, ownRoot, directory) === undefined ? undefined : yes);
  }
  return (input, directory) => {
    const { path } = input.target;
    const root = pinFor(input, ownRoot);
    const folder = pathInRoot(input, ownRoot, directory, path.lastIndexOf('/') + 1);
    const isThere = (name: string) => {
      const place = name.startsWith('/') ? name : folder === undefined ? undefined : folder + name;
      return place !== undefined && root.find(place) !== undefined;
    };
    return names.some(isThere) ? yes : undefined;
  };
}

function matchServable(ownRoot: RuleRoot | undefined): Matcher {
  return (input, directory) => {
    const found = lookUp(input, ownRoot, directory);
    if (found === undefined) return undefined;
    if (found === 'forbidden' || found.kind === 'file') return yes;
    const root = pinFor(input, ownRoot);
    const folder = found.path.slice(root.path.length);
    const isFile = (name: string) => {
      const index = root.find(`${folder}/${name}`);
      return typeof index === 'object' && index.kind === 'file';
    };
    return input.site.directoryIndex.some(isFile) ? yes : undefined;
  };
}

/** The deepest folder first, what is hidden last. What is forbidden is there, so that its handler says why. */
function matchNearest(name: string, ownRoot: RuleRoot | undefined): Matcher {
  return (input, directory = '') => {
    const { path } = input.target;
    const root = pinFor(input, ownRoot);
    let hidden: MatchResult | undefined;
    for (let slash = path.lastIndexOf('/'); slash !== -1; slash = path.lastIndexOf('/', slash - 1)) {
      const folder = pathInRoot(input, ownRoot, directory, slash + 1);
      const found = folder === undefined ? undefined : root.find(folder + name);
      const counts = typeof found === 'object' ? found.kind === 'file' : found === 'forbidden';
      const isRoot = folder === '/';
      if (counts && (isRoot || found === 'forbidden' || !onlyRefuses(root, found as FileEntry))) {
        const result = { ...yes, nearest: path.slice(0, slash + 1) + name };
        if (found === 'forbidden' || (found as FileEntry).hidden === undefined) return result;
        hidden ??= result;
      }
      if (slash === 0 || isRoot) break;
    }
    // Its handler says why.
    return hidden;
  };
}

function pinFor(input: MatchSubject, ownRoot: RuleRoot | undefined): PinnedRoot {
  return input.pin(ownRoot === undefined ? input.site.documentRoot : ownRoot.documentRoot);
}

/** What the first `end` characters of the path name. */
function lookUp(
  input: MatchSubject,
  ownRoot: RuleRoot | undefined,
  directory = '',
  end: number = input.target.path.length,
): ReturnType<PinnedRoot['find']> {
  const path = pathInRoot(input, ownRoot, directory, end);
  return path === undefined ? undefined : pinFor(input, ownRoot).find(path);
}

/**
 * The first `end` characters of the path as a path below the root, that of the rule standing for its directory. Undefined: no file
 * can be there, as beyond an encoded slash (T26).
 */
function pathInRoot(
  { target: { path, encodedSlash } }: MatchSubject,
  ownRoot: RuleRoot | undefined,
  directory = '',
  end: number,
): string | undefined {
  if (encodedSlash !== -1 && end > encodedSlash) return undefined;
  const from = ownRoot?.isDirectory === true ? directory.length : 0;
  if (end < from) return undefined;
  return from === 0 && end === path.length ? path : path.slice(from, end) || '/';
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
