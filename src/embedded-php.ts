/**
 * The program behind the embedded PHP: a FastCGI application that runs PHP compiled to WebAssembly.
 *
 *     FASTWAY_EMBEDDED_PHP='{ "address": "unix:/run/site/php.sock", "workers": 4, "documentRoot": "/srv/site",
 *                             "ini": { "memory_limit": "256M" }, "recycleRssMb": 600 }' node embedded-php.js
 *
 * `ini`, `recycleRssMb` and `idleMs` may be left out; `documentRoot` is for people who look at the process: PHP sees all folders.
 * It listens at once, boots its first worker meanwhile (1-2 s), and says on stderr what goes wrong. It ends with its workers
 * on SIGTERM and SIGINT, and when the process that started it has gone.
 * Exit status 0: told to stop. 1: the settings, the address or PHP itself is wrong, and the last line of stderr says which.
 *
 * As `node embedded-php.js worker` it is one of its own workers.
 */
import { fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { systemClock } from './base/clock.ts';
import { parseSettings, settingsVariable } from './embedded-php/settings.ts';
import type { WorkerMessage } from './embedded-php/worker.ts';

const parentLookMs = 1_000;
/** The fifth of a worker's `stdio`. */
const lockPipe = 4;

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

async function supervise(): Promise<void> {
  const parent = process.ppid;
  // Neither needs what the other one loads.
  const { startSupervisor } = await import('./embedded-php/supervisor.ts');
  const supervisor = await startSupervisor({
    settings: parseSettings(process.env[settingsVariable]),
    fork: () =>
      fork(fileURLToPath(import.meta.url), ['worker'], {
        // Of V8's young generation, in MiB: 16 by default, which a worker would fill with garbage before it looks.
        execArgv: [...process.execArgv, '--max-semi-space-size=2'],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
      }),
    // The program that started us adds time and level.
    report: (message) => process.stderr.write(`${message}\n`),
    clock: systemClock,
    failed: () => process.exit(1),
  });
  const stop = () => void supervisor.close().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  setInterval(() => {
    if (process.ppid !== parent) stop();
  }, parentLookMs);
}

/**
 * Compiles WebAssembly by V8's fast compiler alone, which is named Liftoff. The other one would compile a part of PHP again during
 * the first hundred pages: their processor time doubles, and a worker takes 40 (Node.js 24 and later) to 130 MB more. Pages that
 * read files and databases are no faster afterwards; scripts that only compute are, by 30 to 40 % (`npm run bench:php`).
 * Set here and not on the command line, which refuses a flag that a later V8 does not know.
 */
const compilerFlags = ['--liftoff-only', '--no-wasm-tier-up', '--no-wasm-dynamic-tiering'];

async function work(): Promise<void> {
  for (const flag of compilerFlags) setFlagsFromString(flag);
  const { startWorker } = await import('./embedded-php/worker.ts');
  // The supervisor has gone.
  process.once('disconnect', () => process.exit(0));
  const { [settingsVariable]: text, NODE_CHANNEL_FD: _, ...rest } = process.env;
  const env = Object.fromEntries(Object.entries(rest).filter((entry) => entry[1] !== undefined)) as Record<
    string,
    string
  >;
  await startWorker(parseSettings(text), {
    env,
    pid: process.pid,
    lockPipe,
    send: (message: WorkerMessage) => void process.send?.(message),
    onConnection: (take) => process.on('message', (_message, socket) => take(socket as Socket)),
    rssMb: () => Math.round(process.memoryUsage.rss() / 1_048_576),
    fail,
    now: systemClock.now,
  });
}

(process.argv[2] === 'worker' ? work() : supervise()).catch((error: unknown) =>
  fail(error instanceof Error ? error.message : String(error)),
);
