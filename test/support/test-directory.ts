/** Directories that tests write into: short paths (unix sockets have 103 bytes), gone when the test process ends. */
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const created = new Set<string>();

/** A new directory that every user may read: interpreters that root starts run as somebody else. */
export function createTestDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'fastway-test-'));
  chmodSync(directory, 0o755);
  if (created.size === 0) process.once('exit', removeAll);
  created.add(directory);
  return directory;
}

/** Lets every user write into a directory, as into /tmp: PHP may run as another one. */
export function openToAll(directory: string): void {
  chmodSync(directory, 0o1777);
}

/** Gives a directory and all below it to another user; `chown -R`. */
export function giveAway(directory: string, uid: number, gid: number): void {
  chownSync(directory, uid, gid);
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    chownSync(join(directory, name), uid, gid);
  }
}

function removeAll(): void {
  for (const directory of created) rmSync(directory, { recursive: true, force: true });
}
