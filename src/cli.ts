#!/usr/bin/env node
/** The program `fastway`: hands arguments, environment, streams and signals to `command-line/`, and exits with its code. */
import module from 'node:module';

// Node 22.8 and later keep compiled code between starts, of what is imported from here on.
(module as { enableCompileCache?: () => void }).enableCompileCache?.();
const { run } = await import('./command-line/program.ts');

// `fastway explain URL | head` closes our output early; that is no fault of anybody.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
process.stderr.on('error', () => {});

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
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, listener);
  },
  onReopen: (listener) => void process.on('SIGUSR1', listener),
  onFault: (listener) => void process.on('uncaughtException', listener),
});
// Output to a pipe may still be on its way: it is waited for before the exit.
process.stdout.write('', () => process.exit(code));
