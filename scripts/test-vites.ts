/** Runs the attacks on the Vite plugin with each version of Vite that it supports besides the one that is installed. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { installPackage, versionOf } from './cached-packages.ts';

const lines = ['6', '7'];

let failures = 0;
for (const line of lines) {
  const folder = installPackage('vite', line);
  console.log(`\nVite ${versionOf(folder)}`);
  const VITE_MODULE = pathToFileURL(join(folder, 'dist/node/index.js')).href;
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/test.ts', 'attacks', 'vite'], {
    stdio: 'inherit',
    env: { ...process.env, VITE_MODULE },
  });
  if (status !== 0) failures++;
}
process.exit(failures === 0 ? 0 : 1);
