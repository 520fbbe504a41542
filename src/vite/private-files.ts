/**
 * Files of a project that no server of Vite may send: the sources of scripts, and what is nobody's business. Vite knows modules
 * and would make one of whatever a URL names.
 */

import { findScriptExtensions } from '../config/facts.ts';
import type { Config } from '../config/types.ts';
import { isLeftover } from '../http/hidden-names.ts';

/** @param path of a URL, as it came: in any encoding, with or without the base */
export type PrivateTest = (path: string) => boolean;

/** Nobody decodes a path more often. */
const decodingsMax = 4;

/** Sources that no rule runs, and what only its owner should see; in lower case. The rest of `isLeftover` as far as globs can say it. */
const hiddenNames: readonly string[] = [
  // Not the folders: bundlers keep modules in such, as `node_modules/.vite` and `.nuxt`.
  '.*',
  '**/.{git,svn,hg}/**',
  // What Vite itself denies by default.
  '*.{crt,pem,key,p12,pfx,cer,der}',
  '*{~,#}',
  '*.{bak,old,orig,save,sav,swp,swo,tmp,dist}',
  '*.{sql,db,sqlite,sqlite3,mdb}',
  '*.{sqlite,sqlite3,db}-*',
  '*.sql.*',
  '*.log',
  '*.ini',
  'composer.{json,lock,phar}',
  'auth.json',
  'fastway.config.*',
  // PHP that is loaded, shown in colors, or run from a terminal.
  '*.{inc,phps,pht,module,install,theme,engine,profile}',
  'artisan',
  '**/bin/console',
  // Of its packages the modules and styles are anybody's.
  '**/vendor/{bin,composer}/**',
];

/**
 * Patterns for Vite's `server.fs.deny`. They apply where a module is loaded, however it was requested: another module, Vite's
 * socket, a plugin.
 */
export function privatePatterns({ virtualServers }: Config): readonly string[] {
  return [...scriptPatterns(virtualServers), ...hiddenNames];
}

/**
 * Tests a request before Vite sees it. It holds for Vite's `publicDir`, where `server.fs.strict` is off, and for plugins that
 * read files themselves.
 */
export async function createPrivateTest({ virtualServers }: Config): Promise<PrivateTest> {
  // Loaded already, by the program that loaded us.
  const { createFilter } = await import('vite');
  // As Vite reads `server.fs.deny`: a pattern without a slash is that of a name in any folder.
  const createMatch = (patterns: readonly string[]): ((path: string) => boolean) =>
    createFilter(
      patterns.map((pattern) => (pattern.includes('/') ? pattern : `**/${pattern}`)),
      [],
      { resolve: false },
    );
  const isScript = createMatch(scriptPatterns(virtualServers));
  const isHidden = createMatch(hiddenNames);
  // What follows the name of a script is its path info.
  const isPrivate = (path: string) => isHidden(path) || isLeftover(path) || path.split('/').some(isScript);
  return (path) => spellings(path).some(isPrivate);
}

/** `a.php`, and what is named after it: `a.php.save`, `a.php.map`. */
function scriptPatterns(virtualServers: Config['virtualServers']): string[] {
  const extensions = virtualServers.flatMap((server) => [...findScriptExtensions(server)]);
  return [...new Set(extensions)].flatMap((extension) => [`*.${extension}`, `*.${extension}[^a-z0-9]*`]);
}

/**
 * All that a path may come to mean: Vite, its plugins and file systems decode once, twice or not at all, and some ignore
 * case, or what is at the end of a name.
 */
function spellings(path: string): string[] {
  const found = [path];
  while (found.length <= decodingsMax && found.at(-1) !== decode(found.at(-1)!))
    found.push(decode(found.at(-1)!));
  return found.map(simplify);
}

/** Byte by byte, since text that is not UTF-8 has to be checked too. */
function decode(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function simplify(path: string): string {
  return path
    .toLowerCase()
    .replaceAll('\\', '/')
    .replaceAll('\0', '')
    .replace(/[. ]+(?=\/|$)/g, '')
    .replace(/\/+/g, '/')
    .replace(/(?<=.)\/$/, '');
}
