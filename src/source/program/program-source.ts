/**
 * CGI programs (RFC 3875) as a source: SCRIPT_FILENAME names the program, which is started for each request, never through a
 * shell and never with arguments from the query (CVE-2012-1823, T13).
 */
import { toByteString, toText } from '../../base/byte-string.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { type ErrorCode, type GatewayError, SourceError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { RefusedExchange } from '../../client/refused-exchange.ts';
import { WaitingLine, waitingTimeoutMs } from '../../client/waiting-line.ts';
import type { BodyReader, BodyReceiver } from '../../http/message.ts';
import { isSafe } from '../../http/method.ts';
import { explainStarter, type LaunchOptions } from '../../process/launch.ts';
import { graceMs, signalGroup } from '../../process/process-group.ts';
import type { RunAs } from '../../process/run-as.ts';
import { defaultPath, type SpawnedProgram, spawnProgram } from '../../process/spawn-program.ts';
import type { Source, SourceExchange, SourceListener, SourceRequest } from '../source.ts';

export interface ProgramSourceOptions extends LaunchOptions {
  /** A program that prints nothing for so long, or works on for so long when nobody waits for it any more, is ended; milliseconds. */
  readonly timeoutMs: number;
  /** Programs that run at the same time; more requests wait (waiting-line.ts). */
  readonly capacity: number;
  /** As whom they run; undefined: as ourselves. */
  readonly runAs: RunAs | undefined;
  /** Variables that configuration gives them: of these alone may some be words to the dynamic linker. */
  readonly env: ReadonlyMap<string, string>;
  readonly log: Log;
  readonly clock: Clock;
}

/** A path may be long; what is longer is not from a starter. */
const starterWordsMax = 8_192;

/** The programs that SCRIPT_FILENAME names, as a source. */
export function createProgramSource(options: ProgramSourceOptions): Source {
  return new ProgramSource(options);
}

class ProgramSource implements Source {
  readonly name = 'cgi';
  readonly address = 'a program for each request';
  readonly share = 1;
  readonly #options: ProgramSourceOptions;
  readonly #running = new Set<ProgramRun>();
  readonly #waiting: WaitingLine<ProgramRun>;
  #whenIdle: (() => void)[] = [];
  #isClosed = false;

