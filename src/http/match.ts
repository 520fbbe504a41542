/**
 * What a rule is for, as a tree: leaves that ask one thing of a request, and `and`, `or`, `not` above them. Here is what can be
 * asked of such a tree without a request; `server/rule.ts` compiles it.
 */
import type { AddressSet } from './address-set.ts';
import { extensionOf, findExtensionEnd, isWithin } from './target.ts';

/** Canonical: no `and` in an `and`, no `or` in an `or`, and none of one part. An `and` of nothing takes everything, an `or` of nothing takes none. */
export type Match =
  | MatchLeaf
  | { readonly kind: 'and'; readonly parts: readonly Match[] }
  | { readonly kind: 'or'; readonly parts: readonly Match[] }
  | { readonly kind: 'not'; readonly part: Match };

/** Strings, and what expressions are compared with, are byte strings. */
export type MatchLeaf =
  | { readonly kind: 'method'; readonly methods: readonly string[] }
  /** The exact path, decoded. */
  | { readonly kind: 'path'; readonly path: string }
  /** `/a` and everything below it, whole segments; no trailing slash, `` for the root. */
  | { readonly kind: 'directory'; readonly directory: string }
  /** Lower case, without dot. */
  | { readonly kind: 'extensions'; readonly extensions: readonly string[] }
  /** It is found in the decoded path. */
  | { readonly kind: 'request'; readonly expression: RegExp }
  /** The client's address. */
  | { readonly kind: 'from'; readonly addresses: AddressSet }
  /** Field name, lower case -> what its value must be. */
  | { readonly kind: 'header'; readonly values: ValueMatches }
  /** Query parameter, decoded -> what its value must be. */
  | { readonly kind: 'query'; readonly values: ValueMatches }
  /** The path names a file or directory; or one of `names` lies in the directory of the path, or in the root with a leading slash. */
  | { readonly kind: 'exists'; readonly names: readonly string[] | undefined }
  /** The path names a file, or a directory that has an index. */
  | { readonly kind: 'servable' }
  /** The path's part up to the end of what the expression finds names a file or directory. */
  | { readonly kind: 'found'; readonly expression: RegExp }
  /** The path's part up to the first segment that ends in one of the extensions names a file or directory. */
  | { readonly kind: 'script'; readonly extensions: readonly string[] }
  /** Some folder on the way to the path holds a file of this name that does more than refuse. */
  | { readonly kind: 'nearest'; readonly name: string };

/** Text: equal. An expression: found in it. True: it is there, whatever its value. */
export type ValueMatch = string | true | RegExp;
export type ValueMatches = Readonly<Record<string, ValueMatch>>;

export const everything: Match = { kind: 'and', parts: [] };
export const nothing: Match = { kind: 'or', parts: [] };

/** The canonical tree for what all, or one, of the parts say. */
export function combine(kind: 'and' | 'or', parts: readonly Match[]): Match {
  const flat = parts.flatMap((part) => (part.kind === kind ? part.parts : [part]));
  return flat.length === 1 ? flat[0]! : { kind, parts: flat };
}

/** Each leaf, and whether it stands behind an odd number of `not`. */
function* leavesOf(match: Match, isNegated = false): Generator<readonly [MatchLeaf, boolean]> {
  switch (match.kind) {
    case 'and':
    case 'or':
      for (const part of match.parts) yield* leavesOf(part, isNegated);
      break;
    case 'not':
      yield* leavesOf(match.part, !isNegated);
      break;
    default:
      yield [match, isNegated];
  }
}

/** Extensions of which a match says that they match: what stands behind an odd number of `not` does not count (T31). */
export function mentionedExtensions(match: Match): readonly string[] {
  return [...leavesOf(match)]
    .flatMap(([leaf, isNegated]) => (isNegated ? [] : extensionsOf(leaf)))
    .filter((extension) => extension !== '');
}

function extensionsOf(leaf: MatchLeaf): readonly string[] {
  switch (leaf.kind) {
    case 'extensions':
      return leaf.extensions;
    case 'path':
      return [extensionOfPath(leaf.path)];
    case 'request':
      return extensionsOfExpression(leaf.expression.source);
    default:
      return [];
  }
}

/** `\\.pl$`, `\\.(pl|py)(\/|$)`: an expression that ends in an extension is one way to name it. The engine escapes slashes. */
function extensionsOfExpression(expression: string): readonly string[] {
  const end = /\\\.(?:\((?:\?:)?([\w|]+)\)|(\w+))(?:\$|\((?:\?:)?\\\/\|\$\)|\(\?=\\\/\|\$\))$/.exec(
    expression,
  );
  return end === null ? [] : (end[1] ?? end[2]!).toLowerCase().split('|');
}

