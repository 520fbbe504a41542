/**
 * The supervisor of the embedded PHP: listens, hands each accepted connection to an idle worker process, starts workers when
 * they are needed, ends those that are not, and replaces those that die, grow too large or get stuck.
 * Connections wait in order while all workers are busy. A worker has one connection at a time.
 * A worker takes 200 MB and a second of a processor to start, far more than most requests: so another one starts only for a
 * connection that has waited a while, and one starts at a time.
 */

import type { ChildProcess } from 'node:child_process';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { listen } from '../app/listen.ts';
import { type Address, parseAddress } from '../base/address.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { LockService } from './lock-service.ts';
import type { EmbeddedPhpSettings } from './settings.ts';
import type { WorkerMessage } from './worker.ts';

export interface SupervisorOptions {
  readonly settings: EmbeddedPhpSettings;
  /** Starts a worker process with a channel for messages, and a pipe for locks as the fifth of its `stdio`. */
  readonly fork: () => ChildProcess;
  /** One sentence about what went wrong. */
  readonly report: (message: string) => void;
  readonly clock: Clock;
  /** No worker can start: nothing will ever be answered. */
  readonly failed: () => void;
}

export interface Supervisor {
  readonly address: Address;
  /** Stops listening and kills the workers; resolves when they are gone. May be called twice. */
  close(): Promise<void>;
}

interface Worker {
  readonly child: ChildProcess;
  state: 'starting' | 'idle' | 'busy' | 'ending';
  /** When it last said anything. */
  heardMs: number;
  /** How long its script may compute from then on. */
  limitMs: number;
}

/** Kernel's queue of connections that we have not accepted. */
const backlog = 511;
const lookMs = 1_000;
/** So long a connection waits for the workers that there are, before another one starts. */
const patienceMs = 250;
/** PHP's own default of max_execution_time. */
const limitSecondsDefault = 30;

/**
 * Listens, and starts the first worker at once.
 * @throws {GatewayError} GW_ERR_ADDRESS
 */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const address = parseAddress(options.settings.address);
  const pool = new WorkerPool(options);
  const server = createServer({ pauseOnConnect: true }, (socket) => pool.take(socket));
  await listen(server, address, backlog, 0o600);
  pool.startWorker();
  return { address, close: () => close(server, pool) };
}

async function close(server: Server, pool: WorkerPool): Promise<void> {
  // Not waited for: it would ask the workers, which are about to be killed, for the connections that they were given.
  server.close();
  await pool.close();
}

