/**
 * The one place from which programs are started that serve requests: interpreters, and CGI programs. Each leads a process
 * group of its own, has the rights that were chosen for it, and none of our environment (T16) and descriptors (T98).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { findForeignDescriptors, type LaunchOptions, planLaunch } from './launch.ts';
import type { RunAs } from './run-as.ts';

/** What a program finds others with, where the configuration says nothing else: nothing of our environment reaches it (T16). */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface ProgramOptions {
  /** What starts it, for errors, as `Source php`. */
  readonly name: string;
  /** Path of the program, and its arguments; no shell. */
  readonly command: readonly [string, ...string[]];
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string | undefined;
  /** Undefined: as ourselves. */
  readonly runAs: RunAs | undefined;
  readonly launch: LaunchOptions;
  /** Its descriptor 0: nothing, a pipe, or one of ours, which stays ours. */
  readonly stdin: 'ignore' | 'pipe' | number;
}

export interface SpawnedProgram {
  readonly child: ChildProcess;
  /** See `explainStarter`. */
  readonly starter: string | undefined;
}

/** What the program that started us left open: later descriptors are ours, and closed on exec, so that one look-up is enough. */
let foreignDescriptors: readonly number[] | undefined;

/**
 * Starts it before the call returns; `child` tells by `error` when that failed.
 * @throws {SourceError} GW_ERR_SOURCE_SPAWN: this system has no program for an option
 */
export function spawnProgram(options: ProgramOptions): SpawnedProgram {
  const { file, args, starter, ...ids } = planLaunch(
    options.name,
    options.command,
    // A process that is not root has no rights to give, and is that user already (`user` of the configuration).
    process.getuid?.() === 0 ? options.runAs : undefined,
    options.launch,
  );
  noteForeignDescriptors();
  const foreign = foreignDescriptors!;
  const nothing = foreign.length > 0 ? openSync('/dev/null', 'r') : undefined;
  try {
    const child = spawn(file, args, {
      cwd: options.workingDirectory,
      env: options.env,
      detached: true,
      stdio: [options.stdin, 'pipe', 'pipe', ...coverDescriptors(foreign, nothing)],
      windowsHide: true,
      ...ids,
    });
    return { child, starter };
  } finally {
    if (nothing !== undefined) closeSync(nothing);
  }
}

/** Looks for them once. A process that gives up root's rights asks before that, since the kernel may show them to nobody then. */
export function noteForeignDescriptors(): void {
  foreignDescriptors ??= findForeignDescriptors();
}

/** Replaces each by nothing; between them stays what is closed on exec. */
function coverDescriptors(foreign: readonly number[], nothing: number | undefined): ('ignore' | number)[] {
  const last = Math.max(2, ...foreign);
  return Array.from({ length: last - 2 }, (_, index) => (foreign.includes(index + 3) ? nothing! : 'ignore'));
}
