/**
 * One connection to an application that carries many requests at a time (FastCGI 3.3), from the web server's side.
 * All requests of one turn of the event loop leave in one write. The fault of one request is its own; the end of the
 * connection, and a fault in the framing or in the ids (see `Demultiplexer`), is everybody's. What came in one read counts
 * as a whole: an answer that ended in it is complete when all of it was read without such a fault.
 */
import { printAddress } from '../base/address.ts';
import { type GatewayError, ProtocolError } from '../base/errors.ts';
import { requestIdMax } from '../protocol/constants.ts';
import { Demultiplexer } from '../protocol/demultiplexer.ts';
import { RecordParser } from '../protocol/record-parser.ts';
import type { ConnectionOptions, Occupant } from './connection.ts';
import { brokenProtocol, sendTimeout } from './connection-error.ts';
import { MultiplexedRequest, type SharedConnection } from './multiplexed-request.ts';
import { Patience } from './patience.ts';
import { TracedRecords } from './trace.ts';
import { Transport, type TransportListener } from './transport.ts';

/** Keeps multiplexed connections. */
export interface MultiplexedOwner {
  readonly connectionOptions: ConnectionOptions;
  readonly sharedBuffer: Buffer | undefined;
  /** It is gone. Called once. */
  closed(connection: MultiplexedConnection): void;
  /** An answer has ended: whether its STDOUT had ended before, without which END_REQUEST cannot be checked. */
  endedStdout(did: boolean): void;
  /** The application sent something that nobody gets. One sentence. */
  dropped(message: string): void;
}

export class MultiplexedConnection implements TransportListener, SharedConnection {
  readonly options: ConnectionOptions;
  readonly #owner: MultiplexedOwner;
  readonly #transport: Transport;
  readonly #parser: RecordParser;
  readonly #demultiplexer = new Demultiplexer();
  /** Those that the application has not ended, given up ones included. */
  readonly #requests = new Set<MultiplexedRequest>();
  readonly #patience = new Patience();
  /** `retired`: takes no more requests, and closes after those that it has. */
  #state: 'connecting' | 'open' | 'retired' | 'closed' = 'connecting';
  /** Begun and not yet written. */
  #starting: MultiplexedRequest[] = [];
  #flushIsDue = false;
  /** Ended in the bytes that are being read. */
  #ending: MultiplexedRequest[] = [];
  /** The application has ended a request. */
  isUsed = false;
  /** Requests begun. */
  requests = 0;
  /** When it was made, by the pool's clock. */
  readonly madeAt: number;

