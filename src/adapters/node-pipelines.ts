/**
 * How deep clients pipeline, bounded: node:http makes a request and a response (about 3 KB) of every 27 bytes that a client
 * sends ahead. When there are too many, the connection with the most is ended, so that one client takes nothing from others.
 */
import type { Connection } from './node-connection.ts';

export interface PipelinesOptions {
  /** Requests that may wait on one connection. */
  readonly perConnectionMax: number;
  /** Requests that may wait on all connections of a front together. */
  readonly inAllMax: number;
  /** Hears of a connection that was ended for its depth. */
  readonly ended: () => void;
}

const pipelinesDefaults: PipelinesOptions = { perConnectionMax: 1000, inAllMax: 10_000, ended: () => {} };

/** The requests that wait on the connections of one front. */
export class Pipelines {
  readonly #options: PipelinesOptions;
  readonly #connections = new Set<Connection>();
  #requests = 0;

  constructor(options: Partial<PipelinesOptions> = {}) {
    this.#options = { ...pipelinesDefaults, ...options };
  }

  /** One more request waits on a connection. */
  added(connection: Connection): void {
    this.#connections.add(connection);
    this.#requests += 1;
    const { perConnectionMax, inAllMax } = this.#options;
    if (connection.waiting > perConnectionMax) this.#end(connection);
    else if (this.#requests > inAllMax) {
      let deepest = connection;
      for (const other of this.#connections) if (other.waiting > deepest.waiting) deepest = other;
      this.#end(deepest);
    }
  }

  /** Requests of a connection wait no longer. */
  removed(connection: Connection, requests: number): void {
    this.#requests -= requests;
    if (connection.waiting === 0) this.#connections.delete(connection);
  }

  #end(connection: Connection): void {
    connection.destroy();
    this.#options.ended();
  }
}
