/**
 * As whom a program runs that we start as root: never as root by accident.
 * In order: the configured user; the owner of the document root; if that is root, `www-data` or `nobody` if they can
 * read the site; only if they cannot, root, with a warning that says what to change.
 */
import { readFileSync, type Stats, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { SourceError } from '../base/errors.ts';

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** User name, or its number when it has none. */
  readonly name: string;
  /** Undefined unless the choice deserves the operator's attention. */
  readonly warning: string | undefined;
}

export interface RunAsOptions {
  /** What is started, for sentences; default `The interpreter`. */
  readonly what?: string;
  /** Our own user id; undefined on a system without. Default: this process's. */
  readonly ownUid?: number | undefined;
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  /** Supplementary groups, names or numbers; default: those that list the user. */
  readonly groups?: readonly string[] | undefined;
  readonly documentRoot?: string | undefined;
  /** What the interpreter has to read besides the site: its own program. */
  readonly reads?: readonly string[];
  /** Contents of /etc/passwd and /etc/group; default: this system's. */
  readonly passwd?: string;
  readonly groupFile?: string;
}

/**
 * Undefined: as ourselves, since we are not root.
 * @throws {SourceError} GW_ERR_SOURCE_SPAWN: no such user or group, or a user is configured and we are not root
 */
export function chooseRunAs(options: RunAsOptions): RunAs | undefined {
  const { what = 'The interpreter', ownUid = process.getuid?.(), user, group, groups } = options;
  if (ownUid === undefined) return undefined;
  if (ownUid !== 0) {
    if (user === undefined && group === undefined && groups === undefined) return undefined;
    const own = user === undefined ? undefined : findUser(user, options);
    if (own?.uid === ownUid && group === undefined && groups === undefined) return undefined;
    throw fail(
      `${what} should run as ${user ?? group ?? groups?.join(', ')}, but only root may change users`,
      'start Fastway as root, or remove "user", "group" and "groups"',
    );
  }
  const chosen = chooseUser(options);
  return {
    ...chosen,
    groups: groups?.map((name) => findGroup(name, options)!) ?? listGroups(chosen, options),
  };
}

function chooseUser(options: RunAsOptions): Omit<RunAs, 'groups'> {
  const { what = 'The interpreter', user, group, documentRoot, reads = [] } = options;
  if (user !== undefined) {
    const found = findUser(user, options);
    if (found === undefined)
      throw fail(`There is no user ${JSON.stringify(user)}`, 'create it, or correct "user"');
    return { ...found, gid: findGroup(group, options) ?? found.gid, warning: undefined };
  }
  const gid = findGroup(group, options);
  const site = documentRoot === undefined ? undefined : statOf(documentRoot);
  if (site !== undefined && site.uid !== 0) {
    const name = findUser(String(site.uid), options)?.name ?? String(site.uid);
    return { uid: site.uid, gid: gid ?? site.gid, name, warning: undefined };
  }
  const paths = documentRoot === undefined ? reads : [documentRoot, ...reads];
  for (const name of ['www-data', 'nobody']) {
    const found = findUser(name, options);
    if (found === undefined) continue;
    const ids = { uid: found.uid, gid: gid ?? found.gid };
    if (paths.every((path) => canRead(path, ids))) return { ...found, ...ids, warning: undefined };
  }
  return {
    uid: 0,
    gid: gid ?? 0,
    name: 'root',
    warning:
      `${what} ${what.endsWith('s') ? 'run' : 'runs'} as root, because neither www-data nor nobody can read ${paths.join(' and ')}; ` +
      'give the folder to a user of its own (chown), or make it readable (chmod -R a+rX)',
  };
}

/** Whether a user may read a file, or list a folder, by the permission bits of it and of every folder above. */
export function canRead(path: string, ids: { readonly uid: number; readonly gid: number }): boolean {
  const target = resolve(path);
  const status = statOf(target);
  return (
    status !== undefined &&
    allows(status, ids, status.isDirectory() ? 5 : 4) &&
    canEnter(dirname(target), ids)
  );
}

/** Whether a user may make files in a folder, by the permission bits of it and of every folder above. */
export function canWriteIn(path: string, ids: { readonly uid: number; readonly gid: number }): boolean {
  const folder = resolve(path);
  const status = statOf(folder);
  if (status?.isDirectory() !== true) return false;
  return ids.uid === 0 || (allows(status, ids, 3) && canEnter(dirname(folder), ids));
}

/** Whether a user may pass through a folder and every one above it. */
export function canEnter(path: string, ids: { readonly uid: number; readonly gid: number }): boolean {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const status = statOf(folder);
    if (status === undefined || (ids.uid !== 0 && !allows(status, ids, 1))) return false;
    if (folder === dirname(folder)) return true;
  }
}

function allows(status: Stats, ids: { readonly uid: number; readonly gid: number }, bits: number): boolean {
  const shift = status.uid === ids.uid ? 6 : status.gid === ids.gid ? 3 : 0;
  return ((status.mode >> shift) & bits) === bits;
}

function findUser(
  user: string,
  { passwd }: RunAsOptions,
): { uid: number; gid: number; name: string } | undefined {
  for (const line of (passwd ?? read('/etc/passwd')).split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name !== '' && (name === user || uid === user))
      return { uid: Number(uid), gid: Number(gid), name: name! };
  }
  return /^\d+$/.test(user) ? { uid: Number(user), gid: Number(user), name: user } : undefined;
}

/** The groups that list a user as a member. */
function listGroups({ name, gid }: { name: string; gid: number }, { groupFile }: RunAsOptions): number[] {
  return (groupFile ?? read('/etc/group'))
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([, , number, members]) => members?.split(',').includes(name) && Number(number) !== gid)
    .map(([, , number]) => Number(number));
}

function findGroup(group: string | undefined, { groupFile }: RunAsOptions): number | undefined {
  if (group === undefined) return undefined;
  for (const line of (groupFile ?? read('/etc/group')).split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === group || gid === group) return Number(gid);
  }
  if (/^\d+$/.test(group)) return Number(group);
  throw fail(`There is no group ${JSON.stringify(group)}`, 'create it, or correct "group"');
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // A system without the file has no names; numbers still work.
    return '';
  }
}

function fail(what: string, advice: string): SourceError {
  return new SourceError('GW_ERR_SOURCE_SPAWN', `${what}; ${advice}`, { delivery: 'unsent' });
}
