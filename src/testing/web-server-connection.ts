/** One connection of a played web server to the application under test: sends any bytes, keeps all that comes back. */
import { connect, type Socket } from 'node:net';
import { type Address, toSocketOptions } from '../base/address.ts';
import { type ReadRecord, RecordReader } from './record-reader.ts';

export interface EndOfRequest {
  readonly appStatus: number;
  readonly protocolStatus: number;
}

export class WebServerConnection {
  readonly #socket: Socket;
  readonly #reader = new RecordReader();
  readonly #timeoutMs: number;
  readonly records: ReadRecord[] = [];
  /** The application ended or broke the connection. */
  isClosed = false;
  #isConnected = false;
  #error = '';
  #wake: () => void = () => {};

  /** @param timeoutMs the longest wait for anything */
  constructor(address: Address, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#socket = connect({ ...toSocketOptions(address), allowHalfOpen: true });
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => {
      this.records.push(...this.#reader.push(chunk));
      this.#wake();
    });
    const closed = () => {
      this.isClosed = true;
      this.#wake();
    };
    this.#socket.on('connect', () => {
      this.#isConnected = true;
    });
    this.#socket.on('end', closed).on('close', closed);
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message;
      closed();
    });
  }

  send(...bytes: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(bytes));
  }

  /** In writes of one byte. */
  async sendByteByByte(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) {
      if (this.isClosed) return;
      await new Promise<void>((resolve) =>
        this.#socket.write(Uint8Array.of(byte), () => setImmediate(resolve)),
      );
    }
  }

  /** Waits until something is so; false when the connection closed or the time was up without it. */
  async until(condition: () => boolean): Promise<boolean> {
    const deadline = performance.now() + this.#timeoutMs;
    while (!condition()) {
      const left = deadline - performance.now();
      if (this.isClosed || left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }

  /** Waits for a request's END_REQUEST. */
  async ended(requestId = 1): Promise<boolean> {
    return this.until(() => this.end(requestId) !== undefined);
  }

  /** All bytes of one of a request's streams. */
  stream(type: number, requestId = 1): Buffer {
    return Buffer.concat(
      this.records
        .filter((found) => found.type === type && found.requestId === requestId)
        .map(({ content }) => content),
    );
  }

  /** The last END_REQUEST of a request. */
  end(requestId = 1): EndOfRequest | undefined {
    const found = this.records.findLast((entry) => entry.type === 3 && entry.requestId === requestId);
    if (found === undefined || found.content.length < 5) return undefined;
    return { appStatus: found.content.readUInt32BE(0), protocolStatus: found.content[4]! };
  }

  /** How it stands, for a note. */
  describe(): string {
    if (!this.#isConnected)
      return `it could not be connected to${this.#error === '' ? '' : ` (${this.#error})`}`;
    const count = this.records.length;
    if (this.isClosed)
      return `it closed the connection ${count === 0 ? 'without an answer' : `after ${count} records`}`;
    return count === 0
      ? `no answer within ${this.#timeoutMs} ms`
      : `${count} records came, then nothing for ${this.#timeoutMs} ms`;
  }

  /** No more will be sent. */
  finishSending(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }
}
