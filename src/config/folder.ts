/** A folder without a configuration: what of it is served, and how. */
import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { recogniseSite } from './framework.ts';
import type { PresetName } from './types.ts';

export interface SiteFolder {
  /** Absolute. */
  readonly documentRoot: string;
  readonly preset: PresetName;
  /** What was recognised, and by what; undefined: nothing in particular. */
  readonly reason: string | undefined;
}

/** @param directory absolute */
export function recogniseFolder(directory: string): SiteFolder {
  const { documentRoot, preset, reason } = recogniseSite((path) => isFile(join(directory, path)));
  return { documentRoot: join(directory, documentRoot), preset, reason };
}

/** The most entries that are looked at, in folders down to a depth: a large site is taken for one of PHP. */
const entriesMax = 5_000;
const depthMax = 4;

/** Whether a folder, or one in it, has a script of PHP; what cannot be read has none. */
export function hasScripts(folder: string): boolean {
  let entries = 0;
  const look = (path: string, depth: number): boolean => {
    let found: Dirent[];
    try {
      found = readdirSync(path, { withFileTypes: true });
    } catch {
      return false;
    }
    entries += found.length;
    if (entries > entriesMax || found.some(({ name }) => /\.php$/i.test(name))) return true;
    return found.some(
      (entry) => entry.isDirectory() && (depth === depthMax || look(join(path, entry.name), depth + 1)),
    );
  };
  return look(folder, 0);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // Not there, below a file, or not ours to read.
    return false;
  }
}
