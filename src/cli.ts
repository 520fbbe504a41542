#!/usr/bin/env node
/** The program `fastway`: hands arguments, environment, streams and signals to `command-line/`, and exits with its code. */
import inspector from 'node:inspector';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isatty } from 'node:tty';

// Before anything else: at a SIGUSR1 to which nobody listens, Node opens its inspector to every user of this machine.
let reopen = (): void => {};
process.on('SIGUSR1', () => reopen());

// Node 22.8 and later keep compiled code between starts, of what is imported from here on. Not in Node's place for it: it lies
// in /tmp, where another user may be first, and Node runs what it finds. A home may be another user's too when we are root.
const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => void };
if (process.getuid?.() !== 0) enableCompileCache?.(join(homedir(), '.cache', 'fastway'));
const { run } = await import('./command-line/program.ts');
// A signal from before our first line.
if (![...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((flags) => flags.includes('--inspect')))
  inspector.close();

// `fastway explain URL | head` closes our output early; that is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
process.stderr.on('error', () => {});

const hasTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));

const code = await run({
  args: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  color: process.stderr.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb',
  isInteractive: process.stdout.isTTY === true,
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
  readInput: async () => Buffer.concat(await process.stdin.toArray()),
  onStop: (listener) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, listener);
    // The end of the terminal that we run in. Without one, as below nohup, it is to change nothing: Node has set it to end
    // us, whatever our starter said.
    process.on('SIGHUP', hasTerminal ? listener : () => {});
  },
  onReopen: (listener) => {
    reopen = listener;
  },
  onFault: (listener) => void process.on('uncaughtException', listener),
});
// Output to a pipe may still be on its way: it is waited for before the exit.
process.stdout.write('', () => process.exit(code));
