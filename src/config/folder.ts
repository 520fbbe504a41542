/** A folder without a configuration: what of it is served, and how. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { recogniseSite } from './framework.ts';
import type { PresetName } from './schema.ts';

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

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
