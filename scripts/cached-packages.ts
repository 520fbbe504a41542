/** Packages that are no dependency of ours, kept in `node_modules/.cache/fastway`, for tests with other versions of something. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * Installs the newest of a line of versions, if it is not there yet, by the registry that npm is set up for.
 * @returns the absolute folder of the package
 * @throws {Error} npm failed, and has said why on stderr
 */
export function installPackage(name: string, line: string): string {
  const folder = resolve('node_modules/.cache/fastway', `${name}-${line}`);
  const installed = join(folder, 'node_modules', name);
  if (existsSync(join(installed, 'package.json'))) return installed;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const npm = spawnSync(
    'npm',
    // The package `node` brings its binary by a script of its own.
    ['install', '--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts=false', `${name}@${line}`],
    { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (npm.status !== 0) throw new Error(`npm could not install ${name}@${line} into ${folder}`);
  return installed;
}

/** @returns path of a Node.js of this line, as `24`: the one that runs this, or one that npm brings */
export function nodeOfLine(line: string): string {
  if (process.versions.node.startsWith(`${line}.`)) return process.execPath;
  return join(installPackage('node', line), 'bin/node');
}

export function versionOf(folder: string): string {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;
}
