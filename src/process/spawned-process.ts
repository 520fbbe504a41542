/**
 * One started interpreter: its process group, its words in our log, its end.
 * It leads its own group, so that its children end with it; it dies with us where the system can promise that.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { platform } from 'node:os';
import { delimiter, join } from 'node:path';
import { toText } from '../base/byte-string.ts';
import { SourceError } from '../base/errors.ts';
import { levelOfErrorOutput } from '../base/line-level.ts';
import type { Log, LogLevel } from '../base/log.ts';
import { isExecutable, isFile } from './executable.ts';
import type { LaunchOptions } from './launch.ts';
import type { ProcessList } from './leftovers.ts';
import { endGroup, membersOf } from './process-group.ts';
import type { RunAs } from './run-as.ts';
import { spawnProgram } from './spawn-program.ts';

export interface StartOptions {
  /** Name of the source, for the log. */
  readonly name: string;
  /** Program and arguments; no shell. A program without `/` is searched in `env.PATH`. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string | undefined;
  readonly runAs: RunAs | undefined;
  readonly launch?: LaunchOptions | undefined;
  /** Names it while it lives, for the next gateway. */
  readonly list?: ProcessList | undefined;
  /** Descriptor of a listening socket that becomes its descriptor 0. The program is spawned before the call returns. */
  readonly socket?: number | undefined;
  /** Tells lines of stderr that are logged elsewhere; they are only worth `debug` here. */
  readonly isRepeated?: ((line: string, isPreviousRepeated: boolean) => boolean) | undefined;
  readonly log: Log;
}

/** How a process ended. */
export interface ExitReport {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** The end of what it wrote to stderr (or stdout), up to 1 KiB, lines joined by ` | `. */
  readonly lastWords: string;
}

const lineCharactersMax = 8_192;
const lastWordsMax = 1_024;

/**
 * Starts it; resolves when the program runs, which says nothing of whether it answers.
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no such program, or none that is executable; GW_ERR_SOURCE_SPAWN: it could not be started
 */
export async function startProcess(options: StartOptions): Promise<SpawnedProcess> {
  const program = findProgram(options);
  if (options.workingDirectory !== undefined && !existsSync(options.workingDirectory)) {
    throw new SourceError(
      'GW_ERR_SOURCE_SPAWN',
      `The working directory ${options.workingDirectory} of source ${options.name} does not exist; create it, or correct "workingDirectory"`,
      { delivery: 'unsent' },
    );
  }
  const { child } = spawnProgram({
    name: `Source ${options.name}`,
    command: [program, ...options.command.slice(1)],
    env: options.env,
    workingDirectory: options.workingDirectory,
    runAs: options.runAs,
    launch: options.launch ?? {},
    stdin: options.socket ?? 'ignore',
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(cannotRun(program, options, cause)));
  });
  return new SpawnedProcess(child, options);
}

export class SpawnedProcess {
  readonly pid: number;
  /** Resolves when the leading process is gone and its output read. */
  readonly exited: Promise<ExitReport>;
  #alive = true;
  readonly #child: ChildProcess;
  readonly #list: ProcessList | undefined;
  #stopping: Promise<void> | undefined;

