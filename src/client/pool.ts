/**
 * All connections to one application, from the web server's side: gives each request a kept or a new one, or a part of
 * one that several share, lets requests wait when the application has no place for them, and closes what waited too long.
 */

import { isIP } from 'node:net';
import { type Address, printAddress } from '../base/address.ts';
import { type GatewayError, ProtocolError, SourceError } from '../base/errors.ts';
import { Role, requestIdMax } from '../protocol/constants.ts';
import { Connection, type ConnectionOptions, type ConnectionOwner, type Staleness } from './connection.ts';
import { type ExchangeOwner, PoolExchange } from './exchange.ts';
import { MultiplexedConnection, type MultiplexedOwner } from './multiplexed-connection.ts';
import {
  type ClientExchange,
  type ClientListener,
  type ClientRequest,
  type EncodedRequest,
  encodeClientRequest,
} from './request.ts';
import { Resolver } from './resolver.ts';
import type { RecordTrace } from './trace.ts';
import { WaitingLine } from './waiting-line.ts';

export interface PoolOptions {
  readonly address: Address;
  /** Idle connections to keep for later requests; 0 closes each after its request, as PHP needs it (F38). */
  readonly keepConnections: number;
  /** Most requests that the application is given at a time; undefined: no limit. */
  readonly capacity?: number | undefined;
  /** Most connections to the application; undefined: no limit. */
  readonly connectionsMax?: number | undefined;
  readonly connectTimeoutMs: number;
  /** Longest gap without a byte from the application. */
  readonly readTimeoutMs: number;
  /** Longest gap in which the application takes no byte of a request. */
  readonly sendTimeoutMs: number;
  /** Longest time from a request's first byte to END_REQUEST, pauses of ours not counted. */
  readonly totalTimeoutMs: number;
  /** Most requests that wait for a place; one more is refused. */
  readonly waitingMax: number;
  readonly waitingTimeoutMs: number;
  /** How long a kept connection may stay unused. */
  readonly idleTimeoutMs: number;
  readonly requestsPerConnectionMax: number;
  /** An older connection gets no further request. */
  readonly connectionAgeMsMax: number;
  /** Most requests at a time on one connection; 1: no multiplexing, which few applications know. */
  readonly multiplexedRequestsMax: number;
  readonly role?: Role | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
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

/** What an application turned out to be able to do. */
export type FoundLimits = Pick<
  PoolOptions,
  'keepConnections' | 'capacity' | 'connectionsMax' | 'multiplexedRequestsMax'
>;

/** Longest and shortest time between two looks at what waits. */
const tickMsMax = 250;
const tickMsMin = 5;

export class Pool implements ConnectionOwner, MultiplexedOwner, ExchangeOwner {
  readonly connectionOptions: ConnectionOptions;
  readonly sharedBuffer: Buffer | undefined;
  readonly #options: PoolOptions;
  readonly #role: Role;
  /**
   * The next request's. Each has an id of its own, also on connections that carry one at a time: what an application
   * says too late is then for nobody, and does not become a part of the next answer (G1).
   */
  #requestId = 1;
  readonly #tickMs: number;
  readonly #connections = new Set<Connection>();
  /** The last is used first, so that those that are not needed grow old. */
  readonly #idle: Connection[] = [];
  /** With several requests at a time each. */
  readonly #shared: MultiplexedConnection[] = [];
  readonly #waiting: WaitingLine<PoolExchange>;
  #capacity: number;
  #connectionsMax: number;
  #keepConnections: number;
  #multiplexedRequestsMax: number;
  /** When `#tick` last looked at the clock. */
  #time = 0;
  #busy = 0;
  #timer: NodeJS.Timeout | undefined;
  /** A connection waits for its first byte: perhaps the kept ones hold all workers, so none is kept for now. */
  #isStarving = false;
  /**
   * The application has answered a second request on a connection, so it heeds KEEP_CONN. Others (ruby-fcgi) close
   * after each answer whatever was asked, and a request that may not be repeated must not run into that.
   */
  #isKnownToKeep = false;
  /**
   * The last answer on a connection for several did not end its STDOUT. An END_REQUEST that is meant for somebody else
   * could not be told from its own then, so that each request is alone on its connection.
   */
  #leavesStdoutOpen = false;
  #isClosed = false;
  readonly #whenClosed: (() => void)[] = [];

