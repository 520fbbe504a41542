/**
 * One request on its way through the pool: waiting, then on a connection, perhaps on a second one, then over.
 * The listener hears exactly one `end` or `error`, or nothing after `abort`; and output of one connection only, since two
 * answers must never become one: after the first byte of output nothing is sent again, whatever the application says.
 */
import { type GatewayError, internalError } from '../base/errors.ts';
import { Role } from '../protocol/constants.ts';
import type { Carrier, Occupant, Staleness } from './connection.ts';
import { afterOutput } from './connection-error.ts';
import {
  type ClientExchange,
  type ClientListener,
  type ClientRequest,
  type EncodedRequest,
  encodeClientRequest,
} from './request.ts';

/** What an exchange asks of its pool. */
export interface PoolExchangeOwner {
  /** Gives it a new connection in the place that it has. */
  restart(exchange: PoolExchange, staleness: Staleness): void;
  /** It no longer needs its place. Called once, before the listener hears the end. */
  settled(exchange: PoolExchange, outcome: GatewayError | 'complete' | 'aborted'): void;
  /** Its listener took the answer for a good one (undefined), or for none. */
  judged(error: GatewayError | undefined): void;
}

export class PoolExchange implements ClientExchange, Occupant {
  /** As it is sent; made when it has a place, since its id depends on the connection. */
  encoded!: EncodedRequest;
  readonly #owner: PoolExchangeOwner;
  readonly #request: ClientRequest;
  readonly #listener: ClientListener;
  #over = false;
  #isDisowned = false;
  #retried = false;
  /** The listener has heard output. */
  #hasOutput = false;
  wasRepeated = false;
  isUnlimited = false;
  /** Undefined while it waits. */
  carrier: Carrier | undefined;
  waitsSince = 0;
  waitedMs = 0;

  constructor(owner: PoolExchangeOwner, request: ClientRequest, listener: ClientListener) {
    this.#owner = owner;
    this.#request = request;
    this.#listener = listener;
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE */
  encode(requestId: number, role: Role, keepConn: boolean): void {
    const { role: own } = this.#request;
    const start = { requestId, role: own === undefined ? role : Role[own], keepConn };
    this.encoded = encodeClientRequest(start, this.#request);
  }

  /** It may run twice, and can be sent twice. */
  get mayRepeat(): boolean {
    return this.#request.mayRunTwice === true && this.#canBeSentAgain;
  }

  get #canBeSentAgain(): boolean {
    const { body, data } = this.#request;
    const isInMemory = body === undefined || body.length === 0 || body.bytes !== undefined;
    return (isInMemory || body.replayable !== false) && data?.replayable !== false;
  }

  /** It had better not share a connection. */
  get isAlone(): boolean {
    return this.#request.ownConnection === true;
  }

  get isShared(): boolean {
    return this.carrier?.isShared === true;
  }

  waited(ms: number): void {
    this.waitedMs = ms;
  }

  resume(): void {
    this.carrier?.resume();
  }

  liftTotalLimit(): void {
    this.isUnlimited = true;
  }

  answered(): void {
    if (!this.isUnlimited) return;
    this.isUnlimited = false;
    this.carrier?.countAnew();
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.carrier?.abort();
    this.#settle('aborted');
  }

  disown(error: GatewayError): void {
    if (this.#isDisowned) return;
    this.#isDisowned = true;
    this.abort();
    this.#owner.judged(error);
  }

  stdout(chunk: Buffer): boolean {
    this.#hasOutput = true;
    try {
      return this.#listener.stdout(chunk);
    } catch (cause) {
      this.#threw(cause);
      return true;
    }
  }

  stderr(chunk: Buffer): void {
    try {
      this.#listener.stderr(chunk);
    } catch (cause) {
      this.#threw(cause);
    }
  }

  sendNow(): boolean {
    return this.#listener.sendNow?.() === true;
  }

  ended(appStatus: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#settle('complete');
    // The last of the error output is read only there, and may say that the answer is none.
    try {
      this.#listener.end(appStatus);
    } catch (cause) {
      this.#listener.error(internalError(cause));
      return;
    }
    if (!this.#isDisowned) this.#owner.judged(undefined);
  }

  failed(reason: GatewayError, staleness: Staleness | undefined): void {
    if (this.#over) return;
    const error = this.#hasOutput ? afterOutput(reason) : reason;
    if (staleness !== undefined && this.#mayRetry(staleness)) {
      this.#retried = true;
      this.wasRepeated = staleness === 'unread' || staleness === 'mistaken';
      this.#owner.restart(this, staleness);
      return;
    }
    this.#over = true;
    this.#settle(error);
    this.#listener.error(error);
  }

  /**
   * A kept connection may be closed by the application just as we use it, or refuse a second request: then a fresh one is
   * tried, once (F9, F22).
   */
  #mayRetry(staleness: Staleness): boolean {
    if (this.#retried || this.#hasOutput) return false;
    if (staleness === 'misplaced') return this.#canBeSentAgain;
    if (!this.carrier!.isUsed) return false;
    return staleness === 'unsent' || this.mayRepeat;
  }

  /** An exception of the listener ends this request, and neither the others of its connection nor the process. */
  #threw(cause: unknown): void {
    if (this.#over) return;
    this.abort();
    this.#listener.error(internalError(cause));
  }

  #settle(outcome: GatewayError | 'complete' | 'aborted'): void {
    this.#owner.settled(this, outcome);
    this.carrier = undefined;
  }
}
