/** Starts and stops the programs of the bench, and keeps what they said for the error message. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

/** Servers run on core 0, the load and the null application on core 1, so that they do not take each other's time. */
export type Core = 0 | 1;

export interface Program {
  readonly id: number;
  /** What it wrote so far, both outputs, at most the last 4 KiB. */
  readonly output: () => string;
  readonly exited: () => boolean;
  /** SIGTERM, and SIGKILL after 5 seconds; resolves when it has ended. */
  stop(): Promise<void>;
}

/** @throws {Error} when the command cannot be started */
export async function startProgram(
  command: readonly string[],
  options: { readonly core: Core; readonly cwd?: string },
): Promise<Program> {
  const child = spawn('taskset', ['-c', String(options.core), ...command], {
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // However the bench ends, it leaves nothing behind.
  const kill = () => child.kill();
  process.once('exit', kill);
  child.once('exit', () => process.removeListener('exit', kill));
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4096);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  return {
    id: child.pid!,
    output: () => output.trim(),
    exited: () => hasExited(child),
    stop: () => stopChild(child),
  };
}

/** Runs a program to its end and returns its output. @throws {Error} when it fails; the message holds what it said */
export function runProgram(command: readonly string[]): string {
  const [name, ...parameters] = command;
  const run = spawnSync(name!, parameters, { encoding: 'utf8' });
  if (run.error !== undefined) throw new Error(`Could not start ${name}: ${run.error.message}`);
  if (run.status !== 0)
    throw new Error(`${command.join(' ')} ended with status ${run.status}: ${run.stderr.trim()}`);
  // Versions are printed to stderr by some.
  return run.stdout + run.stderr;
}

/** Asks `ready` every 20 ms. @throws {Error} after `timeoutMs`, or when the program has ended */
export async function waitUntil(
  program: Program,
  ready: () => Promise<boolean>,
  timeoutMs: number,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await ready())) {
    if (program.exited()) throw new Error(`it ended at start: ${program.output()}`);
    if (Date.now() > deadline) throw new Error(`it was not ready after ${timeoutMs} ms: ${program.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (hasExited(child)) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(timer);
}
