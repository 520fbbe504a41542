/**
 * One connection to an application that carries one request at a time, from the web server's side.
 * Life: connecting, then busy and idle in turn, then closed. It is idle only when everything that makes reuse safe is
 * true (G1): KEEP_CONN was asked, END_REQUEST with status 0 came for our id, all STDIN has left, nothing followed.
 */
import { printAddress } from '../base/address.ts';
import { type GatewayError, ProtocolError } from '../base/errors.ts';
import { ProtocolStatus, requestIdMax } from '../protocol/constants.ts';
import { RecordParser } from '../protocol/record-parser.ts';
import { type ResponseListener, ResponseState } from '../protocol/response-state.ts';
import {
  brokenProtocol,
  closedEarly,
  sendTimeout,
  silence,
  statusError,
  totalTimeout,
} from './connection-error.ts';
import { Patience } from './patience.ts';
import type { EncodedRequest } from './request.ts';
import { type RecordSink, StdinSender } from './stdin.ts';
import type { CallTimeouts } from './timeouts.ts';
import { TracedRecords } from './trace.ts';
import { Transport, type TransportListener, type TransportOptions } from './transport.ts';

export interface ConnectionOptions extends TransportOptions, CallTimeouts {
  readonly idleTimeoutMs: number;
}

/** The request that a connection carries. */
export interface Occupant {
  readonly encoded: EncodedRequest;
  /** The total limit does not apply. */
  readonly isUnlimited: boolean;
  stdout(chunk: Buffer): boolean;
  stderr(chunk: Buffer): void;
  /** See `ClientListener.sendNow`. */
  sendNow(): boolean;
  /** END_REQUEST; the connection was released or closed before. */
  ended(appStatus: number): void;
  /**
   * The connection is closed, or the request was given up on it; no answer will come.
   * @param staleness how likely it is that a kept connection was closed before it saw the request: `unread` when it
   * answered no byte, `unsent` when it took no byte of the request either, `misplaced` when the application wants the
   * request on another connection (F22), `mistaken` when it answered under the id of another request, else undefined
   */
  failed(error: GatewayError, staleness: Staleness | undefined): void;
}

/** Why a request may be worth a fresh connection. */
export type Staleness = 'unread' | 'unsent' | 'misplaced' | 'mistaken';

/** What carries a request: a connection, or a part of one. */
export interface Carrier {
  /** The connection carried other requests before this one. */
  readonly isUsed: boolean;
  /** It carries others at the same time: one whose reader is slow cannot make the application wait. */
  readonly isShared: boolean;
  /** Goes on reading after the occupant's `stdout` returned false. */
  resume(): void;
  /** The total limit of the request counts from now on. */
  countAnew(): void;
  /** The request is given up; the occupant hears nothing more. May be called twice. */
  abort(): void;
}

/** Keeps connections. */
export interface ConnectionOwner {
  readonly connectionOptions: ConnectionOptions;
  /** Where connections with small answers read into together; undefined where the system fills buffers in advance. */
  readonly sharedBuffer: Buffer | undefined;
  /** Whether a connection that could carry another request shall stay open. */
  mayKeep(connection: Connection): boolean;
  /** It waits for another request. */
  becameIdle(connection: Connection): void;
  /** It is gone. Called once. */
  closed(connection: Connection): void;
  /** The application sent something that nobody gets. One sentence. */
  dropped(message: string): void;
}

export class Connection implements TransportListener, ResponseListener, RecordSink, Carrier {
  readonly #owner: ConnectionOwner;
  readonly #parser: RecordParser;
  readonly #response: ResponseState;
  readonly #transport: Transport;
  readonly #patience = new Patience();
  #state: 'connecting' | 'busy' | 'idle' | 'closed' = 'connecting';
  #occupant: Occupant | undefined;
  #stdin: StdinSender | undefined;
  #paused = false;
  /** Something came for the request under way. */
  #isHeard = false;
  /** Bytes that came for the present request. */
  #receivedBytes = 0;
  /** The first write of the present request failed at once: the system took no byte of it. */
  #unsent = false;
  #protocolStatus: number = ProtocolStatus.RequestComplete;
  #appStatus = 0;
  #checks = 0;
  #answered = false;
  /** Requests begun. */
  requests = 0;
  /** When it was made, by the pool's clock. */
  readonly madeAt: number;

