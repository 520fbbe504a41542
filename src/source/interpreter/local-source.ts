/**
 * A local source: a FastCGI application with an `interpreter` command, which we start when nothing answers at its
 * address, watch, start again when it dies, and stop with us. One start serves all requests that wait for it.
 * It may run as several processes, each with an address of its own: then we know which of them is free, and can replace
 * one without losing a request. The FastCGI exchange itself is the remote source's business.
 */
import { pass, type Timer } from '../../base/clock.ts';
import { errorFacts } from '../../base/error-facts.ts';
import { SourceError } from '../../base/errors.ts';
import { WaitingLine } from '../../client/waiting-line.ts';
import type { ExitReport } from '../../process/spawned-process.ts';
import type { Source, SourceExchange, SourceFacts, SourceListener, SourceRequest } from '../source.ts';
import { InterpreterPlan, spawnError } from './interpreter-plan.ts';
import { exitError, type InterpreterProcess } from './interpreter-process.ts';
import { LocalExchange, type LocalExchangeOwner } from './local-exchange.ts';
import type { LocalSourceOptions, LocalTuning } from './local-options.ts';
import {
  admit,
  chooseProcess,
  isUsedUp,
  lookInterval,
  memoryReadMs,
  needsStart,
  reconcile,
  refusesLate,
  type Situation,
  serves,
  startWaitingMax,
} from './reconcile.ts';
import { full, late, notDue, stopped } from './refusals.ts';
import { RestartPolicy } from './restart-policy.ts';

/** A process that ends in order after this many requests has a limit of its own (PHP_FCGI_MAX_REQUESTS): that is not a crash loop. */
const endedByItselfMin = 10;

/**
 * Starts nothing before the first request.
 * @throws {GatewayError} GW_ERR_ADDRESS; GW_ERR_SOURCE_SPAWN: the configured user is not there or not allowed
 */
export function createLocalSource(options: LocalSourceOptions): LocalSource {
  return new InterpretedSource(options);
}

export interface LocalSource extends Source {
  /**
   * Takes the place of all that it was told so; its processes, and what waits, stay. `isOneAtATime` has to say the same of
   * both: its address depends on it.
   */
  tune(tuning: LocalTuning): void;
}

class InterpretedSource implements LocalSource {
  readonly name: string;
  readonly address: string;
  readonly #options: LocalSourceOptions;
  #tuning: LocalTuning;
  readonly #plan: InterpreterPlan;
  readonly #policy: RestartPolicy;
  readonly #stop = new AbortController();
  /** By their numbers, so that the first ones get most of the work, and the last ones end when there is little. */
  readonly #processes: InterpreterProcess[] = [];
  readonly #waiting: WaitingLine<LocalExchange>;
  /** What a request tells its source. */
  readonly #owner: LocalExchangeOwner = {
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
  #timer: Timer | undefined;
  #memoryReadAt: number;
  #closing: Promise<void> | undefined;

  constructor(options: LocalSourceOptions) {
    const { name, clock } = options;
    this.#options = options;
    this.name = name;
    this.#tuning = options.adapt?.(options) ?? options;
    this.#plan = new InterpreterPlan(options, this.#tuning, this.#stop.signal);
    this.address = this.#plan.address;
    this.#waiting = new WaitingLine({ max: startWaitingMax, now: clock.now });
    this.#memoryReadAt = clock.now();
    this.#policy = new RestartPolicy(options.random);
  }

  get active(): number {
    return this.#active;
  }

