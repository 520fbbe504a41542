/**
 * A local source: a FastCGI application with an `interpreter` command, which we start when nothing answers at its
 * address, watch, start again when it dies, and stop with us. One start serves all requests that wait for it.
 * The FastCGI exchange itself is the remote source's business.
 */
import { randomBytes } from 'node:crypto';
import { chownSync, lstatSync, mkdirSync, rmSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Address, parseAddress, printAddress, toSocketOptions } from '../base/address.ts';
import { SourceError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { explainConnectError } from '../client/connect-error.ts';
import { isListedAsListening } from './listening.ts';
import { type ExchangeOwner, LocalExchange } from './local-exchange.ts';
import { type ExitReport, type InterpreterProcess, type StartOptions, startProcess } from './process.ts';
import { createRemoteSource } from './remote.ts';
import { RestartPolicy } from './restart-policy.ts';
import { canEnter, chooseRunAs, type RunAs } from './run-as.ts';
import type { Source, SourceExchange, SourceListener, SourceRequest } from './source.ts';

export interface LocalSourceOptions {
  readonly name: string;
  /** Program and arguments. `{address}` (as `/path` or `host:port`), `{path}`, `{host}`, `{port}`, `{runtimeDir}` are filled in. */
  readonly interpreter: readonly string[];
  /** May hold `{runtimeDir}`. Undefined: a socket in the runtime directory. */
  readonly address?: string | undefined;
  /** Longest wait for a started interpreter to answer, default 3000. */
  readonly spawnTimeoutMs?: number | undefined;
  /** As whom it runs when we are root; without, `chooseRunAs` decides, by the document root's owner. */
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  readonly documentRoot?: string | undefined;
  /** The answer to that, for whoever asked already, and told its warning. */
  readonly runAs?: RunAs | undefined;
  /** Its variables besides the inherited ones. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Hands it all of `environment`, not only PATH, language and time zone. */
  readonly inheritEnv?: boolean | undefined;
  /** Our own environment. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly workingDirectory?: string | undefined;
  /**
   * Folder for our private directory (0700), default the system's temporary one;
   * also when the interpreter's user may not enter this one.
   */
  readonly runtimeDir?: string | undefined;
  /** Writes what the interpreter needs into the private directory, before each start. */
  readonly prepare?: ((runtimeDirectory: string, address: Address) => void) | undefined;
  /** Tells lines of its stderr that requests already reported: one event, one log line (G12). */
  readonly isRepeated?: StartOptions['isRepeated'];
  readonly keepConnections?: number | undefined;
  readonly capacity?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly readTimeoutMs?: number | undefined;
  readonly sendTimeoutMs?: number | undefined;
  /** For the start banner; default names the command and the address. */
  readonly description?: string | undefined;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
}

/** Requests that wait for a start. */
const waitingMax = 1_000;
/** Between two looks whether a started interpreter answers: quick at first, since most are up within 50 ms. */
const probeDelaysMs = [5, 5, 10, 10, 20, 20, 40] as const;
const probeTimeoutMs = 1_000;
/** Of our environment, what an interpreter needs to behave (T16). */
const inheritedNames = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'] as const;
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Starts nothing before the first request.
 * @throws {GatewayError} GW_ERR_ADDRESS; GW_ERR_SOURCE_SPAWN: the configured user is not there or not allowed
 */
export function createLocalSource(options: LocalSourceOptions): Source {
  return new LocalSource(options);
}

/** `idle`: nothing is known. `starting`: a start is under way or due soon. `running`: it answered. */
type State = 'idle' | 'starting' | 'running' | 'stopped';

class LocalSource implements Source {
  readonly name: string;
  readonly address: string;
  readonly #options: LocalSourceOptions;
  readonly #address: Address;
  readonly #runtimeDirectory: string;
  readonly #runAs: RunAs | undefined;
  readonly #policy: RestartPolicy;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<LocalExchange>();
  /** What a request tells its source. */
  readonly #owner: ExchangeOwner = {
    lost: (exchange) => {
      if (this.#state === 'running') this.#state = 'idle';
      this.#wait(exchange);
    },
    ended: (exchange) => {
      this.#active--;
      this.#waiting.delete(exchange);
    },
  };
  #hasRuntimeDirectory = false;
  #state: State = 'idle';
  #active = 0;
  #remote: Source;
  #process: InterpreterProcess | undefined;
  /** Why the last start failed: what requests are told while no start is due. */
  #lastError: SourceError | undefined;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: LocalSourceOptions) {
    this.#options = options;
    this.name = options.name;
    this.#runAs = options.runAs ?? chooseAndWarn(options);
    const parent = options.runtimeDir ?? tmpdir();
    const isOpen = this.#runAs === undefined || canEnter(parent, this.#runAs);
    this.#runtimeDirectory = join(isOpen ? parent : tmpdir(), `fastway-${randomBytes(6).toString('hex')}`);
    this.#address = parseAddress(
      (options.address ?? 'unix:{runtimeDir}/fastcgi.sock').replaceAll(
        '{runtimeDir}',
        this.#runtimeDirectory,
      ),
    );
    this.address = printAddress(this.#address);
    this.#policy = new RestartPolicy(options.random);
    this.#remote = this.#createRemote();
  }

  get active(): number {
    return this.#active;
  }

  isAvailable(): boolean {
    if (this.#state === 'stopped') return false;
    if (this.#state === 'running') return this.#remote.isAvailable();
    return !this.#policy.isOpen(this.#options.now());
  }

  open(request: SourceRequest, listener: SourceListener): SourceExchange {
    this.#active++;
    const exchange = new LocalExchange(request, listener, this.#owner);
    if (this.#state === 'running') exchange.begin(this.#remote);
    else this.#wait(exchange);
    return exchange;
  }

  describe(): string {
    return (
      this.#options.description ??
      `${this.#options.interpreter[0]} at ${this.address}, started when it is needed`
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #createRemote(): Source {
    const { keepConnections, capacity, connectTimeoutMs, readTimeoutMs, sendTimeoutMs, log, now, random } =
      this.#options;
    return createRemoteSource({
      name: this.#options.name,
      address: this.#address,
      keepConnections,
      capacity,
      connectTimeoutMs,
      readTimeoutMs,
      sendTimeoutMs,
      log,
      now,
      random,
    });
  }

  /** Lets a request wait for the interpreter, and starts it if nobody has. */
  #wait(exchange: LocalExchange): void {
    if (this.#state === 'stopped') exchange.failSoon(this.#stopped());
    else if (this.#waiting.size >= waitingMax) exchange.failSoon(this.#overloaded());
    else if (this.#policy.isOpen(this.#options.now())) exchange.failSoon(this.#notDue());
    else {
      this.#waiting.add(exchange);
      this.#bringUp();
    }
  }

  #bringUp(): void {
    if (this.#state === 'starting' || this.#state === 'stopped') return;
    this.#state = 'starting';
    this.#starting = this.#startUntilItAnswers().then(
      () => this.#ready(),
      (error: unknown) => this.#failed(error),
    );
  }

  #ready(): void {
    if (this.#state !== 'starting') return;
    this.#state = 'running';
    this.#lastError = undefined;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const exchange of waiting) exchange.begin(this.#remote);
  }

  #failed(error: unknown): void {
    if (this.#state !== 'starting') return;
    this.#state = 'idle';
    this.#lastError = error instanceof SourceError ? error : this.#spawnError(String(error), error);
    this.#options.log.error(this.#lastError.message, { source: this.name, code: this.#lastError.code });
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const exchange of waiting) exchange.fail(this.#notDue());
  }

  /** Tries until it answers, the time of the waiting requests is over, or another start is not due soon. */
  async #startUntilItAnswers(): Promise<void> {
    const { now } = this.#options;
    const limit = now() + this.#spawnTimeoutMs;
    for (;;) {
      const wait = this.#policy.delayMs(now());
      if (wait > 0) await delay(wait, undefined, { signal: this.#stop.signal });
      try {
        await this.#start();
        return;
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (error instanceof SourceError && isHopeless(error)) this.#policy.refused(now());
        else this.#policy.exited(now());
        if (this.#policy.isOpen(now()) || now() + this.#policy.delayMs(now()) > limit) throw error;
      }
    }
  }

  async #start(): Promise<void> {
    if (this.#process?.isAlive === false) {
      // Its children may still answer, and are about to end (F48).
      await this.#process.stop();
      this.#process = undefined;
    }
    if (await this.#answers()) {
      if (this.#process === undefined) {
        this.#options.log.info('Somebody else answers at the address; no interpreter is started', {
          source: this.name,
          address: this.address,
        });
      }
      return;
    }
    await this.#process?.stop();
    this.#prepareRuntimeDirectory();
    const child = await startProcess({
      name: this.name,
      command: this.#fillIn(this.#options.interpreter),
      env: this.#fillInEnvironment(),
      workingDirectory: this.#options.workingDirectory,
      runAs: this.#runAs,
      isRepeated: this.#options.isRepeated,
      log: this.#options.log,
    });
    this.#process = child;
    if (this.#stop.signal.aborted) return;
    await this.#waitForAnswer(child);
    // Its health starts anew: what the last one did says nothing of this one.
    void this.#remote.close();
    this.#remote = this.#createRemote();
    this.#options.log.info('The interpreter is up', {
      source: this.name,
      pid: child.pid,
      address: this.address,
    });
    void child.exited.then((report) => this.#died(child, report));
  }

  async #waitForAnswer(child: InterpreterProcess): Promise<void> {
    const { now } = this.#options;
    const limit = now() + this.#spawnTimeoutMs;
    const exited = child.exited.then((report) => {
      throw this.#exitError(report, 'before it answered');
    });
    const answered = async () => {
      for (let look = 0; child.isAlive; look++) {
        await delay(probeDelaysMs[look] ?? 50, undefined, { signal: this.#stop.signal });
        if (await this.#answers()) return;
        if (now() > limit) {
          throw this.#spawnError(
            `The interpreter of source ${this.name} did not answer at ${this.address} within ${this.#spawnTimeoutMs} ms; ` +
              'does it listen at that address? Raise "spawnTimeoutMs" if it only needs longer',
          );
        }
      }
      return exited;
    };
    exited.catch(() => {});
    try {
      await Promise.race([answered(), exited]);
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  /** It had answered, and is gone: what is left of its group is ended, and it is started again. */
  #died(child: InterpreterProcess, report: ExitReport): void {
    if (this.#state === 'stopped' || this.#process !== child) return;
    const { now, log } = this.#options;
    this.#lastError = this.#exitError(report, '');
    this.#policy.exited(now());
    log.error(this.#lastError.message, {
      source: this.name,
      pid: child.pid,
      restartInMs: Math.round(this.#policy.delayMs(now())),
    });
    if (this.#state === 'running') this.#state = 'idle';
    // php-cgi's children go on without their master, and would hold the address (F48).
    void child.stop().then(() => {
      if (this.#process === child) this.#process = undefined;
      if (!this.#policy.isOpen(now())) this.#bringUp();
    });
  }

  async #close(): Promise<void> {
    this.#state = 'stopped';
    this.#stop.abort();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const exchange of waiting) exchange.fail(this.#stopped());
    await this.#remote.close();
    await this.#starting;
    await this.#process?.stop();
    if (this.#process !== undefined) this.#removeSocket();
    if (this.#hasRuntimeDirectory) rmSync(this.#runtimeDirectory, { recursive: true, force: true });
  }

  /** Resolves false when nothing listens. @throws {SourceError} when the address cannot be reached for another reason */
  #answers(): Promise<boolean> {
    if (isListedAsListening(this.#address)) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const socket = connect(toSocketOptions(this.#address));
      const timer = setTimeout(() => {
        socket.destroy();
        resolve(false);
      }, probeTimeoutMs);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.destroy();
        resolve(true);
      });
      socket.once('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
        // A full queue is an answer: somebody listens there.
        else if (error.code === 'EAGAIN') resolve(true);
        else explainConnectError(this.#address, error, reject);
      });
    });
  }

  #prepareRuntimeDirectory(): void {
    const { prepare } = this.#options;
    const runAs = this.#runAs;
    if (!this.#hasRuntimeDirectory) {
      try {
        mkdirSync(dirname(this.#runtimeDirectory), { recursive: true });
        // Fails when it exists, so nobody can have put it there before us.
        mkdirSync(this.#runtimeDirectory, { mode: 0o700 });
      } catch (cause) {
        throw this.#spawnError(
          `Could not create the runtime directory ${this.#runtimeDirectory}: ${(cause as Error).message}; set "runtimeDir" to a folder that may be written`,
          cause,
        );
      }
      this.#hasRuntimeDirectory = true;
      if (runAs !== undefined) chownSync(this.#runtimeDirectory, runAs.uid, runAs.gid);
    }
    prepare?.(this.#runtimeDirectory, this.#address);
  }

  /** A socket that the interpreter left: only a socket, and only its own (T101). */
  #removeSocket(): void {
    if (this.#address.kind !== 'unix') return;
    const status = lstatSync(this.#address.path, { throwIfNoEntry: false });
    const uid = this.#runAs?.uid ?? process.getuid?.();
    if (status?.isSocket() && status.uid === uid) unlinkSync(this.#address.path);
  }

  #fillIn(texts: readonly string[]): string[] {
    const address = this.#address;
    const values: Readonly<Record<string, string>> = {
      '{runtimeDir}': this.#runtimeDirectory,
      '{address}':
        address.kind === 'tcp'
          ? this.address.slice('tcp://'.length)
          : address.kind === 'unix'
            ? address.path
            : `@${address.name}`,
      ...(address.kind === 'tcp' ? { '{host}': address.host, '{port}': String(address.port) } : {}),
      ...(address.kind === 'unix' ? { '{path}': address.path } : {}),
    };
    return texts.map((text) => text.replace(/\{\w+\}/g, (name) => values[name] ?? name));
  }

  #fillInEnvironment(): Record<string, string> {
    const { environment = {}, inheritEnv = false, env = {} } = this.#options;
    const result: Record<string, string> = { PATH: defaultPath };
    for (const name of inheritEnv ? Object.keys(environment) : inheritedNames) {
      const value = environment[name];
      if (value !== undefined) result[name] = value;
    }
    for (const [name, value] of Object.entries(env)) result[name] = this.#fillIn([value])[0]!;
    return result;
  }

  get #spawnTimeoutMs(): number {
    return this.#options.spawnTimeoutMs ?? 3_000;
  }

  #exitError(report: ExitReport, when: string): SourceError {
    const how = report.signal === undefined ? `with exit code ${report.exitCode}` : `by ${report.signal}`;
    const words = report.lastWords === '' ? ', and said nothing' : `: ${report.lastWords}`;
    return new SourceError(
      'GW_ERR_SOURCE_EXITED',
      `The interpreter of source ${this.name} ended ${how}${when === '' ? '' : ` ${when}`}${words}`,
      { delivery: 'unsent' },
    );
  }

  #spawnError(message: string, cause?: unknown): SourceError {
    return new SourceError('GW_ERR_SOURCE_SPAWN', message, { cause, delivery: 'unsent' });
  }

  /** The last reason, with the time of the next start. */
  #notDue(): SourceError {
    const seconds = Math.max(1, Math.ceil(this.#policy.delayMs(this.#options.now()) / 1000));
    const { code, message, cause } = this.#lastError ?? this.#stopped();
    return new SourceError(code, message, { cause, delivery: 'unsent', retryAfterSeconds: seconds });
  }

  #stopped(): SourceError {
    return new SourceError('GW_ERR_SOURCE_STOPPED', `Source ${this.name} was stopped`, {
      delivery: 'unsent',
    });
  }

  #overloaded(): SourceError {
    return new SourceError(
      'GW_ERR_SOURCE_OVERLOADED',
      `${waitingMax} requests already wait for source ${this.name} to start`,
      { delivery: 'unsent', retryAfterSeconds: 1 },
    );
  }
}

function chooseAndWarn(options: LocalSourceOptions): RunAs | undefined {
  const runAs = chooseRunAs(options);
  if (runAs?.warning !== undefined) options.log.warn(runAs.warning, { source: options.name });
  return runAs;
}

/** Another start will meet the same: no such program, not allowed, no such address. */
function isHopeless(error: SourceError): boolean {
  return error.code === 'GW_ERR_SOURCE_NO_INTERPRETER' || error.code === 'GW_ERR_SOURCE_CONNECT';
}
