/**
 * Listeners with strict limits on node:http: accepts connections, refuses what is not HTTP, and closes in order.
 * What the parser itself refuses is answered here with 400, 408 or 431; everything else becomes an exchange.
 */
import { createServer, type Server as HttpServer, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { createRequestListener, type ExchangeHandler } from '../adapters/node.ts';
import { connectionOf } from '../adapters/node-connection.ts';
import { Pipelines } from '../adapters/node-pipelines.ts';
import { type Clock, pass, systemClock, turn } from '../base/clock.ts';
import { errorFacts } from '../base/error-facts.ts';
import { ConfigError, type ErrorCode, printThrown } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { usualFrontLimits } from '../http/front-limits.ts';
import { generalMethods } from '../http/method.ts';
import { readDescriptorLimit } from './descriptors.ts';
import { closeServer, type ListenAddress, listenOn, printUrl } from './listen.ts';
import type { RefusalReason } from './request-metrics.ts';

/** Bounds of every connection; see `serverLimitsDefaults` for what they are when nobody says otherwise. */
export interface ServerLimits {
  readonly headerBytesMax: number;
  /** From the connection's start, or the first byte of a later request, to the end of the head. */
  readonly headerTimeoutMs: number;
  readonly bodyIdleTimeoutMs: number;
  readonly sendIdleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly requestsPerConnectionMax: number;
  /** Undefined: half of the file descriptors that the process may open. */
  readonly connectionsMax: number | undefined;
}

export const serverLimitsDefaults: ServerLimits = { ...usualFrontLimits, connectionsMax: undefined };

export interface ServerOptions {
  readonly listen: readonly ListenAddress[];
  readonly handle: ExchangeHandler;
  /** Hears of what was refused before it became an exchange. */
  readonly refused: (refusal: Refusal) => void;
  /** Hears of connections that are closed since there are too many, or too many requests wait on them. */
  readonly dropped?: ((reason: 'connections' | 'pipelined') => void) | undefined;
  readonly log: Log;
  readonly limits?: Partial<ServerLimits>;
  readonly clock?: Clock;
}

/** What came was no request, and was answered by the front itself. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly status: number;
  /** Of the answer. */
  readonly bodyBytes: number;
  readonly remoteAddress: string;
}

/** Interval between two looks for heads that take too long, so that 15 s are not 45 s. Milliseconds. */
const checkIntervalMs = 1000;
/** How long a refused client gets to read why. */
const lingerMs = 1000;
/** Least time between two lines of the log about connections that are ended. */
const dropLineIntervalMs = 10_000;
/** Interval between two looks for idle connections while the server closes. */
const idleIntervalMs = 100;
/** What a client had sent when the stop began has arrived by this look. */
const firstIdleLook = 3;
/**
 * When no connection has come for this long, the system's queue of connections to be accepted is empty: their clients were
 * told that they are connected. A stop waits this long for that at most. Milliseconds.
 */
const acceptQuietMs = 20;
const acceptQuietMsMax = 500;

