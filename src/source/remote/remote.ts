/**
 * A remote source: a FastCGI application that somebody else runs, at an address.
 * It adds to the pool what only a source knows: its name, and whether it is well.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Address, printAddress } from '../../base/address.ts';
import type { Clock } from '../../base/clock.ts';
import { errorFacts } from '../../base/error-facts.ts';
import type { GatewayError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { createPool, type Pool } from '../../client/index.ts';
import type { PlaceLimits } from '../../client/places.ts';
import { fillTimeouts, type TimeoutSettings, usualHoldMs } from '../../client/timeouts.ts';
import { Health } from '../health/health.ts';
import type { Source, SourceExchange, SourceFacts, SourceListener, SourceRequest } from '../source.ts';
import {
  keptConnections,
  type LearntProfile,
  learnProfile,
  lesser,
  multiplexedRequests,
  type ProfileChoice,
} from './profile.ts';
import { StatusPage } from './status-page.ts';

/** What a running source can be told anew. */
export interface RemoteTuning extends TimeoutSettings {
  /** Idle connections to keep; undefined: by the profile. */
  readonly keepConnections?: number | undefined;
  /** Most requests at a time; undefined: what the application says, else no limit. */
  readonly capacity?: number | undefined;
  /** The `pm.status_path` of a php-fpm, which tells its capacity; not asked when that is configured. */
  readonly statusPath?: string | undefined;
  /** Where it is asked: its `pm.status_listen`; undefined: at `address`, where it needs a free worker. */
  readonly statusAddress?: Address | undefined;
  /** How long a request may wait while nobody listens, once somebody did; default `usualHoldMs`. */
  readonly holdMs?: number | undefined;
}

export interface RemoteSourceOptions extends RemoteTuning {
  readonly name: string;
  readonly address: Address;
  /** What kind of application it is; `auto`: it is asked, after its first answer; undefined: nothing is kept, as for PHP. */
  readonly profile?: ProfileChoice | undefined;
  readonly log: Log;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
}

export interface RemoteSource extends Source {
  /** The next request would not have to wait for a place. */
  readonly hasPlace: boolean;
  /** Takes the place of all that it was told so; its health, and what waits and runs, stay. */
  tune(tuning: RemoteTuning): void;
}

/** Connects to nothing until the first request. */
export function createRemoteSource(options: RemoteSourceOptions): RemoteSource {
  return new ApplicationAtAddress(options);
}

class ApplicationAtAddress implements RemoteSource {
  readonly name: string;
  readonly address: string;
  readonly #pool: Pool;
  readonly #health: Health;
  readonly #options: RemoteSourceOptions;
  #tuning: RemoteTuning;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #statusPage: StatusPage | undefined;
  /** The application is still to be asked. */
  #mayAsk: boolean;
  /** What the application says, and what its status page says. */
  #learnt: LearntProfile | undefined;
  #shownCapacity: number | undefined;
  /** Somebody has listened there: an answer came, or its queue of connections was full. */
  #isThere = false;

