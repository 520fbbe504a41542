/** A folder without a configuration, as the configuration that it stands for. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { recogniseSite } from './framework.ts';
import type { ConfigInput, PresetName } from './schema.ts';

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

/** One virtual server for everybody. */
export function configureFolder({ documentRoot, preset }: SiteFolder): ConfigInput {
  return { virtualServers: [{ documentRoot, preset }] };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
