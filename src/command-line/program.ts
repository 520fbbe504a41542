/** Chooses the command, and turns every end into an exit code: 0, 1 (failed), 2 (called in a wrong way). */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError, GatewayError, printThrown } from '../base/errors.ts';
import { hideInText } from '../base/secrets.ts';
import { readVersion } from '../base/version.ts';
import { printNearest } from '../config/nearest.ts';
import { commandNames, printHelp } from './help.ts';
import { type Terminal, UsageError, withoutControls } from './terminal.ts';

/** Never rejects. */
export async function run(terminal: Terminal): Promise<number> {
  const [first, ...rest] = terminal.args;
  const command = commandNames.find((name) => name === first);
  try {
    const args = command === undefined ? terminal.args : rest;
    const beforeDashes = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
    if (beforeDashes.some((arg) => arg === '--help' || arg === '-h') || first === 'help') {
      terminal.print(await printHelp(command));
      return 0;
    }
    if (first === '--version' || first === '-v') {
      terminal.print(`fastway ${readVersion()}\n`);
      return 0;
    }
    if (command === undefined && first !== undefined && !first.startsWith('-')) checkFirst(first, terminal);
    return await runCommand(command ?? 'serve', { ...terminal, args });
  } catch (error) {
    withoutControls(terminal).printError(hideInText(printFault(error, command)));
    return error instanceof UsageError ? 2 : 1;
  }
}

async function runCommand(command: (typeof commandNames)[number], own: Terminal): Promise<number> {
  // Its banner and its log have colours, and are escaped where they are made.
  if (command === 'serve') return (await import('./serve.ts')).serve(own.args, own);
  const terminal = withoutControls(own);
  const { args } = terminal;
  switch (command) {
    case 'check':
      return (await import('./check.ts')).check(args, terminal);
    case 'explain':
      return (await import('./explain.ts')).explain(args, terminal);
    case 'request':
      return (await import('./request.ts')).request(args, terminal);
    case 'deploy':
      return (await import('./deploy.ts')).deploy(args, terminal);
    case 'conformance':
      return (await import('./conformance.ts')).conformance(args, terminal);
    case 'print-config':
      return (await import('./print-config.ts')).printConfig(args, terminal);
    case 'schema':
      return (await import('./schema.ts')).schema(args, terminal);
  }
}

/** The first word is a directory, or a mistyped command. */
function checkFirst(word: string, { cwd }: Terminal): void {
  if (existsSync(resolve(cwd, word)) || word.includes('/')) return;
  const nearest = printNearest(word, commandNames);
  throw new UsageError(
    `${JSON.stringify(word)} is neither a directory nor a command${nearest || `; commands are ${commandNames.join(', ')}`}`,
  );
}

function printFault(error: unknown, command: string | undefined): string {
  if (error instanceof UsageError) {
    return `${error.message}\nRun "fastway ${command === undefined ? '' : `${command} `}--help" for what there is\n`;
  }
  if (error instanceof ConfigError) {
    const { length } = error.problems;
    return `${error.message}\n${length > 1 ? `${length} problems\n` : ''}`;
  }
  if (error instanceof GatewayError) return `${error.message}\n`;
  return `${printThrown(error)}\n`;
}
