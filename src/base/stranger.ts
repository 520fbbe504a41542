/** Who could change a file, or put another one in its place: the question before root reads, writes or runs something. */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';

/** More links than this on the way are a loop, as for the kernel (path_resolution(7)). */
const linksMax = 40;
const writableByOthers = 0o002;
const writableByGroup = 0o020;
const sticky = 0o1000;

/**
 * What on the way to a file or folder a stranger could change. The rule is that of sudo and sshd: it and every folder
 * above it belong to trusted users, and nobody else may write them; in a folder with the sticky bit (/tmp) nobody but the
 * owner may rename or remove a name. Links are followed one by one, since the owner of one says where it leads.
 * @param owners user ids that are trusted; unless given, root and the user of this process
 * @returns the path and what is wrong with it; undefined: nothing, or there is no such file, or the system knows no users
 */
export function findStranger(file: string, owners: readonly number[] = trustedOwners()): string | undefined {
  if (owners.length === 0) return undefined;
  let links = 0;
  let path: string = sep;
  let rest = resolve(file).split(sep).filter(Boolean);
  for (;;) {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return undefined;
    const fault = faultOf(status, owners);
    if (fault !== undefined) return `${path} ${fault}`;
    if (status.isSymbolicLink() && ++links <= linksMax) {
      const target = readlinkSync(path);
      path = isAbsolute(target) ? sep : dirname(path);
      rest = [...target.split(sep).filter(Boolean), ...rest];
      continue;
    }
    const [name, ...after] = rest;
    if (name === undefined) return undefined;
    path = join(path, name);
    rest = after;
  }
}

function trustedOwners(): readonly number[] {
  const own = process.getuid?.();
  return own === undefined ? [] : [own, 0];
}

function faultOf(status: Stats, owners: readonly number[]): string | undefined {
  if (!owners.includes(status.uid)) return `belongs to user ${status.uid}`;
  // A link has no mode of its own.
  if (status.isSymbolicLink() || (status.isDirectory() && (status.mode & sticky) !== 0)) return undefined;
  if ((status.mode & writableByOthers) !== 0) return 'can be written by everybody';
  // Root's own group has nobody else in it.
  if ((status.mode & writableByGroup) !== 0 && status.gid !== 0)
    return `can be written by group ${status.gid}`;
  return undefined;
}
