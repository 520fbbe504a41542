/**
 * A document root on disk, as handlers and rules see it: which regular files and directories exist below it,
 * under its symlink policy, through a cache of one second.
 * Look-ups are synchronous: a cached answer costs nothing, and a miss costs one stat, as in every classic web server.
 * A root may be a link to a release (`current` -> `releases/5`). It is resolved once for each request and pinned for it:
 * rules, files and applications see the same release by its real path, so that a switched link never mixes two.
 */
import { lstatSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { platform } from 'node:os';
import { isDotFile } from '../http/hidden-names.ts';
import { enterFolder, type FolderAccess, findDenial } from './access-file.ts';
import { AccessFiles } from './access-files.ts';
import { toPath } from './path-bytes.ts';
import { findKeeper } from './site-layouts.ts';
import { followLink, type LinkMaker, mayReach, type SymlinkPolicy } from './symlinks.ts';

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
  /** By whose links it was reached, other than root's; undefined: by nobody's. */
  readonly makers?: readonly LinkMaker[] | undefined;
  /**
   * Why nobody is meant to get it by a URL, as `DokuWiki keeps it for itself`; undefined: everybody is. By the `.htaccess` of the
   * folders from the root on, and by what well-known applications keep; names say it to those who send files (`hidden-names.ts`).
   */
  readonly hidden: string | undefined;
}

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
  /** Counts the requests that are under way there; the code that pins it for a request counts the request in and out. */
  readonly use: { requests: number };
  /**
   * Finds the file or directory at a canonical path (`/a/b.php`, decoded, absolute; `/` for the root).
   * A trailing slash asks for a directory.
   * @returns `undefined` when nothing is there, or something that is neither file nor directory;
   * `forbidden` when the symlink policy or the system's permissions forbid it.
   */
  find(path: string): FileEntry | 'forbidden' | undefined;
  /** Why `find` says that a path is forbidden, as a sentence without its end. Looks at the disk again. */
  explainForbidden(path: string): string;
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

/** What the disk says of a file. */
type FileFacts = Omit<FileEntry, 'hidden'>;

type Found<Kind> = Kind | 'forbidden' | undefined;

export function createDocumentRoot(options: DocumentRootOptions): DocumentRoot {
  return new CachedDocumentRoot(options);
}

class CachedDocumentRoot implements DocumentRoot {
  readonly path: string;
  readonly #options: DocumentRootOptions;
  readonly #cacheMs: number;
  /** By real path: requests under way. One entry, but for the time after a switch. */
  readonly #uses = new Map<string, { requests: number }>();
  readonly #accessFiles = new AccessFiles();
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
    let owner = 0;
    const found = attempt(() => {
      const realPath = withoutSlash(realPathOf(path || '/'));
      const stats = statSync(toPath(realPath || '/'));
      owner = stats.uid;
      return toFacts(realPath, realPath, stats);
    });
    const realPath = typeof found === 'object' ? found.path : path;
    for (const [other, { requests }] of this.#uses) if (requests === 0) this.#uses.delete(other);
    const use = this.#uses.get(realPath) ?? { requests: 0 };
    this.#uses.set(realPath, use);
    return new Snapshot(realPath, found, owner, use, this.#options, this.#accessFiles);
  }
}

class Snapshot implements PinnedRoot {
  readonly path: string;
  readonly configuredPath: string;
  readonly use: { requests: number };
  readonly accessFiles: AccessFiles;
  readonly #root: Found<Entry>;
  /** Who owns it. */
  readonly #owner: number;
  readonly #symlinks: SymlinkPolicy;
  readonly #entriesMax: number;
  readonly #exactNames: boolean;
  readonly #entries = new Map<string, Found<Entry>>();

  constructor(
    path: string,
    root: Found<FileFacts>,
    owner: number,
    use: { requests: number },
    options: DocumentRootOptions,
    accessFiles: AccessFiles,
  ) {
    this.path = path;
    this.#owner = owner;
    this.configuredPath = options.path;
    this.use = use;
    this.accessFiles = accessFiles;
    this.#root = typeof root === 'object' ? new Entry(root, undefined, this) : root;
    // Where the system tells no owners, nobody is known to be trusted.
    this.#symlinks = hasOwners || options.symlinks === 'allow' ? options.symlinks : 'deny';
    this.#entriesMax = options.entriesMax ?? 10_000;
    this.#exactNames = options.exactNames ?? false;
  }

  find(path: string): Found<Entry> {
    if (path.length <= 1) return path === '/' ? this.#root : undefined;
    if (path.length > pathBytesMax || path.charCodeAt(0) !== Slash) return undefined;
    if (path.charCodeAt(path.length - 1) !== Slash) return this.#findBelow(path);
    const found = this.#findBelow(path.slice(0, -1));
    return typeof found === 'object' && found.kind === 'file' ? undefined : found;
  }

