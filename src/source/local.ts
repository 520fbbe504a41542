/**
 * A local source: a FastCGI application with an `interpreter` command, which we start when nothing answers at its
 * address, watch, start again when it dies, and stop with us. One start serves all requests that wait for it.
 * It may run as several processes, each with an address of its own: then we know which of them is free, and can replace
 * one without losing a request. The FastCGI exchange itself is the remote source's business.
 */
import { randomBytes } from 'node:crypto';
import { chownSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Address, parseAddress, printAddress } from '../base/address.ts';
import { GatewayError, SourceError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { LaunchOptions } from './launch.ts';
import { ProcessList } from './leftovers.ts';
import { type ExchangeOwner, LocalExchange } from './local-exchange.ts';
import { exitError, LocalProcess } from './local-process.ts';
import { fillIn, isToldWhereToListen, type Place } from './placeholders.ts';
import type { ExitReport, StartOptions } from './process.ts';
import type { SourceProfile } from './profile.ts';
import { createRemoteSource } from './remote.ts';
import { RestartPolicy } from './restart-policy.ts';
import { canEnter, chooseRunAs, type RunAs } from './run-as.ts';
import type { Source, SourceExchange, SourceListener, SourceRequest } from './source.ts';

/** How many processes run. */
export interface ProcessesOptions {
  /** Kept even without requests. */
  readonly min: number;
  readonly max: number;
  /** A process more than `min` that had no request for so long is ended. */
  readonly idleMs: number;
}

/** When a process is replaced: its successor answers before it leaves. Undefined: never for that reason. */
export interface RecycleOptions {
  readonly requests?: number | undefined;
  readonly ageMs?: number | undefined;
  /** Resident memory of a process and its children. */
  readonly memoryMb?: number | undefined;
}

export interface LocalSourceOptions extends LaunchOptions {
  readonly name: string;
  /** Program and arguments; see `fillIn` for the placeholders. */
  readonly interpreter: readonly string[];
  /** May hold `{runtimeDir}` and `{process}`. Undefined: a socket in the runtime directory. */
  readonly address?: string | undefined;
  /**
   * `inherit`: we listen, and it takes the socket as descriptor 0; `own`: it listens at the address.
   * Default: `inherit` for a command that is told no address, unless `address` says that it knows it.
   */
  readonly socket?: 'inherit' | 'own' | undefined;
  /** Default: one, from the first request on. More than one, or `recycle`, needs `{process}` in an `address`. */
  readonly processes?: ProcessesOptions | undefined;
  readonly recycle?: RecycleOptions | undefined;
  /** Longest wait for a started interpreter to answer, default 3000. */
  readonly spawnTimeoutMs?: number | undefined;
  /** As whom it runs when we are root; without, `chooseRunAs` decides, by the document root's owner. */
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  /** Supplementary groups. */
  readonly groups?: readonly string[] | undefined;
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
  /** Default: `php-cgi` for a program of that name, else `generic`. */
  readonly profile?: SourceProfile | undefined;
  readonly keepConnections?: number | undefined;
  /** Requests at the same time, of each process; default: 1 where there may be several, else no limit. */
  readonly capacity?: number | undefined;
  /** See `RemoteSourceOptions`; the address may hold placeholders. */
  readonly statusPath?: string | undefined;
  readonly statusAddress?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly readTimeoutMs?: number | undefined;
  readonly sendTimeoutMs?: number | undefined;
  readonly totalTimeoutMs?: number | undefined;
  readonly holdMs?: number | undefined;
  /** For the start banner; default names the command and the address. */
  readonly description?: string | undefined;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
}

/** Requests that wait for a process. */
const waitingMax = 1_000;
/** How long one waits while all processes that there may be are busy. */
const waitingTimeoutMs = 5_000;
/** Longest and shortest time between two looks at idle and worn processes. */
const tickMsMax = 250;
const tickMsMin = 10;
/** Reading the memory of all processes takes some milliseconds. */
const memoryCheckMs = 3_000;
const mebibyte = 1_048_576;
/** Who ends in order after so many requests has a limit of its own (PHP_FCGI_MAX_REQUESTS), and is no crash loop. */
const endedByItselfMin = 10;
/** How long the end of a process may be told after its connections were cut. */
const exitReportMs = 1_000;
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

class LocalSource implements Source {
  readonly name: string;
  readonly address: string;
  readonly #options: LocalSourceOptions;
  readonly #addressTemplate: string;
  readonly #runtimeDirectory: string;
  readonly #list: ProcessList;
  readonly #runAs: RunAs | undefined;
  readonly #policy: RestartPolicy;
  readonly #stop = new AbortController();
  /** By their numbers, so that the first ones get most of the work, and the last ones end when there is little. */
  readonly #processes: LocalProcess[] = [];
  /** With the time since when they wait. */
  readonly #waiting = new Map<LocalExchange, number>();
  readonly #min: number;
  readonly #max: number;
  readonly #placesPerProcess: number;
  /** What a request tells its source. */
  readonly #owner: ExchangeOwner = {
    lost: (exchange, process) => {
      this.#doubt(process);
      this.#leaveExchange(process);
      this.#give(exchange);
    },
    ended: (exchange, process) => {
      this.#active--;
      if (process === undefined) this.#waiting.delete(exchange);
      else this.#leaveExchange(process);
    },
    explain: (error, process) => this.#explain(error, process),
  };
  #hasRuntimeDirectory = false;
  #isStopped = false;
  /** A request came, or `start` was called: from now on the minimum is kept. */
  #isInUse = false;
  #active = 0;
  /** Why the last start failed: what requests are told while no start is due. */
  #lastError: SourceError | undefined;
  #starting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #memoryCheckedAt = 0;
  #closing: Promise<void> | undefined;

  constructor(options: LocalSourceOptions) {
    const { processes, recycle, address, capacity } = options;
    this.#options = options;
    this.name = options.name;
    this.#runAs = options.runAs ?? chooseAndWarn(options);
    const parent = options.runtimeDir ?? tmpdir();
    const isOpen = this.#runAs === undefined || canEnter(parent, this.#runAs);
    this.#runtimeDirectory = join(isOpen ? parent : tmpdir(), `fastway-${randomBytes(6).toString('hex')}`);
    this.#list = new ProcessList(this.#runtimeDirectory, options.name);
    this.#min = processes?.min ?? 1;
    this.#max = processes?.max ?? 1;
    this.#placesPerProcess = this.#max === 1 ? Number.POSITIVE_INFINITY : (capacity ?? 1);
    const isOneAtATime = this.#max === 1 && recycle === undefined;
    this.#addressTemplate = (
      address ?? `unix:{runtimeDir}/fastcgi${isOneAtATime ? '' : '-{process}'}.sock`
    ).replaceAll('{runtimeDir}', this.#runtimeDirectory);
    if (!isOneAtATime && !this.#addressTemplate.includes('{process}')) {
      throw new GatewayError(
        'GW_ERR_ADDRESS',
        `Several processes of source ${this.name} cannot listen at one address ${address}; write {process} into it, or leave it out`,
      );
    }
    // Faults in it are told now.
    const first = this.#addressOf(1);
    this.address = isOneAtATime ? printAddress(first) : this.#addressTemplate;
    this.#policy = new RestartPolicy(options.random);
  }

  get active(): number {
    return this.#active;
  }

  /** Requests wait here for a start; what has a process and lost it has the process's own patience. */
  get holdMs(): number {
    return this.#processes.reduce((most, { remote }) => Math.max(most, remote.holdMs), 0);
  }

  isUsable(): boolean {
    return true;
  }

  /** Of those that work, on average: one of several that warms up slows the others little. */
  get share(): number {
    let sum = 0;
    let count = 0;
    for (const process of this.#processes) {
      if (process.state !== 'ready' || !process.remote.isAvailable()) continue;
      sum += process.remote.share;
      count++;
    }
    return count === 0 ? 1 : sum / count;
  }

  isAvailable(): boolean {
    if (this.#isStopped) return false;
    let isReady = false;
    for (const process of this.#processes) {
      if (process.state !== 'ready') continue;
      if (process.remote.isAvailable()) return true;
      isReady = true;
    }
    return !isReady && !this.#policy.isOpen(this.#options.now());
  }

  start(): void {
    if (this.#options.processes === undefined || this.#isStopped) return;
    this.#isInUse = true;
    this.#grow();
  }

  open(request: SourceRequest, listener: SourceListener): SourceExchange {
    this.#active++;
    const exchange = new LocalExchange(request, listener, this.#owner);
    this.#give(exchange);
    return exchange;
  }

  describe(): string {
    return (
      this.#options.description ??
      `${this.#options.interpreter[0]} at ${this.address}, ${this.#describeProcesses()}`
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #describeProcesses(): string {
    if (this.#max === 1)
      return this.#min > 0 && this.#options.processes ? 'started with us' : 'started when it is needed';
    return `${this.#min} to ${this.#max} processes, started when they are needed`;
  }

  /** To a process that has a place for it, or into the queue. */
  #give(exchange: LocalExchange): void {
    const process = this.#choose();
    if (process !== undefined) {
      process.busy++;
      process.requests++;
      exchange.begin(process);
      return;
    }
    if (this.#isStopped) exchange.failSoon(this.#stopped());
    else if (this.#waiting.size >= waitingMax) exchange.failSoon(this.#overloaded());
    else if (!this.#hasSome('ready') && this.#policy.isOpen(this.#options.now()))
      exchange.failSoon(this.#notDue());
    else {
      this.#isInUse = true;
      this.#waiting.set(exchange, this.#options.now());
      this.#grow();
    }
  }

  /** The least busy one that has a place. */
  #choose(): LocalProcess | undefined {
    let best: LocalProcess | undefined;
    for (const process of this.#processes) {
      if (process.state !== 'ready' || process.busy >= this.#placesPerProcess) continue;
      if (best === undefined || process.busy < best.busy) best = process;
    }
    return best;
  }

  #giveWaiting(): void {
    for (const [exchange, since] of this.#waiting) {
      if (this.#choose() === undefined) {
        this.#grow();
        break;
      }
      this.#waiting.delete(exchange);
      exchange.waited(this.#options.now() - since);
      this.#give(exchange);
    }
  }

  #leaveExchange(process: LocalProcess): void {
    process.busy--;
    if (process.busy === 0) process.idleSince = this.#options.now();
    if (this.#waiting.size > 0) this.#giveWaiting();
    const requestsMax = this.#options.recycle?.requests;
    if (requestsMax !== undefined && process.requests >= requestsMax) this.#maintain();
  }

  #hasSome(state: LocalProcess['state']): boolean {
    return this.#processes.some((process) => process.state === state);
  }

  /** Processes that work, or are about to. */
  get #living(): number {
    return this.#processes.filter(({ state }) => state !== 'leaving' && state !== 'gone').length;
  }

  /** Starts another process where one is missing: one after the other, as each may be enough. */
  #grow(): void {
    if (this.#isStopped || this.#starting !== undefined) return;
    const isMissing = this.#isInUse && this.#living < this.#min;
    const isWanted = this.#waiting.size > 0 && this.#living < this.#max && !this.#hasSome('doubted');
    if (isMissing || isWanted) this.#startOne(undefined);
  }

  /** @param replaced leaves when the new one is ready */
  #startOne(replaced: LocalProcess | undefined): void {
    this.#watch();
    this.#starting = this.#startUntilItAnswers().then(
      () => {
        this.#starting = undefined;
        this.#came(replaced);
      },
      (error: unknown) => {
        this.#starting = undefined;
        this.#failed(error);
      },
    );
  }

  #came(replaced: LocalProcess | undefined): void {
    if (this.#isStopped) return;
    this.#lastError = undefined;
    if (replaced !== undefined) this.#dismiss(replaced);
    this.#giveWaiting();
    this.#grow();
  }

  #failed(error: unknown): void {
    if (this.#isStopped) return;
    this.#lastError = error instanceof SourceError ? error : this.#spawnError(String(error), error);
    this.#options.log.error(this.#lastError.message, { source: this.name, code: this.#lastError.code });
    if (!this.#hasSome('ready')) this.#refuseWaiting(() => this.#notDue());
  }

  #refuseWaiting(createError: () => SourceError): void {
    const waiting = [...this.#waiting.keys()];
    this.#waiting.clear();
    for (const exchange of waiting) exchange.fail(createError());
  }

  /** Tries until it answers, the time of the waiting requests is over, or another start is not due soon. */
  async #startUntilItAnswers(): Promise<void> {
    const { now } = this.#options;
    const limit = now() + this.#spawnTimeoutMs;
    for (;;) {
      const wait = this.#policy.delayMs(now());
      if (wait > 0) await delay(wait, undefined, { signal: this.#stop.signal });
      try {
        await this.#startNext();
        return;
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (error instanceof SourceError && isHopeless(error)) this.#policy.refused(now());
        else this.#policy.exited(now());
        if (this.#policy.isOpen(now()) || now() + this.#policy.delayMs(now()) > limit) throw error;
      }
    }
  }

  async #startNext(): Promise<void> {
    const process = this.#createProcess(await this.#freeNumber());
    const index = this.#processes.findIndex(({ number }) => number > process.number);
    this.#processes.splice(index < 0 ? this.#processes.length : index, 0, process);
    try {
      await process.start();
    } catch (error) {
      await this.#bury(process);
      throw error;
    }
    void process.exited?.then((report) => this.#died(process, report));
  }

  /** It had been ready, and is gone without having been told to. */
  #died(process: LocalProcess, report: ExitReport): void {
    if (this.#isStopped || process.isDismissed) return;
    const { now, log } = this.#options;
    const { pid, requests } = process;
    if (report.exitCode === 0 && requests >= endedByItselfMin) {
      log.info(`The interpreter ended by itself after ${requests} requests`, { source: this.name, pid });
    } else {
      this.#lastError = exitError(this.name, report, process.hasAnswered ? '' : 'before it answered');
      this.#policy.exited(now());
      const restartInMs = Math.round(this.#policy.delayMs(now()));
      log.error(this.#lastError.message, { source: this.name, pid, restartInMs });
    }
    // Its children may still answer, and would hold the address (F48).
    void this.#bury(process).then(() => {
      if (!this.#policy.isOpen(now())) this.#grow();
      else if (!this.#hasSome('ready')) this.#refuseWaiting(() => this.#notDue());
    });
  }

  /** Where all have one address, the last one has to be gone first. */
  async #freeNumber(): Promise<number> {
    if (!this.#addressTemplate.includes('{process}')) {
      await Promise.all(this.#processes.map((process) => this.#bury(process)));
    }
    for (let number = 1; ; number++) {
      if (this.#processes.every((process) => process.number !== number)) return number;
    }
  }

  #createProcess(number: number): LocalProcess {
    const options = this.#options;
    const place = {
      address: this.#addressOf(number),
      runtimeDirectory: this.#runtimeDirectory,
      process: number,
    };
    return new LocalProcess({
      number,
      address: place.address,
      inheritsSocket: this.#inheritsSocket,
      spawnTimeoutMs: this.#spawnTimeoutMs,
      program: this.#createProgram(place),
      prepare: () => this.#prepareRuntimeDirectory(place.address),
      createRemote: () =>
        createRemoteSource({
          ...options,
          profile: options.profile ?? this.#findProfile(),
          address: place.address,
          capacity: this.#max === 1 ? (options.capacity ?? this.#childrenOfPhp) : this.#placesPerProcess,
          statusAddress:
            options.statusAddress === undefined ? undefined : fillIn(options.statusAddress, place),
        }),
      stop: this.#stop.signal,
      log: options.log,
      now: options.now,
    });
  }

  /** php-cgi runs as many requests as it was told children, or one (PHP_FCGI_CHILDREN). */
  get #childrenOfPhp(): number | undefined {
    if (this.#findProfile() !== 'php-cgi') return undefined;
    return Math.max(1, Number(this.#options.env?.PHP_FCGI_CHILDREN ?? 0) || 1);
  }

  /** Not asked, but read off the command: it is ours. */
  #findProfile(): SourceProfile {
    return /^php-cgi[\d.]*$/.test(basename(this.#options.interpreter[0]!)) ? 'php-cgi' : 'generic';
  }

  #createProgram(place: Place): Omit<StartOptions, 'socket'> {
    const { interpreter, workingDirectory, isRepeated, log } = this.#options;
    return {
      name: this.name,
      command: interpreter.map((text) => fillIn(text, place)),
      env: this.#createEnvironment(place),
      workingDirectory,
      runAs: this.#runAs,
      launch: this.#options,
      list: this.#list,
      isRepeated,
      log,
    };
  }

  #createEnvironment(place: Place): Record<string, string> {
    const { environment = {}, inheritEnv = false, env = {} } = this.#options;
    const result: Record<string, string> = { PATH: defaultPath };
    for (const name of inheritEnv ? Object.keys(environment) : inheritedNames) {
      const value = environment[name];
      if (value !== undefined) result[name] = value;
    }
    for (const [name, value] of Object.entries(env)) result[name] = fillIn(value, place);
    return result;
  }

  /** Nobody listened: a look decides whether that was for a moment only, or it is replaced. */
  #doubt(process: LocalProcess): void {
    if (process.state !== 'ready') return;
    process.state = 'doubted';
    process.answers().then(
      (answers) => {
        if (process.state !== 'doubted') return;
        if (answers) {
          process.state = 'ready';
          this.#giveWaiting();
        } else {
          // A process of ours counts as died, also where it had to be ended.
          void this.#bury(process).then(() => {
            if (process.pid === undefined) this.#grow();
          });
        }
      },
      (error: unknown) => {
        void this.#bury(process).then(() => this.#failed(error));
      },
    );
  }

  /** Ends it, and gives its number free. */
  async #bury(process: LocalProcess): Promise<void> {
    await process.end();
    this.#forget(process);
  }

  /** Ends it after its requests. */
  #dismiss(process: LocalProcess): void {
    process.isDismissed = true;
    void process.leave().then(() => {
      this.#forget(process);
      this.#maintain();
    });
  }

  #forget(process: LocalProcess): void {
    const index = this.#processes.indexOf(process);
    if (index >= 0) this.#processes.splice(index, 1);
  }

  /** Looks after idle, worn and missing processes from now on, where the options ask for it. */
  #watch(): void {
    const { processes, recycle, now } = this.#options;
    if (this.#timer !== undefined || (processes === undefined && recycle === undefined)) return;
    const shortest = Math.min(processes?.idleMs ?? tickMsMax, recycle?.ageMs ?? tickMsMax);
    this.#memoryCheckedAt = now();
    this.#timer = setInterval(() => this.#tick(), Math.max(tickMsMin, Math.min(tickMsMax, shortest / 4)));
    this.#timer.unref();
  }

  #tick(): void {
    const limit = this.#options.now() - waitingTimeoutMs;
    // Without any process the start decides.
    if (this.#hasSome('ready')) {
      for (const [exchange, since] of this.#waiting) {
        if (since > limit) break;
        this.#waiting.delete(exchange);
        exchange.fail(this.#overloaded());
      }
    }
    this.#maintain();
    const isKept = this.#isInUse && this.#min > 0;
    if (!isKept && this.#processes.length === 0 && this.#starting === undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #maintain(): void {
    if (this.#isStopped) return;
    this.#endIdle();
    if (this.#starting !== undefined || this.#policy.delayMs(this.#options.now()) > 0) return;
    // One at a time, so that the others carry the load.
    if (!this.#hasSome('leaving')) {
      const worn = this.#findWorn();
      if (worn !== undefined) this.#startOne(worn);
    }
    this.#grow();
  }

  #endIdle(): void {
    const { processes, now, log } = this.#options;
    if (processes === undefined || this.#living <= this.#min || this.#waiting.size > 0) return;
    const idle = this.#processes.findLast(
      ({ state, busy, idleSince }) =>
        state === 'ready' && busy === 0 && now() - idleSince >= processes.idleMs,
    );
    if (idle === undefined) return;
    log.info('The interpreter is not needed any more', { source: this.name, pid: idle.pid });
    this.#dismiss(idle);
  }

  #findWorn(): LocalProcess | undefined {
    const { recycle, now, log } = this.#options;
    if (recycle === undefined) return undefined;
    const { requests = Number.POSITIVE_INFINITY, ageMs = Number.POSITIVE_INFINITY, memoryMb } = recycle;
    const isMemoryDue = memoryMb !== undefined && now() - this.#memoryCheckedAt >= memoryCheckMs;
    if (isMemoryDue) this.#memoryCheckedAt = now();
    for (const process of this.#processes) {
      if (process.state !== 'ready' || process.pid === undefined) continue;
      const why =
        process.requests >= requests
          ? `it had ${process.requests} requests`
          : now() - process.readyAt >= ageMs
            ? `it is ${Math.round((now() - process.readyAt) / 1000)} s old`
            : isMemoryDue && process.memoryBytes > memoryMb * mebibyte
              ? `it takes ${Math.round(process.memoryBytes / mebibyte)} MiB of memory`
              : undefined;
      if (why === undefined) continue;
      log.info(`The interpreter is replaced: ${why}`, { source: this.name, pid: process.pid });
      return process;
    }
    return undefined;
  }

  /** What an interpreter that has not answered anything yet did wrong; undefined: the error says it. */
  #explain(error: GatewayError, process: LocalProcess): Promise<GatewayError> | undefined {
    if (process.hasAnswered || !this.#inheritsSocket || process.exited === undefined) return undefined;
    if (!(error instanceof SourceError)) return undefined;
    const { code, delivery } = error;
    if (code === 'GW_ERR_SOURCE_READ_TIMEOUT') {
      const advice = `Source ${this.name} was started with its listening socket as descriptor 0; if its interpreter listens by itself, give it "{address}"`;
      return Promise.resolve(new SourceError(code, `${error.message}. ${advice}`, { delivery }));
    }
    if (code !== 'GW_ERR_SOURCE_CLOSED' && code !== 'GW_ERR_SOURCE_CONNECT') return undefined;
    return Promise.race([
      process.exited.then((report) => exitError(this.name, report, 'before it answered', delivery)),
      delay(exitReportMs, error, { ref: false }),
    ]);
  }

  async #close(): Promise<void> {
    this.#isStopped = true;
    this.#stop.abort();
    clearInterval(this.#timer);
    this.#refuseWaiting(() => this.#stopped());
    await this.#starting;
    await Promise.all([...this.#processes].map((process) => process.leave()));
    if (this.#hasRuntimeDirectory) rmSync(this.#runtimeDirectory, { recursive: true, force: true });
  }

  #prepareRuntimeDirectory(address: Address): void {
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
    prepare?.(this.#runtimeDirectory, address);
  }

  get #inheritsSocket(): boolean {
    const { socket, address, interpreter, env } = this.#options;
    if (socket !== undefined) return socket === 'inherit';
    return address === undefined && !isToldWhereToListen(interpreter, env);
  }

  #addressOf(number: number): Address {
    return parseAddress(this.#addressTemplate.replaceAll('{process}', String(number)));
  }

  get #spawnTimeoutMs(): number {
    return this.#options.spawnTimeoutMs ?? 3_000;
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
    const reason = this.#hasSome('ready')
      ? `All ${this.#max} processes of source ${this.name} are busy, and ${this.#waiting.size} more requests wait`
      : `${this.#waiting.size} requests already wait for source ${this.name} to start`;
    return new SourceError('GW_ERR_SOURCE_OVERLOADED', reason, { delivery: 'unsent', retryAfterSeconds: 1 });
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
