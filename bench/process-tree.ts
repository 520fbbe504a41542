/** Reads what a server costs from /proc: the sums over its process and all descendants, threads included (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, the unit of the times in /proc/PID/stat; 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/**
 * CPU seconds of a process tree so far, user and system, in steps of 10 ms for each process.
 * Children that ended are in their parent's sum.
 */
export function readCpuSeconds(root: number): number {
  let ticks = 0;
  for (const id of findTree(root)) {
    const fields = readStat(id);
    if (fields === undefined) continue;
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), counted here from field 3.
    for (let field = 14; field <= 17; field++) ticks += Number(fields[field - 3]);
  }
  return ticks / ticksPerSecond;
}

/**
 * CPU microseconds of a process tree so far, to the nanosecond, for short measurements: of the threads that live, so the
 * difference of two readings is right where none ended between them.
 */
export function readCpuUs(root: number): number {
  let nanoseconds = 0;
  for (const id of findTree(root)) {
    for (const thread of listThreads(id)) {
      nanoseconds += Number(readProc(id, `task/${thread}/schedstat`)?.split(' ')[0] ?? 0);
    }
  }
  return nanoseconds / 1000;
}

/** Resident bytes of a process tree: now, and the sum of each process's highest. Shared pages count in each process. */
export function readMemory(root: number): { readonly residentBytes: number; readonly peakBytes: number } {
  let residentBytes = 0;
  let peakBytes = 0;
  for (const id of findTree(root)) {
    const status = readProc(id, 'status') ?? '';
    residentBytes += readKiB(status, 'VmRSS') * 1024;
    peakBytes += readKiB(status, 'VmHWM') * 1024;
  }
  return { residentBytes, peakBytes };
}

function findTree(root: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const id = Number(name);
    if (!Number.isInteger(id)) continue;
    const fields = readStat(id);
    if (fields !== undefined) parents.set(id, Number(fields[1]));
  }
  const tree = [root];
  // Grows while it is walked: children are appended behind their parents.
  for (const member of tree) {
    for (const [id, parent] of parents) if (parent === member) tree.push(id);
  }
  return tree;
}

/** Empty when the process ended meanwhile. */
function listThreads(id: number): readonly string[] {
  try {
    return readdirSync(`/proc/${id}/task`);
  } catch {
    return [];
  }
}

/** Fields of /proc/PID/stat from the third on; the second is a name that may hold spaces and parentheses. */
function readStat(id: number): readonly string[] | undefined {
  const text = readProc(id, 'stat');
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Undefined when the process ended meanwhile. */
function readProc(id: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${id}/${file}`, 'latin1');
  } catch {
    return undefined;
  }
}

function readKiB(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
}