class WorkerPool {
  readonly #options: SupervisorOptions;
  /** `max_execution_time`; a script may change its own. */
  readonly #limitMs: number;
  readonly #workers = new Set<Worker>();
  readonly #waiting: Socket[] = [];
  readonly #locks = new LockService();
  readonly #look: Timer;
  #patience: Timer | undefined;
  #isClosed = false;
  #whenGone: (() => void)[] = [];

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#limitMs = limitOf(1_000 * Number(options.settings.ini.max_execution_time ?? limitSecondsDefault));
    this.#look = options.clock.setRepeating(() => {
      this.#endStuck();
      this.#endUnneeded();
    }, lookMs);
  }

  /** Takes an accepted connection, of which nothing was read. */
  take(socket: Socket): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    this.#waiting.push(socket);
    this.#assign();
  }

  startWorker(): void {
    const child = this.#options.fork();
    const worker: Worker = {
      child,
      state: 'starting',
      heardMs: this.#options.clock.now(),
      limitMs: this.#limitMs,
    };
    this.#workers.add(worker);
    if (child.pid !== undefined) this.#locks.serve(child.pid, child.stdio[4] as Duplex);
    child.on('message', (message: WorkerMessage) => this.#heard(worker, message));
    // A failed fork or message; `exit` follows where a process was.
    child.on('error', (error) => {
      this.#options.report(`A worker of the embedded PHP failed: ${error.message}`);
      if (child.pid === undefined) this.#gone(worker, 'it could not be started');
    });
    child.on('exit', (code, signal) => this.#gone(worker, signal ?? `exit status ${code}`));
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#options.clock.clearTimer(this.#look);
    this.#options.clock.clearTimer(this.#patience);
    for (const socket of this.#waiting.splice(0)) socket.destroy();
    // A script that runs would not notice a softer signal.
    for (const { child } of this.#workers) child.kill('SIGKILL');
    if (this.#workers.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenGone.push(resolve));
  }

  #heard(worker: Worker, message: WorkerMessage): void {
    // A worker that was killed may have spoken before; another in its place would outlive us.
    if (this.#isClosed) return;
    worker.heardMs = this.#options.clock.now();
    if (message.type === 'limit') worker.limitMs = limitOf(message.ms);
    if (message.type === 'alive' || message.type === 'limit' || worker.state === 'ending') return;
    if (message.type === 'idle' && message.rssMb > this.#options.settings.recycleRssMb) {
      this.#end(worker);
      // The next request would else wait for a boot.
      if (this.#count('idle') === 0) this.startWorker();
      return;
    }
    worker.state = 'idle';
    this.#assign();
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const worker = [...this.#workers].find(({ state }) => state === 'idle');
      if (worker === undefined) break;
      const socket = this.#waiting.shift()!;
      worker.state = 'busy';
      worker.heardMs = this.#options.clock.now();
      worker.limitMs = this.#limitMs;
      worker.child.send({ type: 'connection' }, socket, (error) => {
        if (error !== null) socket.destroy();
      });
    }
    if (this.#waiting.length === 0) {
      this.#options.clock.clearTimer(this.#patience);
      this.#patience = undefined;
    } else if (this.#living === 0) {
      this.startWorker();
    } else {
      this.#patience ??= this.#options.clock.setTimer(() => {
        this.#patience = undefined;
        if (this.#count('starting') === 0 && this.#living < this.#options.settings.workers)
          this.startWorker();
        this.#assign();
      }, patienceMs);
    }
  }

  /** WebAssembly runs no timers while a script computes, so PHP's own limit of the time of a script never comes. */
  #endStuck(): void {
    const now = this.#options.clock.now();
    for (const worker of this.#workers) {
      if (this.#locks.isWaiting(worker.child.pid!)) worker.heardMs = now;
      if (worker.state !== 'busy' || now - worker.heardMs < worker.limitMs) continue;
      this.#options.report(
        `A script computed for more than ${worker.limitMs / 1_000} seconds (max_execution_time), or waited so long without a client; its worker ${worker.child.pid} was ended`,
      );
      this.#end(worker);
    }
  }

  /** One is kept; the first ones get most of the work. */
  #endUnneeded(): void {
    const now = this.#options.clock.now();
    for (const worker of this.#workers) {
      if (worker.state !== 'idle' || now - worker.heardMs < this.#options.settings.idleMs) continue;
      if (this.#living > 1) this.#end(worker);
    }
  }

  #end(worker: Worker): void {
    worker.state = 'ending';
    worker.child.kill('SIGKILL');
  }

  #gone(worker: Worker, how: string): void {
    if (!this.#workers.delete(worker)) return;
    if (worker.child.pid !== undefined) this.#locks.left(worker.child.pid);
    if (this.#isClosed) {
      if (this.#workers.size === 0) for (const resolve of this.#whenGone.splice(0)) resolve();
      return;
    }
    if (worker.state !== 'ending') {
      this.#options.report(`A worker of the embedded PHP ended: process ${worker.child.pid}, ${how}`);
    }
    // It said why. Another would fail in the same way, unless some do run.
    if (worker.state === 'starting' && this.#workers.size === 0) this.#options.failed();
    else this.#assign();
  }

  get #living(): number {
    return this.#workers.size - this.#count('ending');
  }

  #count(state: Worker['state']): number {
    let count = 0;
    for (const worker of this.#workers) if (worker.state === state) count++;
    return count;
  }
}

/** Endless where it is 0. */
function limitOf(ms: number): number {
  return ms > 0 ? ms : Number.POSITIVE_INFINITY;
}
