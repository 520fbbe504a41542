/**
 * Which place a request gets at an application: a kept connection, a part of one that several share, a new one, or none, so
 * that it waits. Pure: it counts, and knows what was learnt about the application; the pool connects and closes.
 */

/** What an application can take, as configured or found out. */
export interface PlaceLimits {
  /** Idle connections to keep for later requests; 0 closes each after its request, as PHP needs it (F38). */
  readonly keepConnections: number;
  /** Most requests that the application is given at a time; undefined: no limit. */
  readonly capacity?: number | undefined;
  /** Most connections to the application; undefined: no limit. */
  readonly connectionsMax?: number | undefined;
  /** Most requests at a time on one connection; 1: no multiplexing, which few applications know. */
  readonly multiplexedRequestsMax: number;
}

/** Idle connections worth keeping to an application that serves several, when nothing else is known. */
export const usualKeptConnections = 8;

/** When a connection has carried enough. */
export interface WearLimits {
  readonly requestsPerConnectionMax: number;
  /** An older connection gets no further request. */
  readonly connectionAgeMsMax: number;
}

export interface CarriedBy {
  /** Requests that it has carried or carries. */
  readonly requests: number;
  /** By the clock of `Places.time`. */
  readonly madeAt: number;
}

export interface SharedBy extends CarriedBy {
  /** Requests that it carries. */
  readonly active: number;
  /** It is open to one more. */
  readonly takesMore: boolean;
}

export interface Placed {
  /** It may be sent again when a kept connection turns out to be closed. */
  readonly mayRepeat: boolean;
  /** It had better not share a connection. */
  readonly isAlone: boolean;
}

/** `kept`: the last of `idle`. `connect`: a new connection alone. `share`: a new one for several. Or the shared one. */
export type Place<S> = S | 'kept' | 'connect' | 'share';

export class Places<C extends CarriedBy, S extends SharedBy> {
  /** Connections that carry one request at a time. */
  readonly exclusive: Set<C> = new Set();
  /** Those of them that carry none. The last is used first, so that those that are not needed grow old. */
  readonly idle: C[] = [];
  /** Connections for several requests. */
  readonly shared: S[] = [];
  /** Requests that have a place. */
  busy = 0;
  /** When the clock was last looked at. */
  time = 0;
  /** A connection waits for its first byte: perhaps the kept ones hold all workers, so none is kept for now. */
  isStarving = false;
  /**
   * The application has answered a second request on a connection, so it heeds KEEP_CONN. Others (ruby-fcgi) close
   * after each answer whatever was asked, and a request that may not be repeated must not run into that.
   */
  isKnownToKeep = false;
  /**
   * The last answer on a connection for several did not end its STDOUT. An END_REQUEST that is meant for somebody else
   * could not be told from its own then, so that each request is alone on its connection.
   */
  leavesStdoutOpen = false;
  /**
   * The application has answered a request on a kept connection under the id of another. It may do so always, as one that
   * knows no id but 1, or have been late once: none of its connections is kept any more (G1).
   */
  mistakesIds = false;
  #keepConnections = 0;
  /** Infinity: no limit. */
  capacity: number = Number.POSITIVE_INFINITY;
  #connectionsMax: number = Number.POSITIVE_INFINITY;
  #multiplexedRequestsMax = 1;
  readonly #wear: WearLimits;

  constructor(limits: PlaceLimits, wear: WearLimits) {
    this.#wear = wear;
    this.limit(limits);
  }

  /** Requests that have a place keep it. */
  limit({ keepConnections, capacity, connectionsMax, multiplexedRequestsMax }: PlaceLimits): void {
    this.#keepConnections = keepConnections;
    this.capacity = capacity ?? Number.POSITIVE_INFINITY;
    this.#connectionsMax = connectionsMax ?? Number.POSITIVE_INFINITY;
    this.#multiplexedRequestsMax = multiplexedRequestsMax;
  }

  /** Idle connections to keep. */
  get keepConnections(): number {
    return this.mistakesIds ? 0 : this.#keepConnections;
  }

  /** What a request asks of the application that it is sent to now. */
  get keepConn(): boolean {
    return this.keepConnections > 0 || this.isMultiplexing;
  }

  get connections(): number {
    return this.exclusive.size + this.shared.length;
  }

  get isMultiplexing(): boolean {
    return this.#multiplexedRequestsMax > 1;
  }

  /** It wants one request on each connection (F22). */
  stopMultiplexing(): void {
    this.#multiplexedRequestsMax = 1;
  }

  /** One more request need not wait. */
  get isFree(): boolean {
    if (this.busy >= this.capacity) return false;
    if (!this.isMultiplexing) return this.busy < this.#connectionsMax;
    return this.#mayConnect || this.idle.length > 0 || this.shared.some((shared) => this.#hasRoom(shared));
  }

  /** For a request that has a place: where it is sent. */
  choose(request: Placed): Place<S> {
    const shared = this.chooseFresh(request);
    if (shared !== 'connect') return shared;
    return this.idle.length > 0 && (this.isKnownToKeep || request.mayRepeat) ? 'kept' : 'connect';
  }

  /** As `choose`, for a request that a kept connection has failed. */
  chooseFresh({ mayRepeat, isAlone }: Placed): S | 'share' | 'connect' {
    if (!this.isMultiplexing) return 'connect';
    const mayConnect = this.#mayConnect;
    if (isAlone && mayConnect) return 'connect';
    const isSafe = this.isKnownToKeep || mayRepeat;
    for (const shared of this.shared) {
      const isFresh = shared.requests === 0;
      if (this.#hasRoom(shared) && (isFresh || isSafe) && shared.takesMore) return shared;
    }
    return mayConnect ? 'share' : 'connect';
  }

  /** An answer has come whole, and leaves this connection to the next request. */
  mayKeep(connection: C): boolean {
    return this.keepConnections > 0 && !this.isWorn(connection) && !this.isStarving;
  }

  /** It is closed. */
  gone(connection: C | S): void {
    if (this.exclusive.delete(connection as C)) remove(this.idle, connection as C);
    else remove(this.shared, connection as S);
  }

  /** It has carried enough. */
  isWorn({ requests, madeAt }: CarriedBy): boolean {
    const { requestsPerConnectionMax, connectionAgeMsMax } = this.#wear;
    return requests >= requestsPerConnectionMax || this.time - madeAt >= connectionAgeMsMax;
  }

  /** The oldest idle connections, so that so many are left; to be closed. */
  idleBeyond(left: number): readonly C[] {
    return this.idle.slice(0, Math.max(0, this.idle.length - left));
  }

  get #mayConnect(): boolean {
    return this.connections < this.#connectionsMax;
  }

  /**
   * One request at a time as long as it is not known that the application keeps connections: node-fastcgi 2.0 says that
   * it multiplexes, and closes after the first answer, which would cut all the others.
   */
  #hasRoom(shared: S): boolean {
    const requestsMax = this.isKnownToKeep && !this.leavesStdoutOpen ? this.#multiplexedRequestsMax : 1;
    return shared.active < requestsMax && !this.isWorn(shared);
  }
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
