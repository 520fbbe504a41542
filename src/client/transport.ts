/**
 * Bytes to and from one application: connects, again while its queue of connections is full, reads into shared
 * buffers, and shows to a trace what is sent. What the bytes mean is the connection's business.
 */
import type { Address } from '../base/address.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { GatewayError } from '../base/errors.ts';
import { connectTimeout, explainConnectError } from './connect-error.ts';
import { ReadBuffer } from './read-buffer.ts';
import type { Resolver } from './resolver.ts';
import { ApplicationSocket, type SocketListener } from './socket.ts';
import { type RecordTrace, traceSent } from './trace.ts';

/** Pauses before a connect that met a full unix backlog is tried again; the last one repeats (F3). */
const backlogDelaysMs = [5, 10, 20, 40];

export interface TransportOptions {
  readonly address: Address;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  readonly trace: RecordTrace | undefined;
  /** Of a host name; undefined for an IP address and a unix socket. */
  readonly resolver: Resolver | undefined;
}

/** Hears what happens. Nothing is called before the constructor has returned. */
export interface TransportListener {
  connected(): void;
  connectFailed(error: GatewayError): void;
  /**
   * Bytes came; they are in `input`, for the time of the call or to be taken.
   * @returns false to stop reading until `resume`
   */
  received(length: number): boolean;
  /** What was written has left, and more is welcome. */
  drained(): void;
  /** The application closed the connection (no cause), or it broke. At most once, and never before `connected`. */
  lost(cause: NodeJS.ErrnoException | undefined): void;
}

export class Transport implements SocketListener {
  readonly input: ReadBuffer;
  readonly #options: TransportOptions;
  readonly #listener: TransportListener;
  #socket: ApplicationSocket;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #connectTries = 0;
  #connectTimer: Timer | undefined;

  /** Starts to connect. @param sharedBuffer see `ReadBuffer` */
  constructor(options: TransportOptions, sharedBuffer: Buffer | undefined, listener: TransportListener) {
    this.#options = options;
    this.#listener = listener;
    this.input = new ReadBuffer(sharedBuffer);
    this.#socket = new ApplicationSocket(options.address, this, options.resolver);
  }

  /** Written bytes wait for the application to take them. */
  get isSending(): boolean {
    return this.#socket.writableLength > 0;
  }

  /** What the first failed write said: the application no longer reads, and what it has said is still to be read (F30). */
  get writeError(): NodeJS.ErrnoException | undefined {
    return this.#socket.writeError;
  }

  /** Sends whole records; a string is a byte string. */
  write(bytes: string | Buffer): void {
    const { trace } = this.#options;
    if (trace !== undefined) traceSent(trace, bytes);
    this.#socket.write(bytes as string, 'latin1');
  }

  /** Sends a record's header and content. @returns false: wait for `drained` */
  writeRecord(header: string, content: Uint8Array | undefined): boolean {
    const socket = this.#socket;
    const { trace } = this.#options;
    if (trace !== undefined) traceSent(trace, header, content);
    if (content === undefined) {
      socket.write(header, 'latin1');
      return true;
    }
    socket.cork();
    socket.write(header, 'latin1');
    socket.write(content);
    socket.uncork();
    return socket.writableLength === 0 || !socket.writableNeedDrain;
  }

  /** What is written from here on leaves together, at `uncork`. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** The limit for connecting was met. */
  connectTimeout(): GatewayError {
    const { address, connectTimeoutMs } = this.#options;
    return connectTimeout(address, connectTimeoutMs, this.#connectTries > 0);
  }

  /** Closes at once; the listener hears nothing more. May be called twice. */
  close(): void {
    this.#state = 'closed';
    this.#options.clock.clearTimer(this.#connectTimer);
    this.#socket.abandon();
  }

  connected(): void {
    this.#state = 'open';
    this.#listener.connected();
  }

  readBuffer(): Buffer {
    return this.input.bytes;
  }

  received(length: number): boolean {
    return this.#listener.received(length);
  }

  drained(): void {
    this.#listener.drained();
  }

  lost(cause: NodeJS.ErrnoException | undefined): void {
    if (this.#state === 'open') this.#listener.lost(cause);
    else if (this.#state === 'connecting')
      this.#failedToConnect(cause ?? new Error('the connection was closed at once'));
  }

  #failedToConnect(cause: NodeJS.ErrnoException): void {
    const { address, clock, random, resolver } = this.#options;
    if (cause.code === 'EAGAIN' && address.kind !== 'tcp') {
      const delayMs = backlogDelaysMs[Math.min(this.#connectTries++, backlogDelaysMs.length - 1)]!;
      // Not alike for all, or they would all come back together.
      this.#connectTimer = clock.setTimer(
        () => {
          this.#socket = new ApplicationSocket(address, this);
        },
        delayMs * (0.75 + random() / 2),
      );
      return;
    }
    resolver?.expire();
    explainConnectError(address, cause, (error) => {
      if (this.#state === 'connecting') this.#listener.connectFailed(error);
    });
  }
}
