/**
 * One process of a local source, from its start to its end: its socket, its program, and the FastCGI exchange with it.
 * Lives once: after its end another one takes its number. The source decides when; nothing here starts anything again.
 */
import { lstatSync } from 'node:fs';
import { connect } from 'node:net';
import { type Address, printAddress, toSocketOptions } from '../../base/address.ts';
import { type Clock, pass } from '../../base/clock.ts';
import { type Delivery, SourceError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { removeFile } from '../../base/private-files.ts';
import { explainConnectError } from '../../client/connect-error.ts';
import {
  type ExitReport,
  type SpawnedProcess,
  type StartOptions,
  startProcess,
} from '../../process/spawned-process.ts';
import type { RemoteSource } from '../remote/remote.ts';
import { isListedAsListening } from './listening.ts';
import { createListeningSocket } from './listening-socket.ts';
import { ReadinessProbe } from './readiness-probe.ts';
import type { ProcessFacts, ProcessState } from './reconcile.ts';

export interface InterpreterProcessOptions {
  /** From 1, among the processes of its source. */
  readonly number: number;
  /** It replaces another one. */
  readonly isSuccessor: boolean;
  readonly address: Address;
  /** It gets the listening socket as descriptor 0; otherwise it makes one, and has `spawnTimeoutMs` for that. */
  readonly inheritsSocket: boolean;
  readonly spawnTimeoutMs: number;
  /** What to run, placeholders filled in. */
  readonly program: Omit<StartOptions, 'socket'>;
  /** Asked right before the program is started. @throws {SourceError} */
  readonly prepare: () => void;
  readonly createRemote: () => RemoteSource;
  /** Ends a start. */
  readonly stop: AbortSignal;
  readonly log: Log;
  readonly clock: Clock;
}

/** Between two looks whether a started interpreter answers: quick at first, since most are up within 50 ms. */
const probeDelaysMs = [5, 5, 10, 10, 20, 20, 40] as const;
const probeTimeoutMs = 1_000;

export class InterpreterProcess implements ProcessFacts {
  readonly number: number;
  readonly isSuccessor: boolean;
  /** The exchange with it; its health is that of this process alone. */
  readonly remote: RemoteSource;
  readonly #options: InterpreterProcessOptions;
  #child: SpawnedProcess | undefined;
  #probe: ReadinessProbe | undefined;
  #leaving: Promise<void> | undefined;
  state: ProcessState = 'starting';
  /** Requests under way. */
  busy = 0;
  /** Requests that it got so far. */
  requests = 0;
  /** It is no longer needed: its end is not a fault. */
  isDismissed = false;
  /** It has completed an answer: a connection that is cut before that tells of a failed start. */
  hasAnswered = false;
  readyAt = 0;
  /** When its last request ended, or when it became ready. */
  idleSince = 0;

  constructor(options: InterpreterProcessOptions) {
    this.#options = options;
    this.number = options.number;
    this.isSuccessor = options.isSuccessor;
    this.remote = options.createRemote();
  }

  get hasPlace(): boolean {
    return this.remote.hasPlace;
  }

  /** Undefined: somebody else runs it. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get exited(): Promise<ExitReport> | undefined {
    return this.#child?.exited;
  }

  /** Resident memory of it and its children in bytes, 0 where the system does not tell. */
  get memoryBytes(): number {
    return this.#child?.memoryBytes ?? 0;
  }

  /**
   * Starts it, unless somebody answers at the address already; resolves when it is `loading`: requests can be sent, and may
   * have to wait there until it accepts connections.
   * @throws {SourceError} GW_ERR_SOURCE_*; then nothing of it is left
   */
  async start(): Promise<void> {
    const { inheritsSocket, log, clock, program, address } = this.#options;
    if (await this.answers()) {
      const where = { source: program.name, address: printAddress(address) };
      log.info('Somebody else answers at the address; no interpreter is started', where);
    } else {
      this.#options.prepare();
      if (inheritsSocket) await this.#startWithSocket();
      else await this.#startAndWait();
      log.info('The interpreter is up', {
        source: program.name,
        pid: this.pid,
        address: printAddress(address),
      });
    }
    this.state = 'loading';
    this.readyAt = this.idleSince = clock.now();
  }

  /** It counts as one that answers. */
  becomeReady(): void {
    this.#probe?.close();
    this.state = 'ready';
    this.readyAt = this.idleSince = this.#options.clock.now();
  }

  /** Asks it for a sign of life, `ready` hears of that unless it ends before. */
  probe(ready: () => void): void {
    const { address, clock } = this.#options;
    this.#probe = new ReadinessProbe({ address, clock, ready });
  }

  async #startWithSocket(): Promise<void> {
    const { program, address } = this.#options;
    const socket = await createListeningSocket(program.name, address);
    try {
      const starting = startProcess({ ...program, socket: socket.descriptor });
      // It is spawned by now.
      socket.close();
      this.#child = await starting;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  async #startAndWait(): Promise<void> {
    const child = await startProcess(this.#options.program);
    this.#child = child;
    const exited = child.exited.then((report) => {
      throw exitError(this.#options.program.name, report, 'before it answered');
    });
    exited.catch(() => {});
    try {
      await Promise.race([this.#waitForAnswer(child), exited]);
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  async #waitForAnswer(child: SpawnedProcess): Promise<void> {
    const { clock, spawnTimeoutMs, stop, program, address } = this.#options;
    const limit = clock.now() + spawnTimeoutMs;
    for (let look = 0; child.isAlive; look++) {
      await pass(clock, probeDelaysMs[look] ?? 50, stop);
      if (await this.answers()) return;
      if (clock.now() > limit) {
        throw new SourceError(
          'GW_ERR_SOURCE_SPAWN',
          `The interpreter of source ${program.name} did not answer at ${printAddress(address)} within ${spawnTimeoutMs} ms; ` +
            'does it listen at that address? Raise "spawnTimeoutMs" if it only needs longer',
          { delivery: 'unsent' },
        );
      }
    }
    // Its end is about to be told.
    await new Promise<never>(() => {});
  }

  /** Resolves false when nothing listens. @throws {SourceError} when the address cannot be reached for another reason */
  answers(): Promise<boolean> {
    const { address } = this.#options;
    if (isListedAsListening(address)) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const socket = connect(toSocketOptions(address));
      const timer = this.#options.clock.setTimer(() => {
        socket.destroy();
        resolve(false);
      }, probeTimeoutMs);
      socket.once('connect', () => {
        this.#options.clock.clearTimer(timer);
        socket.destroy();
        resolve(true);
      });
      socket.once('error', (error: NodeJS.ErrnoException) => {
        this.#options.clock.clearTimer(timer);
        if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
        // A full queue is an answer: somebody listens there.
        else if (error.code === 'EAGAIN') resolve(true);
        else explainConnectError(address, error, reject);
      });
    });
  }

  /** Lets its requests end, then ends it and all its children; resolves when nothing of it is left. May be called twice. */
  leave(): Promise<void> {
    this.#probe?.close();
    if (this.state !== 'gone') this.state = 'leaving';
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  async #leave(): Promise<void> {
    await this.remote.close();
    await this.end();
  }

  /** Ends it now: what is left of its group after its leader died, too (F48). May be called twice. */
  async end(): Promise<void> {
    this.#probe?.close();
    if (this.state !== 'gone') this.state = 'leaving';
    void this.remote.close();
    if (this.#child !== undefined) {
      await this.#child.stop();
      if (this.state !== 'gone') this.#removeSocket();
    }
    this.state = 'gone';
  }

  /** A socket that the interpreter left: only a socket, and only its own or ours (T101). */
  #removeSocket(): void {
    const { address, program } = this.#options;
    if (address.kind !== 'unix' || isListedAsListening(address)) return;
    const status = lstatSync(address.path, { throwIfNoEntry: false });
    const owners = [program.runAs?.uid, process.getuid?.()];
    if (status?.isSocket() && owners.includes(status.uid)) removeFile(address.path);
  }
}

/** @param when `before it answered`, or empty */
export function exitError(
  source: string,
  report: ExitReport,
  when: string,
  delivery: Delivery = 'unsent',
): SourceError {
  const how = report.signal === undefined ? `with exit code ${report.exitCode}` : `by ${report.signal}`;
  const words = report.lastWords === '' ? ', and said nothing' : `: ${report.lastWords}`;
  return new SourceError(
    'GW_ERR_SOURCE_EXITED',
    `The interpreter of source ${source} ended ${how}${when === '' ? '' : ` ${when}`}${words}`,
    { delivery },
  );
}