  constructor(options: PoolOptions) {
    this.#options = options;
    const { address } = options;
    const isNamed = address.kind === 'tcp' && isIP(address.host) === 0;
    this.connectionOptions = {
      ...options,
      trace: options.trace,
      resolver: isNamed ? new Resolver(options.now) : undefined,
    };
    this.sharedBuffer = options.sharesReadBuffer ? Buffer.allocUnsafeSlow(65_536) : undefined;
    this.#capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    this.#connectionsMax = options.connectionsMax ?? Number.POSITIVE_INFINITY;
    this.#waiting = new WaitingLine({
      max: options.waitingMax,
      timeoutMs: options.waitingTimeoutMs,
      now: options.now,
    });
    this.#keepConnections = options.keepConnections;
    this.#multiplexedRequestsMax = options.multiplexedRequestsMax;
    this.#role = options.role ?? Role.Responder;
    const shortest = Math.min(
      options.connectTimeoutMs,
      options.readTimeoutMs,
      options.sendTimeoutMs,
      options.totalTimeoutMs,
      options.idleTimeoutMs,
      options.waitingTimeoutMs,
    );
    this.#tickMs = Math.max(tickMsMin, Math.min(tickMsMax, shortest / 4));
  }

  /** Requests that have not ended, waiting ones included. */
  get active(): number {
    return this.#busy + this.#waiting.size;
  }

  /** Requests that wait for a place. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** What was found out about the application later. Requests under way stay as they are. */
  limit({ keepConnections, capacity, connectionsMax, multiplexedRequestsMax }: FoundLimits): void {
    this.#keepConnections = keepConnections;
    this.#capacity = capacity ?? Number.POSITIVE_INFINITY;
    this.#connectionsMax = connectionsMax ?? Number.POSITIVE_INFINITY;
    this.#multiplexedRequestsMax = multiplexedRequestsMax;
  }

  /** Most requests that the application is given at a time; undefined: no limit. */
  get capacity(): number | undefined {
    return this.#capacity === Number.POSITIVE_INFINITY ? undefined : this.#capacity;
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections.size + this.#shared.length;
  }

  /** Kept connections that no request uses. */
  get idle(): number {
    return this.#idle.length;
  }

  /**
   * Sends a request. Every fault goes to `listener.error`:
   * GW_ERR_PROTOCOL_* (a pair too large, or the application broke FastCGI), GW_ERR_SOURCE_* (see its `delivery`),
   * GW_ERR_HTTP_BODY_* and GW_ERR_SPOOL (from the body).
   */
  open(request: ClientRequest, listener: ClientListener): ClientExchange {
    let encoded: EncodedRequest;
    try {
      const start = {
        requestId: this.#requestId,
        role: request.role ?? this.#role,
        keepConn: this.#keepConnections > 0 || this.#multiplexedRequestsMax > 1,
      };
      encoded = encodeClientRequest(start, request);
      this.#requestId = (this.#requestId % requestIdMax) + 1;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return new Refusal(listener, error);
    }
    if (this.#isClosed) return new Refusal(listener, this.#stopped());
    const exchange = new PoolExchange(this, request, encoded, listener);
    if (this.#waiting.size === 0 && this.#hasPlace) {
      this.#run(exchange);
      return exchange;
    }
    // Idle connections may hold the very workers that are waited for.
    if (this.#waiting.size === 0) this.#closeIdle(0);
    const loser = this.#waiting.push(exchange, request);
    if (loser === undefined) return exchange;
    const full = this.#overloaded(`${this.#waiting.size} requests wait already`);
    if (loser === exchange) return new Refusal(listener, full);
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
    for (const connection of [...this.#shared]) connection.retire();
    for (const exchange of this.#waiting.clear()) exchange.failed(this.#stopped(), undefined);
    if (this.connections === 0) {
      clearInterval(this.#timer);
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#whenClosed.push(resolve));
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  mayKeep(connection: Connection): boolean {
    return this.#keepConnections > 0 && !this.#isWorn(connection) && !this.#isStarving && !this.#isClosed;
  }

  becameIdle(connection: Connection): void {
    this.#idle.push(connection);
  }

  closed(connection: Connection | MultiplexedConnection): void {
    if (connection instanceof Connection) {
      this.#connections.delete(connection);
      const index = this.#idle.indexOf(connection);
      if (index >= 0) this.#idle.splice(index, 1);
    } else {
      const index = this.#shared.indexOf(connection);
      if (index >= 0) this.#shared.splice(index, 1);
    }
    if (this.#isClosed && this.connections === 0) {
      clearInterval(this.#timer);
      for (const resolve of this.#whenClosed.splice(0)) resolve();
    }
  }

  endedStdout(did: boolean): void {
    this.#leavesStdoutOpen = !did;
  }

  dropped(message: string): void {
    this.#options.dropped?.(message);
  }

  restart(exchange: PoolExchange, staleness: Staleness): void {
    this.#isKnownToKeep = false;
    // It wants one request on each connection (F22).
    if (staleness === 'misplaced' && exchange.isShared) this.#stopMultiplexing();
    if (!this.#share(exchange)) this.#connect(exchange);
  }

  settled(exchange: PoolExchange, outcome: GatewayError | 'complete' | 'aborted'): void {
    if (exchange.carrier === undefined) {
      this.#waiting.remove(exchange);
      return;
    }
    this.#busy--;
    if (outcome === 'complete') {
      if (exchange.carrier.isUsed) this.#isKnownToKeep = true;
    } else if (outcome !== 'aborted') {
      if (outcome.code === 'GW_ERR_SOURCE_DESCRIPTORS') this.#closeIdle(0);
      this.#options.outcome?.(outcome);
    }
    while (this.#waiting.size > 0 && this.#hasPlace) {
      this.#run(this.#waiting.shift()!);
    }
  }

  judged(error: GatewayError | undefined): void {
    this.#options.outcome?.(error);
  }

  get #hasPlace(): boolean {
    if (this.#busy >= this.#capacity) return false;
    if (!this.#isMultiplexing) return this.#busy < this.#connectionsMax;
    return this.#mayConnect || this.#idle.length > 0 || this.#shared.some((shared) => this.#hasRoom(shared));
  }

  get #mayConnect(): boolean {
    return this.connections < this.#connectionsMax;
  }

  #run(exchange: PoolExchange): void {
    this.#busy++;
    if (this.#share(exchange)) return;
    const kept = this.#isKnownToKeep || exchange.mayRepeat ? this.#idle.pop() : undefined;
    if (kept === undefined) {
      this.#connect(exchange);
    } else {
      exchange.carrier = kept;
      kept.start(exchange);
    }
  }

  #connect(exchange: PoolExchange): void {
    this.#watch();
    const connection = new Connection(this, exchange, this.#time);
    exchange.carrier = connection;
    this.#connections.add(connection);
  }

  get #isMultiplexing(): boolean {
    return this.#multiplexedRequestsMax > 1;
  }

  /** @returns false: it is to get a connection alone */
  #share(exchange: PoolExchange): boolean {
    const shared = this.#chooseShared(exchange);
    if (shared === undefined) return false;
    exchange.carrier = shared.start(exchange);
    return true;
  }

  /** A connection for several requests, perhaps a new one; undefined: it gets one alone. */
  #chooseShared(exchange: PoolExchange): MultiplexedConnection | undefined {
    if (!this.#isMultiplexing || !exchange.encoded.keepConn) return undefined;
    const mayConnect = this.#mayConnect;
    if (exchange.isAlone && mayConnect) return undefined;
    const isSafe = this.#isKnownToKeep || exchange.mayRepeat;
    const { requestId } = exchange.encoded;
    for (const shared of this.#shared) {
      const isFresh = shared.requests === 0;
      if (this.#hasRoom(shared) && (isFresh || isSafe) && shared.takes(requestId)) return shared;
    }
    if (!mayConnect) return undefined;
    this.#watch();
    const shared = new MultiplexedConnection(this, this.#time);
    this.#shared.push(shared);
    return shared;
  }

  /**
   * One request at a time as long as it is not known that the application keeps connections: node-fastcgi 2.0 says that
   * it multiplexes, and closes after the first answer, which would cut all the others.
   */
  #hasRoom(shared: MultiplexedConnection): boolean {
    const requestsMax = this.#isKnownToKeep && !this.#leavesStdoutOpen ? this.#multiplexedRequestsMax : 1;
    return shared.active < requestsMax && !this.#isWorn(shared);
  }

  #stopMultiplexing(): void {
    this.#multiplexedRequestsMax = 1;
    for (const connection of [...this.#shared]) connection.retire();
  }

  /** It has carried enough. */
  #isWorn({ requests, madeAt }: Connection | MultiplexedConnection): boolean {
    const { requestsPerConnectionMax, connectionAgeMsMax } = this.#options;
    return requests >= requestsPerConnectionMax || this.#time - madeAt >= connectionAgeMsMax;
  }

  #watch(): void {
    if (this.#timer !== undefined) return;
    this.#time = this.#options.now();
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    this.#timer.unref();
  }

  #tick(): void {
    const now = this.#options.now();
    this.#time = now;
    let isStarving = false;
    for (const connection of this.#connections) {
      connection.check(now);
      isStarving ||= connection.isUnanswered;
    }
    for (const connection of [...this.#shared]) {
      if (this.#isWorn(connection)) connection.retire();
      connection.check(now);
    }
    this.#isStarving = isStarving;
    // More may be idle between two ticks: a burst would else close and open connections all the time.
    this.#closeIdle(isStarving ? 0 : this.#keepConnections);
    for (const connection of [...this.#idle]) if (this.#isWorn(connection)) connection.close();
    this.#expireWaiting();
    if (this.connections === 0 && this.#waiting.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #closeIdle(left: number): void {
    // The oldest first.
    for (const connection of this.#idle.slice(0, Math.max(0, this.#idle.length - left))) connection.close();
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
      `The application at ${printAddress(this.#options.address)} works on ${this.#busy} requests, and ${reason}`,
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

/** A request that goes nowhere; its listener hears that after `open` has returned. */
class Refusal implements ClientExchange {
  #isAborted = false;

  constructor(listener: ClientListener, error: GatewayError) {
    queueMicrotask(() => {
      if (!this.#isAborted) listener.error(error);
    });
  }

  resume(): void {}

  streams(): void {}

  readonly waitedMs = 0;
  readonly isShared = false;
  readonly wasRepeated = false;

  abort(): void {
    this.#isAborted = true;
  }

  disown(): void {
    this.abort();
  }
}
