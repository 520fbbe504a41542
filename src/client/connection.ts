/**
 * One connection to an application, from the web server's side; it carries one request at a time.
 * Life: connecting, then busy and idle in turn, then closed. It is idle only when everything that makes reuse safe is
 * true (G1): KEEP_CONN was asked, END_REQUEST with status 0 came for our id, all STDIN has left, nothing followed.
 * Its timeouts are counted by `check`, which the pool calls now and then: no timer is armed per chunk.
 */
import { type Address, printAddress } from '../base/address.ts';
import { type GatewayError, ProtocolError, SourceError } from '../base/errors.ts';
import { ProtocolStatus, RecordParser, RequestState, type ResponseListener } from '../protocol/index.ts';
import { connectTimeout, explainConnectError } from './connect-error.ts';
import type { EncodedRequest } from './request.ts';
import type { Resolver } from './resolver.ts';
import { ApplicationSocket, type SocketListener } from './socket.ts';
import { type RecordSink, StdinSender } from './stdin.ts';
import { type RecordTrace, TracedRecords, traceSent } from './trace.ts';

/** Bytes of a read buffer. */
const readBufferBytes = 65_536;

/** From here on a read is handed over with its buffer; below, copying it is cheaper than a new buffer. */
const handOverBytes = 16_384;

/** Pauses before a connect that met a full unix backlog is tried again; the last one repeats (F3). */
const backlogDelaysMs = [5, 10, 20, 40];

export interface ConnectionOptions {
  readonly address: Address;
  readonly connectTimeoutMs: number;
  /** Longest gap without a byte from the application. */
  readonly readTimeoutMs: number;
  /** Longest gap in which the application takes no byte. */
  readonly sendTimeoutMs: number;
  /** Longest time for a whole request, without the time in which it waited for us. */
  readonly totalTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly random: () => number;
  readonly trace: RecordTrace | undefined;
  /** Of a host name; undefined for an IP address and a unix socket. */
  readonly resolver: Resolver | undefined;
}

/** The request that a connection carries. */
export interface Occupant {
  readonly encoded: EncodedRequest;
  /** The total limit does not apply. */
  readonly isUnlimited: boolean;
  stdout(chunk: Buffer): boolean;
  stderr(chunk: Buffer): void;
  /** END_REQUEST; the connection was released or closed before. */
  ended(appStatus: number): void;
  /**
   * The connection is closed and no answer will come.
   * @param staleness how likely it is that a kept connection was closed before it saw the request: `unread` when it
   * answered no byte, `unsent` when it took no byte of the request either, `misplaced` when the application wants the
   * request on another connection (F22), else undefined
   */
  failed(error: GatewayError, staleness: Staleness | undefined): void;
}

/** Why a request may be worth a fresh connection. */
export type Staleness = 'unread' | 'unsent' | 'misplaced';

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
}

export class Connection implements SocketListener, ResponseListener, RecordSink {
  readonly #owner: ConnectionOwner;
  readonly #parser: RecordParser;
  readonly #request: RequestState;
  #socket: ApplicationSocket;
  #state: 'connecting' | 'busy' | 'idle' | 'closed' = 'connecting';
  #occupant: Occupant | undefined;
  #stdin: StdinSender | undefined;
  #buffer: Buffer;
  #ownsBuffer: boolean;
  #paused = false;
  /** Bytes that came for the present request. */
  /** Something came for the request under way. */
  #isHeard = false;
  #receivedBytes = 0;
  /** The first write of the present request failed at once: the system took no byte of it. */
  #unsent = false;
  #protocolStatus: number = ProtocolStatus.RequestComplete;
  #appStatus = 0;
  /** Something moved since the last `check`. */
  #progressed = true;
  #deadline = 0;
  /** When the present request becomes too long in all; 0 while that is not yet known. */
  #totalDeadline = 0;
  #checkedAt = 0;
  #connectTries = 0;
  #connectTimer: NodeJS.Timeout | undefined;
  #checks = 0;
  /** Requests begun. */
  requests = 0;
  #answered = false;

