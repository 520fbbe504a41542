/**
 * The composition root: a configuration in, running objects out. In three steps: a plan (`plan.ts`, pure), a generation
 * over a shelf (built, nothing is open), and the start, which opens directories and access logs, ends what a killed gateway
 * left, and starts what is to run without a request. The start is `listen`, `start`, or the first request.
 */
import { resolve } from 'node:path';
import type { NodeRequestListener } from '../adapters/node.ts';
import { type GatewayError, toGatewayError } from '../base/errors.ts';
import { silentLog } from '../base/log.ts';
import type { MetricFormat } from '../base/metrics.ts';
import { resolveConfig } from '../config/load.ts';
import type { Config, ConfigInput } from '../config/types.ts';
import { type DeployOptions, type DeployReport, deploy } from '../deploy/deploy.ts';
import type { ExchangeHandler, HttpExchange } from '../http/exchange.ts';
import type { RequestHead } from '../http/message.ts';
import { dropRights } from '../process/drop-rights.ts';
import type { RunAs } from '../process/run-as.ts';
import type { RouteStep } from '../server/explain.ts';
import { type SourceState, type SourceStatus, sourceStates } from '../source/health/supervised.ts';
import { buildFronts, type Fronts } from './build-front.ts';
import { Generation } from './generation.ts';
import type { Gateway, GatewayOptions } from './options.ts';
import { planGateway } from './plan.ts';
import { checkRights, chooseSelf } from './rights.ts';
import { Shelf } from './shelf.ts';

/**
 * Makes a gateway from what people write; relative paths start at the working directory. Opens nothing: see `Gateway.start`.
 * @throws {ConfigError} GW_ERR_CONFIG with every problem
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no PHP is there; GW_ERR_SOURCE_SPAWN: no such user
 */
export async function createGateway(config: ConfigInput, options: GatewayOptions = {}): Promise<Gateway> {
  return composeGateway(await resolveConfig(config, resolve('.')), options);
}

/** Makes a gateway from a checked configuration. @throws {SourceError} as `createGateway` */
export function composeGateway(config: Config, options: GatewayOptions = {}): Gateway {
  return new ComposedGateway(config, options);
}

/** A request that came before the start was done. */
interface EarlyRequest {
  readonly exchange: HttpExchange;
  readonly next: (() => void) | undefined;
}

class ComposedGateway implements Gateway {
  readonly handle: ExchangeHandler;
  readonly #shelf: Shelf;
  readonly #fronts: Fronts;
  /** What new requests meet. */
  readonly #current: Generation;
  /** Before the start, and while we still have root's rights; undefined: nobody has to wait. */
  #early: EarlyRequest[] | undefined = [];
  /** Starts follow each other; it never rejects. */
  #starting: Promise<void> = Promise.resolve();
  #startsUnderWay = 0;
  #isOpen = false;
  #isReady = false;
  #isClosing = false;
  #closed: Promise<void> | undefined;
  /** Ends the wait for what still runs. */
  #giveUp: () => void = () => {};

