/** The `.htaccess` files of folders, read when they are new or have changed. */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs';
import { type AccessFile, closedBy, readAccessFile } from './access-file.ts';
import { toPath } from './path-bytes.ts';

const name = '/.htaccess';
/** A larger one is not read, and its folder stays closed. */
const bytesMax = 128 * 1024;
const entriesMax = 10_000;

interface Known {
  /** Of what was read: another inode, size or time of change is another file. */
  readonly state: string;
  readonly file: AccessFile;
}

export class AccessFiles {
  readonly #known = new Map<string, Known>();

  /**
   * What the folder's own file says, for the price of one look at the disk; undefined: there is none. Never throws: what cannot be
   * read closes the folder.
   * @param folder a real path without trailing slash; a byte string
   */
  read(folder: string): AccessFile | undefined {
    const path = folder + name;
    let stats: Stats | undefined;
    try {
      stats = find(path);
    } catch (error) {
      return closedBy(path, `cannot be looked at (${(error as NodeJS.ErrnoException).code})`);
    }
    if (stats === undefined) return undefined;
    const state = `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
    const known = this.#known.get(path);
    if (known?.state === state) return known.file;
    const file = open(path, stats);
    if (this.#known.size >= entriesMax) this.#known.clear();
    this.#known.set(path, { state, file });
    return file;
  }
}

function find(path: string): Stats | undefined {
  const stats = lstatSync(toPath(path), { throwIfNoEntry: false });
  // A link that leads nowhere is an error: what it led to may have refused everything.
  return stats?.isSymbolicLink() === true ? statSync(toPath(path)) : stats;
}

/** Only plain files are opened: a pipe would wait, and a device may do anything. */
function open(path: string, stats: Stats): AccessFile {
  if (!stats.isFile()) return isNull(path) ? readAccessFile(path, '') : closedBy(path, 'is no plain file');
  let descriptor: number;
  try {
    descriptor = openSync(toPath(path), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    return closedBy(path, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    if (!fstatSync(descriptor).isFile()) return closedBy(path, 'is no plain file');
    const bytes = Buffer.allocUnsafe(bytesMax + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(descriptor, bytes, length, bytes.length - length, null);
    if (length > bytesMax) return closedBy(path, `has more than ${bytesMax} bytes`);
    return readAccessFile(path, bytes.toString('latin1', 0, length));
  } catch (error) {
    return closedBy(path, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  } finally {
    closeSync(descriptor);
  }
}

/** The usual way to say that there is none. */
function isNull(path: string): boolean {
  try {
    return readlinkSync(toPath(path)) === '/dev/null';
  } catch {
    return false;
  }
}
