/**
 * A source under supervision: what an operator decided, what health checks say, and how it does compared with its peers
 * come on top of what its own requests teach (health.ts).
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import { errorFacts } from '../../base/error-facts.ts';
import type { GatewayError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type {
  Source,
  SourceExchange,
  SourceFacts,
  SourceListener,
  SourceRequest,
  TryMeter,
} from '../source.ts';
import { warmShare } from './health.ts';
import { HealthCheck, type HealthCheckOptions } from './health-check.ts';
import { findOutliers, type SourceStatistics } from './outliers.ts';

/**
 * `active`: takes requests. `drain`: ends what it has, and takes new requests only if no other source can.
 * `maintenance`: takes none.
 */
export const sourceStates = ['active', 'drain', 'maintenance'] as const;
export type SourceState = (typeof sourceStates)[number];

/** What a running source can be told anew. */
export interface SupervisionTuning {
  readonly state: SourceState;
  readonly check?: HealthCheckOptions | undefined;
}

export interface SupervisionOptions extends SupervisionTuning {
  readonly meter?: TryMeter | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

/** What a console or a program is told. */
export interface SourceStatus {
  readonly name: string;
  readonly address: string;
  readonly state: SourceState;
  readonly isAvailable: boolean;
  /** Requests under way, waiting ones included. */
  readonly active: number;
  readonly share: number;
  /** Why a health check or a comparison with its peers took it out; undefined: neither did. */
  readonly problem: string | undefined;
}

const firstSuspensionMs = 5_000;
const suspensionMsMax = 60_000;

export class SupervisedSource implements Source {
  /** Another source can take its place: how it does is compared. Asked for each request that begins. */
  hasPeers = false;
  readonly meter: TryMeter | undefined;
  readonly #source: Source;
  readonly #options: SupervisionOptions;
  #tuning: SupervisionTuning;
  #state: SourceState;
  #isStarted = false;
  #check: HealthCheck | undefined;
  #checkProblem: string | undefined;
  #suspendedUntil = Number.NEGATIVE_INFINITY;
  #suspensionMs = 0;
  #suspicion: string | undefined;
  #warmFrom = Number.NEGATIVE_INFINITY;
  #requests = 0;
  #failures = 0;
  #latencyMs = 0;
  readonly #count = (failed: boolean, latencyMs: number): void => {
    this.#requests += 1;
    if (failed) this.#failures += 1;
    this.#latencyMs += latencyMs;
  };

  constructor(source: Source, options: SupervisionOptions) {
    this.meter = options.meter;
    this.#source = source;
    this.#options = options;
    this.#tuning = options;
    this.#state = options.state;
  }

  get name(): string {
    return this.#source.name;
  }

  get address(): string {
    return this.#source.address;
  }

  get active(): number {
    return this.#source.active;
  }

  get state(): SourceState {
    return this.#state;
  }

  set state(state: SourceState) {
    if (state === this.#state) return;
    this.#options.log.info(`The source is set to ${state}`, { source: this.name, before: this.#state });
    this.#state = state;
    if (state === 'active') this.#warmFrom = this.#options.clock.now();
  }

  get status(): SourceStatus {
    return {
      name: this.name,
      address: this.address,
      state: this.#state,
      isAvailable: this.isAvailable(),
      active: this.active,
      share: this.share,
      problem: this.#checkProblem ?? (this.isSuspended ? this.#suspicion : undefined),
    };
  }

  get share(): number {
    return Math.min(this.#source.share, warmShare(this.#options.clock.now() - this.#warmFrom));
  }

  get isSuspended(): boolean {
    const until = this.#suspendedUntil;
    return until !== Number.NEGATIVE_INFINITY && this.#options.clock.now() < until;
  }

  get holdMs(): number {
    return this.#source.holdMs;
  }

  get facts(): SourceFacts | undefined {
    return this.#source.facts;
  }

  isUsable(): boolean {
    return this.#state !== 'maintenance' && this.#source.isUsable();
  }

  isAvailable(): boolean {
    return (
      this.#state === 'active' &&
      this.#checkProblem === undefined &&
      !this.isSuspended &&
      this.#source.isAvailable()
    );
  }

  start(): void {
    this.#source.start?.();
    this.#isStarted = true;
    this.#startCheck();
  }

  /** A state that an operator set since stays, unless the configured one is another now. */
  tune(tuning: SupervisionTuning): void {
    const before = this.#tuning;
    this.#tuning = tuning;
    if (tuning.state !== before.state) this.state = tuning.state;
    if (isDeepStrictEqual(tuning.check, before.check)) return;
    this.#check?.close();
    this.#check = undefined;
    // It was found by other measures.
    this.#checkProblem = undefined;
    if (this.#isStarted) this.#startCheck();
  }

  #startCheck(): void {
    const { clock, log } = this.#options;
    const { check } = this.#tuning;
    if (check === undefined) return;
    this.#check ??= new HealthCheck(
      this.#source,
      check,
      {
        changed: (problem) => {
          this.#checkProblem = problem;
          if (problem === undefined) {
            this.#warmFrom = this.#options.clock.now();
            log.info('Health checks find the source well again', { source: this.name });
          } else
            log.warn('Health checks take the source out of service', { source: this.name, reason: problem });
        },
      },
      clock,
    );
  }

  open(request: SourceRequest, listener: SourceListener): SourceExchange {
    if (!this.hasPeers) return this.#source.open(request, listener);
    const watched = new WatchedExchange(listener, this.#options.clock.now, this.#count);
    watched.inner = this.#source.open(request, watched);
    return watched;
  }

  describe(): string {
    const state = this.#state === 'active' ? '' : ` (${this.#state})`;
    return this.#source.describe() + state;
  }

  close(): Promise<void> {
    this.#check?.close();
    return this.#source.close();
  }

  /** What it did since the last call. */
  takeStatistics(): SourceStatistics {
    const requests = this.#requests;
    const statistics = {
      requests,
      failures: this.#failures,
      latencyMs: this.#latencyMs / Math.max(1, requests),
    };
    this.#requests = this.#failures = this.#latencyMs = 0;
    return statistics;
  }

  /** Takes it out for a while, longer each time; a comparison in between that found nothing makes it short again. */
  suspend(reason: string): void {
    const now = this.#options.clock.now();
    this.#suspensionMs = Math.min(suspensionMsMax, Math.max(firstSuspensionMs, 2 * this.#suspensionMs));
    this.#suspendedUntil = now + this.#suspensionMs;
    // It comes back slowly.
    this.#warmFrom = this.#suspendedUntil;
    this.#suspicion = reason;
    this.#options.log.warn('The source does worse than its peers and is out of service for a while', {
      source: this.name,
      reason,
      forMs: this.#suspensionMs,
    });
  }

