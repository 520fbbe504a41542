/** What a command may ask of the world, so that tests can be the world. `cli.ts` fills it from `process`. */
import { escapeText } from '../base/escape.ts';

export interface Terminal {
  /** Arguments after the program's name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
  /** stderr is a terminal that shows colours. */
  readonly color: boolean;
  /** stdout is a terminal: a person reads the result there. */
  readonly isInteractive: boolean;
  /** The result. Bytes go out as they are. */
  print(text: string | Uint8Array): void;
  /** The log, the banner, and errors. */
  printError(text: string): void;
  /** All of stdin. */
  readInput(): Promise<Buffer>;
  /** Calls `listener` at each SIGINT, SIGTERM and SIGHUP, from now on. */
  onStop(listener: (signal: string) => void): void;
  /** Calls `listener` at each SIGUSR1: log files were rotated. */
  onReopen(listener: () => void): void;
  /** Calls `listener` with an error that nobody caught, in place of the sudden end that leaves interpreters behind. */
  onFault(listener: (error: unknown) => void): void;
}

/** The same terminal, but what is printed as text moves no cursor: names, paths and answers are not ours. Bytes stay as they are. */
export function withoutControls(terminal: Terminal): Terminal {
  return {
    ...terminal,
    print: (text) => terminal.print(typeof text === 'string' ? escapeText(text) : text),
    printError: (text) => terminal.printError(escapeText(text)),
  };
}

/** The command was called in a wrong way: exit code 2. The message is one sentence. */
export class UsageError extends Error {}
