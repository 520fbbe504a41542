/**
 * Program: a FastCGI application that runs PHP compiled to WebAssembly, for machines without PHP.
 * A supervisor listens and hands each connection to a worker process; a worker runs one PHP and one request at a time.
 * Started by the PHP preset with one argument, `EmbeddedPhpOptions` as JSON. Needs the optional packages
 * `@php-wasm/node-8-4` and `@php-wasm/universal`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { serveConnection } from './app/index.ts';
import { parseAddress, toSocketOptions } from './base/address.ts';
import { createEmbeddedPhp } from './embedded-php-runtime.ts';

export interface EmbeddedPhpOptions {
  readonly address: string;
  /** Worker processes at most; each takes about 175 MB, and is started when it is needed. */
  readonly workers: number;
  /** Directives in php.ini's syntax. */
  readonly ini: string;
  /** Writable folder for uploads, sessions and temporary files. */
  readonly temporaryDirectory: string;
}

/** What a worker says. */
type WorkerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'alive' }
  | { readonly type: 'idle'; readonly residentBytes: number };

interface Worker {
  readonly process: ChildProcess;
  state: 'starting' | 'idle' | 'busy';
  /** Milliseconds, when it last said something. */
  heardAt: number;
}

/** A PHP whose memory grew to this much is replaced: WebAssembly memory never shrinks. */
const residentBytesMax = 600 * 1024 * 1024;
/** A worker that computes without a pause for so long is in an endless loop; PHP's own limit does not work here. */
const silenceMaxMs = 60_000;
const watchIntervalMs = 10_000;

function supervise(options: EmbeddedPhpOptions): void {
  const workers = new Set<Worker>();
  const waiting: Socket[] = [];
  let failedStarts = 0;

  const startWorker = () => {
    const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(options), 'worker'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const worker: Worker = { process: child, state: 'starting', heardAt: Date.now() };
    workers.add(worker);
    child.on('message', (message: WorkerMessage) => {
      worker.heardAt = Date.now();
      if (message.type === 'alive') return;
      failedStarts = 0;
      worker.state = 'idle';
      if (message.type === 'idle' && message.residentBytes > residentBytesMax) retire(worker);
      serveWaiting();
    });
    child.on('error', (error) => console.error(`A PHP worker failed: ${error.message}`));
    child.on('exit', (code, signal) => {
      workers.delete(worker);
      if (worker.state === 'starting' && ++failedStarts >= 3) {
        // The reason is on stderr; who started us decides when to try again.
        process.exit(1);
      }
      if (worker.state === 'busy' || code !== 0)
        console.error(`A PHP worker ended: ${signal ?? `exit code ${code}`}`);
      serveWaiting();
    });
  };

  const retire = (worker: Worker) => {
    workers.delete(worker);
    worker.process.disconnect();
  };

  const serveWaiting = () => {
    for (const worker of workers) {
      if (worker.state !== 'idle') continue;
      const socket = waiting.shift();
      if (socket === undefined) return;
      worker.state = 'busy';
      worker.heardAt = Date.now();
      worker.process.send({ type: 'serve' }, socket, {}, () => {});
    }
    const starting = [...workers].filter((worker) => worker.state === 'starting').length;
    for (let more = waiting.length - starting; more > 0 && workers.size < options.workers; more--)
      startWorker();
  };

  setInterval(() => {
    const now = Date.now();
    for (const worker of workers) {
      if (worker.state !== 'busy') continue;
      if (now - worker.heardAt > silenceMaxMs) {
        console.error(
          `A PHP script computed for more than ${silenceMaxMs / 1000} s without a pause, and was ended`,
        );
        worker.process.kill('SIGKILL');
      } else {
        worker.process.send({ type: 'ask' }, () => {});
      }
    }
  }, watchIntervalMs).unref();

  // Paused, so that no byte is read here that a worker needs.
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {});
    waiting.push(socket);
    serveWaiting();
  });
  server.on('error', (error) => {
    console.error(`The embedded PHP cannot listen on ${options.address}: ${error.message}`);
    process.exit(1);
  });
  server.listen({ ...toSocketOptions(parseAddress(options.address)), backlog: 511 }, startWorker);
}

async function work(options: EmbeddedPhpOptions): Promise<void> {
  const say = (message: WorkerMessage) => {
    if (process.connected) process.send!(message);
  };
  // Without a supervisor there is nobody to work for.
  process.on('disconnect', () => process.exit(0));
  const php = await createEmbeddedPhp(options);
  process.on('message', (message: { readonly type: 'serve' | 'ask' }, socket: Socket | undefined) => {
    if (message.type === 'ask') {
      say({ type: 'alive' });
      return;
    }
    if (socket === undefined) {
      // The web server closed the connection before it got here.
      say({ type: 'idle', residentBytes: 0 });
      return;
    }
    void serveConnection(socket, (request) => php.handle(request, socket, () => say({ type: 'alive' })), {
      requestsPerConnectionMax: 1,
      connectionsMax: options.workers,
    }).then(() => say({ type: 'idle', residentBytes: process.memoryUsage.rss() }));
  });
  say({ type: 'ready' });
}

const [json, role] = process.argv.slice(2);
if (json === undefined) {
  console.error('This program is started by the PHP preset of Fastway: run fastway --php embedded');
  process.exit(2);
}
const options = JSON.parse(json) as EmbeddedPhpOptions;
if (role === 'worker') {
  work(options).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  });
} else {
  supervise(options);
}
