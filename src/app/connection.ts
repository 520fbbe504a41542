/**
 * One connection from a web server, seen from the application: records in, requests out to the handler, answers back.
 * Requests of a connection run at the same time up to a limit. A peer that breaks FastCGI loses the connection,
 * since nothing after the fault can be trusted.
 */

import type { Socket } from 'node:net';
import { type Clock, systemClock } from '../base/clock.ts';
import { type GatewayError, ProtocolError, printThrown } from '../base/errors.ts';
import { type Log, silentLog } from '../base/log.ts';
import { nullRequestId, ProtocolStatus, RecordType, Role } from '../protocol/constants.ts';
import { NameValueParser } from '../protocol/name-value.ts';
import { decodeBeginRequest } from '../protocol/record.ts';
import {
  encodeGetValuesResult,
  encodeUnknownType,
  printEndRequest,
  printHeader,
} from '../protocol/record-encoder.ts';
import { RecordParser } from '../protocol/record-parser.ts';
import { type ApplicationLimits, ApplicationLoad } from './limits.ts';
import { ConnectionOutput } from './output.ts';
import { ApplicationRequest, type ApplicationRole, type RequestConnection } from './request.ts';

/**
 * Answers one request. When it returns, or its promise resolves, the request is ended unless it was ended before.
 * When it fails, the web server gets a 500, or a cut answer where output was written already; the error goes to STDERR.
 */
export type ApplicationHandler = (request: ApplicationRequest) => void | Promise<void>;

export interface ConnectionOptions extends ApplicationLimits {
  readonly log?: Log;
  /** Default: that of the machine. */
  readonly clock?: Clock;
}

/** How long a connection may stay after its last answer, for the web server to close it first. */
const lingerMs = 5_000;

/** A request whose variables are still arriving. */
interface Arriving {
  readonly role: ApplicationRole;
  readonly params: Map<string, string>;
  readonly parser: NameValueParser;
  bytes: number;
}

/**
 * Serves one accepted socket until it closes; resolves then.
 * Never rejects: faults of the peer close the socket and are logged.
 */
export function serveConnection(
  socket: Socket,
  handler: ApplicationHandler,
  options: ConnectionOptions = {},
): Promise<void> {
  return new Promise((resolve) => {
    new ApplicationConnection(socket, handler, new ApplicationLoad(options), options, resolve).start();
  });
}