  /** It was looked at and did as well as its peers. */
  trust(): void {
    if (!this.isSuspended) this.#suspensionMs = 0;
  }
}

/** Beyond this share of the peers nobody is suspended: then it is rather the application than a source. */
const suspendedShareMax = 0.5;

/** Compares the sources of one balancer, and suspends the worst. Called every few seconds. */
export function compareSources(sources: readonly SupervisedSource[]): void {
  const statistics = sources.map((source) => source.takeStatistics());
  const outliers = findOutliers(statistics);
  let out = sources.filter((source) => !source.isAvailable()).length;
  for (const { index, reason } of outliers) {
    if (out + 1 > sources.length * suspendedShareMax) return;
    sources[index]!.suspend(reason);
    out += 1;
  }
  for (const [index, source] of sources.entries()) {
    if (statistics[index]!.requests > 0 && !outliers.some((outlier) => outlier.index === index))
      source.trust();
  }
}

/** Passes everything on, and says once how the request ended and how long its first byte took; nothing of an aborted one. */
class WatchedExchange implements SourceExchange, SourceListener {
  /** Set right after `open`, which calls nobody back before it returns. */
  inner!: SourceExchange;
  readonly #listener: SourceListener;
  readonly #now: () => number;
  readonly #ended: (failed: boolean, latencyMs: number) => void;
  readonly #startMs: number;
  #latencyMs = -1;
  #isCounted = false;

  constructor(
    listener: SourceListener,
    now: () => number,
    ended: (failed: boolean, latencyMs: number) => void,
  ) {
    this.#listener = listener;
    this.#now = now;
    this.#ended = ended;
    this.#startMs = now();
  }

  get isShared(): boolean {
    return this.inner.isShared;
  }

  get wasRepeated(): boolean {
    return this.inner.wasRepeated;
  }

  stdout(chunk: Buffer): boolean {
    if (this.#latencyMs < 0) this.#latencyMs = this.#now() - this.#startMs;
    return this.#listener.stdout(chunk);
  }

  stderr(chunk: Buffer): void {
    this.#listener.stderr(chunk);
  }

  sendNow(): boolean {
    return this.#listener.sendNow?.() === true;
  }

  /** The listener has the last word on whether the answer was a good one. */
  end(appStatus: number): void {
    this.#listener.end(appStatus);
    this.#done(false);
  }

  error(error: GatewayError): void {
    this.#failed(error);
    this.#listener.error(error);
  }

  get waitedMs(): number {
    return this.inner.waitedMs;
  }

  resume(): void {
    this.inner.resume();
  }

  liftTotalLimit(): void {
    this.inner.liftTotalLimit();
  }

  answered(): void {
    this.inner.answered();
  }

  abort(): void {
    this.inner.abort();
  }

  disown(error: GatewayError): void {
    this.inner.disown(error);
    this.#failed(error);
  }

  /** What is not the source's fault, such as a client's broken body, says nothing about how it does. */
  #failed(error: GatewayError): void {
    if (errorFacts[error.code].health === 'no fault') this.#isCounted = true;
    else this.#done(true);
  }

  #done(failed: boolean): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    this.#ended(failed, this.#latencyMs < 0 ? this.#now() - this.#startMs : this.#latencyMs);
  }
}
