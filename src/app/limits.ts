/**
 * How much an application takes at a time: of one connection, and of all together. What it tells web servers (GET_VALUES) is
 * what it keeps.
 */
import { ProtocolStatus } from '../protocol/constants.ts';
import { decodePairs } from '../protocol/name-value.ts';

export interface ApplicationLimits {
  /**
   * Requests at a time on one connection; a further one is refused: CANT_MPX_CONN if it is 1, else OVERLOADED. Default 128:
   * FastCGI has no word for it, so it should be above what a web server tries.
   */
  readonly requestsPerConnectionMax?: number;
  /** Requests at a time on all connections; a further one is refused with OVERLOADED. Default 1024. */
  readonly requestsMax?: number;
  /** Connections at a time; the requests of a further one are refused with OVERLOADED. Default 1024. */
  readonly connectionsMax?: number;
  /** Bytes of all variables of a request, default 1 MiB; more closes the connection. */
  readonly paramsBytesMax?: number;
}

/** The load of one application, shared by its connections. */
export class ApplicationLoad {
  readonly paramsBytesMax: number;
  readonly #perConnectionMax: number;
  readonly #requestsMax: number;
  readonly #connectionsMax: number;
  #requests = 0;
  #connections = 0;

  constructor(limits: ApplicationLimits) {
    this.paramsBytesMax = limits.paramsBytesMax ?? 1_048_576;
    this.#perConnectionMax = limits.requestsPerConnectionMax ?? 128;
    this.#requestsMax = limits.requestsMax ?? 1024;
    this.#connectionsMax = limits.connectionsMax ?? 1024;
  }

  /** A connection came. False: it is one too many, and its requests are to be refused. */
  addConnection(): boolean {
    return ++this.#connections <= this.#connectionsMax;
  }

  removeConnection(): void {
    this.#connections--;
  }

  /**
   * Takes a request on a connection that carries so many already.
   * @returns why it is refused, or undefined: then `removeRequest` belongs to its end
   */
  addRequest(onConnection: number): ProtocolStatus | undefined {
    if (onConnection >= this.#perConnectionMax) {
      return this.#perConnectionMax === 1 ? ProtocolStatus.CantMpxConn : ProtocolStatus.Overloaded;
    }
    if (this.#requests >= this.#requestsMax) return ProtocolStatus.Overloaded;
    this.#requests++;
    return undefined;
  }

  removeRequest(): void {
    this.#requests--;
  }

  /** The answer to GET_VALUES: what was asked for and is known, each once (FastCGI 4.1). */
  values(asked: Buffer): string[] {
    const known: Readonly<Record<string, string>> = {
      FCGI_MAX_CONNS: String(this.#connectionsMax),
      FCGI_MAX_REQS: String(this.#requestsMax),
      FCGI_MPXS_CONNS: this.#perConnectionMax > 1 ? '1' : '0',
    };
    const names = decodePairs(asked).filter((_, i) => i % 2 === 0);
    return [...new Set(names)]
      .filter((name) => Object.hasOwn(known, name))
      .flatMap((name) => [name, known[name]!]);
  }
}
