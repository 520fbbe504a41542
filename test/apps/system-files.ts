/** Files of an installed package that a trial changes, and puts back at its end. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Place } from './application.ts';

/** A new file has the mode 0644 and belongs to root; one that is there keeps both. */
export function replaceFile(place: Place, path: string, content: string): void {
  const before = existsSync(path) ? readFileSync(path) : undefined;
  place.atEnd(() => (before === undefined ? rmSync(path, { force: true }) : writeFileSync(path, before)));
  writeFileSync(path, content);
}

/** Puts a folder back as it was, owners and times included. */
export function keepFolder(place: Place, path: string): void {
  const copy = `${place.folder}/kept-${path.replaceAll('/', '-')}`;
  command(['cp', '-a', path, copy]);
  place.atEnd(() => {
    for (const line of [
      ['rm', '-rf', path],
      ['cp', '-a', copy, path],
    ])
      command(line);
  });
}

/** Lets PHP, which runs as www-data where root starts it, write here. */
export function giveToWeb(path: string): void {
  if (process.getuid!() === 0) command(['chown', '-R', 'www-data:www-data', path]);
}

/** What a command begins with that runs as the web servers' user. For root. */
export const asWeb: readonly string[] = ['setpriv', '--reuid=www-data', '--regid=www-data', '--clear-groups'];

/** Runs a program to its end. @returns its output @throws {Error} when it fails, with what it said */
export function command(
  [program, ...args]: readonly string[],
  options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): string {
  const run = spawnSync(program!, args, {
    encoding: 'utf8',
    ...options,
    env: { ...process.env, ...options.env },
  });
  if (run.status !== 0)
    throw new Error(
      `${program} ${args.join(' ')} ended with ${run.error?.message ?? run.status}: ${run.stderr}${run.stdout}`,
    );
  return run.stdout;
}

/** The same, word by word. */
export function commandOf(...line: string[]): string {
  return command(line);
}
