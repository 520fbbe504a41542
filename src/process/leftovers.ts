/**
 * Interpreters that outlived a gateway which had no chance to stop them (SIGKILL, power of the OOM killer): each source
 * keeps a list of its processes on disk, and the next gateway ends those whose gateway is gone. Only directories that are
 * ours count; what looks alike and is another user's is nobody's business here.
 * A number may belong to another process by then, so it counts only with its start time and the boot that gave it.
 */
import { lstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../base/log.ts';
import { isPrivateDirectory, removeTree, writePrivateFile } from '../base/private-files.ts';
import { findStranger } from '../base/stranger.ts';
import { endGroup, membersOf, startTimeOf } from './process-group.ts';

interface ProcessName {
  readonly pid: number;
  readonly startTime: number;
}

/** What the file holds. */
interface Listing {
  readonly boot: string;
  readonly gateway: ProcessName;
  readonly source: string;
  readonly interpreters: readonly ProcessName[];
}

const listName = 'processes';
/** Of a gateway, of a source. */
const directoryName = /^fastway-(\w{6}|[0-9a-f]{12})$/;

/** The processes of one source, or of none, on disk in a private directory; they name the gateway whose directory it is. */
export class ProcessList {
  readonly #file: string;
  readonly #source: string;
  readonly #interpreters: ProcessName[] = [];

  /** @param directory a private one; touches nothing before the first `write` or `add` */
  constructor(directory: string, source: string) {
    this.#file = join(directory, listName);
    this.#source = source;
  }

  add(pid: number): void {
    this.#interpreters.push({ pid, startTime: startTimeOf(pid) ?? 0 });
    this.write();
  }

  remove(pid: number): void {
    const index = this.#interpreters.findIndex((other) => other.pid === pid);
    if (index < 0) return;
    this.#interpreters.splice(index, 1);
    this.write();
  }

  write(): void {
    const boot = readBoot();
    if (boot === undefined) return;
    const listing: Listing = {
      boot,
      gateway: { pid: process.pid, startTime: startTimeOf(process.pid) ?? 0 },
      source: this.#source,
      interpreters: this.#interpreters,
    };
    writePrivateFile(this.#file, JSON.stringify(listing), { mode: 0o600 });
  }
}

/**
 * Ends the interpreters, and removes the directories, of gateways that are gone. Never throws: what cannot be cleared
 * away is told and left.
 * @param folder where gateways and sources have their private directories
 */
export async function reapLeftovers(folder: string, log: Log): Promise<void> {
  if (readBoot() === undefined) return;
  for (const directory of privateDirectoriesIn(folder)) {
    try {
      const listing = readListing(directory);
      // Without a list it is about to be made, or another program's.
      if (listing === undefined || isRunning(listing)) continue;
      for (const place of [directory, ...privateDirectoriesIn(directory)]) await endListed(place, log);
      if (!removeTree(directory)) throw new Error('something in it cannot be removed');
    } catch (error) {
      const reason = (error as Error).message;
      log.warn('What an ended gateway left could not be cleared away; remove it', { directory, reason });
    }
  }
}

async function endListed(directory: string, log: Log): Promise<void> {
  const listing = readListing(directory);
  if (listing === undefined || isRunning(listing) || listing.boot !== readBoot()) return;
  for (const { pid, startTime } of listing.interpreters) {
    const leaderTime = startTimeOf(pid);
    // Its number is given to nobody else as long as its group has members.
    const isOurs = leaderTime === undefined ? membersOf(pid).length > 0 : leaderTime === startTime;
    if (!isOurs) continue;
    log.warn('An interpreter that outlived its gateway is ended', { source: listing.source, pid });
    await endGroup(pid);
  }
}

function isRunning({ boot, gateway }: Listing): boolean {
  return boot === readBoot() && startTimeOf(gateway.pid) === gateway.startTime;
}

/** Undefined: there is none, or none that we wrote. */
function readListing(directory: string): Listing | undefined {
  const file = join(directory, listName);
  try {
    const status = lstatSync(file);
    if (!status.isFile() || status.uid !== process.getuid?.() || (status.mode & 0o077) !== 0)
      return undefined;
    return JSON.parse(readFileSync(file, 'utf8')) as Listing;
  } catch {
    // Gone, or cut by a full disk: nothing that can be ended safely.
    return undefined;
  }
}

/** Undefined: nobody can say whether a process is still the one that was listed, as on a system without /proc. */
function readBoot(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return undefined;
  }
}

/** Ours, where nobody else can replace one after the check. */
function privateDirectoriesIn(folder: string): string[] {
  try {
    const real = realpathSync(folder);
    if (findStranger(real) !== undefined) return [];
    return readdirSync(real)
      .filter((name) => directoryName.test(name))
      .map((name) => join(real, name))
      .filter(isPrivateDirectory);
  } catch {
    // Not there yet, or somebody else's.
    return [];
  }
}