  constructor(owner: MultiplexedOwner, madeAt: number) {
    const { connectionOptions, sharedBuffer } = owner;
    const { trace } = connectionOptions;
    this.#owner = owner;
    this.options = connectionOptions;
    this.madeAt = madeAt;
    this.#parser = new RecordParser(
      trace === undefined ? this.#demultiplexer : new TracedRecords(this.#demultiplexer, trace),
    );
    this.#transport = new Transport(connectionOptions, sharedBuffer, this);
  }

  /** Requests that it carries. */
  get active(): number {
    return this.#requests.size;
  }

  get isBetweenRecords(): boolean {
    return this.#parser.isBetweenRecords;
  }

  /** It could carry one more. */
  get takesMore(): boolean {
    return this.#takesMore && this.#transport.writeError === undefined;
  }

  /** The id of the next request: they count up, and those that are still in use are left out. */
  get nextRequestId(): number {
    let id = (this.requests % requestIdMax) + 1;
    while (this.#demultiplexer.isOpen(id)) id = (id % requestIdMax) + 1;
    return id;
  }

  /** Carries a request, besides those that it has. Nothing is called back before this returns. */
  start(occupant: Occupant): MultiplexedRequest {
    const request = new MultiplexedRequest(this, occupant);
    this.requests++;
    this.#requests.add(request);
    this.#starting.push(request);
    this.#flushLater();
    return request;
  }

  /** Takes no more requests. May be called twice. */
  retire(): void {
    if (this.#state === 'closed') return;
    if (this.#requests.size === 0) this.close();
    else this.#state = 'retired';
  }

  /** Closes without a word to its requests. May be called twice. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#transport.close();
    this.#owner.closed(this);
  }

  /** Ends what took too long. To be called regularly. */
  check(now: number): void {
    const { connectTimeoutMs, idleTimeoutMs, sendTimeoutMs, address } = this.options;
    const isConnecting = this.#state === 'connecting';
    const isSending = !isConnecting && this.#transport.isSending;
    const isIdle = this.#requests.size === 0;
    const gapMs = isConnecting ? connectTimeoutMs : isSending ? sendTimeoutMs : idleTimeoutMs;
    const waits = !isConnecting && !isSending && !isIdle;
    if (this.#patience.check(now, waits, gapMs, Number.POSITIVE_INFINITY) !== undefined) {
      if (isConnecting) this.#fail(this.#transport.connectTimeout());
      else if (isSending) this.#fail(sendTimeout(address, sendTimeoutMs));
      else this.close();
      return;
    }
    for (const request of this.#requests) request.check(now);
  }

  sendRecord(header: string, content: Uint8Array | undefined): boolean {
    if (this.#state === 'closed' || this.#transport.writeError !== undefined) return false;
    if (this.#starting.length > 0) this.#flush();
    this.#sends();
    return this.#transport.writeRecord(header, content);
  }

  ending(request: MultiplexedRequest): void {
    this.#ending.push(request);
  }

  givenUp({ requestId }: MultiplexedRequest): void {
    this.#demultiplexer.giveUp(requestId);
  }

  dropped(request: MultiplexedRequest): void {
    this.#remove(request);
  }

  abandoned(request: MultiplexedRequest): void {
    this.#remove(request);
    this.retire();
  }

  connected(): void {
    if (this.#state === 'connecting') this.#state = 'open';
    this.#patience.progress();
    this.#flush();
  }

  connectFailed(error: GatewayError): void {
    this.#fail(error);
  }

  keep(part: Buffer): Buffer {
    return this.#transport.input.keep(part);
  }

  drained(): void {
    this.#patience.progress();
    for (const request of [...this.#requests].filter(({ waitsToSend }) => waitsToSend)) {
      if (this.#transport.isSending) break;
      // To the end of the line, so that each has its turn.
      this.#requests.delete(request);
      this.#requests.add(request);
      request.drained();
    }
  }

  received(length: number): boolean {
    const { input } = this.#transport;
    const handedOver = input.handOver(length);
    try {
      this.#parser.push(handedOver ?? input.view(length));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#contradicted(error);
      return false;
    }
    if (this.#ending.length > 0) this.#settle();
    // What came too late was dropped; what comes next may be taken for an answer (F26).
    const { surplus } = this.#demultiplexer;
    if (surplus !== undefined && this.#takesMore) {
      this.#dropped(surplus);
      this.retire();
    }
    return this.#state !== 'closed';
  }

  lost(cause: NodeJS.ErrnoException | undefined): void {
    this.#fail(undefined, cause);
  }

  /** Those that ended, now that nothing in the same bytes speaks against it. */
  #settle(): void {
    const requests = this.#ending;
    this.#ending = [];
    this.isUsed = true;
    this.#owner.endedStdout(this.#demultiplexer.endsStdout);
    for (const request of requests) {
      this.#remove(request);
      request.settle();
    }
  }

  /** The application mixes up its requests, or its framing is lost: no answer that is not over can be trusted. */
  #contradicted(error: ProtocolError): void {
    this.#ending = [];
    // Else each of them tells.
    if (this.#requests.size === 0) this.#dropped(error.message);
    this.#fail(brokenProtocol(this.options.address, error));
  }

  #dropped(what: string): void {
    const where = printAddress(this.options.address);
    this.#owner.dropped(
      `Nobody gets what the application at ${where} sent: ${what}; its connection takes no more requests`,
    );
  }

  get #takesMore(): boolean {
    return this.#state === 'connecting' || this.#state === 'open';
  }

  #remove(request: MultiplexedRequest): void {
    this.#requests.delete(request);
    if (this.#requests.size > 0) return;
    this.#patience.progress();
    if (this.#state === 'retired') this.close();
  }

  /** Only the first of what waits is progress: an application that takes nothing gains no time by more. */
  #sends(): void {
    if (!this.#transport.isSending) this.#patience.progress();
  }

  #flushLater(): void {
    if (this.#flushIsDue || this.#state === 'connecting') return;
    this.#flushIsDue = true;
    setImmediate(flushAtEndOfTurn, this);
  }

  /** @internal The end of the turn. */
  flushAtEndOfTurn(): void {
    this.#flushIsDue = false;
    if (this.#state !== 'closed') this.#flush();
  }

  #flush(): void {
    const starting = this.#starting;
    if (starting.length === 0) return;
    this.#starting = [];
    let text = '';
    this.#sends();
    this.#transport.cork();
    for (const request of starting) {
      const { firstBytes } = request;
      if (firstBytes !== undefined) this.#demultiplexer.begin(request.requestId, request);
      if (typeof firstBytes === 'string') text += firstBytes;
      else if (firstBytes !== undefined) {
        if (text !== '') this.#transport.write(text);
        this.#transport.write(firstBytes);
        text = '';
      }
    }
    if (text !== '') this.#transport.write(text);
    this.#transport.uncork();
    const isUnsent = this.#transport.writeError !== undefined;
    for (const request of starting) request.sent(isUnsent);
  }

  /** Ends all of its requests. */
  #fail(error: GatewayError | undefined, cause?: NodeJS.ErrnoException): void {
    const requests = [...this.#requests];
    this.#requests.clear();
    this.close();
    for (const request of requests) request.connectionLost(error, cause);
  }
}

function flushAtEndOfTurn(connection: MultiplexedConnection): void {
  connection.flushAtEndOfTurn();
}
