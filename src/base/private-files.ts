/**
 * The one place that makes, changes, moves and removes files. We may be root among other users, and anyone who can replace
 * a name between a check and an action chooses what the action is done to. So what we make lies in directories that nobody else
 * can change, and where others can, it is done by descriptor: never through a link, never to what a path says by then.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { platform } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_WRONLY } = constants;
/** Linux: a descriptor of any file, for `fstat` and as a way to it; Node has no name for it. */
const O_PATH = 0o10000000;
const isLinux = platform() === 'linux';

/** Who else may use something that we make. */
export interface Sharing {
  /** Permission bits, whatever the umask. */
  readonly mode: number;
  /** Given away to these; only root may. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

/** A folder's path without links; what is not there yet is left as it is. */
export function resolveDirectory(path: string): string {
  const whole = resolve(path);
  try {
    return realpathSync(whole);
  } catch {
    const parent = dirname(whole);
    return parent === whole ? whole : join(resolveDirectory(parent), basename(whole));
  }
}

/** Makes a folder, with all above it, that others may pass through; what is there already is left as it is. */
export function ensureDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o711 });
}

/** What we call a folder of ours in one that is shared: nobody knows it before it is there. */
export function choosePrivateName(): string {
  return `fastway-${randomBytes(6).toString('hex')}`;
}

/** Makes a folder that is ours, for others to pass through, not to list. @throws NodeJS.ErrnoException as `makeDirectory` */
export function makePrivateDirectory(path: string): void {
  makeDirectory(path, { mode: 0o711 });
}

/** Makes a folder in one that is ours. @throws NodeJS.ErrnoException EEXIST: nothing there is taken over */
export function makeDirectory(path: string, sharing: Sharing): void {
  mkdirSync(path, { mode: 0o700 });
  share(path, sharing);
}

/** Gives a folder of ours to another user, as the last thing that is done there with our rights. */
export function giveDirectory(path: string, to: { readonly uid: number; readonly gid: number }): void {
  share(path, { mode: lstatSync(path).mode & 0o7777, ...to });
}

/** Gives away a file that we have just made; what somebody has written is whose it was. */
export function giveNewFile(descriptor: number, to: { readonly uid: number; readonly gid: number }): void {
  const status = fstatSync(descriptor);
  if (status.isFile() && status.uid === process.getuid?.() && status.size === 0)
    fchownSync(descriptor, to.uid, to.gid);
}

/** Whether a path is a folder that this module made for this user: nobody else wrote its names. */
export function isPrivateDirectory(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined || !status.isDirectory() || status.uid !== process.getuid?.()) return false;
  const rights = status.mode & 0o7777;
  return rights === 0o700 || rights === 0o711;
}

/** Writes a file in a folder of ours; one that is there is replaced in one step. */
export function writePrivateFile(path: string, text: string, sharing: Sharing): void {
  const next = `${path}.${randomBytes(6).toString('hex')}`;
  writeNewFile(next, text, sharing);
  renameSync(next, path);
}

