/**
 * STDIN or DATA of one request, between the connection that receives it and the application that reads it.
 * Holds at most 64 KiB and one record's piece; then the connection stops, since records of all its requests come in one order
 * and the alternative is memory without a limit.
 */
import { Readable } from 'node:stream';
import type { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';

/** Bytes kept for an application that does not read, before the connection stops. */
const backlogBytesMax = 65_536;

/** What a kept piece counts besides its bytes, so that pieces of one byte do not take memory without a limit. */
const pieceBytes = 128;

export class RequestInput implements BodyReader {
  readonly #stall: (stalled: boolean) => void;
  #state: 'open' | 'finished' | 'failed' | 'closed';
  #error: GatewayError | undefined;
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #receiver: BodyReceiver | undefined;
  /** The receiver takes bytes. */
  #flows = false;
  #stalled = false;

  /** @param stall tells the connection that this input holds enough (true), or takes bytes again (false) */
  constructor(stall: (stalled: boolean) => void, isEmpty: boolean) {
    this.#stall = stall;
    this.#state = isEmpty ? 'finished' : 'open';
  }

  /** The application's call, at most once: pieces as they come, from now on. */
  read(receiver: BodyReceiver): BodyReader {
    this.#receiver = receiver;
    this.resume();
    return this;
  }

  resume(): void {
    const receiver = this.#receiver;
    if (receiver === undefined || this.#state === 'closed') return;
    this.#flows = true;
    while (this.#flows && this.#backlog.length > 0) {
      const piece = this.#backlog.shift()!;
      this.#backlogBytes -= piece.length + pieceBytes;
      this.#flows = receiver.data(piece);
    }
    if (this.#backlogBytes < backlogBytesMax) this.#setStalled(false);
    if (this.#backlog.length === 0 && this.#state !== 'open') this.#tellEnd(receiver);
  }

  /** Nobody reads what is left. */
  close(): void {
    this.#state = 'closed';
    this.#backlog = [];
    this.#backlogBytes = 0;
    this.#setStalled(false);
  }

  /** The connection's call: more bytes, a view into the chunk that was read. */
  receive(bytes: Buffer): void {
    if (this.#state !== 'open') return;
    // A small view would keep its whole chunk in memory for as long as it waits.
    const piece = bytes.length * 4 < bytes.buffer.byteLength ? Buffer.from(bytes) : bytes;
    if (this.#flows) {
      this.#flows = this.#receiver!.data(piece);
      return;
    }
    this.#backlog.push(piece);
    this.#backlogBytes += piece.length + pieceBytes;
    if (this.#backlogBytes >= backlogBytesMax) this.#setStalled(true);
  }

  /** The connection's call: the stream has ended. */
  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = 'finished';
    if (this.#receiver !== undefined && this.#backlog.length === 0) this.#tellEnd(this.#receiver);
  }

  /** The connection's call: the rest will not come. */
  fail(error: GatewayError): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    this.#error = error;
    this.#backlog = [];
    this.#backlogBytes = 0;
    this.#setStalled(false);
    if (this.#receiver !== undefined) this.#tellEnd(this.#receiver);
  }

  #tellEnd(receiver: BodyReceiver): void {
    this.#state = 'closed';
    if (this.#error === undefined) receiver.end();
    else receiver.error(this.#error);
  }

  #setStalled(stalled: boolean): void {
    if (this.#stalled === stalled) return;
    this.#stalled = stalled;
    this.#stall(stalled);
  }
}

/** An input as a node stream. */
export class InputStream extends Readable {
  readonly #input: RequestInput;
  #reads = false;

  constructor(input: RequestInput) {
    super();
    this.#input = input;
    // An application that never looks at its input must not die of the abort; a reader still gets the error.
    this.on('error', () => {});
  }

  override _read(): void {
    if (this.#reads) {
      this.#input.resume();
      return;
    }
    this.#reads = true;
    this.#input.read({
      data: (chunk) => this.push(chunk),
      end: () => void this.push(null),
      error: (error) => void this.destroy(error),
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#input.close();
    done(error);
  }
}
