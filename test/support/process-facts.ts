/** What Linux says of a process, from /proc: memory and children. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Resident memory now, in bytes. */
export function residentBytes(pid: number): number {
  return readStatus(pid, 'VmRSS');
}

/** Highest resident memory since the start, or since `resetPeakResidentBytes`. */
export function peakResidentBytes(pid: number): number {
  return readStatus(pid, 'VmHWM');
}

export function resetPeakResidentBytes(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Ids of the living children, grandchildren and so on, with their command lines. */
export function descendants(pid: number): { readonly pid: number; readonly command: string }[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const parent = readParent(Number(name));
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (let queue = [pid]; queue.length > 0; ) {
    queue = queue.flatMap((id) => children.get(id) ?? []);
    found.push(...queue);
  }
  return found.map((id) => ({ pid: id, command: readCommand(id) }));
}

/** Its supplementary groups. */
export function groupsOf(pid: number): number[] {
  const line = /^Groups:(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
  return line.split(/\s+/).filter(Boolean).map(Number);
}

/** All groups of a user, as the system's files say. */
export function groupsOfUser(user: string): number[] {
  return execFileSync('id', ['-G', user], { encoding: 'utf8' }).trim().split(' ').map(Number);
}

/** The process lives, and is no zombie. */
export function isAlive(pid: number): boolean {
  return readParent(pid) !== undefined;
}

function readStatus(pid: number, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (match === null) throw new Error(`/proc/${pid}/status has no ${name}`);
  return Number(match[1]) * 1024;
}

/** Undefined when the process is gone or a zombie. The name in brackets may hold anything, so fields count from its end. */
function readParent(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

function readCommand(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
