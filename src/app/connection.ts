/**
 * One connection from a web server, seen from the application: records in, requests out to the handler, answers back.
 * Requests of a connection run at the same time up to a limit. A peer that breaks FastCGI loses the connection,
 * since nothing after the fault can be trusted.
 */
import type { Socket } from 'node:net';
import { type GatewayError, ProtocolError } from '../base/errors.ts';
import { type Log, silentLog } from '../base/log.ts';
import {
  decodeBeginRequest,
  decodePairs,
  encodeEndOfStream,
  encodeEndRequest,
  encodeGetValuesResult,
  encodeStream,
  encodeUnknownType,
  NameValueParser,
  nullRequestId,
  ProtocolStatus,
  RecordParser,
  RecordType,
  Role,
} from '../protocol/index.ts';
import { ApplicationRequest, type ApplicationRole, type RequestConnection } from './request.ts';

/** Answers one request. When it returns, or its promise resolves, the request is ended unless it ended it itself. */
export type ApplicationHandler = (request: ApplicationRequest) => void | Promise<void>;

export interface ConnectionOptions {
  /** Requests at a time on one connection; a further one is refused with CANT_MPX_CONN or OVERLOADED. Default 16. */
  readonly requestsPerConnectionMax?: number;
  /** Bytes of all variables of a request, default 1 MiB; more closes the connection. */
  readonly paramsBytesMax?: number;
  /** Told to web servers that ask with GET_VALUES. Default 128. */
  readonly connectionsMax?: number;
  readonly log?: Log;
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
    new ApplicationConnection(socket, handler, options, resolve).start();
  });
}

