/**
 * Whose word a configuration is when root reads it. It names programs, users and files, so whoever may change it, or put
 * another one in its place, is root. The rule is that of sudo and sshd: the file and every folder above it belong to root,
 * and nobody else may write them; in a folder with the sticky bit (/tmp) nobody but the owner may replace a file.
 */
import { existsSync, lstatSync, readFileSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, isAbsolute, join, resolve, sep } from 'node:path';

/** More links than this on the way are a loop, as for the kernel (path_resolution(7)). */
const linksMax = 40;
const writableByOthers = 0o002;
const writableByGroup = 0o020;
const sticky = 0o1000;

/**
 * What on the way to a file somebody besides root could change; undefined: nothing, or the file is not there.
 * Links are followed one by one, since whoever owns one says where it leads.
 * @param file absolute
 * @param rootUid who is trusted; 0, unless a test says otherwise
 */
export function findDistrust(file: string, rootUid = 0): string | undefined {
  let links = 0;
  let path: string = sep;
  let rest = file.split(sep).filter(Boolean);
  for (;;) {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return undefined;
    const fault = faultOf(status, rootUid);
    if (fault !== undefined) return `${path} ${fault}`;
    if (status.isSymbolicLink() && ++links <= linksMax) {
      const target = readlinkSync(path);
      path = isAbsolute(target) ? sep : dirname(path);
      rest = [...target.split(sep).filter(Boolean), ...rest];
      continue;
    }
    const [name, ...after] = rest;
    if (name === undefined) return undefined;
    path = join(path, name);
    rest = after;
  }
}

function faultOf(status: Stats, rootUid: number): string | undefined {
  if (status.uid !== rootUid) return `belongs to user ${status.uid}`;
  // A link has no mode of its own.
  if (status.isSymbolicLink() || (status.isDirectory() && (status.mode & sticky) !== 0)) return undefined;
  if ((status.mode & writableByOthers) !== 0) return 'can be written by everybody';
  // Root's own group has nobody else in it.
  if ((status.mode & writableByGroup) !== 0 && status.gid !== 0)
    return `can be written by group ${status.gid}`;
  return undefined;
}

/** Static imports and `require`, of names that are written out. */
const importPattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(?:'([^'\n]+)'|"([^"\n]+)")/g;
const codeEndings = ['', '.ts', '.mts', '.js', '.mjs', '.cjs', '.json', '/index.ts', '/index.js'];

/**
 * The files that a configuration of code runs: itself, the files that it imports by a path, theirs, and the folders of the
 * packages that it imports by a name (what those import is theirs to answer for).
 * Names that are made up while it runs are not seen: its author is root by then.
 * @param file absolute
 */
export function findImportedFiles(file: string): readonly string[] {
  const found = new Set([file]);
  for (const importer of found) {
    if (!/^\.[cm]?[jt]s$/.test(extname(importer))) continue;
    for (const [, single, double] of readFileSync(importer, 'utf8').matchAll(importPattern)) {
      const imported = locate(single ?? double!, importer);
      if (imported !== undefined) found.add(imported);
    }
  }
  return [...found];
}

function locate(specifier: string, importer: string): string | undefined {
  if (/^(node|data|https?):/.test(specifier)) return undefined;
  const path = specifier.startsWith('file:') ? new URL(specifier).pathname : specifier;
  if (path.startsWith('.') || isAbsolute(path)) {
    const place = resolve(dirname(importer), path);
    // In TypeScript `./a.js` may be written for `./a.ts`.
    const places = [...codeEndings.map((ending) => place + ending), place.replace(/\.([cm]?)js$/, '.$1ts')];
    return places.find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile());
  }
  const name = path.split('/', path.startsWith('@') ? 2 : 1).join('/');
  const folders = createRequire(importer).resolve.paths(name) ?? [];
  return folders.map((folder) => join(folder, name)).find((folder) => existsSync(folder));
}
