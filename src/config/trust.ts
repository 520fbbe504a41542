/**
 * Whose word a configuration is when root reads it. It names programs, users and files, so who may change it, or put
 * another one in its place, is root. Every file that it is made of is looked at (`findStranger`).
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, isAbsolute, join, resolve } from 'node:path';

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
