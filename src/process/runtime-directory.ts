/** Where a gateway keeps what is for its lifetime only: a private directory, in the configured folder or the system's temporary one. */
import { tmpdir } from 'node:os';
import { ConfigError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { ensureDirectory, makePrivateDirectory, resolveDirectory } from '../base/private-files.ts';
import { findStranger } from '../base/stranger.ts';
import { ProcessList } from './leftovers.ts';

/**
 * Makes a new private directory; the folder around it is left as it is.
 * Root works nowhere where another user could exchange its files; other users are warned.
 * @param configured `runtimeDir`; made when it is not there
 * @throws {ConfigError} GW_ERR_CONFIG
 */
export function openRuntimeDirectory(configured: string | undefined, log: Log): string {
  const folder = configured ?? tmpdir();
  let directory: string;
  try {
    ensureDirectory(folder);
    checkStrangers(resolveDirectory(folder), configured, log);
    directory = makePrivateDirectory(folder);
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    const message = `No private directory can be made in ${folder}: ${(cause as Error).message}; name a folder that may be written`;
    throw new ConfigError([{ path: 'runtimeDir', message }], { cause });
  }
  // Without a list nobody would clear it away after us.
  new ProcessList(directory, '').write();
  return directory;
}

function checkStrangers(folder: string, configured: string | undefined, log: Log): void {
  const stranger = findStranger(folder);
  if (stranger === undefined) return;
  const advice = `make it yours alone, or sticky as /tmp is (chmod +t), or ${
    configured === undefined ? 'set "runtimeDir" to another folder' : 'name another folder in "runtimeDir"'
  }`;
  const message = `Somebody else could exchange sockets and files in ${folder}, because ${stranger}; ${advice}`;
  if (process.getuid?.() === 0) throw new ConfigError([{ path: 'runtimeDir', message }]);
  log.warn(message);
}