  constructor(owner: ConnectionOwner, occupant: Occupant, madeAt: number) {
    const { connectionOptions, sharedBuffer } = owner;
    const { trace } = connectionOptions;
    this.#owner = owner;
    this.#occupant = occupant;
    this.madeAt = madeAt;
    this.#response = new ResponseState(this);
    this.#parser = new RecordParser(
      trace === undefined ? this.#response : new TracedRecords(this.#response, trace),
    );
    this.#transport = new Transport(connectionOptions, sharedBuffer, this);
  }

  readonly isShared = false;

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get isUsed(): boolean {
    return this.requests > 1;
  }

  get nextRequestId(): number {
    return (this.requests % requestIdMax) + 1;
  }

  /**
   * It has waited a while and the application never sent a byte on it: perhaps no worker has accepted it, because they
   * all hold kept connections.
   */
  get isUnanswered(): boolean {
    return this.#state === 'busy' && !this.#answered && this.#checks > 1;
  }

  /** Carries another request; only when idle. Nothing is called back before this returns. */
  start(occupant: Occupant): void {
    this.#occupant = occupant;
    this.#send();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#patience.progress();
    this.#transport.resume();
  }

  countAnew(): void {
    this.#patience.begin();
  }

  /** Closing is what PHP and others that carry one request on a connection understand (F34). */
  abort(): void {
    this.close();
  }

  /** Closes without a word to the occupant. May be called twice. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#occupant = undefined;
    this.#transport.close();
    this.#stdin?.stop();
    this.#owner.closed(this);
  }

  /** Closes what waited too long. To be called regularly. */
  check(now: number): void {
    const { totalTimeoutMs } = this.#owner.connectionOptions;
    this.#checks++;
    const hasTotal = this.#state === 'busy' && !this.#occupant!.isUnlimited;
    const totalMs = hasTotal ? totalTimeoutMs : Number.POSITIVE_INFINITY;
    const limit = this.#patience.check(now, this.#waitsForOthers(), this.#gapMs(), totalMs);
    if (limit !== undefined) this.#expire(limit);
  }

  #send(): void {
    const { requestId, bytes, streamedBody, streamedData } = this.#occupant!.encoded;
    this.#state = 'busy';
    this.#patience.begin();
    this.#receivedBytes = 0;
    this.#isHeard = false;
    this.#stdin = undefined;
    this.requests++;
    this.#response.begin(requestId);
    this.#transport.write(bytes);
    this.#unsent = this.#transport.writeError !== undefined;
    if ((streamedBody ?? streamedData) !== undefined && !this.#unsent) {
      this.#stdin = new StdinSender(this, requestId, streamedBody, streamedData);
    }
  }

  /** RecordSink: a piece of STDIN. */
  send(header: string, content: Uint8Array | undefined): boolean {
    // Nobody reads our input any more; what the application has said is still to be read (F30).
    if (this.#transport.writeError !== undefined) {
      this.#stdin?.stop();
      return false;
    }
    this.#patience.progress();
    return this.#transport.writeRecord(header, content);
  }

  /** RecordSink: the client left, or the spooled body cannot be read. Closing without an end of STDIN says so (F34). */
  bodyFailed(error: GatewayError): void {
    this.#fail(error);
  }

  connected(): void {
    this.#send();
  }

  connectFailed(error: GatewayError): void {
    this.#fail(error);
  }

  drained(): void {
    this.#patience.progress();
    this.#stdin?.drained();
  }

  received(length: number): boolean {
    if (this.#state !== 'busy') {
      // Bytes that nobody asked for: the next request would take them for its answer (T76).
      this.#dropped(`${length} bytes outside a request`);
      this.close();
      return false;
    }
    this.#patience.progress();
    this.#answered = true;
    this.#receivedBytes += length;
    try {
      this.#parser.push(this.#transport.input.take(length));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // The listener gave up meanwhile.
      if (this.#occupant === undefined) return false;
      // After END_REQUEST the answer is whole, whatever follows; the connection is not kept (F26).
      if (!this.#response.ended) {
        // What the application still said to the request before us: it has not answered ours (G1).
        const isForAnother = error.code === 'GW_ERR_PROTOCOL_REQUEST_ID' && !this.#isHeard;
        const { address } = this.#owner.connectionOptions;
        this.#fail(brokenProtocol(address, error), isForAnother ? 'mistaken' : undefined);
        return false;
      }
      this.#finish(false);
      return false;
    }
    const { input } = this.#transport;
    if (this.#response.ended && this.#occupant !== undefined) this.#finish(true);
    else if (input.isHandedOver && this.#occupant?.sendNow() === true) input.takeBack();
    return !this.#paused && !this.isClosed;
  }

  stdout(bytes: Buffer): void {
    this.#isHeard = true;
    if (this.#occupant?.stdout(this.#transport.input.keep(bytes)) === false) this.#paused = true;
  }

  stderr(bytes: Buffer): void {
    this.#isHeard = true;
    this.#occupant?.stderr(this.#transport.input.keep(bytes));
  }

  endRequest(protocolStatus: number, appStatus: number): void {
    this.#protocolStatus = protocolStatus;
    this.#appStatus = appStatus;
  }

  lost(cause: NodeJS.ErrnoException | undefined): void {
    if (this.#state === 'idle') {
      this.close();
    } else if (this.#state === 'busy') {
      this.#closedEarly(cause);
    }
  }

  /** END_REQUEST has come and its chunk is read. */
  #finish(framingIsClean: boolean): void {
    const occupant = this.#occupant!;
    const appStatus = this.#appStatus;
    const error = statusError(this.#owner.connectionOptions.address, this.#protocolStatus);
    const { surplus } = this.#response;
    const isReusable =
      framingIsClean &&
      error === undefined &&
      // What was found out meanwhile does not change what this request has asked the application for.
      occupant.encoded.keepConn &&
      this.#parser.isBetweenRecords &&
      surplus === undefined &&
      (this.#stdin === undefined || this.#stdin.ended) &&
      !this.#transport.isSending &&
      this.#owner.mayKeep(this);
    this.#paused = false;
    if (surplus !== undefined) this.#dropped(surplus);
    else if (!framingIsClean || !this.#parser.isBetweenRecords)
      this.#dropped('bytes after END_REQUEST that are not a whole record');
    if (isReusable) {
      this.#occupant = undefined;
      this.#state = 'idle';
      this.#patience.begin();
      this.#owner.becameIdle(this);
    } else {
      // At once: PHP's worker waits until we close, even when no KEEP_CONN was asked (F37).
      this.close();
    }
    if (error === undefined) occupant.ended(appStatus);
    else
      occupant.failed(error, this.#protocolStatus === ProtocolStatus.CantMpxConn ? 'misplaced' : undefined);
  }

  #dropped(what: string): void {
    const where = printAddress(this.#owner.connectionOptions.address);
    this.#owner.dropped(
      `The application at ${where} sent ${what}; nobody gets that, and its connection was closed`,
    );
  }

  #closedEarly(cause: NodeJS.ErrnoException | undefined): void {
    const receivedBytes = this.#receivedBytes;
    const isUnsent = this.#unsent;
    const { isBetweenRecords } = this.#parser;
    const { address } = this.#owner.connectionOptions;
    const error = closedEarly(address, { receivedBytes, isBetweenRecords, isUnsent, cause });
    this.#fail(error, receivedBytes > 0 ? undefined : isUnsent ? 'unsent' : 'unread');
  }

  /** The occupant waits for somebody else than the application: no limit of ours runs. */
  #waitsForOthers(): boolean {
    if (this.#state !== 'busy') return false;
    if (this.#paused) return true;
    return this.#stdin?.waitsForBody === true && !this.#transport.isSending;
  }

  get #isSending(): boolean {
    return this.#state === 'busy' && this.#transport.isSending;
  }

  #gapMs(): number {
    const options = this.#owner.connectionOptions;
    switch (this.#state) {
      case 'connecting':
        return options.connectTimeoutMs;
      case 'idle':
      case 'closed':
        return options.idleTimeoutMs;
      case 'busy':
        return this.#isSending ? options.sendTimeoutMs : options.readTimeoutMs;
    }
  }

  #expire(limit: 'gap' | 'total'): void {
    const { address, readTimeoutMs, sendTimeoutMs, totalTimeoutMs } = this.#owner.connectionOptions;
    const bytes = this.#receivedBytes;
    if (this.#state === 'idle') this.close();
    else if (this.#state === 'connecting') this.#fail(this.#transport.connectTimeout());
    else if (limit === 'total') this.#fail(totalTimeout(address, totalTimeoutMs, bytes));
    else if (this.#isSending) this.#fail(sendTimeout(address, sendTimeoutMs));
    else this.#fail(silence(address, readTimeoutMs, bytes, this.#stdin?.isConversation === true));
  }

  #fail(error: GatewayError, staleness?: Staleness): void {
    const occupant = this.#occupant;
    this.close();
    occupant?.failed(error, staleness);
  }
}