/** Of a path's last segment, in lower case and without dot; empty without one. */
export function extensionOfPath(path: string): string {
  return extensionOf(path.slice(path.lastIndexOf('/') + 1));
}

/** No request is left for the rules behind it. */
export function takesAll(match: Match): boolean {
  switch (match.kind) {
    case 'and':
      return match.parts.every(takesAll);
    case 'or':
      return match.parts.some(takesAll);
    default:
      return match.kind === 'directory' && match.directory === '';
  }
}

/** It asks whether something is on disk. */
export function asksDisk(match: Match): boolean {
  const kinds: readonly MatchLeaf['kind'][] = ['exists', 'servable', 'found', 'script', 'nearest'];
  return [...leavesOf(match)].some(([leaf]) => kinds.includes(leaf.kind));
}

/** It asks for addresses, and not for a client without one. */
export function asksForAddress(match: Match): boolean {
  return [...leavesOf(match)].some(([leaf]) => leaf.kind === 'from' && !leaf.addresses.has(''));
}

/**
 * What a match says of a canonical path alone, for any client and any method: a rule for some clients or methods makes a path a program
 * for all.
 */
export function takesPath(match: Match, path: string): boolean {
  return askPath(match, path) === 'yes';
}

/** `open`: the match says nothing of this path. */
function askPath(match: Match, path: string): 'yes' | 'no' | 'open' {
  const say = (holds: boolean) => (holds ? 'yes' : 'no');
  switch (match.kind) {
    case 'and': {
      const answers = match.parts.map((part) => askPath(part, path));
      if (answers.includes('no')) return 'no';
      return answers.includes('yes') ? 'yes' : 'open';
    }
    case 'or': {
      const answers = match.parts.map((part) => askPath(part, path));
      if (answers.includes('yes')) return 'yes';
      return answers.includes('open') ? 'open' : 'no';
    }
    case 'not':
      // That something is excepted says nothing of all else.
      return askPath(match.part, path) === 'yes' ? 'no' : 'open';
    case 'path':
      return say(path === match.path);
    case 'directory':
      return match.directory === '' ? 'open' : say(isWithin(path, match.directory));
    case 'extensions':
      return say(findExtensionEnd(path, new Set(match.extensions)) !== -1);
    case 'request':
      return say(match.expression.test(path));
    default:
      return 'open';
  }
}

/** The keys of one object, in the order in which their parts stand in an `and`. */
const keys = [
  'method',
  'path',
  'directory',
  'extensions',
  'request',
  'from',
  'header',
  'query',
  'exists',
  'nearest',
  'any',
  'not',
  'all',
] as const;

/** What a person would write, in byte strings; undefined for what takes everything. Read again it is the same tree. */
export function printMatch(match: Match): object | undefined {
  const written = (match.kind === 'and' ? match.parts : [match]).map(printPart);
  const [first, ...others] = groupKeys(written);
  return others.length === 0 ? first : { ...first, all: others };
}

/** In as few objects as their order allows. */
function groupKeys(written: readonly (readonly [key: (typeof keys)[number], value: unknown])[]): object[] {
  const groups: Record<string, unknown>[] = [];
  let last: number = keys.length;
  for (const [key, value] of written) {
    const at = keys.indexOf(key);
    if (at <= last) groups.push({});
    groups.at(-1)![key] = value;
    last = at;
  }
  return groups;
}

function printPart(match: Match): readonly [key: (typeof keys)[number], value: unknown] {
  switch (match.kind) {
    case 'and':
      return ['all', match.parts.map(printMatch)];
    case 'or':
      return ['any', match.parts.map(printMatch)];
    case 'not':
      return ['not', printMatch(match.part)];
    case 'method':
      return ['method', match.methods];
    case 'path':
      return ['path', match.path];
    case 'directory':
      return ['directory', match.directory || '/'];
    case 'extensions':
      return ['extensions', match.extensions];
    case 'request':
      return ['request', printExpression(match.expression)];
    case 'from':
      return ['from', match.addresses.ranges];
    case 'header':
    case 'query':
      return [match.kind, printValues(match.values)];
    case 'exists':
      return ['exists', match.names ?? true];
    case 'servable':
      return ['exists', 'file'];
    case 'found':
      return ['exists', 'request'];
    case 'script':
      return ['exists', 'extensions'];
    case 'nearest':
      return ['nearest', match.name];
  }
}

function printValues(values: ValueMatches): object {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value instanceof RegExp ? { regex: printExpression(value) } : value,
    ]),
  );
}

/** As it was written: the engine escapes slashes. */
export function printExpression({ source }: RegExp): string {
  return source.replace(/\\(.)/gs, (pair, character) => (character === '/' ? '/' : pair));
}
