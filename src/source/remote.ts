/**
 * A remote source: a FastCGI application that somebody else runs, at an address.
 * It adds to the pool what only a source knows: its name, and whether it is well.
 */
import { type Address, printAddress } from '../base/address.ts';
import type { GatewayError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { createPool, type Pool } from '../client/index.ts';
import { Role } from '../protocol/index.ts';
import { Health } from './health.ts';
import type { Source, SourceExchange, SourceListener, SourceRequest } from './source.ts';

export interface RemoteSourceOptions {
  readonly name: string;
  readonly address: Address;
  /** Idle connections to keep, default 8. 0 for PHP, whose workers each serve one connection (F38). */
  readonly keepConnections?: number | undefined;
  /** Most requests at a time; undefined: no limit. */
  readonly capacity?: number | undefined;
  /** Default 3000 for tcp, 1000 for unix. */
  readonly connectTimeoutMs?: number | undefined;
  /** Longest gap without a byte from the application, default 60 000. */
  readonly readTimeoutMs?: number | undefined;
  /** Longest gap in which the application takes no byte of a request, default 60 000. */
  readonly sendTimeoutMs?: number | undefined;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
}

/** Connects to nothing until the first request. */
export function createRemoteSource(options: RemoteSourceOptions): Source {
  return new RemoteSource(options);
}

class RemoteSource implements Source {
  readonly name: string;
  readonly address: string;
  readonly #pool: Pool;
  readonly #health = new Health();
  readonly #log: Log;
  readonly #now: () => number;

  constructor(options: RemoteSourceOptions) {
    const { address } = options;
    this.name = options.name;
    this.address = printAddress(address);
    this.#log = options.log;
    this.#now = options.now;
    this.#pool = createPool({
      address,
      keepConnections: options.keepConnections,
      capacity: options.capacity,
      connectTimeoutMs: options.connectTimeoutMs,
      readTimeoutMs: options.readTimeoutMs,
      sendTimeoutMs: options.sendTimeoutMs,
      now: options.now,
      random: options.random,
      outcome: (error) => this.#learn(error),
    });
  }

  get active(): number {
    return this.#pool.active;
  }

  isAvailable(): boolean {
    return this.#health.isInService || this.#health.isAvailable(this.#now());
  }

  open(request: SourceRequest, listener: SourceListener): SourceExchange {
    if (!this.#health.isInService) this.#health.began(this.#now());
    const { variables, body, data } = request;
    if (request.role === undefined) return this.#pool.open({ variables, body }, listener);
    return this.#pool.open({ variables, body, role: Role[request.role], data }, listener);
  }

  describe(): string {
    return `FastCGI application at ${this.address}`;
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  #learn(error: GatewayError | undefined): void {
    if (error === undefined) {
      if (this.#health.succeeded()) this.#log.info('The source is back in service', { source: this.name });
      return;
    }
    const verdict = judge(error);
    if (verdict === 'no fault') return;
    const now = this.#now();
    if (this.#health.failed(now, verdict === 'unreachable')) {
      this.#log.warn('The source is out of service', {
        source: this.name,
        reason: error.message,
        retryInMs: this.#health.delayMs(now),
      });
    }
  }
}

/** What an error says about the source's health. */
function judge(error: GatewayError): 'unreachable' | 'fault' | 'no fault' {
  switch (error.code) {
    case 'GW_ERR_SOURCE_CONNECT':
    case 'GW_ERR_SOURCE_CONNECT_TIMEOUT':
      return 'unreachable';
    case 'GW_ERR_SOURCE_READ_TIMEOUT':
    case 'GW_ERR_SOURCE_SEND_TIMEOUT':
    case 'GW_ERR_SOURCE_CLOSED':
    case 'GW_ERR_SOURCE_OVERLOADED':
    case 'GW_ERR_PROTOCOL_VERSION':
    case 'GW_ERR_PROTOCOL_RECORD':
    case 'GW_ERR_PROTOCOL_REQUEST_ID':
    case 'GW_ERR_PROTOCOL_STATUS':
      return 'fault';
    default:
      // Our own descriptors, the client's body: nothing that the source did (F6).
      return 'no fault';
  }
}
