/**
 * A FastCGI application that plays every fault, from test code alone: it shares nothing with the product.
 * The scenario is in the request: QUERY_STRING `play=NAME` with further fields as arguments, as `play=large&bytes=1000`.
 * Without `play` it answers with a plain page. It keeps a connection when KEEP_CONN is asked.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endRequest, hex, record, stderr, stdout, text } from './record-builder.ts';

/** A request that the application has got. */
export interface PlayedRequest {
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
  /** Closes the idle and the busy, then stops to listen. */
  close(): Promise<void>;
}

export interface ScriptedApplicationOptions {
  /** Listens on TCP; a unix socket else. */
  readonly tcp?: boolean;
  /** Sent as soon as a connection is accepted. */
  readonly banner?: Buffer;
  /** Closes each connection right after it was accepted. */
  readonly closesAtOnce?: boolean;
  /** Played for every request, whatever it says. */
  readonly play?: string;
  /** Serves so many connections at a time, as an application with few workers. */
  readonly workers?: number;
  /** Length of the system's queue of connections. */
  readonly backlog?: number;
}

/** Starts it; `close` it at the end of the test. */
export async function startScriptedApplication(
  options: ScriptedApplicationOptions = {},
): Promise<ScriptedApplication> {
  const folder = mkdtempSync(join(tmpdir(), 'scripted-'));
  const path = join(folder, 'application.sock');
  const sockets = new Set<Socket>();
  const waiting: Socket[] = [];
  const requests: PlayedRequest[] = [];
  let accepted = 0;
  let serving = 0;

  const serve = (socket: Socket) => {
    serving++;
    new PlayedConnection(socket, requests, options.play);
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
  const { backlog } = options;
  server.listen(options.tcp === true ? { host: '127.0.0.1', port: 0, backlog } : { path, backlog });
  await once(server, 'listening');

  return {
    address:
      options.tcp === true ? `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` : `unix:${path}`,
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
    async close() {
      for (const socket of sockets) socket.destroy();
      if (server.listening) {
        server.close();
        await once(server, 'close');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Reads what the web server sends, plainly: all input in one buffer. */
class PlayedConnection {
  readonly socket: Socket;
  readonly #requests: PlayedRequest[];
  readonly #play: string | undefined;
  #input = Buffer.alloc(0);
  #params = Buffer.alloc(0);
  #role = 0;
  #flags = 0;
  #count = 0;
  request: PlayedRequest | undefined;

  constructor(socket: Socket, requests: PlayedRequest[], play: string | undefined) {
    this.socket = socket;
    this.#play = play;
    this.#requests = requests;
    socket.on('data', (chunk) => this.#read(chunk as Buffer));
    socket.resume();
  }

  get argument(): URLSearchParams {
    return new URLSearchParams(this.request?.variables.get('QUERY_STRING') ?? '');
  }

  get play(): string {
    return this.#play ?? this.argument.get('play') ?? 'page';
  }

  /** `before` bytes of body, so that an answer has begun before its fault. */
  get filler(): string {
    return 'x'.repeat(Number(this.argument.get('before') ?? 0));
  }

  send(...records: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(records));
  }

  /** Sends what ends a request, and closes unless the connection shall be kept. */
  finish(...records: readonly Uint8Array[]): void {
    this.send(...records);
    if (this.request?.keepConn !== true) this.socket.end();
  }

  #read(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    while (this.#input.length >= 8) {
      const length = this.#input.readUInt16BE(4);
      const size = 8 + length + this.#input[6]!;
      if (this.#input.length < size) return;
      const type = this.#input[1]!;
      const content = this.#input.subarray(8, 8 + length);
      this.#input = this.#input.subarray(size);
      this.#take(type, content);
    }
  }

  #take(type: number, content: Buffer): void {
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
        role: this.#role,
        keepConn: (this.#flags & 1) === 1,
        variables: readPairs(this.#params),
        stdin: Buffer.alloc(0),
        stdinEnded: false,
        number: ++this.#count,
        aborted: false,
      };
      this.#requests.push(this.request);
      earlyScenarios[this.play]?.(this);
    } else if (type === 5 && this.request !== undefined) {
      if (content.length > 0) {
        this.request.stdin = Buffer.concat([this.request.stdin, content]);
        return;
      }
      this.request.stdinEnded = true;
      const { play } = this;
      if (play in earlyScenarios) return;
      const scenario = scenarios[play];
      if (scenario === undefined) this.finish(stdout(page(`no scenario ${play}`)), endRequest());
      else scenario(this);
    }
  }
}

function readPairs(bytes: Buffer): Map<string, string> {
  const pairs = new Map<string, string>();
  let at = 0;
  const readLength = (): number => {
    const isLong = bytes[at]! > 127;
    const length = isLong ? bytes.readUInt32BE(at) - 2 ** 31 : bytes[at]!;
    at += isLong ? 4 : 1;
    return length;
  };
  while (at < bytes.length) {
    const nameLength = readLength();
    const valueLength = readLength();
    const name = bytes.toString('latin1', at, at + nameLength);
    pairs.set(name, bytes.toString('latin1', at + nameLength, at + nameLength + valueLength));
    at += nameLength + valueLength;
  }
  return pairs;
}

const head = 'Content-Type: text/plain\r\n\r\n';
const page = (body: string) => `${head}${body}`;
const endOfStdout = record(6, 1, Buffer.alloc(0));
const whole = (body: string) => Buffer.concat([stdout(page(body)), endOfStdout, endRequest()]);

type Scenario = (connection: PlayedConnection) => void;

/** Answers that need the whole request first. */
const scenarios: Readonly<Record<string, Scenario>> = {
  page: (c) => c.finish(whole('Hello')),
  /** Variables and STDIN, as JSON of byte strings. */
  echo: (c) => {
    const { variables, stdin } = c.request!;
    const body = JSON.stringify({
      variables: Object.fromEntries(variables),
      stdin: stdin.toString('latin1'),
    });
    c.finish(stdout(page(body)), endOfStdout, endRequest());
  },
  /** `content` as STDOUT, byte for byte (percent-encoded bytes), then the end: for every head there may be. */
  stdout: (c) => {
    const raw = /(?:^|&)content=([^&]*)/.exec(c.request!.variables.get('QUERY_STRING') ?? '')?.[1] ?? '';
    const content = raw.replace(/%([0-9a-f]{2})/gi, (_, digits) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
    c.finish(stdout(content), endOfStdout, endRequest());
  },
  /** `bytes` of body, with a Content-Length unless `length=no`. */
  large: (c) => {
    const bytes = Number(c.argument.get('bytes') ?? 1_000_000);
    const length = c.argument.get('length') === 'no' ? '' : `Content-Length: ${bytes}\r\n`;
    c.send(stdout(`${length}${head}`));
    const piece = Buffer.alloc(32_768, '0123456789abcdef');
    let left = bytes;
    const more = () => {
      while (left > 0) {
        const content = piece.subarray(0, Math.min(left, piece.length));
        left -= content.length;
        if (!c.socket.write(record(6, 1, content))) {
          c.socket.once('drain', more);
          return;
        }
      }
      c.finish(endOfStdout, endRequest());
    };
    more();
  },
  /** Waits `ms` before it answers. */
  slow: (c) => {
    const timer = setTimeout(() => c.finish(whole('slow')), Number(c.argument.get('ms') ?? 100));
    c.socket.on('close', () => clearTimeout(timer));
  },
  /** One body byte each `ms`, `count` times. */
  drip: (c) => {
    let left = Number(c.argument.get('count') ?? 5);
    c.send(stdout(head));
    const timer = setInterval(
      () => {
        c.send(stdout('.'));
        if (--left > 0) return;
        clearInterval(timer);
        c.finish(endRequest());
      },
      Number(c.argument.get('ms') ?? 10),
    );
    c.socket.on('close', () => clearInterval(timer));
  },

  'eof-without-end': (c) => {
    c.send(stdout(page(`${c.filler}half`)));
    c.socket.end();
  },
  'short-record': (c) => {
    c.send(stdout(page(c.filler)), record(6, 1, Buffer.alloc(1000, 'x')).subarray(0, 508));
    c.socket.end();
  },
  'short-header': (c) => {
    c.send(stdout(page(`${c.filler}half`)), hex('01 06 00'));
    c.socket.end();
  },
  'short-padding': (c) => {
    c.send(record(6, 1, text(page(`${c.filler}half`)), 8).subarray(0, -3));
    c.socket.end();
  },
  'end-only': (c) => c.finish(endRequest()),
  overloaded: (c) => c.finish(endRequest(2)),
  'cant-mpx': (c) => c.finish(endRequest(1)),
  'unknown-role': (c) => c.finish(endRequest(3)),
  'unknown-status': (c) => c.finish(endRequest(9)),
  'short-end': (c) => c.finish(stdout(page(`${c.filler}a`)), record(3, 1, hex('00000000'))),
  'version-2': (c) => {
    const answer = whole('Hello');
    answer[0] = 2;
    c.finish(answer);
  },
  'wrong-id': (c) => c.finish(stdout(page('EVIL'), 7), endRequest(0, 0, 7)),
  'wrong-id-in-body': (c) =>
    c.finish(stdout(page(`${c.filler}hel`)), stdout('EVIL', 7), stdout('lo'), endRequest()),
  'unknown-type-0-in-body': (c) =>
    c.finish(stdout(page('hel')), record(11, 0, hex('63 00000000000000')), stdout('lo'), endRequest()),
  'type-99-in-body': (c) =>
    c.finish(stdout(page(`${c.filler}hel`)), record(99, 1, text('EVIL')), stdout('lo'), endRequest()),
  'management-99-in-body': (c) =>
    c.finish(stdout(page('hel')), record(99, 0, text('EVIL')), stdout('lo'), endRequest()),
  'close-without-a-byte': (c) => c.socket.destroy(),
  /** RST where there is one (TCP). */
  reset: (c) => c.socket.resetAndDestroy(),
  'plain-http': (c) => {
    c.send(text('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL'));
    c.socket.end();
  },
  /** 5 MB of STDERR, then a page. */
  'stderr-flood': (c) => {
    const flood = record(7, 1, Buffer.alloc(50_000, 'PHP Warning: something is odd\n'));
    for (let i = 0; i < 100; i++) c.send(flood);
    c.finish(whole('after the flood'));
  },
  'stderr-only': (c) => c.finish(stderr('PHP Fatal error: out of luck\n'), endRequest(0, 255)),
  'stderr-between': (c) =>
    c.finish(
      stdout('Content-Ty'),
      stderr('one\n'),
      stdout('pe: text/plain\r\n\r\nHel'),
      stderr('two\n'),
      stdout('lo'),
      endRequest(),
    ),
  /** A second answer right behind the first. */
  'second-answer': (c) => c.finish(whole('first'), whole('second')),
  'second-end': (c) => c.finish(whole('first'), endRequest()),
  /** Bytes after END_REQUEST, a moment later: an idle connection that talks. */
  'late-bytes': (c) => {
    c.send(whole('first'));
    setTimeout(() => c.finish(whole('second')), 20);
  },
  'garbage-after-end': (c) => c.finish(whole('first'), text('garbage')),
  'stdout-after-its-end': (c) => c.finish(stdout(page('a')), endOfStdout, stdout('LATE'), endRequest()),
  'no-stdout-end': (c) => c.finish(stdout(page('Hello')), endRequest()),
  'exit-status': (c) => c.finish(stdout(page('Hello')), endOfStdout, endRequest(0, 3)),
  /** A part of an answer, then silence. */
  'no-end': (c) => c.send(stdout(page(`${c.filler}half`))),
  silence: () => {},
  /** Every odd shape that is legal. */
  'odd-records': (c) =>
    c.finish(
      record(6, 1, text(head), 255),
      record(99, 0, Buffer.alloc(0), 255),
      record(6, 1, Buffer.alloc(65_535, 'x'), 255),
      record(7, 1, Buffer.alloc(0), 7),
      record(6, 1, text('!'), 1),
      record(6, 1, Buffer.alloc(0), 255),
      record(3, 1, hex('00000000 00 2e6c69'), 8),
    ),
  /** A plain page, byte by byte in writes of their own. */
  'byte-by-byte': (c) => {
    c.socket.setNoDelay(true);
    const bytes = [...whole('Hello')];
    const next = () => {
      const byte = bytes.shift();
      if (byte === undefined) c.finish();
      else c.socket.write(Buffer.from([byte]), () => setImmediate(next));
    };
    next();
  },
  /** Keeps the connection, and closes it without a byte when the second request comes. */
  once: (c) => {
    if (c.request!.number === 1) c.finish(whole('first'));
    else c.socket.destroy();
  },
  /** Keeps the connection, and closes it a moment after its first answer. */
  'close-when-idle': (c) => {
    c.finish(whole('first'));
    setTimeout(() => c.socket.destroy(), 10);
  },
  /** As PHP without KEEP_CONN: waits for the web server to close first. */
  'waits-for-close': (c) => c.send(whole('Hello')),
  'content-length-too-long': (c) =>
    c.finish(stdout(`Content-Length: 30000\r\n\r\n${c.filler}short`), endOfStdout, endRequest()),
  'content-length-too-short': (c) =>
    c.finish(stdout('Content-Length: 5\r\n\r\n0123456789'), endOfStdout, endRequest()),
  /** A head of 200 KB. */
  'large-head': (c) =>
    c.finish(
      stdout(`X-A: ${'a'.repeat(50_000)}`),
      ...[1, 2, 3].map(() => stdout('a'.repeat(50_000))),
      stdout(`\r\n${page('')}`),
      endRequest(),
    ),
  'head-never-ends': (c) => c.finish(stdout('X-A: b\r\n'.repeat(5000)), endOfStdout, endRequest()),
};

/** Scenarios that begin when PARAMS have ended, whatever STDIN does. */
const earlyScenarios: Readonly<Record<string, Scenario>> = {
  /** Answers and closes without having read STDIN. */
  'answer-without-reading': (c) => {
    c.socket.pause();
    c.socket.end(whole('early'));
    setTimeout(() => c.socket.destroy(), 20);
  },
  /** Answers at once, reads STDIN a moment later, ends with it. */
  'answer-while-reading': (c) => {
    c.send(stdout(page('early ')));
    c.socket.pause();
    setTimeout(() => c.socket.resume(), 30);
    const timer = setInterval(() => {
      if (!c.request!.stdinEnded) return;
      clearInterval(timer);
      c.finish(stdout(`${c.request!.stdin.length}`), endOfStdout, endRequest());
    }, 5);
    c.socket.on('close', () => clearInterval(timer));
  },
  /** The whole answer with its end, while STDIN still comes. */
  'end-before-stdin': (c) => c.send(whole('early')),
  'never-reading': (c) => {
    c.socket.pause();
  },
};

/** Every scenario there is. */
export const scenarioNames: readonly string[] = [...Object.keys(scenarios), ...Object.keys(earlyScenarios)];
