/**
 * Where a symbolic link in a document root may lead: by who made it. Root's links lead anywhere. Those of the root's owner lead as
 * far as that owner may go: below them a server that may read more than the owner does not send it (the system's permissions are
 * compared, since a link gives no rights). Anybody else's end at the root, unless the policy is `owner` and what they lead to
 * belongs to the same user (T30).
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { toPath } from './path-bytes.ts';

/**
 * `deny`: nothing outside the root. `trusted`: what links of root, or of the root's owner, lead to. `owner`: also what belongs to
 * the link's owner, whoever that is. `allow`: anything.
 */
export const symlinkPolicies = ['deny', 'trusted', 'owner', 'allow'] as const;
export type SymlinkPolicy = (typeof symlinkPolicies)[number];

/** Who made a link by which something was reached, other than root: only what they may read themselves is sent. */
export interface LinkMaker {
  readonly uid: number;
  readonly gid: number;
}

/** Where links led: a real path without links, or the sentence that says why not. A byte string. */
export type FollowedLink =
  | { readonly realPath: string; readonly stats: Stats; readonly makers: readonly LinkMaker[] }
  | { readonly refusal: string };

/** As Linux: a longer chain is a loop. */
const linksMax = 40;

/**
 * Follows a link component by component, and every link on the way.
 * @param folder the real path in which it lies, no trailing slash; `name` is the link
 * @param makers by whose links that folder was reached
 * @param rootOwner owner of the document root
 * @throws what the system says
 */
export function followLink(
  folder: string,
  name: string,
  makers: readonly LinkMaker[],
  rootOwner: number,
  policy: 'trusted' | 'owner',
  targetOwner: number,
): FollowedLink {
  let at = folder;
  let stats = lstatSync(toPath(`${folder}/${name}`));
  const vouching = [...makers];
  const pending = [name];
  for (let links = 0; pending.length > 0; ) {
    const part = pending.pop()!;
    if (part === '' || part === '.') continue;
    const path = part === '..' ? at.slice(0, at.lastIndexOf('/')) : `${at}/${part}`;
    stats = lstatSync(toPath(path || '/'));
    if (!stats.isSymbolicLink()) {
      const stranger = vouching.find((maker) => !mayReach(stats, maker));
      if (stranger !== undefined)
        return { refusal: `user ${stranger.uid}, who made the link, may not read ${path || '/'} itself` };
      at = path;
      continue;
    }
    const { uid, gid } = stats;
    const isTrusted = uid === 0 || uid === rootOwner;
    if (!isTrusted && (policy === 'trusted' || uid !== targetOwner)) {
      return {
        refusal: `${path} was made by user ${uid}, who is neither root nor the owner of the document root (${rootOwner})`,
      };
    }
    if (uid !== 0) vouching.push({ uid, gid });
    links++;
    if (links > linksMax) return { refusal: `it leads through more than ${linksMax} links` };
    const target = readlinkSync(toPath(path), 'latin1');
    if (target.startsWith('/')) at = '';
    pending.push(...target.split('/').reverse());
  }
  return { realPath: at, stats, makers: vouching };
}

/** Whether a user may read a file, or look into a folder, by its permissions; of their groups the link's own is known. */
export function mayReach(stats: Stats, { uid, gid }: LinkMaker): boolean {
  const bit = stats.isDirectory() ? 1 : 4;
  const shift = stats.uid === uid ? 6 : stats.gid === gid ? 3 : 0;
  return (stats.mode & (bit << shift)) !== 0;
}
