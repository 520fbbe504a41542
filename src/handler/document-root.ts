/**
 * A document root on disk, as handlers and rules see it: which regular files and directories exist below it,
 * under its symlink policy, through a cache of one second.
 * Look-ups are synchronous: a cached answer costs nothing, and a miss costs one stat, as in every classic web server.
 * A root may be a link to a release (`current` -> `releases/5`). It is resolved once for each request and pinned for it:
 * rules, files and applications see the same release by its real path, so that a switched link never mixes two.
 */
import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs';

/** What a path names. */
export interface FileEntry {
  readonly kind: 'file' | 'directory';
  /** Absolute path as pinned root + path: what applications are told. A byte string. */
  readonly path: string;
  /** With every symbolic link resolved: what is opened. A byte string. */
  readonly realPath: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number;
}

/** What a link may lead to: `deny` nothing outside the root, `owner` also what belongs to the link's owner, `allow` anything. */
export type SymlinkPolicy = 'deny' | 'owner' | 'allow';

export interface DocumentRoot {
  /** As configured: absolute, no trailing slash; a byte string. Empty: the whole file system. */
  readonly path: string;
  /** What it leads to now; what is found there is at most a second old. */
  pin(): PinnedRoot;
  /** Real paths with requests under way that are not what the root leads to now. */
  outdated(): readonly string[];
}

/** A document root at one moment, for as long as a request lasts. */
export interface PinnedRoot {
  /** Its real path, no trailing slash; a byte string. As configured when nothing is there. */
  readonly path: string;
  /** Its path as configured. */
  readonly configuredPath: string;
  /** Counts the requests that are under way there; whoever pins for a request counts it in and out. */
  readonly use: { requests: number };
  /**
   * Finds the file or directory at a canonical path (`/a/b.php`, decoded, absolute; `/` for the root).
   * A trailing slash asks for a directory.
   * @returns `undefined` when nothing is there, or something that is neither file nor directory;
   * `forbidden` when the symlink policy or the system's permissions forbid it.
   */
  find(path: string): FileEntry | 'forbidden' | undefined;
}

export interface DocumentRootOptions {
  /** Absolute, no trailing slash; a byte string. */
  readonly path: string;
  readonly symlinks: SymlinkPolicy;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** How old an answer may be, in milliseconds. */
  readonly cacheMs?: number;
  /** So many answers are kept. */
  readonly entriesMax?: number;
  /**
   * For file systems that know a file by several spellings (Windows, macOS): only the one on disk counts, so that
   * `/E.PHP`, `/e.php.` or `/CON` are not there (T22, T23).
   */
  readonly exactNames?: boolean;
}

type Found = FileEntry | 'forbidden' | undefined;

export function createDocumentRoot(options: DocumentRootOptions): DocumentRoot {
  return new CachedDocumentRoot(options);
}

class CachedDocumentRoot implements DocumentRoot {
  readonly path: string;
  readonly #options: DocumentRootOptions;
  readonly #cacheMs: number;
  /** By real path: requests under way. One entry, but for the time after a switch. */
  readonly #uses = new Map<string, { requests: number }>();
  #pinned: Snapshot | undefined;
  #expires = Number.NEGATIVE_INFINITY;

  constructor(options: DocumentRootOptions) {
    this.path = options.path;
    this.#options = options;
    this.#cacheMs = options.cacheMs ?? 1000;
  }

  pin(): PinnedRoot {
    const now = this.#options.now();
    if (this.#pinned === undefined || now >= this.#expires) {
      this.#pinned = this.#read();
      this.#expires = now + this.#cacheMs;
    }
    return this.#pinned;
  }