/** The HTTP servers of all addresses, which start and stop together. */
export class Server {
  readonly #options: ServerOptions;
  readonly #limits: ServerLimits;
  readonly #clock: Clock;
  readonly #servers: HttpServer[] = [];
  /** Connections on which nothing was sent yet are among them; node's own list knows those only from Node 26 on. */
  readonly #sockets = new Set<Socket>();
  #accepted = 0;
  #isClosing = false;
  /** The time for running requests is over. */
  #isOverdue = false;
  readonly #told = new Set<string>();
  #closed: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#limits = { ...serverLimitsDefaults, ...options.limits };
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Listens on every address, or on none.
   * @returns what to type into a browser, one per address; `unix:/path` for a socket
   * @throws {ConfigError} for an address that is taken, forbidden or does not exist (the cause is the system's error),
   * and for `--insecure-http-parser`
   */
  async listen(): Promise<readonly string[]> {
    refuseInsecureParser();
    const urls: string[] = [];
    try {
      for (const [index, address] of this.#options.listen.entries()) {
        const server = this.#create();
        this.#servers.push(server);
        await listenOn(server, address, `listen[${index}]`);
        urls.push(printUrl(server));
      }
    } catch (error) {
      await this.close(0);
      throw error;
    }
    return urls;
  }

  /**
   * Stops accepting, lets running requests finish for at most `graceMs`, then disconnects the rest.
   * A second call with a shorter time is heard: `close(0)` ends everything now.
   */
  close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    this.#closed ??= this.#closeInOrder();
    const deadline = this.#clock.setTimer(() => {
      this.#isOverdue = true;
      for (const server of this.#servers) server.closeAllConnections();
    }, graceMs);
    return this.#closed.finally(() => this.#clock.clearTimer(deadline));
  }

  async #closeInOrder(): Promise<void> {
    await this.#acceptRest();
    const closed = Promise.all(this.#servers.map(closeServer));
    if (this.#isOverdue) for (const server of this.#servers) server.closeAllConnections();
    let looks = 0;
    let silent: readonly Socket[] = [];
    const looking = this.#clock.setRepeating(() => {
      // What came with a connection that was just accepted has been read by a later look.
      for (const socket of silent) if (socket.bytesRead === 0) socket.destroy();
      if (++looks < firstIdleLook) return;
      for (const server of this.#servers) server.closeIdleConnections();
      silent = [...this.#sockets].filter(({ bytesRead }) => bytesRead === 0);
    }, idleIntervalMs);
    await closed;
    this.#clock.clearTimer(looking);
  }

  async #acceptRest(): Promise<void> {
    if (!this.#servers.some(({ listening }) => listening)) return;
    for (let waitedMs = 0; waitedMs < acceptQuietMsMax && !this.#isOverdue; waitedMs += acceptQuietMs) {
      const before = this.#accepted;
      await pass(this.#clock, acceptQuietMs);
      // On a busy machine the time may be over before anybody has looked at the listeners.
      await turn();
      if (this.#accepted === before) return;
    }
  }

  #create(): HttpServer {
    const limits = this.#limits;
    const { handle, log } = this.#options;
    const front = {
      bodyIdleMs: limits.bodyIdleTimeoutMs,
      writeIdleMs: limits.sendIdleTimeoutMs,
      // Node's own limit announces the end, keeps the connection open, and answers 503 to what comes behind.
      requestsPerConnectionMax: limits.requestsPerConnectionMax,
      isClosing: () => this.#isClosing,
      clock: this.#clock,
      pipelines: new Pipelines({ ended: () => this.#dropped('pipelined') }),
      failed: (error: unknown) =>
        log.error('A request was ended by an error of ours', { error: printThrown(error) }),
    };
    const server = createServer(
      {
        maxHeaderSize: limits.headerBytesMax,
        headersTimeout: limits.headerTimeoutMs,
        // The body has its own clock (adapters/body-intake.ts), which lets a long upload live as long as it moves.
        requestTimeout: 0,
        keepAliveTimeout: limits.keepAliveTimeoutMs,
        connectionsCheckingInterval: Math.min(checkIntervalMs, limits.headerTimeoutMs),
        // 16 KiB, the default of Node 20, stops a fast answer four times as often.
        highWaterMark: 65_536,
        // Never what the command line says: a lenient parser is request smuggling (T35).
        insecureHTTPParser: false,
        // The head's own check answers that, with a page like every other error.
        requireHostHeader: false,
        noDelay: true,
      },
      createRequestListener(handle, front),
    );
    // Fields past a limit would be dropped in silence, and their sender believed (T40): all are kept, then counted.
    server.maxHeadersCount = 0;
    server.maxConnections = limits.connectionsMax ?? connectionsFromDescriptors();
    server.on('connection', (socket: Socket) => {
      this.#accepted += 1;
      // A peer that reset its connection before it was accepted has no address any more, and every rule would miss it.
      if (!connectionOf(socket).hasPeer) {
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('checkContinue', createRequestListener(handle, { ...front, waitsForContinue: true }));
    // The head's own check answers what cannot be met, and takes an empty field for none.
    server.on('checkExpectation', createRequestListener(handle, front));
    server.on('clientError', (error, socket) => this.#refuseClient(error, socket as Socket));
    server.on('connect', (_request, socket) => {
      // node:http listens to its errors no longer, and one that nobody hears ends the process.
      socket.on('error', () => socket.destroy());
      connectionOf(socket as Socket).broke(() => this.#refuse(socket as Socket, connect));
    });
    server.on('drop', () => this.#dropped('connections'));
    return server;
  }

  /** Answers what the parser refused, behind all answers that are due. */
  #refuseClient(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      // Later bytes of a connection that is closing already come by here, too.
      if (!socket.writableEnded) socket.destroy();
      return;
    }
    connectionOf(socket).broke(() => this.#refuse(socket, refusals[error.code ?? ''] ?? malformed));
  }

  #refuse(socket: Socket, { reason, code, fields = '' }: Answer): void {
    if (!socket.writable) return;
    const connection = connectionOf(socket);
    const { status } = errorFacts[code];
    const phrase = STATUS_CODES[status]!;
    const body = `${status} ${phrase}\n`;
    // Bytes that nobody reads would reset the connection, and the client would not learn why.
    connection.linger(lingerMs, this.#clock);
    socket.end(
      `HTTP/1.1 ${status} ${phrase}\r\n${fields}Content-Type: text/plain; charset=utf-8\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    const { remoteAddress } = connection;
    this.#options.refused({ reason, status, bodyBytes: body.length, remoteAddress });
  }

  /** A flood of connections must not become a flood of lines. */
  #dropped(reason: 'connections' | 'pipelined'): void {
    this.#options.dropped?.(reason);
    if (this.#told.has(reason)) return;
    this.#told.add(reason);
    this.#options.log.warn(dropLines[reason]);
    this.#clock.setTimer(() => this.#told.delete(reason), dropLineIntervalMs).unref();
  }
}

const dropLines = {
  connections:
    'Connections are refused: as many are open as limits.connectionsMax, or the limit of file descriptors, allows',
  pipelined: 'A connection was ended: its client sent far more requests ahead than anybody waits for',
};

interface Answer {
  readonly reason: RefusalReason;
  /** Its status is the answer's. */
  readonly code: ErrorCode;
  readonly fields?: string;
}

const malformed: Answer = { reason: 'malformed', code: 'GW_ERR_HTTP_REQUEST' };
const connect: Answer = {
  reason: 'connect',
  code: 'GW_ERR_HTTP_METHOD',
  fields: `Allow: ${generalMethods}\r\n`,
};

/** By the code of node's error. */
const refusals: Readonly<Record<string, Answer>> = {
  HPE_HEADER_OVERFLOW: { reason: 'head_too_large', code: 'GW_ERR_HTTP_HEAD_TOO_LARGE' },
  ERR_HTTP_REQUEST_TIMEOUT: { reason: 'head_timeout', code: 'GW_ERR_HTTP_HEAD_TIMEOUT' },
};

function refuseInsecureParser(): void {
  if (!process.execArgv.includes('--insecure-http-parser')) return;
  throw new ConfigError([
    {
      path: '',
      message: 'Node runs with --insecure-http-parser, which lets requests be smuggled; start it without',
    },
  ]);
}

/** A connection may need a second descriptor, for its source or a spool file; some are for everything else. */
function connectionsFromDescriptors(): number {
  const otherDescriptors = 64;
  const grantedEverywhere = 1024;
  const descriptors = readDescriptorLimit() ?? grantedEverywhere;
  return Math.max(16, Math.floor((descriptors - otherDescriptors) / 2));
}
