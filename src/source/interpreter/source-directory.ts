/**
 * The private directory of a local source. It is ours, and nobody else can change what lies in it: the list of processes,
 * the sockets that we make, the settings that an interpreter reads. What its user may write is a folder inside.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import {
  choosePrivateName,
  ensureDirectory,
  makeDirectory,
  makePrivateDirectory,
  removeTree,
  resolveDirectory,
  writePrivateFile,
} from '../../base/private-files.ts';
import { findStranger } from '../../base/stranger.ts';
import { ProcessList } from '../../process/leftovers.ts';
import { canEnter, type RunAs } from '../../process/run-as.ts';

export class SourceDirectory {
  /** Where we make sockets. */
  readonly path: string;
  /** `{runtimeDir}`: the interpreter's user may write there. */
  readonly ownPath: string;
  /** Its user may read there. */
  readonly settingsPath: string;
  readonly list: ProcessList;
  readonly #parent: string;
  readonly #runAs: RunAs | undefined;
  #isMade = false;

  /**
   * Makes nothing yet.
   * @param runtimeDir where it will lie; the system's temporary folder in its place where the user may not pass through
   */
  constructor(source: string, runtimeDir: string | undefined, runAs: RunAs | undefined) {
    const parent = runtimeDir ?? tmpdir();
    const isOpen = runAs === undefined || canEnter(existingPart(parent), runAs);
    this.#parent = resolveDirectory(isOpen ? parent : tmpdir());
    this.#runAs = runAs;
    this.path = join(this.#parent, choosePrivateName());
    this.ownPath = join(this.path, 'own');
    this.settingsPath = join(this.path, 'settings');
    this.list = new ProcessList(this.path, source);
  }

  /**
   * Makes it, once.
   * @throws NodeJS.ErrnoException
   * @throws {Error} root would share its parent with others
   */
  make(): void {
    if (this.#isMade) return;
    ensureDirectory(this.#parent);
    const stranger = process.getuid?.() === 0 ? findStranger(this.#parent) : undefined;
    if (stranger !== undefined) throw new Error(stranger);
    const { uid, gid } = this.#runAs ?? {};
    // Fails when it exists, so nobody can have put it there before us.
    makePrivateDirectory(this.path);
    this.#isMade = true;
    this.list.write();
    makeDirectory(this.ownPath, { mode: 0o700, uid, gid });
    // To be read, not to be changed: what it says binds the scripts too.
    makeDirectory(this.settingsPath, this.#runAs === undefined ? { mode: 0o700 } : { mode: 0o750, gid });
  }

  /** Writes a file that the interpreter reads. */
  writeSetting(name: string, text: string): void {
    const sharing = this.#runAs === undefined ? { mode: 0o600 } : { mode: 0o640, gid: this.#runAs.gid };
    writePrivateFile(join(this.settingsPath, name), text, sharing);
  }

  /** @returns false: something of it is left */
  remove(): boolean {
    if (!this.#isMade) return true;
    this.#isMade = false;
    return removeTree(this.path);
  }
}

/** What is not there yet will be made so that others may pass through it. */
function existingPart(path: string): string {
  const whole = resolve(path);
  return existsSync(whole) || dirname(whole) === whole ? whole : existingPart(dirname(whole));
}