  get #min(): number {
    return this.#tuning.processes?.min ?? 1;
  }

  get #max(): number {
    return this.#tuning.processes?.max ?? 1;
  }

  tune(tuning: LocalTuning): void {
    this.#tuning = this.#options.adapt?.(tuning) ?? tuning;
    this.#plan.tune(this.#tuning);
    for (const { remote, number } of this.#processes) remote.tune(this.#plan.tuningOf(number));
    // It looks as often as the new times want it.
    this.#options.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    if (this.#isWatched) this.#watch();
    this.#giveWaiting();
    this.#maintain();
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
      if (interpreter.state !== 'ready' && interpreter.state !== 'loading') continue;
      if (interpreter.remote.isAvailable()) return true;
      isReady = true;
    }
    return !isReady && !this.#policy.isOpen(this.#options.clock.now());
  }

  start(): void {
    if (this.#tuning.processes === undefined || this.#isStopped) return;
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
      return this.#min > 0 && this.#tuning.processes ? 'started with us' : 'started when it is needed';
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
    const isOpen = this.#policy.isOpen(this.#options.clock.now());
    const answer = admit(this.#processes, this.#isStopped, isOpen);
    if (answer === 'stopped') exchange.failSoon(stopped(this.name));
    else if (answer === 'not due')
      exchange.failSoon(notDue(this.name, this.#lastError, this.#policy.delayMs(this.#options.clock.now())));
    else this.#wait(exchange);
  }

  #wait(exchange: LocalExchange): void {
    this.#isInUse = true;
    const loser = this.#waiting.push(exchange, exchange.claim);
    if (loser === exchange) exchange.failSoon(full(this.name, this.#waiting.size));
    else loser?.fail(full(this.name, this.#waiting.size));
    this.#watch();
    this.#grow();
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
    if (interpreter.busy === 0) interpreter.idleSince = this.#options.clock.now();
    if (this.#waiting.size > 0) this.#giveWaiting();
    if (isUsedUp(interpreter, this.#tuning)) this.#maintain();
  }

  /** What `reconcile` decides by. */
  #look(isMemoryDue: boolean): Situation<InterpreterProcess> {
    const now = this.#options.clock.now();
    return {
      processes: this.#processes,
      places: this.#plan.places,
      waiting: this.#waiting.size,
      isInUse: this.#isInUse,
      isStarting: this.#starting !== undefined,
      startDelayMs: this.#policy.delayMs(now),
      isMemoryDue,
      now,
    };
  }

  #grow(): void {
    if (!this.#isStopped && needsStart(this.#look(false), this.#tuning)) this.#startOne(undefined);
  }

  /** @param replaced leaves when the new one answers */
  #startOne(replaced: InterpreterProcess | undefined): void {
    this.#watch();
    this.#starting = this.#startUntilItIsThere(replaced !== undefined).then(
      (interpreter) => {
        this.#starting = undefined;
        this.#came(interpreter, replaced);
      },
      (error: unknown) => {
        this.#starting = undefined;
        this.#failed(error);
      },
    );
  }

  /** It gets requests at once where no other can have them, else when it answers. */
  #came(interpreter: InterpreterProcess, replaced: InterpreterProcess | undefined): void {
    if (this.#isStopped || interpreter.state !== 'loading') return;
    this.#lastError = undefined;
    const isAlone = this.#max === 1 && replaced === undefined;
    if (isAlone || interpreter.pid === undefined) this.#answered(interpreter, replaced);
    else {
      interpreter.probe(() => this.#answered(interpreter, replaced));
      this.#giveWaiting();
      this.#grow();
    }
  }

  #answered(interpreter: InterpreterProcess, replaced: InterpreterProcess | undefined): void {
    interpreter.becomeReady();
    if (replaced === undefined) this.#waiting.countFromNow();
    else if (replaced.state !== 'gone') this.#dismiss(replaced);
    this.#giveWaiting();
    this.#grow();
  }

  #failed(error: unknown): void {
    if (this.#isStopped) return;
    this.#lastError = error instanceof SourceError ? error : spawnError(String(error), error);
    this.#options.log.error(this.#lastError.message, { source: this.name, code: this.#lastError.code });
    if (!serves(this.#processes))
      this.#refuseWaiting(() =>
        notDue(this.name, this.#lastError, this.#policy.delayMs(this.#options.clock.now())),
      );
  }

  #refuseWaiting(createError: () => SourceError): void {
    for (const exchange of this.#waiting.clear()) exchange.fail(createError());
  }

  /** Tries until it takes connections, the time of the waiting requests is over, or another start is not due soon. */
  async #startUntilItIsThere(isSuccessor: boolean): Promise<InterpreterProcess> {
    const { clock } = this.#options;
    const { now } = clock;
    const limit = now() + this.#plan.spawnTimeoutMs;
    for (;;) {
      const wait = this.#policy.delayMs(now());
      if (wait > 0) await pass(clock, wait, this.#stop.signal);
      try {
        return await this.#startNext(isSuccessor);
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (error instanceof SourceError && errorFacts[error.code].isHopelessStart)
          this.#policy.refused(now());
        else this.#policy.exited(now());
        if (this.#policy.isOpen(now()) || now() + this.#policy.delayMs(now()) > limit) throw error;
      }
    }
  }

  async #startNext(isSuccessor: boolean): Promise<InterpreterProcess> {
    const interpreter = this.#plan.createProcess(await this.#freeNumber(), isSuccessor);
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
    return interpreter;
  }

  /** It had been ready, and is gone without having been told to. */
  #died(interpreter: InterpreterProcess, report: ExitReport): void {
    if (this.#isStopped || interpreter.isDismissed) return;
    const { clock, log } = this.#options;
    const { pid, requests } = interpreter;
    if (report.exitCode === 0 && requests >= endedByItselfMin) {
      log.info(`The interpreter ended by itself after ${requests} requests`, { source: this.name, pid });
    } else {
      this.#unexpectedEnds++;
      this.#lastError = exitError(this.name, report, interpreter.hasAnswered ? '' : 'before it answered');
      this.#policy.exited(clock.now());
      const restartInMs = Math.round(this.#policy.delayMs(clock.now()));
      log.error(this.#lastError.message, { source: this.name, pid, restartInMs });
    }
    // Its children may still answer, and would hold the address (F48).
    void this.#bury(interpreter).then(() => {
      if (!this.#policy.isOpen(clock.now())) this.#grow();
      else if (!serves(this.#processes))
        this.#refuseWaiting(() =>
          notDue(this.name, this.#lastError, this.#policy.delayMs(this.#options.clock.now())),
        );
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

  /** Nobody listened: a check decides whether that was for a moment only, or the process is replaced. */
  #doubt(interpreter: InterpreterProcess): void {
    if (interpreter.state !== 'ready' && interpreter.state !== 'loading') return;
    const { state } = interpreter;
    interpreter.state = 'doubted';
    interpreter.answers().then(
      (answers) => {
        if (interpreter.state !== 'doubted') return;
        if (answers) {
          interpreter.state = state;
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

  /** Looks after waiting requests, and after idle, worn and missing processes where the options ask for it. */
  #watch(): void {
    if (this.#timer !== undefined || this.#isStopped) return;
    const { clock } = this.#options;
    this.#timer = clock.setRepeating(() => this.#tick(), lookInterval(this.#tuning));
    this.#timer.unref();
  }

  #tick(): void {
    // Without any process the start decides.
    if (refusesLate(this.#processes)) {
      for (const exchange of this.#waiting.expire()) exchange.fail(late(this.name, this.#max));
    }
    // A place may be free that no request left: a connection that several shared was closed.
    if (this.#waiting.size > 0) this.#giveWaiting();
    this.#maintain();
    if (this.#isWatched) return;
    this.#options.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  get #isWatched(): boolean {
    if (this.#waiting.size > 0 || this.#starting !== undefined) return true;
    const { processes, recycle } = this.#tuning;
    if (processes === undefined && recycle === undefined) return false;
    return (this.#isInUse && this.#min > 0) || this.#processes.length > 0;
  }

  #maintain(): void {
    if (this.#isStopped) return;
    const { log, clock } = this.#options;
    const isMemoryDue = clock.now() - this.#memoryReadAt >= memoryReadMs;
    if (isMemoryDue) this.#memoryReadAt = clock.now();
    const action = reconcile(this.#look(isMemoryDue), this.#tuning);
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
    this.#options.clock.clearTimer(this.#timer);
    this.#refuseWaiting(() => stopped(this.name));
    await this.#starting;
    await Promise.all([...this.#processes].map((interpreter) => interpreter.leave()));
    this.#plan.removeDirectory();
  }
}
