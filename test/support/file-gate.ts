/** Holds requests inside applications until a test lets them through, by files: for programs in processes of their own. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestDirectory, openToAll } from './test-directory.ts';

export interface FileGate {
  /** Of a request that is to wait: `gate=FILE`. The program appends a line to FILE, then waits until FILE.open exists. */
  readonly query: string;
  /** What those wrote that are, or were, at the gate. */
  readonly arrived: () => readonly string[];
  /** For those that wait, and all that come. */
  readonly open: () => void;
}

export function createFileGate(): FileGate {
  const directory = createTestDirectory();
  openToAll(directory);
  const file = join(directory, 'gate');
  return {
    query: `gate=${file}`,
    arrived() {
      try {
        return readFileSync(file, 'latin1').split('\n').slice(0, -1);
      } catch {
        return [];
      }
    },
    open: () => writeFileSync(`${file}.open`, ''),
  };
}
