/**
 * One worker of the embedded PHP: a process with one interpreter, which answers one connection at a time.
 * It writes as a native PHP does: it waits until the web server takes the bytes, so a large answer needs little memory.
 * When the interpreter is lost the process ends: the web server sees a closed connection, and the supervisor starts another.
 */
import { readSync, statSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { type ApplicationRequest, serveConnection } from '../app/index.ts';
import { askOver } from './file-locks.ts';
import { type Php, type PhpOutput, startPhp } from './runtime.ts';
import type { EmbeddedPhpSettings } from './settings.ts';

/**
 * What a worker tells the supervisor: it booted; its connection is over; it is at work and not stuck; its script may compute so
 * long from now on (0: without an end).
 */
export type WorkerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'idle'; readonly rssMb: number }
  | { readonly type: 'alive' }
  | { readonly type: 'limit'; readonly ms: number };

/** What a worker needs of its process. */
export interface WorkerProcess {
  readonly env: Readonly<Record<string, string>>;
  readonly pid: number;
  /** The descriptor of a pipe to the supervisor's lock service. */
  readonly lockPipe: number;
  send(message: WorkerMessage): void;
  onConnection(take: (socket: Socket) => void): void;
  rssMb(): number;
  /** Ends the process at once. */
  fail(reason: string): never;
  now(): number;
}

/** Larger bodies are refused: a body lies in memory twice before a script sees it. */
const bodyBytesMax = 512 * 1_048_576;
const aliveMs = 500;

/**
 * Boots PHP, then answers what `onConnection` brings, for as long as the process lives.
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER
 */
export async function startWorker(settings: EmbeddedPhpSettings, worker: WorkerProcess): Promise<void> {
  let client: Socket | undefined;
  let running: ApplicationRequest | undefined;
  const php = await startPhp({
    version: settings.version,
    loader: settings.loader,
    universal: settings.universal,
    ini: settings.ini,
    env: worker.env,
    processId: worker.pid,
    askLock: askOver(worker.lockPipe),
    beforeWaiting: () => running?.flush(),
    whileWaiting() {
      // A script may wait for as long as its client does; without one it has the time that it has to compute.
      if (client !== undefined && !hasLeft(client)) worker.send({ type: 'alive' });
    },
    onTimeLimit: timeLimits(worker),
    now: worker.now,
  });
  worker.onConnection((socket) => {
    client = socket;
    writeBlocking(socket, aliveness(worker));
    // A script that sleeps outlives its connection when the web server leaves; the interpreter runs one at a time.
    let answered = Promise.resolve();
    const answerOne = (request: ApplicationRequest) => {
      running = request;
      answered = answer(php, request, socket, worker);
      return answered;
    };
    void serveConnection(socket, answerOne, {
      requestsPerConnectionMax: 1,
      requestsMax: settings.workers,
      connectionsMax: settings.workers,
    })
      .then(() => answered)
      .then(() => {
        client = running = undefined;
        worker.send({ type: 'idle', rssMb: worker.rssMb() });
      });
  });
  worker.send({ type: 'ready' });
}

async function answer(
  php: Php,
  request: ApplicationRequest,
  socket: Socket,
  worker: WorkerProcess,
): Promise<void> {
  const { params } = request;
  const scriptFilename = params.get('SCRIPT_FILENAME') ?? '';
  const body = await readBody(request);
  if (request.signal.aborted) return;
  if (body === 'too large') {
    request.writeError(`The embedded PHP takes request bodies of ${bodyBytesMax} bytes at most\n`);
    request.write('Status: 413\r\nContent-Type: text/plain\r\n\r\nThe request is too large.\n');
    return;
  }
  if (!isFile(scriptFilename)) {
    // The words of php-fpm, which web servers know and explain.
    request.writeError('Primary script unknown\n');
    request.write('Status: 404 Not Found\r\nContent-type: text/html; charset=UTF-8\r\n\r\nFile not found.\n');
    return;
  }
  const output: PhpOutput = {
    head: (bytes) => void request.write(bytes),
    stdout(bytes) {
      request.write(bytes);
      // PHP reuses these bytes, and the event loop stands still while it runs.
      request.flush();
      return !socket.destroyed;
    },
    stderr(bytes) {
      request.writeError(bytes);
      request.flush();
    },
  };
  try {
    request.end(await php.run({ scriptFilename, params, body }, output));
  } catch (error) {
    worker.fail(
      `The embedded PHP crashed in ${scriptFilename}: ${describeCrash(error)}; its worker is replaced`,
    );
  }
}

/** Why the interpreter is lost, in words: Emscripten's own errors have a number and no message. */
export function describeCrash(error: unknown): string {
  const { message, errno } = Object(error) as { readonly message?: unknown; readonly errno?: unknown };
  if (typeof message === 'string' && message !== '') return message;
  return errno === undefined
    ? 'for an unknown reason'
    : `a system call of its runtime failed with error ${errno}`;
}

async function readBody(request: ApplicationRequest): Promise<Uint8Array | undefined | 'too large'> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.stdin) {
      bytes += (chunk as Buffer).length;
      if (bytes > bodyBytesMax) return 'too large';
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (!request.signal.aborted) throw error;
  }
  return bytes === 0 ? undefined : Buffer.concat(chunks);
}

function isFile(path: string): boolean {
  return statSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false })?.isFile() === true;
}

/** The peer has closed its end; it says nothing more once its request is read. Asked for while the event loop stands still. */
function hasLeft(socket: Socket): boolean {
  const fd = descriptorOf(socket);
  if (socket.destroyed || fd < 0) return socket.destroyed;
  try {
    readSync(fd, Buffer.alloc(1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
  }
  socket.destroy();
  return true;
}

/** Negative where sockets are not file descriptors (Windows). */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}

/** Tells the supervisor a new limit, and at most twice a second that the same one begins anew. */
function timeLimits(worker: WorkerProcess): (ms: number | undefined) => void {
  let told: number | undefined;
  let last = worker.now();
  return (ms = 0) => {
    if (ms === told && worker.now() - last < aliveMs) return;
    told = ms;
    last = worker.now();
    worker.send({ type: 'limit', ms });
  };
}

/** Tells the supervisor that the script is not stuck, at most twice a second. */
function aliveness(worker: WorkerProcess): () => void {
  let last = worker.now();
  return () => {
    if (worker.now() - last < aliveMs) return;
    last = worker.now();
    worker.send({ type: 'alive' });
  };
}

/**
 * Makes writes to the socket wait until the peer has taken the bytes. PHP calls for output from WebAssembly, which cannot
 * give way to the event loop; bytes that node's socket takes would pile up until the script ends.
 * A peer that is gone destroys the socket.
 */
function writeBlocking(socket: Socket, progress: () => void): void {
  const fd = descriptorOf(socket);
  // There writes stay as they are, and take memory.
  if (fd < 0) return;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  socket.write = (data: Uint8Array | string, encoding?: unknown): boolean => {
    const bytes = typeof data === 'string' ? Buffer.from(data, encoding as BufferEncoding) : data;
    for (let offset = 0; offset < bytes.length && !socket.destroyed; ) {
      try {
        offset += writeSync(fd, bytes, offset);
        progress();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') Atomics.wait(pause, 0, 0, 1);
        else socket.destroy();
      }
    }
    return true;
  };
}
