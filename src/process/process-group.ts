/**
 * A process group, from the side of the process that started its leader. An interpreter leads its own, so that its children end
 * with it: php-cgi's, for one, answer on without their master (F48).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { pass, systemClock } from '../base/clock.ts';

/** Between TERM and KILL. */
export const graceMs: number = 5_000;
/** As Linux counts `rss` nearly everywhere. */
const pageBytes = 4_096;

/** A living process. */
export interface Member {
  readonly pid: number;
  readonly residentBytes: number;
  /** In ticks since the machine started: with the number it names a process for good. */
  readonly startTime: number;
}

/**
 * The living processes of a group; none where there is no /proc. Orphans stay as zombies until process 1 reaps them,
 * which may be late or never (F49): they are no longer processes.
 */
export function membersOf(leader: number): Member[] {
  if (platform() !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((facts) => facts?.group === leader && !facts.isZombie) as Member[];
}

/** Undefined: there is no such process, or no /proc. */
export function startTimeOf(pid: number): number | undefined {
  const facts = readStat(pid);
  return facts?.isZombie === false ? facts.startTime : undefined;
}

/** TERM to the group, KILL after 5 s of the machine's own time; resolves when no process of it lives. */
export async function endGroup(leader: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!signalGroup(leader, signal)) return;
    const limit = systemClock.now() + graceMs;
    for (
      let pause = 10;
      systemClock.now() < limit && signalGroup(leader, 0);
      pause = Math.min(100, pause * 2)
    ) {
      await pass(systemClock, pause);
    }
  }
}

/** @param signal 0: only asks. @returns false: nobody of the group lives */
export function signalGroup(leader: number, signal: 'SIGTERM' | 'SIGKILL' | 0): boolean {
  try {
    process.kill(-leader, signal);
  } catch {
    return false;
  }
  return platform() !== 'linux' || membersOf(leader).length > 0;
}

function readStat(
  pid: number,
): (Member & { readonly group: number; readonly isZombie: boolean }) | undefined {
  try {
    // `pid (name) state ppid pgrp ...` (proc(5)); the name may hold anything.
    const words = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return {
      pid,
      group: Number(words[2]),
      isZombie: words[0] === 'Z',
      startTime: Number(words[19]),
      residentBytes: Number(words[21]) * pageBytes,
    };
  } catch {
    // It ended while we looked.
    return undefined;
  }
}
