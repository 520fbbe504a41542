/** The file descriptors of this process: how many are open, and how many may be. Linux tells; undefined elsewhere. */
import { readdirSync, readFileSync } from 'node:fs';

export function readDescriptorLimit(): number | undefined {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return line === null ? undefined : Number(line[1]);
  } catch {
    return undefined;
  }
}

export function countDescriptors(): number | undefined {
  try {
    // Without the one that reads the directory.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return undefined;
  }
}
