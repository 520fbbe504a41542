/**
 * A FastCGI application that plays every fault, for tests of a web server. It shares no code with the side of
 * Fastway that it may be used against.
 * The scenario is in the request: QUERY_STRING `play=NAME` with further fields as arguments, as `play=large&bytes=1000`.
 * Without `play` it answers with a plain page. It keeps a connection when KEEP_CONN is asked.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Address, parseAddress, printAddress, toSocketOptions } from '../base/address.ts';
import { GatewayError } from '../base/errors.ts';
import { type ReadRecord, RecordReader, readPairs } from './record-reader.ts';
import { findScenario, type Played } from './scenarios.ts';

/** A request that the application has got. */
export interface PlayedRequest {
  /** Its request id. */
  readonly id: number;
  readonly role: number;
  readonly keepConn: boolean;
  readonly variables: ReadonlyMap<string, string>;
  /** Grows while STDIN comes. */
  stdin: Buffer;
  stdinEnded: boolean;
  /** 1 for the first request of its connection. */
  readonly number: number;
  /** The web server sent ABORT_REQUEST. */
  aborted: boolean;
}

export interface ScriptedApplication {
  /** As configuration writes it: `unix:/...` or `tcp://127.0.0.1:...`. */
  readonly address: string;
  readonly requests: PlayedRequest[];
  /** Connections accepted since the start. */
  readonly accepted: number;
  /** Connections open now. */
  readonly open: number;
  /** Resolves when no connection is open. */
  whenAllClosed(): Promise<void>;
  /** Closes every connection at once, and goes on to listen. */
  closeConnections(): void;
  /** Dies: closes every connection at once, and stops listening (a unix socket's file is gone, a port is kept). */
  stop(): Promise<void>;
  /** Listens again at its address, after `stop`. */
  restart(): Promise<void>;
  /** Closes the idle and the busy, then stops to listen. */
  close(): Promise<void>;
  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ScriptedApplicationOptions {
  /** Where to listen; else on a socket of its own. */
  readonly listen?: Address | string;
  /** Its own socket is a TCP port of the loopback interface, and not a unix socket. */
  readonly tcp?: boolean;
  /** Sent as soon as a connection is accepted. */
  readonly banner?: Buffer;
  /** Closes each connection right after it was accepted. */
  readonly closesAtOnce?: boolean;
  /** Played for every request, whatever it says. */
  readonly play?: string;
  /** Further scenarios by name, before ours; each begins when STDIN has ended. */
  readonly scenarios?: Readonly<Record<string, (connection: Played) => void>>;
  /** Serves so many connections at a time, as an application with few workers. */
  readonly workers?: number;
  /** Length of the system's queue of connections. */
  readonly backlog?: number;
}

/**
 * Starts it; `close` it at the end of the test.
 * @throws {GatewayError} GW_ERR_ADDRESS: it is invalid, or cannot be listened on
 */
export async function startScriptedApplication(
  options: ScriptedApplicationOptions = {},
): Promise<ScriptedApplication> {
  const { backlog, listen } = options;
  const folder = mkdtempSync(join(tmpdir(), 'scripted-'));
  const address = typeof listen === 'string' ? parseAddress(listen) : listen;
  const sockets = new Set<Socket>();
  const waiting: Socket[] = [];
  const requests: PlayedRequest[] = [];
  let accepted = 0;
  let serving = 0;

  const serve = (socket: Socket) => {
    serving++;
    new PlayedConnection(socket, requests, options);
    socket.on('close', () => {
      serving--;
      const next = waiting.shift();
      if (next !== undefined) serve(next);
    });
  };
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    if (options.banner !== undefined) socket.write(options.banner);
    if (options.closesAtOnce === true) socket.destroy();
    else if (serving < (options.workers ?? Number.POSITIVE_INFINITY)) serve(socket);
    else waiting.push(socket);
  });
  const startListening = async (where: ListenOptions) => {
    server.listen({ ...where, backlog });
    await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
      const place = address === undefined ? folder : printAddress(address);
      const reason = cause.code === 'EADDRINUSE' ? 'somebody else listens there' : cause.message;
      throw new GatewayError('GW_ERR_ADDRESS', `Could not listen on ${place}: ${reason}`, { cause });
    });
  };
  await startListening(
    address !== undefined
      ? // The web server's user must be able to reach it.
        { ...toSocketOptions(address), readableAll: true, writableAll: true }
      : options.tcp === true
        ? { host: '127.0.0.1', port: 0 }
        : { path: join(folder, 'application.sock') },
  ).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  const bound = server.address() as AddressInfo | string;
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  const close = async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  };

  return {
    address:
      address !== undefined
        ? printAddress(address)
        : typeof bound === 'string'
          ? `unix:${bound}`
          : `tcp://127.0.0.1:${bound.port}`,
    requests,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    async whenAllClosed() {
      for (const socket of [...sockets]) {
        // An application that does not read does not notice a close.
        socket.resume();
        if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
      }
    },
    closeConnections() {
      for (const socket of sockets) socket.destroy();
    },
    stop,
    restart: () =>
      startListening(typeof bound === 'string' ? { path: bound } : { host: bound.address, port: bound.port }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** One connection of the web server; one request at a time. */
class PlayedConnection implements Played {
  readonly socket: Socket;
  readonly #requests: PlayedRequest[];
  readonly #options: ScriptedApplicationOptions;
  readonly #reader = new RecordReader();
  #params: Buffer = Buffer.alloc(0);
  #role = 0;
  #flags = 0;
  #count = 0;
  request: PlayedRequest | undefined;

  constructor(socket: Socket, requests: PlayedRequest[], options: ScriptedApplicationOptions) {
    this.socket = socket;
    this.#options = options;
    this.#requests = requests;
    socket.on('data', (chunk) => {
      try {
        for (const found of this.#reader.push(chunk as Buffer)) this.#take(found);
      } catch (error) {
        // A record or a pair that is shorter than it says: its sender is not a web server.
        if (!(error instanceof RangeError)) throw error;
        socket.destroy();
      }
    });
    socket.resume();
  }

  get argument(): URLSearchParams {
    return new URLSearchParams(this.request?.variables.get('QUERY_STRING') ?? '');
  }

  get play(): string {
    return this.#options.play ?? this.argument.get('play') ?? 'page';
  }

  get filler(): string {
    return 'x'.repeat(Number(this.argument.get('before') ?? 0));
  }

  forRequest(bytes: Buffer): Buffer {
    const { id = 1 } = this.request ?? {};
    if (id === 1) return bytes;
    const changed = Buffer.from(bytes);
    for (let at = 0; at + 7 <= changed.length; at += 8 + changed.readUInt16BE(at + 4) + changed[at + 6]!) {
      if (changed[at]! <= 2 && changed.readUInt16BE(at + 2) === 1) changed.writeUInt16BE(id, at + 2);
    }
    return changed;
  }

  send(...records: readonly Uint8Array[]): void {
    this.socket.write(this.forRequest(Buffer.concat(records)));
  }

  finish(...records: readonly Uint8Array[]): void {
    this.send(...records);
    if (this.request?.keepConn !== true) this.socket.end();
  }

  #take({ type, requestId, content }: ReadRecord): void {
    if (type === 1) {
      this.#role = content.readUInt16BE(0);
      this.#flags = content[2]!;
      this.#params = Buffer.alloc(0);
      this.request = undefined;
    } else if (type === 2) {
      if (this.request !== undefined) this.request.aborted = true;
    } else if (type === 4 && content.length > 0) {
      this.#params = Buffer.concat([this.#params, content]);
    } else if (type === 4) {
      this.request = {
        id: requestId,
        role: this.#role,
        keepConn: (this.#flags & 1) === 1,
        variables: readPairs(this.#params),
        stdin: Buffer.alloc(0),
        stdinEnded: false,
        number: ++this.#count,
        aborted: false,
      };
      this.#requests.push(this.request);
      const scenario = findScenario(this.play);
      if (scenario.isEarly) scenario.play(this);
    } else if (type === 5 && this.request !== undefined) {
      if (content.length > 0) {
        this.request.stdin = Buffer.concat([this.request.stdin, content]);
        return;
      }
      this.request.stdinEnded = true;
      const own = this.#options.scenarios?.[this.play];
      const scenario = findScenario(this.play);
      if (own !== undefined) own(this);
      else if (!scenario.isEarly) scenario.play(this);
    }
  }
}

export { type Played, scenarioNames } from './scenarios.ts';
