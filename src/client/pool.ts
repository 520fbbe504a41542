/**
 * All connections to one application, from the web server's side: gives each request a kept or a new one, or a part of
 * one that several share, lets requests wait when the application has no place for them, and closes what waited too long.
 */

import { isIP } from 'node:net';
import { type Address, printAddress } from '../base/address.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { type GatewayError, ProtocolError, SourceError } from '../base/errors.ts';
import { Role } from '../protocol/constants.ts';
import { Connection, type ConnectionOptions, type ConnectionOwner, type Staleness } from './connection.ts';
import { PoolExchange, type PoolExchangeOwner } from './exchange.ts';
import { MultiplexedConnection, type MultiplexedOwner } from './multiplexed-connection.ts';
import { type Place, type PlaceLimits, Places, type WearLimits } from './places.ts';
import { RefusedExchange } from './refused-exchange.ts';
import type { ClientExchange, ClientListener, ClientRequest } from './request.ts';
import { Resolver } from './resolver.ts';
import type { CallTimeouts } from './timeouts.ts';
import type { RecordTrace } from './trace.ts';
import { WaitingLine } from './waiting-line.ts';

export interface PoolOptions extends PlaceLimits, WearLimits, CallTimeouts {
  readonly address: Address;
  /** Most requests that wait for a place; one more is refused. */
  readonly waitingMax: number;
  readonly waitingTimeoutMs: number;
  /** How long a kept connection may stay unused. */
  readonly idleTimeoutMs: number;
  readonly role?: Role | undefined;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  /**
   * Several connections read into one buffer, one after the other. Only where the system asks for the buffer when the
   * bytes are there (not on Windows).
   */
  readonly sharesReadBuffer: boolean;
  /** Hears of each request's end at the application, `undefined` for a complete answer; never of aborted ones. */
  readonly outcome?: ((error: GatewayError | undefined) => void) | undefined;
  /** Hears of bytes that came from the application and belong to no answer: one sentence. */
  readonly dropped?: ((message: string) => void) | undefined;
  readonly trace?: RecordTrace | undefined;
}

/** Longest and shortest time between two looks at what waits. */
const tickMsMax = 250;
const tickMsMin = 5;

export class Pool implements ConnectionOwner, MultiplexedOwner, PoolExchangeOwner {
  readonly connectionOptions: ConnectionOptions;
  readonly sharedBuffer: Buffer | undefined;
  readonly #options: PoolOptions;
  readonly #role: Role;
  #tickMs: number;
  readonly #places: Places<Connection, MultiplexedConnection>;
  readonly #waiting: WaitingLine<PoolExchange>;
  #timer: Timer | undefined;
  #isClosed = false;
  readonly #whenClosed: (() => void)[] = [];

