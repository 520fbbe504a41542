/**
 * How a program is started with less than we have: another user, limits, a chroot, no foreign descriptors.
 * Node can only change the user, and drops all supplementary groups then (T97); so the small programs of every Linux do
 * the rest, each replacing itself with the next: sh (umask), nice, prlimit, then setpriv or chroot. All words are
 * arguments; none is parsed by a shell.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { basename } from 'node:path';
import { SourceError } from '../base/errors.ts';
import type { RunAs } from './run-as.ts';

/** Resource limits (setrlimit(2)), soft and hard; undefined: as ours. */
export interface ProcessLimits {
  readonly openFiles?: number | undefined;
  /** Address space of each process. */
  readonly memoryMb?: number | undefined;
  /** Processor time of each process. */
  readonly cpuSeconds?: number | undefined;
  /** Processes and threads of its user. */
  readonly processes?: number | undefined;
  /** Size of a file that it writes. */
  readonly fileMb?: number | undefined;
}

export interface LaunchOptions {
  /** As 0o027. */
  readonly umask?: number | undefined;
  /** -20 to 19; below 0 only for root. */
  readonly nice?: number | undefined;
  readonly limits?: ProcessLimits | undefined;
  /** The program's path and its working directory are inside; only for root. */
  readonly chroot?: string | undefined;
}

/** What to spawn. */
export interface Launch {
  readonly file: string;
  readonly args: readonly string[];
  /** For `spawn`, where no program changes the user. */
  readonly uid?: number;
  readonly gid?: number;
  /** The last of the programs before it, which says on stderr that it cannot run it, and exits with 126 or 127. */
  readonly starter: string | undefined;
}

const setpriv = '/usr/bin/setpriv';
const mebibyte = 1_048_576;

/**
 * @param name who has the options, as `source php`
 * @param runAs who it becomes; who is not root has become that user already
 * @throws {SourceError} GW_ERR_SOURCE_SPAWN: this system has no program for an option
 */
export function planLaunch(
  name: string,
  command: readonly [string, ...string[]],
  runAs: RunAs | undefined,
  { umask, nice, limits, chroot }: LaunchOptions,
): Launch {
  const words: string[] = [];
  let starter: string | undefined;
  const add = (option: string, places: readonly string[], ...args: string[]) => {
    const program = places.find((place) => existsSync(place));
    if (program === undefined) {
      throw new SourceError(
        'GW_ERR_SOURCE_SPAWN',
        `${name} has "${option}", which needs the program ${places[0]}; install it, or remove "${option}"`,
        { delivery: 'unsent' },
      );
    }
    words.push(program, ...args);
    starter = basename(program);
  };
  if (umask !== undefined) add('umask', ['/bin/sh'], '-c', 'umask "$0" && exec "$@"', printMode(umask));
  if (nice !== undefined) add('nice', ['/usr/bin/nice', '/bin/nice'], '-n', String(nice));
  const limitWords = printLimits(limits);
  if (limitWords.length > 0) add('limits', ['/usr/bin/prlimit'], ...limitWords, '--');
  let ids: { readonly uid: number; readonly gid: number } | undefined;
  if (chroot !== undefined) {
    const user = runAs === undefined ? [] : [`--userspec=${runAs.uid}:${runAs.gid}`];
    const groups = runAs === undefined ? [] : [`--groups=${runAs.groups.join(',')}`];
    add('chroot', ['/usr/sbin/chroot', '/usr/bin/chroot'], ...user, ...groups, chroot);
  } else if (platform() === 'linux' && existsSync(setpriv)) {
    // The kernel sends TERM when our process dies without a chance to stop the interpreter.
    starter = 'setpriv';
    words.push(setpriv, '--pdeathsig', 'TERM', ...(runAs === undefined ? [] : printIds(runAs)), '--');
  } else if (runAs !== undefined) {
    ids = { uid: runAs.uid, gid: runAs.gid };
  }
  const [file, ...args] = [...words, ...command];
  return { file: file!, args, starter, ...ids };
}

/** As the shell reads it. */
function printMode(mode: number): string {
  return mode.toString(8).padStart(3, '0');
}

/**
 * Why a program was never run, from what its starter says: `setpriv: failed to execute /x: Permission denied`.
 * Undefined: it ran, and its exit code and output are its own.
 */
export function explainStarter(
  starter: string | undefined,
  exitCode: number | null,
  output: string,
): 'ENOENT' | 'EACCES' | 'ENOEXEC' | undefined {
  if (starter === undefined || (exitCode !== 126 && exitCode !== 127)) return undefined;
  const line = output.split('\n')[0]!;
  if (!line.startsWith(`${starter}: failed to `)) return undefined;
  if (exitCode === 127) return 'ENOENT';
  return line.endsWith('Exec format error') ? 'ENOEXEC' : 'EACCES';
}

function printIds({ uid, gid, groups }: RunAs): string[] {
  const supplementary = groups.length === 0 ? ['--clear-groups'] : [`--groups=${groups.join(',')}`];
  return [`--reuid=${uid}`, `--regid=${gid}`, ...supplementary];
}

function printLimits(limits: ProcessLimits = {}): string[] {
  const { openFiles, memoryMb, cpuSeconds, processes, fileMb } = limits;
  const values = {
    nofile: openFiles,
    as: memoryMb && memoryMb * mebibyte,
    cpu: cpuSeconds,
    nproc: processes,
    fsize: fileMb && fileMb * mebibyte,
  };
  return Object.entries(values).flatMap(([limit, value]) =>
    value === undefined ? [] : [`--${limit}=${value}:${value}`],
  );
}

/**
 * Our descriptors above 2 that a child would inherit: the program that started us left them open without close-on-exec, as Node
 * never does (T98).
 */
export function findForeignDescriptors(): number[] {
  if (platform() !== 'linux') return [];
  const closeOnExec = 0o2000000;
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((descriptor) => {
      if (descriptor <= 2) return false;
      try {
        const facts = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1');
        const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(facts)?.[1] ?? '', 8);
        return (flags & closeOnExec) === 0;
      } catch {
        // It was the one that read the list.
        return false;
      }
    });
}