  constructor(options: ProgramSourceOptions) {
    this.#options = options;
    this.#waiting = new WaitingLine({ now: options.clock.now });
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
    if (this.#isClosed) {
      const error = new SourceError('GW_ERR_SOURCE_STOPPED', 'CGI programs are started no longer', {
        delivery: 'unsent',
      });
      return new RefusedExchange(listener, error);
    }
    const run = new ProgramRun(request, listener, this.#options, () => this.#ended(run));
    if (this.#running.size < this.#options.capacity) {
      this.#running.add(run);
      queueMicrotask(() => run.start());
    } else {
      run.wait(waitingTimeoutMs);
      // It hears of it when the call has returned.
      this.#waiting.push(run, request)?.wait(0);
    }
    return run;
  }

  describe(): string {
    const { capacity, runAs } = this.#options;
    const as = runAs === undefined ? '' : ` as ${runAs.name}`;
    return `a program for each request${as}, at most ${capacity} at a time`;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const run of [...this.#waiting.clear(), ...this.#running]) run.stop();
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #ended(run: ProgramRun): void {
    this.#waiting.remove(run);
    if (!this.#running.delete(run)) return;
    const next = this.#waiting.shift();
    if (next !== undefined) {
      this.#running.add(next);
      next.start();
    } else if (this.#running.size === 0) {
      for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
  }
}

/** One program, from its start to its end. */
class ProgramRun implements SourceExchange, BodyReceiver {
  waitsSince = 0;
  waitedMs = 0;
  readonly isShared = false;
  readonly wasRepeated = false;
  readonly #request: SourceRequest;
  readonly #options: ProgramSourceOptions;
  /** Called once, when no process of this run is left. */
  readonly #released: () => void;
  /** Undefined once it has heard the end, or wants to hear no more. */
  #listener: SourceListener | undefined;
  #child: SpawnedProgram['child'] | undefined;
  /** See `explainStarter`. */
  #starter: string | undefined;
  /** The first of its stderr, until it prints something else or is known to run. */
  #firstWords = '';
  #hasPrinted = false;
  /** The listener takes no more output for now. */
  #isPaused = false;
  #bodyReader: BodyReader | undefined;
  #hasWholeBody = false;
  #timer: Timer | undefined;
  #killTimer: Timer | undefined;
  #isKilled = false;
  /** Its leader is gone, but not its group. */
  #afterKill: (() => void) | undefined;

  constructor(
    request: SourceRequest,
    listener: SourceListener,
    options: ProgramSourceOptions,
    released: () => void,
  ) {
    this.#request = request;
    this.#listener = listener;
    this.#options = options;
    this.#released = released;
  }

  /** No place is free: gives up after `ms`. May be called again. */
  wait(ms: number): void {
    this.#options.clock.clearTimer(this.#timer);
    this.#timer = this.#options.clock.setTimer(() => {
      const { capacity } = this.#options;
      const message = `No place is free for a program: ${capacity} run already; raise "capacity" of the handler, or make them faster`;
      this.#fail('GW_ERR_SOURCE_OVERLOADED', message, 'unsent');
      this.#released();
    }, ms);
  }

  waited(ms: number): void {
    this.waitedMs = ms;
  }

  start(): void {
    this.#options.clock.clearTimer(this.#timer);
    if (this.#listener === undefined) {
      this.#released();
      return;
    }
    const { runAs, env } = this.#options;
    const { environment, program } = environmentOf(this.#request.variables, env);
    if (program === undefined) {
      const message = 'SCRIPT_FILENAME is no valid UTF-8, so the program cannot be named to the system';
      this.#refuse(new SourceError('GW_ERR_SOURCE_SPAWN', message, { delivery: 'unsent' }));
      return;
    }
    let child: SpawnedProgram['child'];
    try {
      const spawned = spawnProgram({
        name: 'A handler of type cgi',
        command: [program],
        env: environment,
        workingDirectory: program.slice(0, program.lastIndexOf('/')) || '/',
        runAs,
        launch: this.#options,
        stdin: 'pipe',
      });
      child = spawned.child;
      this.#starter = spawned.starter;
      this.#hasPrinted = spawned.starter === undefined;
    } catch (error) {
      this.#refuse(startFault(program, error as Error, runAs));
      return;
    }
    this.#child = child;
    this.#timer = this.#options.clock.setTimer(() => this.#timedOut(program), this.#options.timeoutMs);
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) this.#refuse(startFault(program, error, runAs));
    });
    // All output was read and the process is gone.
    child.on('close', (code, signal) => this.#closed(program, code, signal));
    // By `read`, since Node lets paused output flow when the program ends.
    child.stdout!.on('readable', () => this.#readOutput());
    child.stderr!.on('data', (chunk: Buffer) => this.#hear(chunk));
    // A program need not read its input (RFC 3875 4.2): its end of the pipe may close at any time.
    child.stdin!.on('error', () => this.#bodyReader?.close());
    child.stdin!.on('drain', () => this.#bodyReader?.resume());
    if (this.#request.body === undefined) this.end();
    else this.#bodyReader = this.#request.body.read(this);
  }

  /** Nothing but silence has a limit here. */
  liftTotalLimit(): void {}

  answered(): void {}

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#readOutput();
  }

  #readOutput(): void {
    const output = this.#child!.stdout!;
    while (!this.#isPaused) {
      const chunk = output.read() as Buffer | null;
      if (chunk === null) return;
      this.#letWords();
      if (this.#listener === undefined) continue;
      this.#timer?.refresh();
      if (!this.#listener.stdout(chunk)) this.#isPaused = true;
    }
  }

  /**
   * A program that changes something is not ended in the middle of that because nobody waits for its answer: it has `timeoutMs`
   * to end by itself. One that has only a part of its body must not take that for all (T50), and is ended.
   */
  abort(): void {
    if (this.#listener === undefined) return;
    if (this.#child === undefined || !this.#hasWholeBody) this.stop();
    else this.#workOn(this.#child);
  }

  /** The next program has no part in what this one did. */
  disown(): void {
    this.abort();
  }

  /** Ends the program, whatever it does. May be called twice, and behind `abort`. */
  stop(): void {
    this.#listener = undefined;
    if (this.#child === undefined) {
      this.#options.clock.clearTimer(this.#timer);
      this.#released();
    } else this.#kill();
  }

  data(chunk: Uint8Array): boolean {
    this.#timer?.refresh();
    return this.#child!.stdin!.write(chunk);
  }

  /** The body is complete. */
  end(): void {
    this.#hasWholeBody = true;
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
    this.#options.clock.clearTimer(this.#timer);
    this.#bodyReader?.close();
    const fault = this.#hasPrinted ? undefined : explainStarter(this.#starter, code, this.#firstWords);
    if (fault !== undefined) {
      const { runAs } = this.#options;
      this.#failWith(startFault(program, Object.assign(new Error(fault), { code: fault }), runAs));
    }
    this.#letWords();
    if (code !== null) {
      const listener = this.#listener;
      this.#listener = undefined;
      listener?.end(code);
    } else {
      const advice =
        'memory that ran out is in the kernel\'s log (dmesg), and what it may use in "limits" of its handler';
      this.#fail('GW_ERR_SOURCE_CLOSED', `${program} was ended by ${signal}; ${advice}`, 'maybe');
    }
    // What it started may not end at TERM: its place is free when nobody of the group is left.
    const { pid } = this.#child;
    if (this.#isKilled && signalGroup(pid, 0)) this.#afterKill = this.#released;
    else {
      this.#options.clock.clearTimer(this.#killTimer);
      this.#released();
    }
  }

  /** Of a program that cannot be run its starter says so, in our log and not in the application's. */
  #hear(chunk: Buffer): void {
    if (this.#hasPrinted) this.#listener?.stderr(chunk);
    else {
      this.#firstWords += chunk.toString('latin1');
      const isStarters = this.#firstWords.startsWith(`${this.#starter}:`.slice(0, this.#firstWords.length));
      if (!isStarters || this.#firstWords.length > starterWordsMax) this.#letWords();
    }
  }

  /** It runs: what it said so far are its own words. */
  #letWords(): void {
    if (this.#hasPrinted) return;
    this.#hasPrinted = true;
    if (this.#firstWords !== '') this.#listener?.stderr(Buffer.from(this.#firstWords, 'latin1'));
    this.#firstWords = '';
  }

  #timedOut(program: string): void {
    const message = `${program} printed nothing for ${this.#options.timeoutMs} ms and was ended; if it may take so long, raise "timeoutMs" of its handler`;
    this.#fail('GW_ERR_SOURCE_READ_TIMEOUT', message, 'maybe');
    this.#kill();
  }

  /** What it prints is dropped; one that only reads learns by its closed output that nobody wants more. */
  #workOn({ stdout }: SpawnedProgram['child']): void {
    this.#listener = undefined;
    this.#bodyReader?.close();
    const { timeoutMs, log } = this.#options;
    const { variables } = this.#request;
    this.#options.clock.clearTimer(this.#timer);
    this.#timer = this.#options.clock.setTimer(() => {
      log.warn(
        `A program still worked ${timeoutMs} ms after its client had left and was ended; if it may take so long, raise "timeoutMs" of its handler`,
        { script: variable(variables, 'SCRIPT_FILENAME') },
      );
      this.#kill();
    }, timeoutMs);
    if (isSafe(variable(variables, 'REQUEST_METHOD'))) stdout!.destroy();
    else this.resume();
  }

  /** Nothing was started. */
  #refuse(error: SourceError): void {
    this.#options.clock.clearTimer(this.#timer);
    this.#failWith(error);
    this.#released();
  }

  #fail(
    code: 'GW_ERR_SOURCE_CLOSED' | 'GW_ERR_SOURCE_OVERLOADED' | 'GW_ERR_SOURCE_READ_TIMEOUT',
    message: string,
    delivery: 'unsent' | 'maybe',
  ): void {
    this.#failWith(new SourceError(code, message, { delivery }));
  }

  #failWith(error: SourceError): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.error(error);
  }

  #kill(): void {
    this.#options.clock.clearTimer(this.#timer);
    this.#bodyReader?.close();
    // Paused output would keep `close` from coming.
    this.#child?.stdout?.destroy();
    this.#child?.stderr?.destroy();
    this.#child?.stdin?.destroy();
    if (this.#isKilled) return;
    this.#isKilled = true;
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    signalGroup(pid, 'SIGTERM');
    this.#killTimer = this.#options.clock.setTimer(() => {
      signalGroup(pid, 'SIGKILL');
      this.#afterKill?.();
    }, graceMs);
  }
}

/**
 * Variables that the loader and the C library obey (ld.so(8), "secure-execution mode"). An Authorizer names variables as it
 * likes, and these would go for the program that gives up root's rights too: only configuration may set them.
 */
const linkerVariable =
  /^(?:LD_|DYLD_|MALLOC_|GLIBC_TUNABLES$|GCONV_PATH$|GETCONF_DIR$|LOCPATH$|NLSPATH$|HOSTALIASES$|LOCALDOMAIN$|RES_OPTIONS$|RESOLV_HOST_CONF$|TMPDIR$|TZDIR$)/;

/**
 * A program's environment. Node hands text to the system as UTF-8: byte strings that are UTF-8 keep their bytes, others
 * are taken as Latin-1 text.
 */
function environmentOf(
  variables: readonly string[],
  configured: ReadonlyMap<string, string>,
): {
  environment: Record<string, string>;
  program: string | undefined;
} {
  const environment: Record<string, string> = { __proto__: null as never, PATH: defaultPath };
  let program: string | undefined;
  for (let i = 0; i < variables.length; i += 2) {
    const name = variables[i]!;
    if (linkerVariable.test(name) && !configured.has(name)) continue;
    const value = variables[i + 1]!;
    const text = utf8Of(value);
    environment[name] = text ?? value;
    if (name === 'SCRIPT_FILENAME') program = text;
  }
  return { environment, program };
}

function variable(variables: readonly string[], name: string): string {
  return variables[variables.findIndex((text, i) => i % 2 === 0 && text === name) + 1] ?? '';
}

/** The text whose UTF-8 bytes are this byte string; undefined when there is none. */
function utf8Of(bytes: string): string | undefined {
  const text = toText(bytes);
  return toByteString(text) === bytes ? text : undefined;
}

/** What is wrong with the file is its own; for all else (no process can be made) a later try may succeed. */
function startFault(program: string, error: NodeJS.ErrnoException, runAs: RunAs | undefined): SourceError {
  const fault = (code: ErrorCode, reason: string) =>
    new SourceError(code, `Could not start ${program}: ${reason}`, { cause: error, delivery: 'unsent' });
  switch (error.code) {
    case 'EACCES': {
      const user = runAs === undefined ? 'the user that runs Fastway' : `user ${runAs.name}`;
      return fault(
        'GW_ERR_CGI_NOT_EXECUTABLE',
        `permission denied. Make it executable (chmod +x) for ${user}`,
      );
    }
    case 'ENOENT':
      return fault('GW_ERR_CGI_NOT_A_PROGRAM', 'it, or the interpreter in its first line, is not there');
    case 'ENOEXEC':
    case 'UNKNOWN':
      return fault(
        'GW_ERR_CGI_NOT_A_PROGRAM',
        'it is no program; begin a script with a line as #!/usr/bin/perl',
      );
    default:
      return fault('GW_ERR_SOURCE_SPAWN', error.message);
  }
}
