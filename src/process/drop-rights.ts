/** How root's process becomes another user's, for good. */
import type { RunAs } from './run-as.ts';
import { noteForeignDescriptors } from './spawn-program.ts';

/**
 * Gives up root's rights: supplementary groups, then the group, then the user, as each step needs the ones after it.
 * Real, effective and saved ids change together (setuid(2)), in every thread, so that there is no way back.
 * @throws {Error} the system refused; the process must not go on then
 */
export function dropRights({ uid, gid, groups }: RunAs): void {
  noteForeignDescriptors();
  process.setgroups!([...groups]);
  process.setgid!(gid);
  process.setuid!(uid);
  const left = [process.getuid!(), process.geteuid!(), process.getgid!(), process.getegid!()].join();
  if (left !== [uid, uid, gid, gid].join())
    throw new Error(`The rights of root could not be given up: ${left}`);
}
