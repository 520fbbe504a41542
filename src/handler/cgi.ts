/**
 * The `cgi` handler: the script is a program, started for each request (RFC 3875), never through a shell and never with
 * arguments from the query (CVE-2012-1823, T13). To the rest of the handler it is one more source.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { type GatewayError, SourceError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import type { Source, SourceExchange, SourceListener, SourceRequest } from '../source/source.ts';
import { createFastcgiHandler } from './fastcgi.ts';
import type { Handler } from './handler.ts';
import type { ScriptOptions } from './script-options.ts';

export interface CgiHandlerOptions extends ScriptOptions {
  /** A program that prints nothing for so long is ended, in milliseconds. */
  readonly timeoutMs: number;
  /** Programs that run at the same time; more requests wait, at most `waitingMax`. */
  readonly capacity: number;
  readonly log: Log;
}

/** Requests that wait for a program's end, and how long. */
const waitingMax = 100;
const waitingMs = 5000;

/** Between asking a program to end and ending it. */
const killDelayMs = 5000;

/** What a program may rely on; nothing of our own environment reaches it (T16). */
const basePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Makes the handler of one rule. Programs end with their requests. */
export function createCgiHandler(options: CgiHandlerOptions): Handler {
  const source = createProgramSource(options);
  return createFastcgiHandler({
    ...options,
    balancer: {
      sources: [{ source, weight: 1 }],
      pick: (_clientAddress, isUsable) => (isUsable(source) ? source : undefined),
    },
  });
}

/** The programs that SCRIPT_FILENAME names, as a source. */
export function createProgramSource(options: {
  readonly timeoutMs: number;
  readonly capacity: number;
  readonly log: Log;
}): Source {
  return new ProgramSource(options);
}

class ProgramSource implements Source {
  readonly name = 'cgi';
  readonly address = 'a program for each request';
  readonly share = 1;
  readonly #options: { readonly timeoutMs: number; readonly capacity: number; readonly log: Log };
  readonly #running = new Set<ProgramRun>();
  readonly #waiting = new Set<ProgramRun>();
  #whenIdle: (() => void)[] = [];

  constructor(options: { readonly timeoutMs: number; readonly capacity: number; readonly log: Log }) {
    this.#options = options;
  }

  get active(): number {
    return this.#running.size + this.#waiting.size;
  }

  /** No program listens anywhere. */
  readonly holdMs: number = 0;

  isUsable(): boolean {
    return true;
  }

  isAvailable(): boolean {
    return true;
  }

