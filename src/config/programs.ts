/** Which files of a site are programs, by what its rules say of paths. */
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config, HandlerConfig, MatchConfig, RuleConfig, VirtualServerConfig } from './schema.ts';

/**
 * What is a program somewhere in a virtual server is never sent as a file there (T31).
 * @returns extensions in lower case, without dot
 */
export function findScriptExtensions({ rules }: Pick<VirtualServerConfig, 'rules'>): ReadonlySet<string> {
  const found = new Set([
    'php',
    'phtml',
    'phar',
    'php3',
    'php4',
    'php5',
    'php7',
    'php8',
    'phps',
    'pht',
    'inc',
  ]);
  for (const { match, handler } of rules) {
    if (handler.type !== 'fastcgi' && handler.type !== 'cgi') continue;
    for (const extension of mentionedExtensions(match)) found.add(extension);
    if (handler.scriptAlias !== undefined) found.add(extensionOf(handler.scriptAlias));
  }
  found.delete('');
  return found;
}

/**
 * What a PHP of ours may run: what the rules that ask it say, so that `/avatar.jpg/x.php` is no way to run a picture.
 * @returns extensions in lower case, without dot; those of a rule that names none: `php`
 */
export function findRunExtensions({ virtualServers }: Config, source: string): ReadonlySet<string> {
  const found = new Set<string>(['php']);
  for (const { match, handler } of virtualServers.flatMap(({ rules }) => rules)) {
    if (handler.type !== 'fastcgi') continue;
    if (!handler.balancer.sources.some((chosen) => chosen.source === source)) continue;
    for (const extension of mentionedExtensions(match)) found.add(extension);
    if (handler.scriptAlias !== undefined) found.add(extensionOf(handler.scriptAlias));
  }
  found.delete('');
  return found;
}

/** Extensions of which a match says that they match, however deep: what stands behind an odd number of `not` does not count. */
export function mentionedExtensions(match: MatchConfig | undefined, isNegated = false): readonly string[] {
  if (match === undefined) return [];
  const { extensions = [], path, request, all = [], any = [], not } = match;
  const own = isNegated
    ? []
    : [...extensions, ...(path === undefined ? [] : [extensionOf(path)]), ...extensionsOfExpression(request)];
  return [
    ...own.filter((extension) => extension !== ''),
    ...[...all, ...any].flatMap((part) => mentionedExtensions(part, isNegated)),
    ...mentionedExtensions(not, !isNegated),
  ];
}

/** `\\.pl$`, `\\.(pl|py)(/|$)`: an expression that ends in an extension is one way to name it. */
function extensionsOfExpression(expression: string | undefined): readonly string[] {
  const end = /\\\.(?:\((?:\?:)?([\w|]+)\)|(\w+))(?:\$|\((?:\?:)?\/\|\$\)|\(\?=\/\|\$\))$/.exec(
    expression ?? '',
  );
  return end === null ? [] : (end[1] ?? end[2]!).toLowerCase().split('|');
}

/** The rule runs files by their path: a CGI program, or a script that is looked up. */
export function runsFiles(handler: HandlerConfig): boolean {
  if (handler.type === 'cgi') return handler.scriptAlias === undefined;
  return handler.type === 'fastcgi' && handler.checkFile && handler.scriptAlias === undefined;
}

/** Matches of the rules that run files, before the rule at `index`. */
export function findProgramMatches(rules: readonly RuleConfig[], index: number): readonly MatchConfig[] {
  return rules
    .slice(0, index)
    .flatMap(({ match, handler }) => (match !== undefined && runsFiles(handler) ? [match] : []));
}

/** The document root that a file lies below, links resolved; undefined for none. @param file as people write it, absolute */
export function findRootAbove(file: string, { virtualServers }: Config): string | undefined {
  const real = realPath(dirname(file));
  const roots = virtualServers.flatMap(({ documentRoot, rules }) => [
    documentRoot,
    ...rules.flatMap(({ handler }) =>
      'documentRoot' in handler && handler.documentRoot !== undefined ? [handler.documentRoot] : [],
    ),
  ]);
  return roots.find((root) => {
    const folder = realPath(Buffer.from(root, 'latin1').toString('utf8'));
    return real === folder || real.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
  });
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** Of a path, in lower case and without dot; empty without one. */
export function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  return dot === -1 ? '' : name.slice(dot + 1).toLowerCase();
}