export class ApplicationConnection implements RequestConnection {
  readonly #socket: Socket;
  readonly #output: ConnectionOutput;
  readonly #handler: ApplicationHandler;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #load: ApplicationLoad;
  readonly #closed: () => void;
  readonly #parser = new RecordParser({
    stream: (type, id, bytes) => this.#stream(type, id, bytes),
    record: (type, id, content) => this.#record(type, id, content),
  });
  readonly #arriving = new Map<number, Arriving>();
  readonly #running = new Map<number, ApplicationRequest>();
  /**
   * Requests whose variables came in this chunk. They run when the chunk is read, so that a small request is whole, with its
   * body, when the handler sees it.
   */
  #ready: ApplicationRequest[] = [];
  /** Ids that wrote to STDERR: that stream has to be ended too. */
  readonly #wroteErrors = new Set<number>();
  #drainWaiters: (() => void)[] = [];
  #stalled = 0;
  /** Came when there were too many: its requests are refused. */
  #isSurplus = false;
  /** False: the connection closes when no request is left (FastCGI 5.1, BEGIN_REQUEST without KEEP_CONN). */
  #keepConn = true;
  /** An answer was cut, which the web server sees when the connection closes without its END_REQUEST. */
  #wasCut = false;
  #state: 'open' | 'ending' | 'closed' = 'open';

  constructor(
    socket: Socket,
    handler: ApplicationHandler,
    load: ApplicationLoad,
    { log = silentLog, clock = systemClock }: Pick<ConnectionOptions, 'log' | 'clock'>,
    closed: () => void,
  ) {
    this.#socket = socket;
    this.#output = new ConnectionOutput(socket);
    this.#handler = handler;
    this.#log = log;
    this.#clock = clock;
    this.#load = load;
    this.#closed = closed;
  }

  start(): void {
    this.#isSurplus = !this.#load.addConnection();
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#push(chunk));
    socket.on('drain', () => this.#wakeWriters());
    socket.on('error', (error) =>
      this.#log.debug('The web server broke the connection', { reason: error.message }),
    );
    socket.on('close', () => this.#close());
    socket.resume();
  }

  /** Closes as soon as no request is left. */
  stop(): void {
    this.#keepConn = false;
    this.#endWhenDone();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  write(requestId: number, stream: 'stdout' | 'stderr', bytes: Uint8Array | string): boolean {
    if (this.#state === 'closed') return true;
    if (stream === 'stderr') this.#wroteErrors.add(requestId);
    const type = stream === 'stdout' ? RecordType.Stdout : RecordType.Stderr;
    if (typeof bytes !== 'string') return this.#output.stream(type, requestId, bytes);
    // Plain ASCII, which most text is, needs no bytes of its own before it is sent.
    const isAscii = bytes.length < 16_384 && Buffer.byteLength(bytes) === bytes.length;
    return isAscii
      ? this.#output.streamText(type, requestId, bytes)
      : this.#output.stream(type, requestId, Buffer.from(bytes));
  }

  whenDrained(callback: () => void): void {
    if (this.#state === 'closed' || !this.#output.isFull) process.nextTick(callback);
    else this.#drainWaiters.push(callback);
  }

  flush(): void {
    this.#output.flush();
  }

  // Records of one connection come in one order, so a request that does not read its input holds up the others:
  // the alternative is memory without a limit.
  stall(stalled: boolean): void {
    this.#stalled += stalled ? 1 : -1;
    if (this.#stalled === 0) this.#socket.resume();
    else if (stalled && this.#stalled === 1) this.#socket.pause();
  }

  end(request: ApplicationRequest, appStatus: number): void {
    const { id } = request;
    this.#forget(id);
    if (this.#state === 'closed') return;
    const endOfErrors = this.#wroteErrors.delete(id) ? printHeader(RecordType.Stderr, id, 0) : '';
    this.#output.records(
      printHeader(RecordType.Stdout, id, 0) +
        endOfErrors +
        printEndRequest(id, appStatus >>> 0, ProtocolStatus.RequestComplete),
    );
    this.#endWhenDone();
  }

  cut(request: ApplicationRequest): void {
    this.#forget(request.id);
    this.#wroteErrors.delete(request.id);
    this.#wasCut = true;
    this.stop();
  }

  #forget(id: number): void {
    if (this.#running.delete(id)) this.#load.removeRequest();
  }

  #push(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#log.warn('The web server broke FastCGI; its connection is closed', { reason: error.message });
      for (const request of this.#ready) this.#forget(request.id);
      this.#ready = [];
      this.#socket.destroy();
      return;
    }
    if (this.#ready.length === 0) return;
    const ready = this.#ready;
    this.#ready = [];
    for (const request of ready) this.#run(request);
  }

  #record(type: number, id: number, content: Buffer): void {
    // What came in one chunk with the last request of a connection that closes.
    if (this.#state !== 'open') return;
    switch (type) {
      case RecordType.BeginRequest:
        this.#begin(id, content);
        return;
      case RecordType.AbortRequest:
        this.#abort(id);
        return;
      case RecordType.GetValues:
        this.#output.records(encodeGetValuesResult(this.#load.values(content)).toString('latin1'));
        return;
      default:
        // FastCGI 4.2: an unknown management record is answered; one for a request is none of its streams, so ignored.
        if (id === nullRequestId) this.#output.records(encodeUnknownType(type).toString('latin1'));
    }
  }

  #begin(id: number, content: Buffer): void {
    const { role, keepConn } = decodeBeginRequest(content);
    if (id === nullRequestId || this.#arriving.has(id) || this.#running.has(id)) {
      throw new ProtocolError(
        'GW_ERR_PROTOCOL_REQUEST_ID',
        `BEGIN_REQUEST has request id ${id}, which is ${id === nullRequestId ? 'reserved' : 'in use'}`,
      );
    }
    if (!keepConn) this.#keepConn = false;
    const name = roleName(role);
    if (name === undefined) {
      this.#refuse(id, ProtocolStatus.UnknownRole);
      return;
    }
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      this.#refuse(id, refusal);
      return;
    }
    const params = new Map<string, string>();
    const parser = new NameValueParser((key, value) => params.set(key, value), this.#load.paramsBytesMax);
    this.#arriving.set(id, { role: name, params, parser, bytes: 0 });
  }

  #refuse(id: number, status: ProtocolStatus): void {
    this.#output.records(printEndRequest(id, 0, status));
    this.#endWhenDone();
  }

  /** Why another request is not taken. */
  #refusal(): ProtocolStatus | undefined {
    if (this.#isSurplus || this.#wasCut) return ProtocolStatus.Overloaded;
    return this.#load.addRequest(this.#arriving.size + this.#running.size);
  }

  #stream(type: number, id: number, bytes: Buffer): void {
    if (type === RecordType.Params) {
      this.#takeParams(id, bytes);
      return;
    }
    // Records of a request that is not active are ignored (FastCGI 3.3): it has ended here, and its input still comes.
    const request = this.#running.get(id);
    if (request === undefined) return;
    if (type === RecordType.Stdin) request.receive('stdin', bytes);
    else if (type === RecordType.Data) request.receive('data', bytes);
  }

  #takeParams(id: number, bytes: Buffer): void {
    const arriving = this.#arriving.get(id);
    if (arriving === undefined) return;
    arriving.bytes += bytes.length;
    if (arriving.bytes > this.#load.paramsBytesMax) {
      throw new ProtocolError(
        'GW_ERR_PROTOCOL_NAME_VALUE',
        `The variables of a request have more than ${this.#load.paramsBytesMax} bytes`,
      );
    }
    if (bytes.length > 0) {
      arriving.parser.push(bytes);
      return;
    }
    arriving.parser.end();
    this.#arriving.delete(id);
    const request = new ApplicationRequest(id, arriving.role, arriving.params, this);
    this.#running.set(id, request);
    this.#ready.push(request);
  }

  #run(request: ApplicationRequest): void {
    if (request.aborted) {
      request.end(1);
      return;
    }
    try {
      const done = this.#handler(request);
      if (done === undefined) request.end();
      else
        done.then(
          () => request.end(),
          (error: unknown) => this.#handlerFailed(request, error),
        );
    } catch (error) {
      this.#handlerFailed(request, error);
    }
  }

  #handlerFailed(request: ApplicationRequest, error: unknown): void {
    if (request.aborted) {
      request.end(1);
      return;
    }
    const reason = printThrown(error);
    this.#log.error('The application failed', { reason });
    if (request.ended) return;
    // The web server's operator should hear of it too; the client should not.
    request.writeError(`${reason}\n`);
    if (request.hasWritten) {
      request.cut();
      return;
    }
    request.write(
      'Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nInternal Server Error\n',
    );
    request.end(1);
  }

  #abort(id: number): void {
    if (this.#arriving.delete(id)) {
      this.#load.removeRequest();
      this.#output.records(printEndRequest(id, 1, ProtocolStatus.RequestComplete));
      this.#endWhenDone();
      return;
    }
    this.#running.get(id)?.abort(gone('The web server aborted the request'));
  }

  #endWhenDone(): void {
    if (this.#keepConn || this.#state !== 'open' || this.#arriving.size + this.#running.size > 0) return;
    this.#state = 'ending';
    this.#output.flush();
    // What is still unread would turn our close into a reset that takes the answer with it (golang.org/issue/4183),
    // so reading goes on until the web server has closed its side.
    this.#socket.end();
    this.#socket.resume();
    const linger = this.#clock.setTimer(() => this.#socket.destroy(), lingerMs);
    this.#socket.once('close', () => this.#clock.clearTimer(linger));
  }

  #close(): void {
    this.#state = 'closed';
    this.#load.removeConnection();
    for (const _ of this.#arriving) this.#load.removeRequest();
    this.#arriving.clear();
    for (const request of [...this.#running.values()]) {
      request.abort(gone('The web server closed the connection'));
    }
    this.#wakeWriters();
    this.#closed();
  }

  #wakeWriters(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const wake of waiters) wake();
  }
}

function roleName(role: number): ApplicationRole | undefined {
  switch (role) {
    case Role.Responder:
      return 'Responder';
    case Role.Authorizer:
      return 'Authorizer';
    case Role.Filter:
      return 'Filter';
    default:
      return undefined;
  }
}

function gone(message: string): GatewayError {
  return new ProtocolError('GW_ERR_SOURCE_CLOSED', message);
}