  outdated(): readonly string[] {
    this.#expires = Number.NEGATIVE_INFINITY;
    const { use } = this.pin();
    return [...this.#uses].flatMap(([path, other]) => (other !== use && other.requests > 0 ? [path] : []));
  }

  #read(): Snapshot {
    const { path } = this.#options;
    const entry = attempt(() => {
      const realPath = withoutSlash(realPathOf(path || '/'));
      return toEntry(realPath, realPath, statSync(toPath(realPath || '/')));
    });
    const realPath = typeof entry === 'object' ? entry.path : path;
    for (const [other, { requests }] of this.#uses) if (requests === 0) this.#uses.delete(other);
    const use = this.#uses.get(realPath) ?? { requests: 0 };
    this.#uses.set(realPath, use);
    return new Snapshot(realPath, entry, use, this.#options);
  }
}

class Snapshot implements PinnedRoot {
  readonly path: string;
  readonly configuredPath: string;
  readonly use: { requests: number };
  readonly #root: Found;
  readonly #symlinks: SymlinkPolicy;
  readonly #entriesMax: number;
  readonly #exactNames: boolean;
  readonly #entries = new Map<string, Found>();

  constructor(path: string, root: Found, use: { requests: number }, options: DocumentRootOptions) {
    this.path = path;
    this.configuredPath = options.path;
    this.use = use;
    this.#root = root;
    this.#symlinks = options.symlinks;
    this.#entriesMax = options.entriesMax ?? 10_000;
    this.#exactNames = options.exactNames ?? false;
  }

  find(path: string): Found {
    if (path.length <= 1) return path === '/' ? this.#root : undefined;
    if (path.length > pathBytesMax || path.charCodeAt(0) !== Slash) return undefined;
    if (path.charCodeAt(path.length - 1) !== Slash) return this.#findBelow(path);
    const found = this.#findBelow(path.slice(0, -1));
    return typeof found === 'object' && found.kind === 'file' ? undefined : found;
  }

  /** Parents first, so that a link is seen whatever lies behind it, and a missing folder is asked for once. */
  #findBelow(path: string): Found {
    if (this.#entries.has(path)) return this.#entries.get(path);
    const slash = path.lastIndexOf('/');
    const parent = slash === 0 ? this.#root : this.#findBelow(path.slice(0, slash));
    if (parent === undefined || parent === 'forbidden') return parent;
    if (parent.kind !== 'directory') return undefined;
    const found = this.#read(parent, path.slice(slash + 1));
    if (this.#entries.size >= this.#entriesMax) this.#entries.clear();
    this.#entries.set(path, found);
    return found;
  }

  #read(parent: FileEntry, name: string): Found {
    // Canonical paths have no such names; should one come another way, it must not lead out of the root.
    if (name === '' || name === '.' || name === '..' || name.includes('\0')) return undefined;
    const path = `${parent.path}/${name}`;
    const realPath = `${parent.realPath}/${name}`;
    return attempt(() => {
      const stats = lstatSync(toPath(realPath), { throwIfNoEntry: false });
      if (stats === undefined) return undefined;
      if (stats.isSymbolicLink()) return this.#follow(path, realPath, stats);
      if (this.#exactNames && lastName(realPathOf(realPath)) !== name) return undefined;
      return toEntry(path, realPath, stats);
    });
  }

  #follow(path: string, link: string, linkStats: Stats): Found {
    const realPath = realPathOf(link);
    const stats = statSync(toPath(realPath));
    const root = this.#root;
    const inside = typeof root === 'object' && isBelow(realPath, root.realPath);
    const allowed =
      inside || this.#symlinks === 'allow' || (this.#symlinks === 'owner' && linkStats.uid === stats.uid);
    return allowed ? toEntry(path, realPath, stats) : 'forbidden';
  }
}

/** A configured path below a root belongs to the release that the root was pinned to; others stay. */
export function pinPath(path: string, root: PinnedRoot): string {
  return isBelow(path, root.configuredPath) ? root.path + path.slice(root.configuredPath.length) : path;
}

/**
 * A file that an application asked to be sent (X-Sendfile): an absolute path, links and dot segments resolved, must end
 * below one of `roots`, themselves resolved (T71). Not cached: what is allowed is decided by the disk at this moment.
 * @param path a byte string as the application wrote it
 * @param roots absolute, no trailing slash; byte strings
 * @returns `forbidden` when it lies elsewhere or may not be read; undefined when it is no regular file
 */
export function resolveSendfile(path: string, roots: readonly string[]): FileEntry | 'forbidden' | undefined {
  if (!path.startsWith('/') || path.includes('\0')) return 'forbidden';
  return attempt(() => {
    const realPath = realPathOf(path);
    if (!roots.some((root) => isBelow(realPath, rootPathOf(root)))) return 'forbidden';
    const entry = toEntry(path, realPath, statSync(toPath(realPath)));
    return entry?.kind === 'file' ? entry : undefined;
  });
}

const Slash = 0x2f;

/** Linux's PATH_MAX; a longer name exists nowhere, and needs no thousand look-ups to find that out. */
const pathBytesMax = 4096;

/** What the system says, as a value: not there, or not for us (EACCES; EIO and the like must not pass for a 404). */
function attempt(look: () => Found): Found {
  try {
    return look();
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    switch (code) {
      case 'ENOENT':
      case 'ENOTDIR':
      case 'ELOOP':
      case 'ENAMETOOLONG':
      case 'EINVAL':
        return undefined;
      default:
        return 'forbidden';
    }
  }
}

function toEntry(path: string, realPath: string, stats: Stats): FileEntry | undefined {
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : undefined;
  if (kind === undefined) return undefined;
  return { kind, path, realPath, size: stats.size, modifiedMs: stats.mtimeMs };
}

/** A byte string for the file system: as it is when it is ASCII, else its bytes. */
function toPath(path: string): string | Buffer {
  for (let i = 0; i < path.length; i++) {
    if (path.charCodeAt(i) > 0x7f) return Buffer.from(path, 'latin1');
  }
  return path;
}

function realPathOf(path: string): string {
  return realpathSync.native(toPath(path), 'latin1');
}

function rootPathOf(root: string): string {
  try {
    return withoutSlash(realPathOf(root));
  } catch {
    // A root that is not there holds nothing; the name stands for itself.
    return root;
  }
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

function lastName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
