/**
 * A document root on disk, as handlers and rules see it: which regular files and directories exist below it,
 * under its symlink policy, through a cache of one second.
 * Look-ups are synchronous: a cached answer costs nothing, and a miss costs one stat, as in every classic web server.
 */

/** What a path names. */
export interface FileEntry {
  readonly kind: 'file' | 'directory';
  /** Absolute path as configured root + path: what applications are told. A byte string. */
  readonly path: string;
  /** With every symbolic link resolved: what is opened. A byte string. */
  readonly realPath: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number;
  /** Inode number, part of a validator. */
  readonly inode: number;
}

/** What a link may lead to: `deny` nothing outside the root, `owner` also what belongs to the link's owner, `allow` anything. */
export type SymlinkPolicy = 'deny' | 'owner' | 'allow';

export interface DocumentRoot {
  /** Absolute, no trailing slash; a byte string. */
  readonly path: string;
  /**
   * Finds the file or directory at a canonical path (`/a/b.php`, decoded, absolute).
   * @returns `undefined` when nothing is there, or something that is neither file nor directory;
   * `forbidden` when the symlink policy or the system's permissions forbid it.
   */
  find(path: string): FileEntry | 'forbidden' | undefined;
}