  constructor(owner: ConnectionOwner, occupant: Occupant) {
    const { trace, address, resolver } = owner.connectionOptions;
    this.#owner = owner;
    this.#occupant = occupant;
    this.#request = new RequestState(this);
    this.#parser = new RecordParser(
      trace === undefined ? this.#request : new TracedRecords(this.#request, trace),
    );
    this.#ownsBuffer = owner.sharedBuffer === undefined;
    this.#buffer = owner.sharedBuffer ?? Buffer.allocUnsafeSlow(readBufferBytes);
    this.#socket = new ApplicationSocket(address, this, resolver);
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
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

  /** Goes on reading after the occupant's `stdout` returned false. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#progressed = true;
    this.#socket.resume();
  }

  /** Closes without a word to the occupant. May be called twice. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#occupant = undefined;
    clearTimeout(this.#connectTimer);
    this.#socket.abandon();
    this.#stdin?.stop();
    this.#owner.closed(this);
  }

  /** Closes what waited too long. To be called regularly; a limit is met at most two calls late. */
  check(now: number): void {
    const waits = this.#waitsForOthers();
    this.#checks++;
    if (this.#state === 'busy') {
      if (this.#totalDeadline === 0) this.#totalDeadline = now + this.#owner.connectionOptions.totalTimeoutMs;
      else if (waits) this.#totalDeadline += now - this.#checkedAt;
      else if (now >= this.#totalDeadline && !this.#occupant!.isUnlimited) {
        this.#expireTotal();
        return;
      }
    }
    this.#checkedAt = now;
    if (this.#progressed || waits) {
      this.#progressed = false;
      this.#deadline = now + this.#limitMs();
    } else if (now >= this.#deadline) {
      this.#expire();
    }
  }

  #send(): void {
    const { requestId, bytes, streamedBody, streamedData } = this.#occupant!.encoded;
    this.#state = 'busy';
    this.#progressed = true;
    this.#receivedBytes = 0;
    this.#isHeard = false;
    this.#totalDeadline = 0;
    this.#stdin = undefined;
    this.requests++;
    this.#request.begin(requestId);
    const { trace } = this.#owner.connectionOptions;
    if (trace !== undefined) traceSent(trace, bytes);
    this.#socket.write(bytes as string, 'latin1');
    this.#unsent = this.#socket.writeError !== undefined;
    if ((streamedBody ?? streamedData) !== undefined && !this.#unsent) {
      this.#stdin = new StdinSender(this, requestId, streamedBody, streamedData);
    }
  }

  /** RecordSink: a piece of STDIN. */
  send(header: string, content: Uint8Array | undefined): boolean {
    const socket = this.#socket;
    // Nobody reads our input any more; what the application has said is still to be read (F30).
    if (socket.writeError !== undefined) {
      this.#stdin?.stop();
      return false;
    }
    const { trace } = this.#owner.connectionOptions;
    if (trace !== undefined) traceSent(trace, header, content);
    this.#progressed = true;
    if (content === undefined) {
      socket.write(header, 'latin1');
      return true;
    }
    socket.cork();
    socket.write(header, 'latin1');
    socket.write(content);
    socket.uncork();
    return socket.writableLength === 0 || !socket.writableNeedDrain;
  }

  /** RecordSink: the client left, or the spooled body cannot be read. Closing without an end of STDIN says so (F34). */
  bodyFailed(error: GatewayError): void {
    this.#fail(error);
  }

  connected(): void {
    this.#send();
  }

  drained(): void {
    this.#progressed = true;
    this.#stdin?.drained();
  }

  readBuffer(): Buffer {
    return this.#buffer;
  }

