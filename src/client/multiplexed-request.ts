/**
 * One of the requests on a multiplexed connection: its answer, its body, its time limits.
 * Nobody on a shared connection can be paused, so what its reader does not take now is kept, up to a limit: a slow reader
 * makes only itself wait, and one that is too far behind loses its answer.
 */
import type { GatewayError } from '../base/errors.ts';
import { PieceList } from '../base/piece-list.ts';
import { ProtocolStatus, RecordType } from '../protocol/constants.ts';
import { printHeader } from '../protocol/record-encoder.ts';
import type { ResponseListener } from '../protocol/response-state.ts';
import type { Carrier, ConnectionOptions, Occupant, Staleness } from './connection.ts';
import { closedEarly, readerBehind, silence, statusError, totalTimeout } from './connection-error.ts';
import { Patience } from './patience.ts';
import { type RecordSink, StdinSender } from './stdin.ts';

/** Bytes of an answer that wait for its reader. */
const backlogBytesMax = 1024 * 1024;

/** How long an application may take to end a request that was given up, before its connection counts as broken (F35). */
const abortTimeoutMs = 2_000;

/** What a request asks of the connection that it is on. */
export interface SharedConnection {
  readonly options: ConnectionOptions;
  readonly isUsed: boolean;
  readonly isBetweenRecords: boolean;
  /** A part of what was read last, in a form that may be kept. */
  keep(part: Buffer): Buffer;
  /** Sends a record after all that was sent before. @returns false: wait for `drained` */
  sendRecord(header: string, content: Uint8Array | undefined): boolean;
  /** END_REQUEST came for it. It counts when all that came with it was read: `settle` is called then. */
  ending(request: MultiplexedRequest): void;
  /** It is given up, and the application is told. */
  givenUp(request: MultiplexedRequest): void;
  /** It was given up before anything of it was sent. */
  dropped(request: MultiplexedRequest): void;
  /** The application does not end it: the connection is not to be trusted with more. */
  abandoned(request: MultiplexedRequest): void;
}

export class MultiplexedRequest implements ResponseListener, RecordSink, Carrier {
  readonly isShared = true;
  readonly isUsed: boolean;
  readonly #connection: SharedConnection;
  readonly #occupant: Occupant;
  readonly #patience = new Patience();
  /**
   * `waiting`: nothing was sent. `behind`: its reader is behind. `aborted`: given up, and the application has not ended
   * it. `over`: the occupant has heard the end, or wants to hear nothing.
   */
  #state: 'waiting' | 'open' | 'behind' | 'aborted' | 'over' = 'waiting';
  #stdin: StdinSender | undefined;
  readonly #backlog = new PieceList();
  /** END_REQUEST came. */
  #end: { readonly protocolStatus: number; readonly appStatus: number } | undefined;
  /** `settle` was called; it may still be `behind`, where its reader is behind. */
  #isSettled = false;
  #receivedBytes = 0;
  #unsent = false;

  constructor(connection: SharedConnection, occupant: Occupant) {
    this.#connection = connection;
    this.#occupant = occupant;
    this.isUsed = connection.isUsed;
  }

  get requestId(): number {
    return this.#occupant.encoded.requestId;
  }

  /** What is to be sent first; undefined when it was given up meanwhile. */
  get firstBytes(): string | Buffer | undefined {
    return this.#state === 'waiting' ? this.#occupant.encoded.bytes : undefined;
  }