  open(request: SourceRequest, listener: SourceListener): SourceExchange {
    const run = new ProgramRun(request, listener, this.#options.timeoutMs, () => this.#ended(run));
    if (this.#running.size < this.#options.capacity) {
      this.#running.add(run);
      queueMicrotask(() => run.start());
    } else {
      this.#waiting.add(run);
      const isFull = this.#waiting.size > waitingMax;
      run.wait(isFull ? 0 : waitingMs, this.#options.capacity);
    }
    return run;
  }

  describe(): string {
    return `a program for each request, at most ${this.#options.capacity} at a time`;
  }

  async close(): Promise<void> {
    for (const run of [...this.#waiting, ...this.#running]) run.abort();
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #ended(run: ProgramRun): void {
    this.#waiting.delete(run);
    if (!this.#running.delete(run)) return;
    const [next] = this.#waiting;
    if (next !== undefined) {
      this.#waiting.delete(next);
      this.#running.add(next);
      next.start();
    } else if (this.#running.size === 0) {
      for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
  }
}

/** One program, from its start to its end. */
class ProgramRun implements SourceExchange, BodyReceiver {
  readonly waitedMs = 0;
  readonly isShared = false;
  readonly #request: SourceRequest;
  readonly #timeoutMs: number;
  /** Called once, when no process of this run is left. */
  readonly #released: () => void;
  /** Undefined once it has heard the end, or wants to hear no more. */
  #listener: SourceListener | undefined;
  #child: ChildProcess | undefined;
  #bodyReader: BodyReader | undefined;
  #timer: NodeJS.Timeout | undefined;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(request: SourceRequest, listener: SourceListener, timeoutMs: number, released: () => void) {
    this.#request = request;
    this.#listener = listener;
    this.#timeoutMs = timeoutMs;
    this.#released = released;
  }

  /** No place is free: gives up after `ms`. */
  wait(ms: number, capacity: number): void {
    this.#timer = setTimeout(() => {
      const message = `No place is free for a program: ${capacity} run already; raise capacity, or make them faster`;
      this.#fail('GW_ERR_SOURCE_OVERLOADED', message, 'unsent');
      this.#released();
    }, ms);
  }

  start(): void {
    clearTimeout(this.#timer);
    if (this.#listener === undefined) {
      this.#released();
      return;
    }
    const { environment, program } = environmentOf(this.#request.variables);
    if (program === undefined) {
      this.#refuse('SCRIPT_FILENAME is no valid UTF-8, so the program cannot be named to the system');
      return;
    }
    let child: ChildProcess;
    try {
      child = spawn(program, [], {
        cwd: program.slice(0, program.lastIndexOf('/')) || '/',
        env: environment,
        stdio: ['pipe', 'pipe', 'pipe'],
        // A group of its own, so that what the program started ends with it.
        detached: true,
      });
    } catch (error) {
      this.#refuse(`Could not start ${program}: ${(error as Error).message}`);
      return;
    }
    this.#child = child;
    this.#timer = setTimeout(() => this.#timedOut(program), this.#timeoutMs);
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) this.#refuse(spawnMessage(program, error));
    });
    // All output was read and the process is gone.
    child.on('close', (code, signal) => this.#closed(program, code, signal));
    child.stdout!.on('data', (chunk: Buffer) => {
      this.#timer?.refresh();
      if (this.#listener?.stdout(chunk) === false) child.stdout!.pause();
    });
    child.stderr!.on('data', (chunk: Buffer) => this.#listener?.stderr(chunk));
    // A program need not read its input (RFC 3875 4.2): its end of the pipe may close at any time.
    child.stdin!.on('error', () => this.#bodyReader?.close());
    child.stdin!.on('drain', () => this.#bodyReader?.resume());
    if (this.#request.body === undefined) child.stdin!.end();
    else this.#bodyReader = this.#request.body.read(this);
  }

  /** Nothing but silence has a limit here. */
  streams(): void {}

  resume(): void {
    this.#child?.stdout?.resume();
  }

  abort(): void {
    if (this.#listener === undefined) return;
    this.#listener = undefined;
    if (this.#child === undefined) {
      clearTimeout(this.#timer);
      this.#released();
    } else this.#kill();
  }

  /** The next program has no part in what this one did. */
  disown(): void {
    this.abort();
  }

  data(chunk: Uint8Array): boolean {
    this.#timer?.refresh();
    return this.#child!.stdin!.write(chunk);
  }

  /** The body is complete. */
  end(): void {
    this.#child!.stdin!.end();
  }

  error(error: GatewayError): void {
    const listener = this.#listener;
    this.#listener = undefined;
    // Its input must not look complete (T50), so it does not live to see the end of it.
    this.#kill();
    listener?.error(error);
  }

  #closed(program: string, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#child?.pid === undefined) return;
    clearTimeout(this.#timer);
    clearTimeout(this.#killTimer);
    this.#bodyReader?.close();
    if (code !== null) {
      const listener = this.#listener;
      this.#listener = undefined;
      listener?.end(code);
    } else this.#fail('GW_ERR_SOURCE_CLOSED', `${program} was ended by ${signal}`, 'maybe');
    this.#released();
  }

  #timedOut(program: string): void {
    const message = `${program} printed nothing for ${this.#timeoutMs} ms and was ended`;
    this.#fail('GW_ERR_SOURCE_READ_TIMEOUT', message, 'maybe');
    this.#kill();
  }

  /** Nothing was started. */
  #refuse(message: string): void {
    clearTimeout(this.#timer);
    this.#fail('GW_ERR_SOURCE_SPAWN', message, 'unsent');
    this.#released();
  }

  #fail(
    code:
      | 'GW_ERR_SOURCE_CLOSED'
      | 'GW_ERR_SOURCE_OVERLOADED'
      | 'GW_ERR_SOURCE_READ_TIMEOUT'
      | 'GW_ERR_SOURCE_SPAWN',
    message: string,
    delivery: 'unsent' | 'maybe',
  ): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.error(new SourceError(code, message, { delivery }));
  }

  #kill(): void {
    clearTimeout(this.#timer);
    this.#bodyReader?.close();
    // Paused output would keep `close` from coming.
    this.#child?.stdout?.destroy();
    this.#child?.stderr?.destroy();
    this.#child?.stdin?.destroy();
    this.#signal('SIGTERM');
    this.#killTimer ??= setTimeout(() => this.#signal('SIGKILL'), killDelayMs);
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The group is gone already.
    }
  }
}

/**
 * A program's environment. Node hands text to the system as UTF-8: byte strings that are UTF-8 keep their bytes, others
 * are taken as Latin-1 text.
 */
function environmentOf(variables: readonly string[]): {
  environment: Record<string, string>;
  program: string | undefined;
} {
  const environment: Record<string, string> = { __proto__: null as never, PATH: basePath };
  let program: string | undefined;
  for (let i = 0; i < variables.length; i += 2) {
    const value = variables[i + 1]!;
    const text = utf8Of(value);
    environment[variables[i]!] = text ?? value;
    if (variables[i] === 'SCRIPT_FILENAME') program = text;
  }
  return { environment, program };
}

/** The text whose UTF-8 bytes are this byte string; undefined when there is none. */
function utf8Of(bytes: string): string | undefined {
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return Buffer.from(text, 'utf8').toString('latin1') === bytes ? text : undefined;
}

function spawnMessage(program: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EACCES':
      return `Could not start ${program}: permission denied. Make it executable (chmod +x) for the user that runs Fastway`;
    case 'ENOENT':
      return `Could not start ${program}: it, or the interpreter in its first line, is not there`;
    case 'ENOEXEC':
    case 'UNKNOWN':
      return `Could not start ${program}: it is no program; begin a script with a line as #!/usr/bin/perl`;
    default:
      return `Could not start ${program}: ${error.message}`;
  }
}