  constructor(config: Config, options: GatewayOptions) {
    const { log = silentLog, environment = process.env, wrapExchange } = options;
    this.#shelf = new Shelf({ runtimeDir: config.runtimeDir, log, environment });
    this.#current = new Generation(planGateway(config), this.#shelf);
    this.handle = (exchange, next) => {
      const wrapped = wrapExchange === undefined ? exchange : wrapExchange(exchange);
      if (this.#early === undefined) this.#current.router.handle(wrapped, next);
      else this.#wait(this.#early, { exchange: wrapped, next });
    };
    this.#fronts = buildFronts({
      config,
      log,
      clock: this.#shelf.clock,
      handle: this.handle,
      refused: (refusal) => this.#current.router.refused(refusal),
      dropped: (reason) => this.#shelf.metrics.requests.refused(reason),
      print: (format) => this.metrics(format),
      isReady: () => this.#isReady,
    });
  }

  get listener(): NodeRequestListener {
    return this.#fronts.listener;
  }

  start(): Promise<void> {
    return this.#startWith(async () => {});
  }

  async listen(): Promise<readonly string[]> {
    let urls: readonly string[] = [];
    await this.#startWith(async () => {
      urls = await this.#listen();
    });
    return urls;
  }

  describeSources(): readonly string[] {
    return [...this.#current.sources.values()].map((source) => `${source.name}: ${source.describe()}`);
  }

  get sources(): readonly SourceStatus[] {
    return [...this.#current.sources.values()].map(({ status }) => status);
  }

  setSourceState(name: string, state: SourceState): void {
    const { sources } = this.#current;
    const source = sources.get(name);
    if (source === undefined) {
      throw new RangeError(`No source is called ${name}; there are ${[...sources.keys()].join(', ')}`);
    }
    if (!sourceStates.includes(state))
      throw new RangeError(`State ${state} is not one of ${sourceStates.join(', ')}`);
    source.state = state;
  }

  explain(head: RequestHead): readonly RouteStep[] {
    return this.#current.router.explain(head);
  }

  deploy(options: DeployOptions): Promise<DeployReport> {
    const { plan, sources } = this.#current;
    const php = plan.phpSources.map((name) => sources.get(name)!.address);
    // Also of generations whose last requests are under way.
    const outdated = () => this.#shelf.documentRoots.all.flatMap((root) => root.outdated());
    const { clock } = this.#shelf;
    return deploy(options, { php, outdated, drainMs: plan.config.limits.shutdownGraceMs, clock });
  }

  reopenLogs(): void {
    this.#current.reopenLogs();
  }

  get metricsUrl(): string | undefined {
    return this.#fronts.metricsServer?.url;
  }

  metrics(format: MetricFormat = 'text'): string {
    return this.#shelf.metrics.print(format);
  }

  async close(graceMs: number = this.#current.plan.config.limits.shutdownGraceMs): Promise<void> {
    // Readiness fails before anything else does.
    this.#isReady = false;
    this.#isClosing = true;
    const server = this.#fronts.server.close(graceMs);
    this.#closed ??= this.#closeInOrder(server);
    const { clock } = this.#shelf;
    const deadline = clock.setTimer(() => this.#giveUp(), graceMs);
    await Promise.all([server, this.#closed]).finally(() => clock.clearTimer(deadline));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeInOrder(server: Promise<void>): Promise<void> {
    const givenUp = new Promise<void>((resolve) => {
      this.#giveUp = resolve;
    });
    await Promise.all([server, this.#starting]);
    // Applications may work on behind answers that their clients have.
    await Promise.race([this.#current.idle(), givenUp]);
    await this.#current.close();
    this.#answerEarly();
    this.#shelf.metrics.close();
    await this.#fronts.metricsServer?.close();
    this.#shelf.runtimeDirectory.close();
  }

  #wait(early: EarlyRequest[], request: EarlyRequest): void {
    early.push(request);
    // A request that waits for it is told by its answer.
    if (this.#startsUnderWay === 0) this.start().catch(() => {});
  }

  /** @param listen what else belongs to the start, before anybody is answered */
  async #startWith(listen: () => Promise<void>): Promise<void> {
    this.#startsUnderWay += 1;
    const started = this.#starting.then(async () => {
      await this.#open();
      if (this.#isClosing) return;
      await listen();
      this.#answerEarly();
      if (!this.#isClosing) this.#current.start();
    });
    this.#starting = started.catch(() => {});
    try {
      await started;
    } catch (error) {
      this.#failEarly(toGatewayError(error));
      throw error;
    } finally {
      this.#startsUnderWay -= 1;
    }
  }

  async #open(): Promise<void> {
    if (this.#isOpen || this.#isClosing) return;
    const { runtimeDirectory } = this.#shelf;
    checkRights(this.#current.plan);
    const self = chooseSelf(this.#current.plan.config);
    await runtimeDirectory.clearLeftovers();
    if (this.#isClosing) return;
    this.#current.open(self);
    runtimeDirectory.open();
    this.#isOpen = true;
  }

  async #listen(): Promise<readonly string[]> {
    const { server, metricsServer } = this.#fronts;
    const self = chooseSelf(this.#current.plan.config);
    if (self !== undefined) this.#early ??= [];
    await metricsServer?.listen();
    if (metricsServer !== undefined) this.#shelf.metrics.start();
    let urls: readonly string[];
    try {
      urls = await server.listen();
    } catch (error) {
      await metricsServer?.close();
      throw error;
    }
    if (self !== undefined) await this.#becomeSelf(self);
    this.#isReady = !this.#isClosing;
    return urls;
  }

  async #becomeSelf(self: RunAs): Promise<void> {
    const { runtimeDirectory } = this.#shelf;
    runtimeDirectory.give(self);
    dropRights(self);
    // What a gateway left that had become this user, too.
    await runtimeDirectory.clearLeftovers();
  }

  #answerEarly(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const { exchange, next } of early) this.#current.router.handle(exchange, next);
  }

  /** Those that wait hear of it; the next one tries again. */
  #failEarly(error: GatewayError): void {
    for (const { exchange } of this.#early?.splice(0) ?? []) this.#current.router.fail(exchange, error);
  }
}
