/**
 * Listeners with strict limits on node:http: accepts connections, refuses what is no HTTP, and closes in order.
 * What the parser itself refuses is answered here with 400, 408 or 431; everything else becomes an exchange.
 */
import { chmodSync, lstatSync, readFileSync, unlinkSync } from 'node:fs';
import { createServer, type Server as HttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { createRequestListener, type ExchangeHandler } from '../adapters/node.ts';
import { connectionOf } from '../adapters/node-connection.ts';
import { ConfigError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';

export type ListenAddress =
  /** Port 0 lets the system choose. */
  | { readonly host: string; readonly port: number }
  /** A unix socket and its permissions. */
  | { readonly path: string; readonly mode: number };

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
  readonly log: Log;
  readonly limits?: Partial<ServerLimits>;
}

/** What came was no request, and was answered by the front itself. */
export interface Refusal {
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
/** Idle and silent connections of a closing server are looked for so often. */
const closeIdleEveryMs = 100;

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
        await listenOn(server, address, index);
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
      for (const server of this.#servers) server.closeIdleConnections();
      // What came with a connection that was just accepted has been read by the next look.
      for (const socket of silent) if (socket.bytesRead === 0) socket.destroy();
      silent = [...this.#connections].filter(({ bytesRead }) => bytesRead === 0);
    }, closeIdleEveryMs);
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
        // The body has its own clock (adapters/node-body.ts), which lets a long upload live as long as it moves.
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
      this.#refuse(socket as Socket, 405, 'Method Not Allowed', 'Allow: GET, HEAD, POST, OPTIONS\r\n'),
    );
    server.on('drop', () => this.#tellOfDrop(server.maxConnections));
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
    if (error.code === 'HPE_HEADER_OVERFLOW') this.#refuse(socket, 431, 'Request Header Fields Too Large');
    else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') this.#refuse(socket, 408, 'Request Timeout');
    else this.#refuse(socket, 400, 'Bad Request');
  }

  #refuse(socket: Socket, status: number, reason: string, fields = ''): void {
    const body = `${status} ${reason}\n`;
    socket.end(
      `HTTP/1.1 ${status} ${reason}\r\n${fields}Content-Type: text/plain; charset=utf-8\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    const { remoteAddress } = connectionOf(socket);
    this.#options.refused({ status, bodyBytes: body.length, remoteAddress });
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
  const fallback = 1024;
  let descriptors = fallback;
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    if (line !== null) descriptors = Number(line[1]);
  } catch {
    // Not Linux: what every system grants.
  }
  return Math.max(16, Math.floor((descriptors - otherDescriptors) / 2));
}

async function listenOn(server: HttpServer, address: ListenAddress, index: number): Promise<void> {
  if ('path' in address) await removeDeadSocket(address.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explainListenError(error, address, index)));
    server.listen('path' in address ? { path: address.path } : address, () => {
      server.removeAllListeners('error');
      // An error of a listening server (EMFILE on accept) is survived: the next connection may do better.
      server.on('error', () => {});
      resolve();
    });
  });
  if ('path' in address) chmodSync(address.path, address.mode);
}

/** A socket file that nobody listens on is what a crash leaves behind. Anything else at the path stays. */
async function removeDeadSocket(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path);
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    probe.once('connect', () => {
      probe.destroy();
      resolve(undefined);
    });
  });
  if (code === 'ECONNREFUSED') unlinkSync(path);
}

function explainListenError(
  error: NodeJS.ErrnoException,
  address: ListenAddress,
  index: number,
): ConfigError {
  const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
  const problem = { path: `listen[${index}]`, message: listenFault(error, address, where) };
  return new ConfigError([problem], { cause: error });
}

function listenFault(error: NodeJS.ErrnoException, address: ListenAddress, where: string): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return 'path' in address
        ? `Something listens on ${where} already; stop it, or choose another path`
        : `Port ${address.port} of ${address.host} is in use by another program; stop it, or choose another port`;
    case 'EACCES':
      return 'port' in address && address.port < 1024
        ? `Port ${address.port} is for root only; choose one above 1023, or grant CAP_NET_BIND_SERVICE`
        : `${where} may not be opened by this user; check the permissions of its directory`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${where} is no address of this machine; write 127.0.0.1, or 0.0.0.0 for all`;
    case 'ENOENT':
      return `${where} is in a directory that does not exist; create it first`;
    default:
      return `Cannot listen on ${where}: ${error.message}`;
  }
}

function printUrl(server: HttpServer): string {
  const address = server.address() as AddressInfo | string;
  if (typeof address === 'string') return `unix:${address}`;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}/`;
}

function closeServer(server: HttpServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
