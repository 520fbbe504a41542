/**
 * Listeners with strict limits on node:http: accepts connections, refuses what is no HTTP, and closes in order.
 * What the parser itself refuses is answered here with 400, 408 or 431; everything else becomes an exchange.
 */
import { createServer, type Server as HttpServer, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { createRequestListener, type ExchangeHandler } from '../adapters/node.ts';
import { connectionOf } from '../adapters/node-connection.ts';
import { ConfigError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
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

/** The peers' middle, measured against slow attackers (T45): short where a healthy client is fast. */
export const serverLimitsDefaults: ServerLimits = {
  headerBytesMax: 32_768,
  headerTimeoutMs: 15_000,
  bodyIdleTimeoutMs: 30_000,
  sendIdleTimeoutMs: 60_000,
  keepAliveTimeoutMs: 15_000,
  requestsPerConnectionMax: 1000,
  connectionsMax: undefined,
};

export interface ServerOptions {
  readonly listen: readonly ListenAddress[];
  readonly handle: ExchangeHandler;
  /** Hears of what was refused before it became an exchange. */
  readonly refused: (refusal: Refusal) => void;
  /** Hears of connections that are closed at once, as there are too many. */
  readonly dropped?: (() => void) | undefined;
  readonly log: Log;
  readonly limits?: Partial<ServerLimits>;
}

/** What came was no request, and was answered by the front itself. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly status: number;
  /** Of the answer. */
  readonly bodyBytes: number;
  readonly remoteAddress: string;
}

/** Timeouts are looked for so often, so that 15 s are not 45 s. */
const checkEveryMs = 1000;
/** How long a refused client gets to read why. */
const lingerMs = 1000;
/** Refused connections are told of so often. */
const tellOfDropEveryMs = 10_000;
/** Connections that have said nothing are looked for so often while the server closes. */
const closeSilentEveryMs = 100;

/** The HTTP servers of all addresses, which start and stop together. */
export class Server {
  readonly #options: ServerOptions;
  readonly #limits: ServerLimits;
  readonly #servers: HttpServer[] = [];
  readonly #connections = new Set<Socket>();
  #isClosing = false;
  #toldOfDrop = false;
  #closed: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#limits = { ...serverLimitsDefaults, ...options.limits };
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
    const deadline = setTimeout(() => {
      for (const server of this.#servers) server.closeAllConnections();
    }, graceMs);
    return this.#closed.finally(() => clearTimeout(deadline));
  }

  async #closeInOrder(): Promise<void> {
    const closed = Promise.all(this.#servers.map(closeServer));
    let silent: readonly Socket[] = [];
    const looking = setInterval(() => {
      // What came with a connection that was just accepted has been read by the next look.
      for (const socket of silent) if (socket.bytesRead === 0) socket.destroy();
      silent = [...this.#connections].filter(({ bytesRead }) => bytesRead === 0);
    }, closeSilentEveryMs);
    await closed;
    clearInterval(looking);
  }

  #create(): HttpServer {
    const limits = this.#limits;
    const front = {
      bodyIdleMs: limits.bodyIdleTimeoutMs,
      writeIdleMs: limits.sendIdleTimeoutMs,
      isClosing: () => this.#isClosing,
    };
    const { handle } = this.#options;
    const server = createServer(
      {
        maxHeaderSize: limits.headerBytesMax,
        headersTimeout: limits.headerTimeoutMs,
        // The body has its own clock (adapters/body-intake.ts), which lets a long upload live as long as it moves.
        requestTimeout: 0,
        keepAliveTimeout: limits.keepAliveTimeoutMs,
        connectionsCheckingInterval: Math.min(checkEveryMs, limits.headerTimeoutMs),
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
    server.maxRequestsPerSocket = limits.requestsPerConnectionMax;
    server.maxConnections = limits.connectionsMax ?? connectionsFromDescriptors();
    server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.on('checkContinue', createRequestListener(handle, { ...front, waitsForContinue: true }));
    server.on('clientError', (error, socket) => this.#refuseClient(error, socket as Socket));
    server.on('connect', (_request, socket) =>
      this.#refuse(
        socket as Socket,
        'connect',
        405,
        'Method Not Allowed',
        'Allow: GET, HEAD, POST, OPTIONS\r\n',
      ),
    );
    server.on('drop', () => {
      this.#options.dropped?.();
      this.#tellOfDrop(server.maxConnections);
    });
    return server;
  }

  /** Answers what the parser refused, if nothing of an answer was sent yet. */
  #refuseClient(
    error: NodeJS.ErrnoException,
    socket: Socket & { _httpMessage?: ServerResponse | null },
  ): void {
    // Later bytes of a connection that was refused already.
    if (socket.writableEnded) return;
    if (error.code === 'ECONNRESET' || !socket.writable || socket._httpMessage?.headersSent === true) {
      socket.destroy();
      return;
    }
    if (error.code === 'HPE_HEADER_OVERFLOW')
      this.#refuse(socket, 'head_too_large', 431, 'Request Header Fields Too Large');
    else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
      this.#refuse(socket, 'head_timeout', 408, 'Request Timeout');
    else this.#refuse(socket, 'malformed', 400, 'Bad Request');
  }

  #refuse(socket: Socket, reason: RefusalReason, status: number, phrase: string, fields = ''): void {
    const body = `${status} ${phrase}\n`;
    socket.end(
      `HTTP/1.1 ${status} ${phrase}\r\n${fields}Content-Type: text/plain; charset=utf-8\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    const { remoteAddress } = connectionOf(socket);
    this.#options.refused({ reason, status, bodyBytes: body.length, remoteAddress });
    // Bytes that nobody reads would reset the connection, and the client would not learn why.
    socket.resume();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }

  /** A flood of connections must not become a flood of lines. */
  #tellOfDrop(connectionsMax: number): void {
    if (this.#toldOfDrop) return;
    this.#toldOfDrop = true;
    this.#options.log.warn('Connections are refused: as many are open as file descriptors allow', {
      connectionsMax,
    });
    setTimeout(() => {
      this.#toldOfDrop = false;
    }, tellOfDropEveryMs).unref();
  }
}

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
