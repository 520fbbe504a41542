/** What every server of a run is given: a folder, a document root with the asked files, and the null application. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startResponder } from './responder.ts';
import type { SharedPlace } from './servers.ts';

/** Makes it for `run`, and leaves nothing behind. */
export async function withSharedPlace<Result>(run: (place: SharedPlace) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'fastway-bench-'));
  try {
    // Some servers give up root, and must still reach their folders and the application's socket.
    chmodSync(folder, 0o755);
    const documentRoot = join(folder, 'root');
    mkdirSync(documentRoot);
    for (const name of ['index.php', 'stream.php']) writeFileSync(join(documentRoot, name), '');
    const responder = await startResponder(join(folder, 'application'));
    try {
      return await run({ folder, documentRoot, socket: responder.socket });
    } finally {
      await responder.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