  constructor(child: ChildProcess, { name, isRepeated, list, log }: StartOptions) {
    this.pid = child.pid!;
    this.#child = child;
    this.#list = list;
    list?.add(this.pid);
    let repeated = false;
    let level: LogLevel = 'info';
    const errors = new Lines((line) => {
      repeated = isRepeated?.(line, repeated) ?? false;
      // A line that is indented goes on with the one before, as those of a trace.
      if (!/^\s/.test(line)) level = levelOfErrorOutput(line);
      log[repeated ? 'debug' : level](line, { source: name, pid: this.pid });
    });
    const output = new Lines((line) => log.info(line, { source: name, pid: this.pid }));
    child.stderr!.setEncoding('latin1').on('data', (text: string) => errors.push(text));
    child.stdout!.setEncoding('latin1').on('data', (text: string) => output.push(text));
    child.on('error', (error) =>
      log.warn('The interpreter could not be signalled', { source: name, reason: error.message }),
    );
    this.exited = new Promise((resolve) => {
      child.once('exit', (exitCode, signal) => {
        this.#alive = false;
        // Its children may hold the pipes open for ever, so what is there is read, and no more.
        setImmediate(() => {
          errors.end();
          output.end();
          child.stderr!.destroy();
          child.stdout!.destroy();
          const lastWords = errors.last === '' ? output.last : errors.last;
          resolve({ exitCode: exitCode ?? undefined, signal: signal ?? undefined, lastWords });
        });
      });
    });
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  /** Resident memory of its group; pages that its processes share count more than once. 0 where there is no /proc. */
  get memoryBytes(): number {
    return membersOf(this.pid).reduce((sum, { residentBytes }) => sum + residentBytes, 0);
  }

  /** TERM to the group, KILL after 5 s; resolves when no process of it is left. May be called twice, and after its end. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    // Windows has no groups of processes to signal.
    if (platform() === 'win32') this.#child.kill();
    else await endGroup(this.pid);
    await this.exited;
    this.#list?.remove(this.pid);
  }
}

/** Cuts text into lines, bounded, and remembers the last of them. */
class Lines {
  readonly #line: (line: string) => void;
  #partial = '';
  /** The last lines, up to 1 KiB. */
  last = '';

  constructor(line: (line: string) => void) {
    this.#line = line;
  }

  push(text: string): void {
    const lines = (this.#partial + text).split(/\r?\n/);
    this.#partial = lines.pop()!;
    for (const line of lines) this.#take(line);
    if (this.#partial.length > lineCharactersMax) this.end();
  }

  end(): void {
    const rest = this.#partial;
    this.#partial = '';
    this.#take(rest);
  }

  #take(bytes: string): void {
    if (bytes === '') return;
    const cut = bytes.length > lineCharactersMax ? `${bytes.slice(0, lineCharactersMax)} ...` : bytes;
    const line = toText(cut);
    this.#line(line);
    this.last = (this.last === '' ? line : `${this.last} | ${line}`).slice(-lastWordsMax);
  }
}

function findProgram({ name, command, env, launch }: StartOptions): string {
  const root = launch?.chroot ?? '';
  const program = command[0] ?? '';
  const places = program.includes('/')
    ? [program]
    : (env.PATH ?? '')
        .split(delimiter)
        .filter(Boolean)
        .map((folder) => join(folder, program));
  const found = places.filter((path) => isFile(root + path));
  const runnable = found.find((path) => isExecutable(root + path));
  if (runnable !== undefined) return runnable;
  if (found.length > 0) {
    throw new SourceError(
      'GW_ERR_SOURCE_NO_INTERPRETER',
      `The interpreter ${found[0]} of source ${name} is not executable; make it so (chmod +x), or correct "interpreter"`,
      { delivery: 'unsent' },
    );
  }
  throw new SourceError(
    'GW_ERR_SOURCE_NO_INTERPRETER',
    `The interpreter ${program} of source ${name} does not exist${
      program.includes('/') ? '' : ` in ${env.PATH ?? 'an empty PATH'}`
    }; install it, or correct "interpreter"`,
    { delivery: 'unsent' },
  );
}

function cannotRun(
  program: string,
  { name, runAs }: StartOptions,
  cause: NodeJS.ErrnoException,
): SourceError {
  const reason =
    cause.code === 'EACCES' || cause.code === 'EPERM'
      ? `permission denied${runAs === undefined ? '' : ` for user ${runAs.name}`}`
      : cause.message;
  return new SourceError(
    'GW_ERR_SOURCE_SPAWN',
    `The interpreter ${program} of source ${name} could not be started: ${reason}`,
    {
      cause,
      delivery: 'unsent',
    },
  );
}
