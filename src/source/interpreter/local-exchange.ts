/**
 * A request at a local source: waits for a start, then hands everything through; once it may wait again,
 * when nobody listened after all.
 */
import { type GatewayError, SourceError } from '../../base/errors.ts';
import type { Claim } from '../../client/fair-queue.ts';
import type { SourceExchange, SourceListener, SourceRequest } from '../source.ts';
import type { InterpreterProcess } from './interpreter-process.ts';

/** What a request tells its source. */
export interface LocalExchangeOwner {
  /** Nobody listened: it wants to wait for another start. */
  lost(exchange: LocalExchange, interpreter: InterpreterProcess): void;
  /** @param process undefined: it waited */
  ended(exchange: LocalExchange, interpreter: InterpreterProcess | undefined): void;
  /** A better reason for an error, when that is about to be known. */
  explain(error: GatewayError, interpreter: InterpreterProcess): Promise<GatewayError> | undefined;
}

export class LocalExchange implements SourceExchange, SourceListener {
  readonly #request: SourceRequest;
  readonly #listener: SourceListener;
  readonly #owner: LocalExchangeOwner;
  #inner: SourceExchange | undefined;
  #process: InterpreterProcess | undefined;
  #state: 'open' | 'ended' = 'open';
  #tries = 0;
  /** The listener has heard output: what a second process said would be a part of the same answer. */
  #hasOutput = false;
  #streams = false;
  #waitedMs = 0;
  /** See `Waiter`. */
  waitsSince = 0;

  constructor(request: SourceRequest, listener: SourceListener, owner: LocalExchangeOwner) {
    this.#request = request;
    this.#listener = listener;
    this.#owner = owner;
  }

  get isShared(): boolean {
    return this.#inner?.isShared === true;
  }

  get wasRepeated(): boolean {
    return this.#inner?.wasRepeated === true;
  }

  /** Whose turn it takes where requests have to wait. */
  get claim(): Claim {
    return this.#request;
  }

  /** For a process, and then for a place at it. */
  get waitedMs(): number {
    return this.#waitedMs + (this.#inner?.waitedMs ?? 0);
  }

  waited(ms: number): void {
    this.#waitedMs += ms;
  }

  /** The process has counted it. */
  begin(interpreter: InterpreterProcess): void {
    this.#tries++;
    this.#process = interpreter;
    this.#inner = interpreter.remote.open(this.#request, this);
    if (this.#streams) this.#inner.liftTotalLimit();
  }

  stdout(chunk: Buffer): boolean {
    this.#hasOutput = true;
    return this.#listener.stdout(chunk);
  }

  stderr(chunk: Buffer): void {
    this.#listener.stderr(chunk);
  }

  sendNow(): boolean {
    return this.#listener.sendNow?.() === true;
  }

  end(appStatus: number): void {
    this.#process!.hasAnswered = true;
    if (this.#finish()) this.#listener.end(appStatus);
  }

  error(error: GatewayError): void {
    const interpreter = this.#process!;
    if (this.#tries === 1 && this.#state === 'open' && this.#deservesAnotherStart(error, interpreter)) {
      this.#process = undefined;
      this.#owner.lost(this, interpreter);
      return;
    }
    const explanation = this.#owner.explain(error, interpreter);
    if (explanation === undefined) this.fail(error);
    else void explanation.then((better) => this.fail(better));
  }

  /** Nobody listened; or it was in the backlog of a process that died at its start, and may run twice if it ran at all. */
  #deservesAnotherStart(error: GatewayError, interpreter: InterpreterProcess): boolean {
    if (!(error instanceof SourceError) || this.#hasOutput) return false;
    const { mayRunTwice, body, data } = this.#request;
    switch (error.code) {
      case 'GW_ERR_SOURCE_CONNECT':
        return error.delivery === 'unsent';
      case 'GW_ERR_SOURCE_CLOSED':
        return (
          !interpreter.hasAnswered &&
          mayRunTwice === true &&
          body?.replayable !== false &&
          data?.replayable !== false
        );
      default:
        return false;
    }
  }

  fail(error: GatewayError): void {
    if (this.#finish()) this.#listener.error(error);
  }

  /** Not before `open` has returned. */
  failSoon(error: GatewayError): void {
    queueMicrotask(() => this.fail(error));
  }

  resume(): void {
    this.#inner?.resume();
  }

  liftTotalLimit(): void {
    this.#streams = true;
    this.#inner?.liftTotalLimit();
  }

  answered(): void {
    this.#inner?.answered();
  }

  abort(): void {
    if (this.#state === 'ended') return;
    // Its place is free before the next one is looked for.
    this.#inner?.abort();
    this.#finish();
  }

  disown(error: GatewayError): void {
    this.#inner?.disown(error);
    this.#finish();
  }

  #finish(): boolean {
    if (this.#state === 'ended') return false;
    this.#state = 'ended';
    this.#owner.ended(this, this.#process);
    return true;
  }
}
