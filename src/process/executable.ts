/** Whether a program can be run. Where we may not look, there is none for us: a PATH may name folders of other users. */
import { accessSync, constants, statSync } from 'node:fs';

/** A regular file, through links. False for whatever keeps us from seeing it (EACCES, ELOOP ...). */
export function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** A regular file that this process may execute. */
export function isExecutable(path: string): boolean {
  if (!isFile(path)) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
