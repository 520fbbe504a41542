/** The socket file that a crash leaves behind, where the next process wants to listen. */
import { lstatSync } from 'node:fs';
import { connect } from 'node:net';
import { removeFile } from './private-files.ts';

/** Removes the file only when it is a socket that refuses connections (T101); anything else at the path stays. */
export async function removeDeadSocket(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  const isRefused = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
  if (isRefused) removeFile(path);
}