  /** Parents first, so that a link is seen whatever lies behind it, and a missing folder is asked for once. */
  #findBelow(path: string): Found<Entry> {
    if (this.#entries.has(path)) return this.#entries.get(path);
    const slash = path.lastIndexOf('/');
    const parent = slash === 0 ? this.#root : this.#findBelow(path.slice(0, slash));
    if (parent === undefined || parent === 'forbidden') return parent;
    if (parent.kind !== 'directory') return undefined;
    const facts = this.#read(parent, path.slice(slash + 1));
    const found = typeof facts === 'object' ? new Entry(facts, parent, this) : facts;
    if (this.#entries.size >= this.#entriesMax) this.#entries.clear();
    this.#entries.set(path, found);
    return found;
  }

  #read(parent: FileFacts, name: string): Found<FileFacts> {
    // Canonical paths have no such names; should one come another way, it must not lead out of the root.
    if (name === '' || name === '.' || name === '..' || name.includes('\0')) return undefined;
    const path = `${parent.path}/${name}`;
    const realPath = `${parent.realPath}/${name}`;
    return attempt(() => {
      const stats = lstatSync(toPath(realPath), { throwIfNoEntry: false });
      if (stats === undefined) return undefined;
      if (stats.isSymbolicLink()) return this.#follow(parent, path, name);
      if (this.#exactNames && lastName(realPathOf(realPath)) !== name) return undefined;
      if (parent.makers?.some((maker) => !mayReach(stats, maker))) return 'forbidden';
      return toFacts(path, realPath, stats, parent.makers);
    });
  }

  #follow(parent: FileFacts, path: string, name: string): Found<FileFacts> {
    const realPath = realPathOf(`${parent.realPath}/${name}`);
    const stats = statSync(toPath(realPath));
    const root = this.#root;
    // What lies in the root is there by its own name too.
    if (typeof root === 'object' && isBelow(realPath, root.realPath)) return toFacts(path, realPath, stats);
    if (this.#symlinks === 'allow') return toFacts(path, realPath, stats);
    if (this.#symlinks === 'deny') return 'forbidden';
    const followed = this.#walk(parent, name, this.#symlinks, stats.uid);
    return 'refusal' in followed
      ? 'forbidden'
      : toFacts(path, followed.realPath, followed.stats, followed.makers);
  }

  #walk(parent: FileFacts, name: string, policy: 'trusted' | 'owner', targetOwner: number) {
    return followLink(parent.realPath, name, parent.makers ?? [], this.#owner, policy, targetOwner);
  }

  explainForbidden(path: string): string {
    let end = path.indexOf('/', 1);
    while (end !== -1 && this.find(path.slice(0, end)) !== 'forbidden') end = path.indexOf('/', end + 1);
    const part = end === -1 ? withoutSlash(path) : path.slice(0, end);
    const slash = part.lastIndexOf('/');
    const parent = slash <= 0 ? this.#root : this.find(part.slice(0, slash));
    const unreadable = `${this.path}${part} may not be read by our user, or lies in a folder that it may not enter; check the permissions`;
    if (typeof parent !== 'object') return unreadable;
    try {
      return this.#explainLink(parent, part, part.slice(slash + 1)) ?? unreadable;
    } catch {
      return unreadable;
    }
  }

  #explainLink(parent: FileFacts, part: string, name: string): string | undefined {
    const link = `${parent.realPath}/${name}`;
    const stats = lstatSync(toPath(link));
    if (!stats.isSymbolicLink()) {
      const stranger = parent.makers?.find((maker) => !mayReach(stats, maker));
      if (stranger === undefined) return undefined;
      return `${this.path}${part} was reached by a symbolic link of user ${stranger.uid}, who may not read ${link} itself; ${remedy}`;
    }
    const target = realPathOf(link);
    const what = `${this.path}${part} is a symbolic link to ${readlinkSync(toPath(link), 'latin1')}`;
    if (this.#symlinks === 'deny' || this.#symlinks === 'allow')
      return `${what}, out of the document root, and such links are not followed; ${remedy}`;
    const followed = this.#walk(parent, name, this.#symlinks, statSync(toPath(target)).uid);
    return 'refusal' in followed
      ? `${what}, which is not followed: ${followed.refusal}; ${remedy}`
      : undefined;
  }
}

/** Looks for reasons to hide it only when somebody asks, and then once. */
class Entry implements FileEntry {
  readonly kind: FileEntry['kind'];
  readonly path: string;
  readonly realPath: string;
  readonly size: number;
  readonly modifiedMs: number;
  readonly makers: readonly LinkMaker[] | undefined;
  readonly #parent: Entry | undefined;
  readonly #snapshot: Snapshot;
  #hidden: string | undefined;
  #isJudged = false;
  #access: FolderAccess | undefined;
  #accessIsRead = false;

  constructor(
    { kind, path, realPath, size, modifiedMs, makers }: FileFacts,
    parent: Entry | undefined,
    snapshot: Snapshot,
  ) {
    this.kind = kind;
    this.path = path;
    this.realPath = realPath;
    this.size = size;
    this.modifiedMs = modifiedMs;
    this.makers = makers;
    this.#parent = parent;
    this.#snapshot = snapshot;
  }

  get hidden(): string | undefined {
    if (!this.#isJudged) {
      this.#isJudged = true;
      this.#hidden = this.#findReason();
    }
    return this.#hidden;
  }

  #findReason(): string | undefined {
    const isDirectory = this.kind === 'directory';
    const folder = isDirectory ? this.readAccess() : this.#parent?.readAccess();
    const denial = findDenial(folder, isDirectory ? undefined : lastName(this.path));
    if (denial !== undefined) return denial;
    const { path: root } = this.#snapshot;
    const keeper = findKeeper(this.path.slice(root.length), (path) => {
      const found = this.#snapshot.find(path);
      return found === 'forbidden' || found?.kind === 'file';
    });
    if (keeper !== undefined) return `${keeper} keeps it for itself`;
    if (this.path === this.realPath) return undefined;
    // What a link leads to within the root is not for everybody by that way either; of what lies elsewhere only the name counts.
    const isInside = isBelow(this.realPath, root);
    if (isDotFile(isInside ? this.realPath.slice(root.length) : `/${lastName(this.realPath)}`))
      return `it is a link to ${this.realPath}, a dot file`;
    if (!isInside) return undefined;
    const target = this.#snapshot.find(this.realPath.slice(root.length) || '/');
    return typeof target === 'object' && target !== this ? target.hidden : undefined;
  }

  /** Of a directory. */
  readAccess(): FolderAccess | undefined {
    if (!this.#accessIsRead) {
      this.#accessIsRead = true;
      this.#access = enterFolder(this.#parent?.readAccess(), this.#snapshot.accessFiles.read(this.realPath));
    }
    return this.#access;
  }
}

const remedy =
  'if it is meant to be followed, set "symlinks" of the virtual server or of the rule\'s handler to "owner" or "allow"';

/** Windows tells none. */
const hasOwners = platform() !== 'win32';

/** A configured path below a root belongs to the release that the root was pinned to; others stay. */
export function pinPath(path: string, root: PinnedRoot): string {
  return isBelow(path, root.configuredPath) ? root.path + path.slice(root.configuredPath.length) : path;
}

/**
 * A file that an application asked to be sent (X-Sendfile): an absolute path, links and dot segments resolved, must end
 * below one of `roots`, themselves resolved (T71). Not cached: what is allowed is decided by the disk at this moment.
 * @param path a byte string as the application wrote it
 * @param roots absolute, no trailing slash; byte strings
 * @returns `forbidden` when it lies elsewhere or may not be read; undefined when it is not a regular file
 */
export function resolveSendfile(path: string, roots: readonly string[]): FileEntry | 'forbidden' | undefined {
  if (!path.startsWith('/') || path.includes('\0')) return 'forbidden';
  const facts = attempt(() => {
    const realPath = realPathOf(path);
    if (!roots.some((root) => isBelow(realPath, rootPathOf(root)))) return 'forbidden';
    const entry = toFacts(path, realPath, statSync(toPath(realPath)));
    return entry?.kind === 'file' ? entry : undefined;
  });
  // The application knows what it has hidden.
  return typeof facts === 'object' ? { ...facts, hidden: undefined } : facts;
}

const Slash = 0x2f;

/** Linux's PATH_MAX; a longer name exists nowhere, and needs no thousand look-ups to find that out. */
const pathBytesMax = 4096;

/** What the system says, as a value: not there, or not for us (EACCES; EIO and the like must not pass for a 404). */
function attempt(look: () => Found<FileFacts>): Found<FileFacts> {
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

function toFacts(
  path: string,
  realPath: string,
  stats: Stats,
  makers?: readonly LinkMaker[],
): FileFacts | undefined {
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : undefined;
  if (kind === undefined) return undefined;
  const entry = { kind, path, realPath, size: stats.size, modifiedMs: stats.mtimeMs } as const;
  return makers === undefined || makers.length === 0 ? entry : { ...entry, makers };
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