/** Opens a file for reading and writing that has no name: ours alone, and gone with its descriptor. @param directory ours */
export function openNamelessFile(directory: string): number {
  const path = join(directory, randomBytes(16).toString('hex'));
  const descriptor = openSync(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
  unlinkSync(path);
  return descriptor;
}

/**
 * A folder held by its descriptor: on Linux its names lead into it, whatever becomes of the path meanwhile.
 * Elsewhere they are the path's.
 */
export class HeldDirectory {
  readonly #path: string | Buffer;
  readonly #descriptor: number | undefined;

  /** @param path not a link itself */
  constructor(path: string | Buffer) {
    this.#path = path;
    this.#descriptor = isLinux ? openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) : undefined;
  }

  /** Where the folder lay when it was opened. */
  get realPath(): string {
    return this.#descriptor === undefined
      ? realpathSync(this.#path)
      : readlinkSync(`/proc/self/fd/${this.#descriptor}`);
  }

  /** File system that it is on. */
  get device(): number {
    return this.#descriptor === undefined ? statSync(this.#path).dev : fstatSync(this.#descriptor).dev;
  }

  get names(): string[] {
    // Byte strings, so that each name leads back to its file.
    return readdirSync(this.#where, { encoding: 'latin1' });
  }

  /** @param name one component, a byte string */
  at(name: string): Buffer {
    return Buffer.concat([Buffer.from(this.#where), Buffer.from(`/${name}`, 'latin1')]);
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
  }

  get #where(): string | Buffer {
    return this.#descriptor === undefined ? this.#path : `/proc/self/fd/${this.#descriptor}`;
  }
}

/**
 * Puts a file into somebody else's folder for a moment: under a name that nobody can guess, readable by all.
 * @param use gets the file's path
 */
export async function withFileForAll<T>(
  folder: string,
  ending: string,
  text: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const name = `.fastway-${randomBytes(12).toString('hex')}${ending}`;
  const held = new HeldDirectory(realpathSync(folder));
  try {
    writeNewFile(held.at(name), text, { mode: 0o644 });
    try {
      return await use(join(folder, name));
    } finally {
      removeFile(held.at(name));
    }
  } finally {
    held.close();
  }
}

/**
 * Opens a file for appending. As root only where that is the file which was named: a link counts if it belongs to root,
 * since anyone who may change a folder may put one there to any file; and a file with a second name is refused.
 * @param mode of a new file, less the umask
 */
export function openForAppending(path: string, flags: number, mode: number): number {
  const all = flags | O_WRONLY | O_APPEND | O_CREAT;
  if (!isLinux || process.getuid?.() !== 0) return openSync(path, all, mode);
  const real = followOwnLinks(path);
  // A descriptor, as /dev/stdout is one: the kernel's link, which no one else can make.
  if (real.startsWith('/proc/')) return openSync(real, all, mode);
  const folder = new HeldDirectory(dirname(real));
  try {
    if (folder.realPath !== dirname(real)) throw refusal(path, 'its folder was exchanged');
    const name = Buffer.from(basename(real)).toString('latin1');
    const descriptor = openSync(folder.at(name), all | O_NOFOLLOW, mode);
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.nlink === 1) return descriptor;
    closeSync(descriptor);
    throw refusal(path, 'it has a second name (a hard link)');
  } finally {
    folder.close();
  }
}

/** @returns where a path leads by links of root alone; the last component may be missing */
function followOwnLinks(path: string): string {
  const linksMax = 40;
  const left = resolve(path).split('/').filter(Boolean);
  let at = '/';
  for (let links = 0; left.length > 0; ) {
    const name = left.shift()!;
    const next = resolve(at, name);
    const status = lstatSync(next, { throwIfNoEntry: false });
    if (status?.isSymbolicLink() !== true) {
      at = next;
      continue;
    }
    if (status.uid !== 0) throw refusal(path, `${next} is a link of user ${status.uid}`);
    const target = readlinkSync(next);
    // What a descriptor leads to need not have a path.
    if (/^\/proc\/\d+\/fd\/\d+$/.test(next)) return next;
    if (++links > linksMax) throw refusal(path, 'it leads through too many links');
    if (isAbsolute(target)) at = '/';
    left.unshift(...target.split('/').filter(Boolean));
  }
  return at;
}

function refusal(path: string, reason: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${path} is not opened by root: ${reason}`), { code: 'ELOOP', path });
}

/**
 * Makes a listening socket file with the given rights from its first moment, by the umask while `listen` runs; that has to
 * bind at once, as `net.Server.listen` does at a path.
 */
export function listenWithRights(mode: number, listen: () => void): void {
  // A worker thread has no umask of its own and may not change its program's; see `setSocketRights`.
  const before = isMainThread ? process.umask(~mode & 0o777) : undefined;
  try {
    listen();
  } finally {
    if (before !== undefined) process.umask(before);
  }
}

/** Gives a socket file that we made the rights that it lacks: in a worker thread, or when a cluster's primary made it. */
export function setSocketRights(path: string, mode: number): void {
  if (platform() === 'win32') return;
  if (!isLinux) {
    if ((lstatSync(path).mode & 0o777) !== mode) chmodSync(path, mode);
    return;
  }
  const descriptor = openSync(path, O_PATH | O_NOFOLLOW);
  try {
    const status = fstatSync(descriptor);
    if (!status.isSocket() || status.uid !== process.getuid?.() || (status.mode & 0o777) === mode) return;
    chmodSync(`/proc/self/fd/${descriptor}`, mode);
  } finally {
    closeSync(descriptor);
  }
}

/** Renames a file, in one step, replacing what has that name. */
export function moveFile(from: string, to: string): void {
  renameSync(from, to);
}

/** Makes a link, or lets one lead elsewhere, in one step. */
export function replaceLink(path: string, target: string): void {
  const next = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.next`);
  symlinkSync(target, next);
  try {
    renameSync(next, path);
  } catch (error) {
    removeFile(next);
    throw error;
  }
}

/** Removes a name that is not a folder, if it is there; what a link leads to stays. */
export function removeFile(path: string | Buffer): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Bounds of what others may have put into a folder of ours: entries that are removed at once, folders in each other. */
const removalsMax = 20_000;
const depthMax = 64;

/**
 * Removes a folder of ours with all in it, also what another user put there and may exchange meanwhile: each name is
 * removed from the folder that is held, no link is followed, and no other file system entered.
 * @returns false: something is left, and the caller says so; never throws
 */
export function removeTree(path: string): boolean {
  try {
    if (isLinux) {
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return true;
      emptyDirectory(path, { left: removalsMax }, 0);
      rmdirSync(path);
    } else rmSync(path, { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}

function emptyDirectory(
  path: string | Buffer,
  budget: { left: number },
  depth: number,
  device?: number,
): void {
  const folder = new HeldDirectory(path);
  try {
    if (device !== undefined && folder.device !== device) throw new Error('another file system');
    for (const name of folder.names) {
      if (budget.left-- <= 0 || depth >= depthMax) throw new Error('too much');
      const entry = folder.at(name);
      try {
        unlinkSync(entry);
      } catch (error) {
        // POSIX says EPERM for a folder, Linux EISDIR.
        if (!['EISDIR', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
        emptyDirectory(entry, budget, depth + 1, folder.device);
        rmdirSync(entry);
      }
    }
  } finally {
    folder.close();
  }
}

function writeNewFile(path: string | Buffer, text: string, sharing: Sharing): void {
  const descriptor = openSync(path, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), 0o600);
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
    shareDescriptor(descriptor, sharing);
  } finally {
    closeSync(descriptor);
  }
}

/** @param path a folder that we made, in one that is ours or where only its owner may exchange it */
function share(path: string, sharing: Sharing): void {
  // Windows opens no folders, and knows no such rights.
  if (platform() === 'win32') return;
  const descriptor = openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    if (fstatSync(descriptor).uid !== process.getuid?.()) throw new Error(`${path} was exchanged`);
    shareDescriptor(descriptor, sharing);
  } finally {
    closeSync(descriptor);
  }
}

function shareDescriptor(descriptor: number, { mode, uid, gid }: Sharing): void {
  if (uid !== undefined || gid !== undefined) {
    fchownSync(descriptor, uid ?? process.getuid!(), gid ?? process.getgid!());
  }
  fchmodSync(descriptor, mode);
}
