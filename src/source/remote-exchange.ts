/**
 * A request at a remote source: hands everything through, and tells what the answer was worth. Its listener has the last
 * word on that: an answer that is complete in FastCGI's words may still be a failure.
 */
import type { GatewayError } from '../base/errors.ts';
import type { ClientExchange } from '../client/index.ts';
import type { SourceExchange, SourceListener } from './source.ts';

/** What a request tells its source: one of the two, or nothing when it was aborted or the pool tells its error. */
export interface ExchangeOwner {
  answered(): void;
  disowned(error: GatewayError): void;
}

export class RemoteExchange implements SourceExchange, SourceListener {
  /** Set right after `open`, which calls nobody back before it returns. */
  inner!: ClientExchange;
  readonly #listener: SourceListener;
  readonly #owner: ExchangeOwner;
  #isDisowned = false;

  constructor(listener: SourceListener, owner: ExchangeOwner) {
    this.#listener = listener;
    this.#owner = owner;
  }

  get waitedMs(): number {
    return this.inner.waitedMs;
  }

  stdout(chunk: Buffer): boolean {
    return this.#listener.stdout(chunk);
  }

  stderr(chunk: Buffer): void {
    this.#listener.stderr(chunk);
  }

  end(appStatus: number): void {
    this.#listener.end(appStatus);
    if (!this.#isDisowned) this.#owner.answered();
  }

  error(error: GatewayError): void {
    this.#listener.error(error);
  }

  resume(): void {
    this.inner.resume();
  }

  streams(): void {
    this.inner.streams();
  }

  abort(): void {
    this.inner.abort();
  }

  disown(error: GatewayError): void {
    if (this.#isDisowned) return;
    this.#isDisowned = true;
    this.inner.abort();
    this.#owner.disowned(error);
  }
}
