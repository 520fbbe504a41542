/**
 * A local source: a FastCGI application with an `interpreter` command, which we start when nothing answers at its
 * address, watch, start again when it dies, and stop with us. One start serves all requests that wait for it.
 * It may run as several processes, each with an address of its own: then we know which of them is free, and can replace
 * one without losing a request. The FastCGI exchange itself is the remote source's business.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorFacts } from '../../base/error-facts.ts';
import { SourceError } from '../../base/errors.ts';
import { WaitingLine, waitingMax } from '../../client/waiting-line.ts';
import type { ExitReport } from '../../process/spawned-process.ts';
import type { Source, SourceExchange, SourceFacts, SourceListener, SourceRequest } from '../source.ts';
import { InterpreterPlan, spawnError } from './interpreter-plan.ts';
import { exitError, type InterpreterProcess } from './interpreter-process.ts';
import { type ExchangeOwner, LocalExchange } from './local-exchange.ts';
import type { LocalSourceOptions } from './local-options.ts';
import {
  chooseProcess,
  isUsedUp,
  lookInterval,
  needsStart,
  type ProcessState,
  reconcile,
  type Situation,
} from './reconcile.ts';
import { RestartPolicy } from './restart-policy.ts';

/** Most that wait while nothing runs yet: one start is enough for all of them (F47). */
const startingMax = 1_000;
/** Between two readings of the memory of all processes, which take some milliseconds. */
const memoryReadMs = 3_000;
/** Who ends in order after so many requests has a limit of its own (PHP_FCGI_MAX_REQUESTS), and is no crash loop. */
const endedByItselfMin = 10;

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
  readonly #plan: InterpreterPlan;
  readonly #policy: RestartPolicy;
  readonly #stop = new AbortController();
  /** By their numbers, so that the first ones get most of the work, and the last ones end when there is little. */
  readonly #processes: InterpreterProcess[] = [];
  readonly #waiting: WaitingLine<LocalExchange>;
  readonly #min: number;
  readonly #max: number;
  /** What a request tells its source. */
  readonly #owner: ExchangeOwner = {
    lost: (exchange, interpreter) => {
      this.#doubt(interpreter);
      this.#leaveExchange(interpreter);
      this.#give(exchange);
    },
    ended: (exchange, interpreter) => {
      this.#active--;
      if (interpreter === undefined) this.#waiting.remove(exchange);
      else this.#leaveExchange(interpreter);
    },
    explain: (error, interpreter) => this.#plan.explain(error, interpreter),
  };
  #isStopped = false;
  /** A request came, or `start` was called: from now on the minimum is kept. */
  #isInUse = false;
  #active = 0;
  /** Interpreters that were started, and those that died. */
  #starts = 0;
  #unexpectedEnds = 0;
  /** Why the last start failed: what requests are told while no start is due. */
  #lastError: SourceError | undefined;
  #starting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #memoryReadAt: number;
  #closing: Promise<void> | undefined;

  constructor(options: LocalSourceOptions) {
    const { processes, name, now } = options;
    this.#options = options;
    this.name = name;
    this.#min = processes?.min ?? 1;
    this.#max = processes?.max ?? 1;
    this.#plan = new InterpreterPlan(options, this.#stop.signal);
    this.address = this.#plan.address;
    this.#waiting = new WaitingLine({ now });
    this.#memoryReadAt = now();
    this.#policy = new RestartPolicy(options.random);
  }

  get active(): number {
    return this.#active;
  }

  /** Requests wait here for a start; what has a process and lost it has the process's own patience. */
  get holdMs(): number {
    return this.#processes.reduce((most, { remote }) => Math.max(most, remote.holdMs), 0);
  }

  get facts(): SourceFacts {
    const remotes = this.#processes.flatMap(({ remote }) => remote.facts ?? []);
    const sum = (count: (facts: SourceFacts) => number) =>
      remotes.reduce((total, facts) => total + count(facts), 0);
    const capacity = this.#max * (this.#plan.capacityOfProcess ?? Number.POSITIVE_INFINITY);
    return {
      waiting: this.#waiting.size + sum(({ waiting }) => waiting),
      capacity: Number.isFinite(capacity) ? capacity : undefined,
      connections: sum(({ connections }) => connections),
      idleConnections: sum(({ idleConnections }) => idleConnections),
      interpreter: {
        processes: this.#processes.filter(({ pid, state }) => pid !== undefined && state !== 'gone').length,
        starts: this.#starts,
        unexpectedEnds: this.#unexpectedEnds,
      },
    };
  }

  isUsable(): boolean {
    return true;
  }

  /** Of those that work, on average: one of several that warms up slows the others little. */
  get share(): number {
    let sum = 0;
    let count = 0;
    for (const interpreter of this.#processes) {
      if (interpreter.state !== 'ready' || !interpreter.remote.isAvailable()) continue;
      sum += interpreter.remote.share;
      count++;
    }
    return count === 0 ? 1 : sum / count;
  }

  isAvailable(): boolean {
    if (this.#isStopped) return false;
    let isReady = false;
    for (const interpreter of this.#processes) {
      if (interpreter.state !== 'ready') continue;
      if (interpreter.remote.isAvailable()) return true;
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
    const interpreter = chooseProcess(this.#processes, this.#plan.places);
    if (interpreter !== undefined) {
      interpreter.busy++;
      interpreter.requests++;
      exchange.begin(interpreter);
      return;
    }
    const isStarting = !this.#hasSome('ready');
    if (this.#isStopped) exchange.failSoon(this.#stopped());
    else if (isStarting && this.#policy.isOpen(this.#options.now())) exchange.failSoon(this.#notDue());
    else {
      this.#isInUse = true;
      this.#waiting.max = isStarting ? startingMax : waitingMax;
      const loser = this.#waiting.push(exchange, exchange.claim);
      if (loser === exchange) exchange.failSoon(this.#overloaded());
      else loser?.fail(this.#overloaded());
      this.#grow();
    }
  }

  #giveWaiting(): void {
    while (this.#waiting.size > 0) {
      if (chooseProcess(this.#processes, this.#plan.places) === undefined) {
        this.#grow();
        return;
      }
      this.#give(this.#waiting.shift()!);
    }
  }

  #leaveExchange(interpreter: InterpreterProcess): void {
    interpreter.busy--;
    if (interpreter.busy === 0) interpreter.idleSince = this.#options.now();
    if (this.#waiting.size > 0) this.#giveWaiting();
    if (isUsedUp(interpreter, this.#options)) this.#maintain();
  }

  #hasSome(state: ProcessState): boolean {
    return this.#processes.some((interpreter) => interpreter.state === state);
  }

  /** What `reconcile` decides by. */
  #look(isMemoryDue: boolean): Situation<InterpreterProcess> {
    const now = this.#options.now();
    return {
      processes: this.#processes,
      waiting: this.#waiting.size,
      isInUse: this.#isInUse,
      isStarting: this.#starting !== undefined,
      startDelayMs: this.#policy.delayMs(now),
      isMemoryDue,
      now,
    };
  }

  #grow(): void {
    if (!this.#isStopped && needsStart(this.#look(false), this.#options)) this.#startOne(undefined);
  }

  /** @param replaced leaves when the new one is ready */
  #startOne(replaced: InterpreterProcess | undefined): void {
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

  #came(replaced: InterpreterProcess | undefined): void {
    if (this.#isStopped) return;
    this.#lastError = undefined;
    if (replaced !== undefined) this.#dismiss(replaced);
    this.#giveWaiting();
    this.#grow();
  }

  #failed(error: unknown): void {
    if (this.#isStopped) return;
    this.#lastError = error instanceof SourceError ? error : spawnError(String(error), error);
    this.#options.log.error(this.#lastError.message, { source: this.name, code: this.#lastError.code });
    if (!this.#hasSome('ready')) this.#refuseWaiting(() => this.#notDue());
  }

  #refuseWaiting(createError: () => SourceError): void {
    for (const exchange of this.#waiting.clear()) exchange.fail(createError());
  }

  /** Tries until it answers, the time of the waiting requests is over, or another start is not due soon. */
  async #startUntilItAnswers(): Promise<void> {
    const { now } = this.#options;
    const limit = now() + this.#plan.spawnTimeoutMs;
    for (;;) {
      const wait = this.#policy.delayMs(now());
      if (wait > 0) await delay(wait, undefined, { signal: this.#stop.signal });
      try {
        await this.#startNext();
        return;
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (error instanceof SourceError && errorFacts[error.code].isHopelessStart)
          this.#policy.refused(now());
        else this.#policy.exited(now());
        if (this.#policy.isOpen(now()) || now() + this.#policy.delayMs(now()) > limit) throw error;
      }
    }
  }

  async #startNext(): Promise<void> {
    const interpreter = this.#plan.createProcess(await this.#freeNumber());
    const index = this.#processes.findIndex(({ number }) => number > interpreter.number);
    this.#processes.splice(index < 0 ? this.#processes.length : index, 0, interpreter);
    try {
      await interpreter.start();
    } catch (error) {
      await this.#bury(interpreter);
      throw error;
    }
    if (interpreter.pid !== undefined) this.#starts++;
    void interpreter.exited?.then((report) => this.#died(interpreter, report));
  }

  /** It had been ready, and is gone without having been told to. */
  #died(interpreter: InterpreterProcess, report: ExitReport): void {
    if (this.#isStopped || interpreter.isDismissed) return;
    const { now, log } = this.#options;
    const { pid, requests } = interpreter;
    if (report.exitCode === 0 && requests >= endedByItselfMin) {
      log.info(`The interpreter ended by itself after ${requests} requests`, { source: this.name, pid });
    } else {
      this.#unexpectedEnds++;
      this.#lastError = exitError(this.name, report, interpreter.hasAnswered ? '' : 'before it answered');
      this.#policy.exited(now());
      const restartInMs = Math.round(this.#policy.delayMs(now()));
      log.error(this.#lastError.message, { source: this.name, pid, restartInMs });
    }
    // Its children may still answer, and would hold the address (F48).
    void this.#bury(interpreter).then(() => {
      if (!this.#policy.isOpen(now())) this.#grow();
      else if (!this.#hasSome('ready')) this.#refuseWaiting(() => this.#notDue());
    });
  }

  /** Where all have one address, the last one has to be gone first. */
  async #freeNumber(): Promise<number> {
    if (this.#plan.hasOneAddress) {
      await Promise.all(this.#processes.map((interpreter) => this.#bury(interpreter)));
    }
    for (let number = 1; ; number++) {
      if (this.#processes.every((interpreter) => interpreter.number !== number)) return number;
    }
  }

  /** Nobody listened: a look decides whether that was for a moment only, or it is replaced. */
  #doubt(interpreter: InterpreterProcess): void {
    if (interpreter.state !== 'ready') return;
    interpreter.state = 'doubted';
    interpreter.answers().then(
      (answers) => {
        if (interpreter.state !== 'doubted') return;
        if (answers) {
          interpreter.state = 'ready';
          this.#giveWaiting();
        } else {
          // A process of ours counts as died, also where it had to be ended.
          void this.#bury(interpreter).then(() => {
            if (interpreter.pid === undefined) this.#grow();
          });
        }
      },
      (error: unknown) => {
        void this.#bury(interpreter).then(() => this.#failed(error));
      },
    );
  }

  /** Ends it, and gives its number free. */
  async #bury(interpreter: InterpreterProcess): Promise<void> {
    await interpreter.end();
    this.#forget(interpreter);
  }

  /** Ends it after its requests. */
  #dismiss(interpreter: InterpreterProcess): void {
    interpreter.isDismissed = true;
    void interpreter.leave().then(() => {
      this.#forget(interpreter);
      this.#maintain();
    });
  }

  #forget(interpreter: InterpreterProcess): void {
    const index = this.#processes.indexOf(interpreter);
    if (index >= 0) this.#processes.splice(index, 1);
  }

  /** Looks after idle, worn and missing processes from now on, where the options ask for it. */
  #watch(): void {
    const lookMs = lookInterval(this.#options);
    if (this.#timer !== undefined || lookMs === undefined) return;
    this.#timer = setInterval(() => this.#tick(), lookMs);
    this.#timer.unref();
  }

  #tick(): void {
    // Without any process the start decides.
    if (this.#hasSome('ready')) {
      for (const exchange of this.#waiting.expire()) exchange.fail(this.#overloaded());
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
    const { log, now } = this.#options;
    const isMemoryDue = now() - this.#memoryReadAt >= memoryReadMs;
    if (isMemoryDue) this.#memoryReadAt = now();
    const action = reconcile(this.#look(isMemoryDue), this.#options);
    switch (action?.kind) {
      case 'end': {
        const { pid } = action.interpreter;
        log.info('The interpreter is not needed any more', { source: this.name, pid });
        this.#dismiss(action.interpreter);
        break;
      }
      case 'replace': {
        const { pid } = action.interpreter;
        log.info(`The interpreter is replaced: ${action.reason}`, { source: this.name, pid });
        this.#startOne(action.interpreter);
        break;
      }
      case 'start':
        this.#startOne(undefined);
    }
  }

  async #close(): Promise<void> {
    this.#isStopped = true;
    this.#stop.abort();
    clearInterval(this.#timer);
    this.#refuseWaiting(() => this.#stopped());
    await this.#starting;
    await Promise.all([...this.#processes].map((interpreter) => interpreter.leave()));
    this.#plan.removeDirectory();
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