class ApplicationConnection implements RequestConnection {
  readonly #socket: Socket;
  readonly #handler: ApplicationHandler;
  readonly #log: Log;
  readonly #requestsMax: number;
  readonly #connectionsMax: number;
  readonly #paramsBytesMax: number;
  readonly #closed: () => void;
  readonly #parser = new RecordParser({
    stream: (type, id, bytes) => this.#stream(type, id, bytes),
    record: (type, id, content) => this.#record(type, id, content),
  });
  readonly #arriving = new Map<number, Arriving>();
  readonly #running = new Map<number, ApplicationRequest>();
  /** Ids that wrote to STDERR: that stream has to be ended too. */
  readonly #wroteErrors = new Set<number>();
  #drainWaiters: (() => void)[] = [];
  #stalled = 0;
  /** A request came without KEEP_CONN: the connection closes after its answer (FastCGI 5.1). */
  #keepConn = true;
  #state: 'open' | 'ending' | 'closed' = 'open';

  constructor(socket: Socket, handler: ApplicationHandler, options: ConnectionOptions, closed: () => void) {
    this.#socket = socket;
    this.#handler = handler;
    this.#log = options.log ?? silentLog;
    this.#requestsMax = options.requestsPerConnectionMax ?? 16;
    this.#connectionsMax = options.connectionsMax ?? 128;
    this.#paramsBytesMax = options.paramsBytesMax ?? 1_048_576;
    this.#closed = closed;
  }

  start(): void {
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

  write(requestId: number, stream: 'stdout' | 'stderr', bytes: Uint8Array): boolean {
    if (this.#state === 'closed') return true;
    if (stream === 'stderr') this.#wroteErrors.add(requestId);
    const type = stream === 'stdout' ? RecordType.Stdout : RecordType.Stderr;
    return this.#socket.write(encodeStream(type, requestId, bytes));
  }

  whenDrained(callback: () => void): void {
    if (this.#state === 'closed' || !this.#socket.writableNeedDrain) queueMicrotask(callback);
    else this.#drainWaiters.push(callback);
  }

  // Records of one connection come in one order, so a request that does not read its input holds up the others:
  // the alternative is memory without a limit.
  stall(stalled: boolean): void {
    this.#stalled += stalled ? 1 : -1;
    if (this.#stalled === 0) this.#socket.resume();
    else if (stalled && this.#stalled === 1) this.#socket.pause();
  }

  end(request: ApplicationRequest, appStatus: number): void {
    this.#running.delete(request.id);
    if (this.#state === 'closed') return;
    const parts = [encodeEndOfStream(RecordType.Stdout, request.id)];
    if (this.#wroteErrors.delete(request.id)) parts.push(encodeEndOfStream(RecordType.Stderr, request.id));
    parts.push(encodeEndRequest(request.id, appStatus >>> 0, ProtocolStatus.RequestComplete));
    this.#socket.write(Buffer.concat(parts));
    this.#endWhenDone();
  }

  #push(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#log.warn('The web server broke FastCGI; its connection is closed', { reason: error.message });
      this.#socket.destroy();
    }
  }

  #record(type: number, id: number, content: Buffer): void {
    switch (type) {
      case RecordType.BeginRequest:
        this.#begin(id, content);
        return;
      case RecordType.AbortRequest:
        this.#abort(id);
        return;
      case RecordType.GetValues:
        this.#socket.write(encodeGetValuesResult(this.#values(content)));
        return;
      default:
        // FastCGI 4.2: an unknown management record is answered; one for a request is none of its streams, so ignored.
        if (id === nullRequestId) this.#socket.write(encodeUnknownType(type));
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
    } else if (this.#arriving.size + this.#running.size >= this.#requestsMax) {
      this.#refuse(id, this.#requestsMax === 1 ? ProtocolStatus.CantMpxConn : ProtocolStatus.Overloaded);
    } else {
      const params = new Map<string, string>();
      const parser = new NameValueParser((key, value) => params.set(key, value), this.#paramsBytesMax);
      this.#arriving.set(id, { role: name, params, parser, bytes: 0 });
    }
  }

  #stream(type: number, id: number, bytes: Buffer): void {
    if (type === RecordType.Params) {
      this.#takeParams(id, bytes);
      return;
    }
    // Records of a request that is not active are ignored (FastCGI 3.3): it has ended here, and its input still comes.
    const request = this.#running.get(id);
    if (request === undefined) return;
    const input =
      type === RecordType.Stdin ? request.stdin : type === RecordType.Data ? request.data : undefined;
    if (input === undefined) return;
    if (bytes.length === 0) input.finish();
    else input.receive(bytes);
  }

  #takeParams(id: number, bytes: Buffer): void {
    const arriving = this.#arriving.get(id);
    if (arriving === undefined) return;
    arriving.bytes += bytes.length;
    if (arriving.bytes > this.#paramsBytesMax) {
      throw new ProtocolError(
        'GW_ERR_PROTOCOL_NAME_VALUE',
        `The variables of a request have more than ${this.#paramsBytesMax} bytes`,
      );
    }
    if (bytes.length > 0) {
      arriving.parser.push(bytes);
      return;
    }
    arriving.parser.end();
    this.#arriving.delete(id);
    const request = new ApplicationRequest({
      id,
      role: arriving.role,
      params: arriving.params,
      connection: this,
    });
    this.#running.set(id, request);
    this.#run(request);
  }

  #run(request: ApplicationRequest): void {
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

  /** The handler's own error: it is the web server's operator who should hear of it. */
  #handlerFailed(request: ApplicationRequest, error: unknown): void {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (!request.signal.aborted) this.#log.error('The application failed', { reason });
    request.writeError(`${reason}\n`);
    request.end(1);
  }

  #abort(id: number): void {
    if (this.#arriving.delete(id)) {
      this.#socket.write(encodeEndRequest(id, 1, ProtocolStatus.RequestComplete));
      this.#endWhenDone();
      return;
    }
    this.#running.get(id)?.abort(gone('The web server aborted the request'));
  }

  #refuse(id: number, status: ProtocolStatus): void {
    this.#socket.write(encodeEndRequest(id, 0, status));
    this.#endWhenDone();
  }

  #values(content: Buffer): string[] {
    const known: Readonly<Record<string, string>> = {
      FCGI_MAX_CONNS: String(this.#connectionsMax),
      FCGI_MAX_REQS: String(this.#connectionsMax * this.#requestsMax),
      FCGI_MPXS_CONNS: this.#requestsMax > 1 ? '1' : '0',
    };
    const asked = decodePairs(content).filter((_, i) => i % 2 === 0);
    return [...new Set(asked)]
      .filter((name) => Object.hasOwn(known, name))
      .flatMap((name) => [name, known[name]!]);
  }

  #endWhenDone(): void {
    if (this.#keepConn || this.#state !== 'open' || this.#arriving.size + this.#running.size > 0) return;
    this.#state = 'ending';
    // What is still unread would turn our close into a reset that takes the answer with it (golang.org/issue/4183),
    // so reading goes on until the web server has closed its side.
    this.#socket.end();
    this.#socket.resume();
    const linger = setTimeout(() => this.#socket.destroy(), lingerMs);
    this.#socket.once('close', () => clearTimeout(linger));
  }

  #close(): void {
    this.#state = 'closed';
    this.#arriving.clear();
    for (const request of this.#running.values()) request.abort(gone('The web server closed the connection'));
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