  received(length: number): boolean {
    if (this.#state !== 'busy') {
      // Bytes that nobody asked for: the next request would take them for its answer (T76).
      this.close();
      return false;
    }
    this.#progressed = true;
    this.#answered = true;
    this.#receivedBytes += length;
    try {
      this.#parser.push(this.#take(length));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // The listener gave up meanwhile.
      if (this.#occupant === undefined) return false;
      // After END_REQUEST the answer is whole, whatever follows; the connection is not kept (F26).
      if (!this.#request.ended) {
        // What the application still said to the request before us: it has not answered ours (G1).
        const isForAnother = error.code === 'GW_ERR_PROTOCOL_REQUEST_ID' && !this.#isHeard;
        this.#fail(error, isForAnother ? 'unread' : undefined);
        return false;
      }
      this.#finish(false);
      return false;
    }
    if (this.#request.ended && this.#occupant !== undefined) this.#finish(true);
    return !this.#paused && !this.isClosed;
  }

  stdout(bytes: Buffer): void {
    this.#isHeard = true;
    if (this.#occupant?.stdout(bytes) === false) this.#paused = true;
  }

  stderr(bytes: Buffer): void {
    this.#isHeard = true;
    this.#occupant?.stderr(bytes);
  }

  endRequest(protocolStatus: number, appStatus: number): void {
    this.#protocolStatus = protocolStatus;
    this.#appStatus = appStatus;
  }

  lost(cause: NodeJS.ErrnoException | undefined): void {
    if (this.#state === 'idle') {
      this.close();
    } else if (this.#state === 'connecting') {
      this.#connectFailed(cause ?? new Error('the connection was closed at once'));
    } else if (this.#state === 'busy') {
      this.#closedEarly(cause);
    }
  }

  /** The bytes that were read last, to be kept by whoever wants to. */
  #take(length: number): Buffer {
    const buffer = this.#buffer;
    const isLarge = length >= handOverBytes;
    // A shared buffer is never handed over: other sockets read into it.
    if (isLarge && this.#ownsBuffer) {
      this.#buffer = Buffer.allocUnsafeSlow(readBufferBytes);
      return buffer.subarray(0, length);
    }
    if (isLarge) {
      this.#ownsBuffer = true;
      this.#buffer = Buffer.allocUnsafeSlow(readBufferBytes);
    }
    const chunk = Buffer.allocUnsafe(length);
    buffer.copy(chunk, 0, 0, length);
    return chunk;
  }

  /** END_REQUEST has come and its chunk is read. */
  #finish(framingIsClean: boolean): void {
    const occupant = this.#occupant!;
    const appStatus = this.#appStatus;
    const error = this.#protocolError();
    const isReusable =
      framingIsClean &&
      error === undefined &&
      this.#parser.isBetweenRecords &&
      this.#request.surplus === undefined &&
      (this.#stdin === undefined || this.#stdin.ended) &&
      this.#socket.writableLength === 0 &&
      this.#owner.mayKeep(this);
    this.#paused = false;
    if (isReusable) {
      this.#occupant = undefined;
      this.#state = 'idle';
      this.#progressed = true;
      this.#owner.becameIdle(this);
    } else {
      // At once: PHP's worker waits until we close, even when no KEEP_CONN was asked (F37).
      this.close();
    }
    if (error === undefined) occupant.ended(appStatus);
    else
      occupant.failed(error, this.#protocolStatus === ProtocolStatus.CantMpxConn ? 'misplaced' : undefined);
  }

  /** What END_REQUEST said other than "complete". */
  #protocolError(): GatewayError | undefined {
    const where = printAddress(this.#owner.connectionOptions.address);
    switch (this.#protocolStatus) {
      case ProtocolStatus.RequestComplete:
        return undefined;
      case ProtocolStatus.Overloaded:
      case ProtocolStatus.CantMpxConn:
        return new SourceError(
          'GW_ERR_SOURCE_OVERLOADED',
          this.#protocolStatus === ProtocolStatus.Overloaded
            ? `The application at ${where} refused the request: it is overloaded`
            : `The application at ${where} refused the request: it takes one request per connection`,
          { delivery: 'rejected', retryAfterSeconds: 1 },
        );
      case ProtocolStatus.UnknownRole:
        return new ProtocolError(
          'GW_ERR_PROTOCOL_STATUS',
          `The application at ${where} has not the role that it was asked in: it ended the request with UNKNOWN_ROLE`,
        );
      default:
        return new ProtocolError(
          'GW_ERR_PROTOCOL_STATUS',
          `The application at ${where} ended the request with protocol status ${this.#protocolStatus}, expected 0 to 3`,
        );
    }
  }

  #closedEarly(cause: NodeJS.ErrnoException | undefined): void {
    const { address } = this.#owner.connectionOptions;
    const bytes = this.#receivedBytes;
    const place = this.#parser.isBetweenRecords ? '' : ', in the middle of a record';
    const how = cause?.code === undefined ? 'closed the connection' : `broke the connection (${cause.code})`;
    const message =
      bytes === 0
        ? `The application at ${printAddress(address)} ${how} without an answer`
        : `The application at ${printAddress(address)} ${how} after ${bytes} bytes${place}, before END_REQUEST`;
    const error = new SourceError('GW_ERR_SOURCE_CLOSED', message, {
      cause,
      delivery: this.#unsent ? 'unsent' : 'maybe',
    });
    this.#fail(error, bytes > 0 ? undefined : this.#unsent ? 'unsent' : 'unread');
  }

  #connectFailed(cause: NodeJS.ErrnoException): void {
    const { address, random, resolver } = this.#owner.connectionOptions;
    if (cause.code === 'EAGAIN' && address.kind !== 'tcp') {
      const delayMs = backlogDelaysMs[Math.min(this.#connectTries++, backlogDelaysMs.length - 1)]!;
      // Not alike for all, or they would all come back together.
      this.#connectTimer = setTimeout(
        () => {
          this.#socket = new ApplicationSocket(address, this);
        },
        delayMs * (0.75 + random() / 2),
      );
      return;
    }
    resolver?.expire();
    explainConnectError(address, cause, (error) => this.#fail(error));
  }

  /** The occupant waits for somebody else than the application: no limit of ours runs. */
  #waitsForOthers(): boolean {
    if (this.#state !== 'busy') return false;
    if (this.#paused) return true;
    return this.#stdin?.waitsForBody === true && this.#socket.writableLength === 0;
  }

  get #isSending(): boolean {
    return this.#state === 'busy' && this.#socket.writableLength > 0;
  }

  #limitMs(): number {
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

  #expire(): void {
    const { address, connectTimeoutMs, readTimeoutMs, sendTimeoutMs } = this.#owner.connectionOptions;
    const where = printAddress(address);
    if (this.#state === 'idle') {
      this.close();
    } else if (this.#state === 'connecting') {
      this.#fail(connectTimeout(address, connectTimeoutMs, this.#connectTries > 0));
    } else if (this.#isSending) {
      const message = `The application at ${where} took no byte of the request for ${sendTimeoutMs} ms`;
      this.#fail(new SourceError('GW_ERR_SOURCE_SEND_TIMEOUT', message, { delivery: 'maybe' }));
    } else {
      const message = `The application at ${where} sent nothing for ${readTimeoutMs} ms (${this.#receivedBytes} bytes before)`;
      this.#fail(new SourceError('GW_ERR_SOURCE_READ_TIMEOUT', message, { delivery: 'maybe' }));
    }
  }

  #expireTotal(): void {
    const { address, totalTimeoutMs } = this.#owner.connectionOptions;
    const message = `The application at ${printAddress(address)} took longer than ${totalTimeoutMs} ms for one request (${this.#receivedBytes} bytes came)`;
    this.#fail(new SourceError('GW_ERR_SOURCE_TOTAL_TIMEOUT', message, { delivery: 'maybe' }));
  }

  #fail(error: GatewayError, staleness?: Staleness): void {
    const occupant = this.#occupant;
    this.close();
    occupant?.failed(error, staleness);
  }
}