  constructor(options: PoolOptions) {
    this.#options = options;
    const { address } = options;
    const isNamed = address.kind === 'tcp' && isIP(address.host) === 0;
    this.connectionOptions = {
      ...options,
      trace: options.trace,
      resolver: isNamed ? new Resolver(options.clock.now) : undefined,
    };
    this.sharedBuffer = options.sharesReadBuffer ? Buffer.allocUnsafeSlow(65_536) : undefined;
    this.#places = new Places(options, options);
    this.#waiting = new WaitingLine({
      max: options.waitingMax,
      timeoutMs: options.waitingTimeoutMs,
      now: options.clock.now,
    });
    this.#role = options.role ?? Role.Responder;
    this.#tickMs = this.#tickFor(options);
  }

  /** Requests that have not ended, waiting ones included. */
  get active(): number {
    return this.#places.busy + this.#waiting.size;
  }

  /** Requests that wait for a place. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The next request would not have to wait. */
  get hasPlace(): boolean {
    return this.#waiting.size === 0 && this.#places.isFree;
  }

  /** What was found out about the application later. Requests under way stay as they are. */
  limit(limits: PlaceLimits): void {
    this.#places.limit(limits);
    this.#giveWaiting();
  }

  /** Other limits, also for requests under way. */
  allow(timeouts: CallTimeouts): void {
    // Connections hold the one object.
    Object.assign(this.connectionOptions, timeouts);
    this.#tickMs = this.#tickFor(timeouts);
    if (this.#timer === undefined) return;
    this.#options.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#watch();
  }

  /** Most requests that the application is given at a time; undefined: no limit. */
  get capacity(): number | undefined {
    return this.#places.capacity === Number.POSITIVE_INFINITY ? undefined : this.#places.capacity;
  }

  /** Open connections. */
  get connections(): number {
    return this.#places.connections;
  }

  /** Kept connections that no request uses. */
  get idle(): number {
    return this.#places.idle.length;
  }

  /**
   * Sends a request. Every fault goes to `listener.error`:
   * GW_ERR_PROTOCOL_* (a pair too large, or the application broke FastCGI), GW_ERR_SOURCE_* (see its `delivery`),
   * GW_ERR_HTTP_BODY_* and GW_ERR_SPOOL (from the body).
   */
  open(request: ClientRequest, listener: ClientListener): ClientExchange {
    if (this.#isClosed) return new RefusedExchange(listener, this.#stopped());
    const exchange = new PoolExchange(this, request, listener);
    if (this.hasPlace) {
      const fault = this.#run(exchange);
      return fault === undefined ? exchange : new RefusedExchange(listener, fault);
    }
    // Idle connections may hold the very workers that are waited for.
    if (this.#waiting.size === 0) this.#closeIdle(0);
    const loser = this.#waiting.push(exchange, request);
    if (loser === undefined) return exchange;
    const full = this.#overloaded(`${this.#waiting.size} requests wait already`);
    if (loser === exchange) return new RefusedExchange(listener, full);
    loser.failed(full, undefined);
    return exchange;
  }

  /**
   * Takes no more requests, refuses those that wait, closes idle connections; resolves when those under way have ended.
   * May be called twice.
   */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#closeIdle(0);
    for (const connection of [...this.#places.shared]) connection.retire();
    for (const exchange of this.#waiting.clear()) exchange.failed(this.#stopped(), undefined);
    if (this.connections === 0) {
      this.#options.clock.clearTimer(this.#timer);
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#whenClosed.push(resolve));
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  mayKeep(connection: Connection): boolean {
    return !this.#isClosed && this.#places.mayKeep(connection);
  }

  becameIdle(connection: Connection): void {
    this.#places.idle.push(connection);
  }

  closed(connection: Connection | MultiplexedConnection): void {
    this.#places.gone(connection);
    if (this.#isClosed && this.connections === 0) {
      this.#options.clock.clearTimer(this.#timer);
      for (const resolve of this.#whenClosed.splice(0)) resolve();
    }
  }

  endedStdout(did: boolean): void {
    this.#places.leavesStdoutOpen = !did;
  }

  dropped(message: string): void {
    this.#options.dropped?.(message);
  }

  restart(exchange: PoolExchange, staleness: Staleness): void {
    this.#places.isKnownToKeep = false;
    if (staleness === 'mistaken') this.#keepNone();
    // It wants one request on each connection (F22).
    if (staleness === 'misplaced' && exchange.isShared) {
      this.#places.stopMultiplexing();
      for (const connection of [...this.#places.shared]) connection.retire();
    }
    this.#send(exchange, this.#places.chooseFresh(exchange));
  }

  settled(exchange: PoolExchange, outcome: GatewayError | 'complete' | 'aborted'): void {
    if (exchange.carrier === undefined) {
      this.#waiting.remove(exchange);
      return;
    }
    this.#places.busy--;
    if (outcome === 'complete') {
      if (exchange.carrier.isUsed) this.#places.isKnownToKeep = true;
    } else if (outcome !== 'aborted') {
      if (outcome.code === 'GW_ERR_SOURCE_DESCRIPTORS') this.#closeIdle(0);
      this.#options.outcome?.(outcome);
    }
    this.#giveWaiting();
  }

  judged(error: GatewayError | undefined): void {
    this.#options.outcome?.(error);
  }

  #giveWaiting(): void {
    while (this.#waiting.size > 0 && this.#places.isFree) {
      const next = this.#waiting.shift()!;
      const fault = this.#run(next);
      if (fault !== undefined) next.failed(fault, undefined);
    }
  }

  /** @returns why it cannot be sent to anybody: it has a pair that is too large */
  #run(exchange: PoolExchange): ProtocolError | undefined {
    try {
      this.#send(exchange, this.#places.choose(exchange));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return error;
    }
    this.#places.busy++;
    return undefined;
  }

  /**
   * Each request of a connection has an id of its own, also where it carries one at a time: what an application says too late is
   * then dropped, and does not become part of the next answer (G1). The first is 1, since some know no other.
   * @throws {ProtocolError} before anything else was done
   */
  #send(exchange: PoolExchange, place: Place<MultiplexedConnection>): void {
    const { idle, exclusive, shared, keepConn } = this.#places;
    const requestId =
      place === 'kept' ? idle.at(-1)!.nextRequestId : typeof place === 'string' ? 1 : place.nextRequestId;
    exchange.encode(requestId, this.#role, keepConn);
    if (place === 'kept') {
      const kept = idle.pop()!;
      exchange.carrier = kept;
      kept.start(exchange);
    } else if (place === 'connect') {
      this.#watch();
      const connection = new Connection(this, exchange, this.#places.time);
      exchange.carrier = connection;
      exclusive.add(connection);
    } else if (place === 'share') {
      this.#watch();
      const connection = new MultiplexedConnection(this, this.#places.time);
      shared.push(connection);
      exchange.carrier = connection.start(exchange);
    } else exchange.carrier = place.start(exchange);
  }

  #keepNone(): void {
    this.#places.mistakesIds = true;
    this.#closeIdle(0);
    this.dropped(
      `The application at ${printAddress(this.#options.address)} answers under the id of another request of its connection, so that none is kept from now on; set keepConnections to 0`,
    );
  }

  #tickFor({ connectTimeoutMs, readTimeoutMs, sendTimeoutMs, totalTimeoutMs }: CallTimeouts): number {
    const { idleTimeoutMs, waitingTimeoutMs } = this.#options;
    const shortest = Math.min(
      connectTimeoutMs,
      readTimeoutMs,
      sendTimeoutMs,
      totalTimeoutMs,
      idleTimeoutMs,
      waitingTimeoutMs,
    );
    return Math.max(tickMsMin, Math.min(tickMsMax, shortest / 4));
  }

  #watch(): void {
    if (this.#timer !== undefined) return;
    this.#places.time = this.#options.clock.now();
    this.#timer = this.#options.clock.setRepeating(() => this.#tick(), this.#tickMs);
    this.#timer.unref();
  }

  #tick(): void {
    const now = this.#options.clock.now();
    const places = this.#places;
    places.time = now;
    let isStarving = false;
    for (const connection of places.exclusive) {
      connection.check(now);
      isStarving ||= connection.isUnanswered;
    }
    for (const connection of [...places.shared]) {
      if (places.isWorn(connection)) connection.retire();
      connection.check(now);
    }
    places.isStarving = isStarving;
    // More may be idle between two ticks: a burst would else close and open connections all the time.
    this.#closeIdle(isStarving ? 0 : places.keepConnections);
    for (const connection of [...places.idle]) if (places.isWorn(connection)) connection.close();
    this.#expireWaiting();
    if (this.connections === 0 && this.#waiting.size === 0) {
      this.#options.clock.clearTimer(this.#timer);
      this.#timer = undefined;
    }
  }

  #closeIdle(left: number): void {
    for (const connection of this.#places.idleBeyond(left)) connection.close();
  }

  #expireWaiting(): void {
    for (const exchange of this.#waiting.expire()) {
      const { timeoutMs } = this.#waiting;
      exchange.failed(this.#overloaded(`no place became free within ${timeoutMs} ms`), undefined);
    }
  }

  #overloaded(reason: string): SourceError {
    return new SourceError(
      'GW_ERR_SOURCE_OVERLOADED',
      `The application at ${printAddress(this.#options.address)} works on ${this.#places.busy} ${this.#places.busy === 1 ? 'request' : 'requests'}, as many as its limit allows, and ${reason}. ` +
        'Give it more workers (php-fpm: pm.max_children), and raise "capacity" of the source where that is the limit',
      { delivery: 'unsent', retryAfterSeconds: 1 },
    );
  }

  #stopped(): SourceError {
    return new SourceError(
      'GW_ERR_SOURCE_STOPPED',
      `The source at ${printAddress(this.#options.address)} was stopped`,
      { delivery: 'unsent' },
    );
  }
}
