/** Where a gateway keeps what is for its lifetime only: a private directory, in the configured folder or the system's temporary one. */
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ConfigError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import {
  choosePrivateName,
  ensureDirectory,
  giveDirectory,
  makeDirectory,
  makePrivateDirectory,
  removeTree,
  resolveDirectory,
} from '../base/private-files.ts';
import { findStranger } from '../base/stranger.ts';
import { ProcessList, reapLeftovers } from './leftovers.ts';

export class RuntimeDirectory {
  /** Without links. */
  readonly path: string;
  /** In it: where bodies wait that do not fit in memory. */
  readonly spoolPath: string;
  readonly #configured: string | undefined;
  readonly #log: Log;
  #isOpen = false;

  /** Chooses a name, and makes nothing yet. @param configured `runtimeDir`; made when it is not there */
  constructor(configured: string | undefined, log: Log) {
    this.#configured = configured;
    this.#log = log;
    this.path = join(resolveDirectory(configured ?? tmpdir()), choosePrivateName());
    this.spoolPath = join(this.path, 'spool');
  }

  /** Ends, in the same folders, what gateways left that were killed. Never throws. */
  async clearLeftovers(): Promise<void> {
    for (const folder of new Set([dirname(this.path), tmpdir()])) await reapLeftovers(folder, this.#log);
  }

  /**
   * Makes it, once; the folder around it is left as it is.
   * Root works nowhere where another user could exchange its files; other users are warned.
   * @throws {ConfigError} GW_ERR_CONFIG
   */
  open(): void {
    if (this.#isOpen) return;
    const folder = dirname(this.path);
    try {
      ensureDirectory(folder);
      checkStrangers(folder, this.#configured, this.#log);
      makePrivateDirectory(this.path);
    } catch (cause) {
      if (cause instanceof ConfigError) throw cause;
      const message = `No private directory can be made in ${folder}: ${(cause as Error).message}; name a folder that may be written`;
      throw new ConfigError([{ path: 'runtimeDir', message }], { cause });
    }
    this.#isOpen = true;
    // Without a list nobody would clear it away after us.
    new ProcessList(this.path, '').write();
    makeDirectory(this.spoolPath, { mode: 0o700 });
  }

  /** As the last thing that is done there with our rights. */
  give(to: { readonly uid: number; readonly gid: number }): void {
    for (const path of [this.spoolPath, this.path]) giveDirectory(path, to);
  }

  /** Removes it with all in it. */
  close(): void {
    if (!this.#isOpen || removeTree(this.path)) return;
    this.#log.warn('The private directory could not be removed whole; remove what is left', {
      directory: this.path,
    });
  }
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