  constructor(options: RemoteSourceOptions) {
    const { address } = options;
    this.name = options.name;
    this.address = printAddress(address);
    this.#log = options.log;
    this.#clock = options.clock;
    this.#options = options;
    this.#tuning = options;
    this.#health = new Health(options.random);
    this.#mayAsk = options.profile === 'auto';
    this.#statusPage = this.#createStatusPage();
    this.#pool = createPool({
      address,
      ...this.#limits,
      ...fillTimeouts(options, address.kind),
      clock: options.clock,
      random: options.random,
      dropped: (message) => this.#log.warn(message, { source: this.name }),
      outcome: (error) => (error === undefined ? this.#answered() : this.#failed(error)),
    });
  }

  get active(): number {
    return this.#pool.active;
  }

  get hasPlace(): boolean {
    return this.#pool.hasPlace;
  }

  isUsable(): boolean {
    return true;
  }

  get share(): number {
    return this.#health.share(this.#clock.now());
  }

  /** Where nobody ever listened, the address is more likely wrong than the application restarting. */
  get holdMs(): number {
    return this.#isThere ? (this.#tuning.holdMs ?? usualHoldMs) : 0;
  }

  isAvailable(): boolean {
    return this.#health.isInService || this.#health.isAvailable(this.#clock.now());
  }

  open(request: SourceRequest, listener: SourceListener): SourceExchange {
    if (!this.#health.isInService) this.#health.began(this.#clock.now());
    return this.#pool.open(request, listener);
  }

  tune(tuning: RemoteTuning): void {
    const before = this.#tuning;
    this.#tuning = tuning;
    if (!isDeepStrictEqual(statusPageOf(before), statusPageOf(tuning))) {
      void this.#statusPage?.close();
      this.#shownCapacity = undefined;
      this.#statusPage = this.#createStatusPage();
    }
    this.#pool.allow(fillTimeouts(tuning, this.#options.address.kind));
    this.#limitPool();
  }

  get facts(): SourceFacts {
    const { waiting, capacity, connections, idle } = this.#pool;
    return { waiting, capacity, connections, idleConnections: idle, interpreter: undefined };
  }

  describe(): string {
    return `FastCGI application at ${this.address}`;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#pool.close(), this.#statusPage?.close()]);
  }

  #createStatusPage(): StatusPage | undefined {
    const { name, address, log, clock } = this.#options;
    const page = statusPageOf(this.#tuning);
    if (page === undefined) return undefined;
    return new StatusPage({
      source: name,
      address: page.address ?? address,
      path: page.path,
      changed: (shown) => {
        this.#shownCapacity = shown;
        this.#limitPool();
      },
      log,
      clock,
    });
  }

  /** Once. */
  async #learnProfile(): Promise<void> {
    this.#mayAsk = false;
    const learnt = await learnProfile(this.#options.address, this.#closing.signal);
    if (this.#closing.signal.aborted) return;
    this.#learnt = learnt;
    this.#limitPool();
    this.#log.info('The application was asked what it can do', {
      source: this.name,
      profile: learnt.profile,
      capacity: this.#limits.capacity,
      reason: learnt.reason,
    });
  }

  /** By what is known so far; what is configured stays as it is. */
  get #limits(): PlaceLimits {
    const { profile: configured } = this.#options;
    const { keepConnections, capacity: configuredCapacity } = this.#tuning;
    const learnt = this.#learnt;
    // Nothing is kept before it is known that this holds no worker.
    const profile =
      learnt?.profile ?? (configured === undefined || configured === 'auto' ? 'php-fpm' : configured);
    const capacity = configuredCapacity ?? this.#shownCapacity ?? learnt?.capacity;
    const connectionsMax = learnt?.connectionsMax;
    const places = lesser(lesser(capacity, connectionsMax), learnt?.placesOfProcess);
    return {
      keepConnections: keepConnections ?? keptConnections(profile, places),
      capacity,
      connectionsMax,
      multiplexedRequestsMax: multiplexedRequests(profile),
    };
  }

  #limitPool(): void {
    this.#pool.limit(this.#limits);
  }

  #answered(): void {
    this.#isThere = true;
    // It works, so that asking it is not a trial.
    if (this.#mayAsk) void this.#learnProfile();
    this.#statusPage?.answered();
    if (this.#health.succeeded(this.#clock.now))
      this.#log.info('The source is back in service', { source: this.name });
  }

  #failed(error: GatewayError): void {
    const { health } = errorFacts[error.code];
    if (health === 'no fault') return;
    const now = this.#clock.now();
    if (health === 'overloaded') {
      this.#isThere = true;
      this.#health.overloaded(now);
      return;
    }
    const fault = health === 'unreachable' && isForbidden(error.cause) ? 'forbidden' : health;
    if (this.#health.failed(now, fault)) {
      this.#log.warn('The source is out of service', {
        source: this.name,
        reason: error.message,
        retryInMs: this.#health.delayMs(now),
      });
    }
  }
}

/** Where capacity is read off, where it is not configured. */
function statusPageOf({ capacity, statusPath, statusAddress }: RemoteTuning) {
  if (statusPath === undefined || capacity !== undefined) return undefined;
  return { path: statusPath, address: statusAddress };
}

/** The socket is there, and not for us (F2). */
function isForbidden(cause: unknown): boolean {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM';
}
