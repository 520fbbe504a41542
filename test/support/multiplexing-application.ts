/**
 * A FastCGI application that works on many requests of one connection at a time, for tests of the web server's side; it
 * shares no code with it. It does nothing by itself: a test sees each request when its STDIN has ended (or before, with
 * `hearsEarly`), and sends what it wants, in any order.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ReadRecord, RecordReader, readPairs } from '../../src/testing/record-reader.ts';
import { endRequest, record, stderr, text } from './record-builder.ts';

export class MultiplexedRequest {
  readonly id: number;
  readonly connection: ApplicationConnection;
  variables: ReadonlyMap<string, string> = new Map();
  stdin: Buffer = Buffer.alloc(0);
  stdinEnded = false;
  aborted = false;
  ended = false;
  readonly #whenAborted: (() => void)[] = [];

  constructor(id: number, connection: ApplicationConnection) {
    this.id = id;
    this.connection = connection;
  }

  get name(): string {
    return this.variables.get('NAME') ?? '';
  }

  #hasOutput = false;

  /** @returns false when the socket holds enough */
  stdout(content: string | Buffer, padding = 0): boolean {
    const bytes = typeof content === 'string' ? text(content) : content;
    this.#hasOutput = bytes.length > 0;
    return this.connection.socket.write(record(6, this.id, bytes, padding));
  }

  stderr(content: string): void {
    this.connection.socket.write(stderr(content, this.id));
  }

  /** Ends STDOUT, as whoever shares a connection has to (FastCGI 3.3), and the request. */
  end(protocolStatus = 0, appStatus = 0): void {
    if (this.#hasOutput) this.stdout('');
    this.endWithoutStdout(protocolStatus, appStatus);
  }

  endWithoutStdout(protocolStatus = 0, appStatus = 0): void {
    this.ended = true;
    this.connection.requests.delete(this.id);
    this.connection.socket.write(endRequest(protocolStatus, appStatus, this.id));
  }

  /** A whole answer in one write. */
  answer(body: string): void {
    this.ended = true;
    this.connection.requests.delete(this.id);
    const records = [record(6, this.id, text(body)), record(6, this.id, text('')), endRequest(0, 0, this.id)];
    this.connection.socket.write(Buffer.concat(records));
  }

  whenAborted(): Promise<void> {
    return this.aborted ? Promise.resolve() : new Promise((resolve) => this.#whenAborted.push(resolve));
  }

  abort(): void {
    this.aborted = true;
    for (const resolve of this.#whenAborted.splice(0)) resolve();
  }
}

export interface ApplicationConnection {
  readonly socket: Socket;
  /** Those that have not ended. */
  readonly requests: Map<number, MultiplexedRequest>;
  /** BEGIN_REQUEST records in each read. */
  readonly begins: number[];
  /** Record types in the order in which they came. */
  readonly types: number[];
}

export interface MultiplexingApplication {
  readonly address: string;
  readonly connections: readonly ApplicationConnection[];
  /** Requests that came in all. */
  readonly count: number;
  /** Resolves with the request of that NAME, when it has come. */
  request(name: string): Promise<MultiplexedRequest>;
  /** As if no request had come yet on the connections that there are. */
  forget(): void;
  close(): Promise<void>;
}

export interface MultiplexingOptions {
  /** A request has come, with its whole STDIN. */
  readonly heard?: (request: MultiplexedRequest) => void;
  /** `heard` is called before STDIN has come. */
  readonly hearsEarly?: boolean;
  /** GET_VALUES is answered with these. */
  readonly values?: Readonly<Record<string, string>>;
  readonly accepted?: (socket: Socket) => void;
}

export async function startMultiplexingApplication(
  options: MultiplexingOptions = {},
): Promise<MultiplexingApplication> {
  const folder = mkdtempSync(join(tmpdir(), 'multiplexing-'));
  const connections: ApplicationConnection[] = [];
  const byName = new Map<string, MultiplexedRequest>();
  const waiting = new Map<string, (request: MultiplexedRequest) => void>();
  let count = 0;

  const hear = (request: MultiplexedRequest) => {
    count++;
    byName.set(request.name, request);
    waiting.get(request.name)?.(request);
    options.heard?.(request);
  };
  const server = createServer((socket) => {
    const connection: ApplicationConnection = { socket, requests: new Map(), begins: [], types: [] };
    const reader = new RecordReader();
    const params = new Map<number, Buffer>();
    connections.push(connection);
    socket.on('error', () => {});
    options.accepted?.(socket);
    const take = ({ type, requestId, content }: ReadRecord) => {
      connection.types.push(type);
      const request = connection.requests.get(requestId);
      if (type === 1) {
        if (request !== undefined) throw new Error(`Request ${requestId} begins twice`);
        connection.requests.set(requestId, new MultiplexedRequest(requestId, connection));
        params.set(requestId, Buffer.alloc(0));
      } else if (type === 9) {
        const values = Object.entries(options.values ?? {}).map(([name, value]) =>
          text(String.fromCharCode(name.length, value.length) + name + value),
        );
        if (content.length > 0) socket.write(record(10, 0, Buffer.concat(values)));
      } else if (request === undefined) {
        // For one that has ended already.
      } else if (type === 2) {
        request.abort();
      } else if (type === 4 && content.length > 0) {
        params.set(requestId, Buffer.concat([params.get(requestId)!, content]));
      } else if (type === 4) {
        request.variables = readPairs(params.get(requestId)!);
        params.delete(requestId);
        if (options.hearsEarly) hear(request);
      } else if (type === 5 && content.length > 0) {
        request.stdin = Buffer.concat([request.stdin, content]);
      } else if (type === 5) {
        request.stdinEnded = true;
        if (!options.hearsEarly) hear(request);
      }
    };
    socket.on('data', (chunk) => {
      const records = reader.push(chunk);
      connection.begins.push(records.filter(({ type }) => type === 1).length);
      for (const found of records) take(found);
    });
  });
  const path = join(folder, 'application.sock');
  server.listen(path);
  await once(server, 'listening');
  return {
    address: `unix:${path}`,
    connections,
    get count() {
      return count;
    },
    request(name) {
      const request = byName.get(name);
      return request === undefined
        ? new Promise((resolve) => waiting.set(name, resolve))
        : Promise.resolve(request);
    },
    forget() {
      for (const { begins, types } of connections) begins.length = types.length = 0;
      byName.clear();
      count = 0;
    },
    async close() {
      for (const { socket } of connections) socket.destroy();
      server.close();
      await once(server, 'close');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