  /**
   * Its first bytes were written.
   * @param isUnsent the system took none of them
   */
  sent(isUnsent: boolean): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'open';
    this.#unsent = isUnsent;
    this.#patience.begin();
    const { streamedBody, streamedData } = this.#occupant.encoded;
    if (isUnsent || (streamedBody ?? streamedData) === undefined) return;
    this.#stdin = new StdinSender(this, this.requestId, streamedBody, streamedData);
  }

  resume(): void {
    if (this.#state !== 'behind') return;
    this.#patience.progress();
    let takesMore = true;
    while (takesMore && !this.#backlog.isEmpty && this.#state === 'behind') {
      takesMore = this.#occupant.stdout(this.#backlog.shift()!);
    }
    if (this.#state !== 'behind' || !takesMore || !this.#backlog.isEmpty) return;
    this.#state = 'open';
    if (this.#isSettled) this.#finish();
  }

  countAnew(): void {
    this.#patience.begin();
  }

  abort(): void {
    switch (this.#state) {
      case 'waiting':
        this.#state = 'over';
        this.#connection.dropped(this);
        break;
      case 'open':
      case 'behind':
        this.#giveUp();
        break;
      case 'aborted':
      case 'over':
        break;
    }
  }

  stdout(bytes: Buffer): void {
    this.#heard(bytes.length);
    if (this.#state !== 'open' && this.#state !== 'behind') return;
    const piece = this.#connection.keep(bytes);
    if (this.#state === 'open') {
      if (!this.#occupant.stdout(piece) && this.#isOpen) this.#state = 'behind';
      return;
    }
    this.#backlog.push(piece);
    const { bytes: backlogBytes } = this.#backlog;
    if (backlogBytes > backlogBytesMax) {
      this.#giveUp();
      this.#occupant.failed(readerBehind(this.#connection.options.address, backlogBytes), undefined);
    }
  }

  stderr(bytes: Buffer): void {
    this.#heard(bytes.length);
    if (this.#state === 'open' || this.#state === 'behind') this.#occupant.stderr(Buffer.from(bytes));
  }

  endRequest(protocolStatus: number, appStatus: number): void {
    this.#end = { protocolStatus, appStatus };
    this.#stdin?.stop();
    this.#connection.ending(this);
  }

  /** Nothing speaks against its END_REQUEST, and its place is free. */
  settle(): void {
    const { protocolStatus } = this.#end!;
    const error = statusError(this.#connection.options.address, protocolStatus);
    const before = this.#state;
    this.#isSettled = true;
    if (error !== undefined || before === 'aborted') this.#state = 'over';
    if (before === 'aborted' || before === 'over') return;
    if (error !== undefined)
      this.#occupant.failed(error, protocolStatus === ProtocolStatus.CantMpxConn ? 'misplaced' : undefined);
    else if (before === 'open') this.#finish();
  }

  /** RecordSink: a piece of STDIN. */
  send(header: string, content: Uint8Array | undefined): boolean {
    this.#patience.progress();
    return this.#connection.sendRecord(header, content);
  }

  /** RecordSink: the client left, or the spooled body cannot be read. STDIN gets no end (F34). */
  bodyFailed(error: GatewayError): void {
    this.#fail(error);
  }

  /** Its body waits until the connection takes bytes again. */
  get waitsToSend(): boolean {
    return this.#stdin?.waitsToSend === true;
  }

  /** The connection takes bytes again. */
  drained(): void {
    this.#stdin?.drained();
  }

  /** To be called regularly. */
  check(now: number): void {
    const { address, readTimeoutMs, totalTimeoutMs } = this.#connection.options;
    switch (this.#state) {
      case 'waiting':
      case 'over':
        return;
      case 'aborted':
        if (this.#patience.check(now, false, abortTimeoutMs, Number.POSITIVE_INFINITY) === undefined) return;
        this.#state = 'over';
        this.#connection.abandoned(this);
        return;
      case 'open':
      case 'behind': {
        const totalMs = this.#occupant.isUnlimited ? Number.POSITIVE_INFINITY : totalTimeoutMs;
        const limit = this.#patience.check(now, this.#waitsForOthers, readTimeoutMs, totalMs);
        if (limit === 'gap')
          this.#fail(
            silence(address, readTimeoutMs, this.#receivedBytes, this.#stdin?.isConversation === true),
          );
        else if (limit === 'total') this.#fail(totalTimeout(address, totalTimeoutMs, this.#receivedBytes));
      }
    }
  }

  /** The connection is gone. @param error undefined: the application closed it */
  connectionLost(error: GatewayError | undefined, cause: NodeJS.ErrnoException | undefined): void {
    const before = this.#state;
    this.#state = 'over';
    this.#stdin?.stop();
    if (before === 'aborted' || before === 'over') return;
    const { isBetweenRecords, options } = this.#connection;
    const receivedBytes = this.#receivedBytes;
    const isUnsent = before === 'waiting' || this.#unsent;
    const staleness: Staleness | undefined = receivedBytes > 0 ? undefined : isUnsent ? 'unsent' : 'unread';
    const fate = error ?? closedEarly(options.address, { receivedBytes, isBetweenRecords, isUnsent, cause });
    this.#occupant.failed(fate, staleness);
  }

  get #isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Somebody else than the application is waited for: no limit of ours runs. */
  get #waitsForOthers(): boolean {
    return this.#state === 'behind' || this.#stdin?.waitsForBody === true;
  }

  #heard(bytes: number): void {
    this.#receivedBytes += bytes;
    this.#patience.progress();
  }

  #finish(): void {
    this.#state = 'over';
    this.#occupant.ended(this.#end!.appStatus);
  }

  #fail(error: GatewayError): void {
    this.#giveUp();
    this.#occupant.failed(error, undefined);
  }

  /** Tells the application (FastCGI 5.4), unless it has ended the request already. */
  #giveUp(): void {
    const hasEnded = this.#end !== undefined;
    this.#state = hasEnded ? 'over' : 'aborted';
    this.#backlog.clear();
    this.#stdin?.stop();
    this.#patience.begin();
    if (hasEnded) return;
    this.#connection.givenUp(this);
    this.#connection.sendRecord(printHeader(RecordType.AbortRequest, this.requestId, 0), undefined);
  }
}
