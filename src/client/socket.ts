/**
 * A socket to an application, from the web server's side: reads into given buffers, and outlives a failed write.
 */
import { Socket } from 'node:net';
import type { Address } from '../base/address.ts';
import { toSocketOptions } from '../base/address.ts';
import type { Resolver } from './resolver.ts';

/** Hears what happens on a socket. */
export interface SocketListener {
  connected(): void;
  /**
   * Bytes came, in the buffer that `readBuffer` gave last.
   * @returns false to stop reading until `resume`
   */
  received(length: number): boolean;
  /** Where the next bytes shall go. Asked at the start and after each `received`. */
  readBuffer(): Buffer;
  /** Bytes were accepted by the system, and more are welcome. */
  drained(): void;
  /** The peer ended the connection (no cause), or it broke. At most once. */
  lost(cause: NodeJS.ErrnoException | undefined): void;
}

type WriteCallback = (error?: Error | null) => void;

/**
 * Why a subclass: node destroys a socket whose write failed, and drops what the peer had sent. An application that
 * answers without reading its input and closes makes our write fail while its answer waits to be read (F30).
 */
export class ApplicationSocket extends Socket {
  /** Undefined after `abandon`. */
  #listener: SocketListener | undefined;
  /** What the first failed write said; nothing is written after it. */
  writeError: NodeJS.ErrnoException | undefined;
  #written: WriteCallback = ignore;
  /** One for all writes, since a stream has at most one under way. */
  readonly #afterWrite: WriteCallback = (error) => {
    if (error) this.writeError ??= error as NodeJS.ErrnoException;
    else this.#written();
  };

  /** Starts to connect to `address`. */
  constructor(address: Address, listener: SocketListener, resolver?: Resolver) {
    super({
      noDelay: true,
      onread: {
        buffer: () => this.#listener?.readBuffer() ?? noBytes,
        callback: (length: number) => this.#listener?.received(length) ?? false,
      },
    } as ConstructorParameters<typeof Socket>[0]);
    this.#listener = listener;
    this.on('connect', connected).on('drain', drained).on('end', ended).on('error', broke).on('close', ended);
    const options = toSocketOptions(address);
    this.connect(resolver === undefined ? options : { ...options, lookup: resolver.lookup });
  }

  /** Closes for good; the listener hears nothing more. May be called twice. */
  abandon(): void {
    this.#listener = undefined;
    this.destroy();
  }

  /** @internal */
  get listener(): SocketListener | undefined {
    return this.#listener;
  }

  /** @internal */
  lose(cause: NodeJS.ErrnoException | undefined): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.lost(cause);
  }

  override _write(chunk: unknown, encoding: BufferEncoding, callback: WriteCallback): void {
    this.#written = callback;
    super._write(chunk, encoding, this.#afterWrite);
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], callback: WriteCallback): void {
    this.#written = callback;
    super._writev!(chunks, this.#afterWrite);
  }
}

const noBytes = Buffer.alloc(0);

function ignore(): void {}

function connected(this: ApplicationSocket): void {
  this.listener?.connected();
}

function drained(this: ApplicationSocket): void {
  this.listener?.drained();
}

function ended(this: ApplicationSocket): void {
  this.lose(this.writeError);
}

function broke(this: ApplicationSocket, error: NodeJS.ErrnoException): void {
  this.lose(error);
}
