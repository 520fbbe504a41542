/**
 * Interpreters that outlived a gateway which had no chance to stop them (SIGKILL, power of the OOM killer): each source
 * keeps a list of its processes on disk, and the next gateway ends those whose gateway is gone.
 * A number may belong to another process by then, so it counts only with its start time and the boot that gave it.
 */
import { lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { platform } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../base/log.ts';
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

const ending = '.pids';

/** The processes of one source, on disk beside its private directory, where its user cannot write. */
export class ProcessList {
  readonly #file: string;
  readonly #source: string;
  readonly #interpreters: ProcessName[] = [];

  /** @param directory the source's private directory; touches nothing before the first `add` */
  constructor(directory: string, source: string) {
    this.#file = directory + ending;
    this.#source = source;
  }

  add(pid: number): void {
    this.#interpreters.push({ pid, startTime: startTimeOf(pid) ?? 0 });
    this.#write();
  }

  remove(pid: number): void {
    const index = this.#interpreters.findIndex((other) => other.pid === pid);
    if (index < 0) return;
    this.#interpreters.splice(index, 1);
    this.#write();
  }

  #write(): void {
    if (platform() !== 'linux') return;
    if (this.#interpreters.length === 0) {
      rmSync(this.#file, { force: true });
      return;
    }
    const listing: Listing = {
      boot: readBoot(),
      gateway: { pid: process.pid, startTime: startTimeOf(process.pid) ?? 0 },
      source: this.#source,
      interpreters: this.#interpreters,
    };
    writeFileSync(this.#file, JSON.stringify(listing), { mode: 0o600 });
  }
}

/**
 * Ends the interpreters, and removes the directories, of gateways that are gone.
 * @param folder where gateways have their runtime directories: lists in it and in its `fastway-*` folders are read
 */
export async function reapLeftovers(folder: string, log: Log): Promise<void> {
  if (platform() !== 'linux') return;
  const runtimeDirectories = namesIn(folder).filter((name) => name.startsWith('fastway-'));
  for (const place of [folder, ...runtimeDirectories.map((name) => join(folder, name))]) {
    const files = namesIn(place).filter((name) => name.endsWith(ending));
    for (const file of files) await reapListing(join(place, file), log);
    // A gateway without a configured directory made one by `mkdtemp`.
    const isTemporary = files.length > 0 && /\/fastway-\w{6}$/.test(place);
    if (isTemporary && !namesIn(place).some((name) => name.endsWith(ending))) {
      rmSync(place, { recursive: true, force: true });
    }
  }
}

async function reapListing(file: string, log: Log): Promise<void> {
  const listing = readListing(file);
  if (listing === undefined || isRunning(listing)) return;
  const { boot, source, interpreters } = listing;
  for (const { pid, startTime } of boot === readBoot() ? interpreters : []) {
    const leaderTime = startTimeOf(pid);
    // Its number is given to nobody else as long as its group has members.
    const isOurs = leaderTime === undefined ? membersOf(pid).length > 0 : leaderTime === startTime;
    if (!isOurs) continue;
    log.warn('An interpreter that outlived its gateway is ended', { source, pid });
    await endGroup(pid);
  }
  rmSync(file.slice(0, -ending.length), { recursive: true, force: true });
  rmSync(file, { force: true });
}

function isRunning({ boot, gateway }: Listing): boolean {
  return boot === readBoot() && startTimeOf(gateway.pid) === gateway.startTime;
}

/** Only what we wrote ourselves: others may write into the system's temporary directory. */
function readListing(file: string): Listing | undefined {
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

function readBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Not there yet, or somebody else's.
    return [];
  }
}
