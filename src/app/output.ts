/**
 * What an application sends on one connection: records of all its requests, in the order of the calls.
 * What is written in one turn of the event loop leaves in one write to the socket, so that a small answer, or the small
 * answers of many requests, cost one system call.
 */
import type { Socket } from 'node:net';
import { contentBytesMax } from '../protocol/constants.ts';
import { printHeader } from '../protocol/record-encoder.ts';

/** Bytes that wait for the end of the turn; more is written at once. */
const pendingBytesMax = 65_536;

/** Pieces from this size on are handed to the socket as they are; smaller ones are cheaper to copy together. */
const copiedBytesMax = 16_384;

export class ConnectionOutput {
  readonly #socket: Socket;
  /** Strings are byte strings. */
  #pending: (string | Uint8Array)[] = [];
  #pendingBytes = 0;
  #hasBytes = false;
  #isLarge = false;
  #flushIsDue = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** True: somebody who has much to write waits until the socket drains. */
  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Whole records, as a byte string. */
  records(text: string): void {
    this.#add(text);
    this.#schedule();
  }

  /**
   * A piece of a stream, not empty; bytes must not change until the turn ends, large ones until the socket drained.
   * @returns false when the socket holds enough
   */
  stream(type: number, requestId: number, piece: Uint8Array): boolean {
    for (let start = 0; start < piece.length; start += contentBytesMax) {
      const content =
        piece.length <= contentBytesMax ? piece : piece.subarray(start, start + contentBytesMax);
      this.#add(printHeader(type, requestId, content.length));
      this.#pending.push(content);
      this.#pendingBytes += content.length;
      this.#hasBytes = true;
    }
    if (piece.length > copiedBytesMax) this.#isLarge = true;
    this.#schedule();
    return !this.isFull;
  }

  /** As `stream`, for a byte string that fits into one record. */
  streamText(type: number, requestId: number, text: string): boolean {
    this.#add(printHeader(type, requestId, text.length) + text);
    this.#schedule();
    return !this.isFull;
  }

  /** Writes now what waited for the end of the turn. */
  flush(): void {
    const pending = this.#pending;
    const bytes = this.#pendingBytes;
    if (bytes === 0) return;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (!this.#hasBytes)
      this.#socket.write(pending.length === 1 ? (pending[0] as string) : pending.join(''), 'latin1');
    else if (this.#isLarge) this.#writeEach(pending);
    else this.#socket.write(join(pending, bytes));
    this.#hasBytes = false;
    this.#isLarge = false;
  }

  /** The end of the turn. */
  flushAtEndOfTurn(): void {
    this.#flushIsDue = false;
    this.flush();
  }

  #add(text: string): void {
    this.#pending.push(text);
    this.#pendingBytes += text.length;
  }

  #schedule(): void {
    if (this.#pendingBytes >= pendingBytesMax) {
      this.flush();
    } else if (!this.#flushIsDue) {
      this.#flushIsDue = true;
      process.nextTick(flushLater, this);
    }
  }

  #writeEach(pieces: readonly (string | Uint8Array)[]): void {
    this.#socket.cork();
    for (const piece of pieces) {
      if (typeof piece === 'string') this.#socket.write(piece, 'latin1');
      else this.#socket.write(piece);
    }
    this.#socket.uncork();
  }
}

function flushLater(output: ConnectionOutput): void {
  output.flushAtEndOfTurn();
}

function join(pieces: readonly (string | Uint8Array)[], bytes: number): Buffer {
  const joined = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      at += joined.write(piece, at, 'latin1');
    } else {
      joined.set(piece, at);
      at += piece.length;
    }
  }
  return joined;
}
