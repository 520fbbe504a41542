/**
 * The file that a Filter works on (FastCGI 6.4): opened once, so that its length, its moment and its bytes are of one file,
 * and read at the application's pace. It can be read again for another try.
 */
import { close, fstatSync, read } from 'node:fs';
import { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver, RequestBody } from '../http/message.ts';
import type { FileEntry } from './document-root.ts';
import { openFile } from './open-file.ts';
import { PieceReader, type PieceSource, pieceBytes } from './piece-reader.ts';

export class FilterData implements RequestBody, PieceSource {
  /** Bytes when it was opened. One that shrinks meanwhile is an error and not a shorter file; of one that grows the start is sent. */
  readonly length: number;
  /** Since 1970. */
  readonly modifiedMs: number;
  readonly bytes = undefined;
  readonly replayable = true;
  readonly #path: string;
  readonly #descriptor: number;
  /** The descriptor must outlive them, or they would read whatever gets its number next. */
  #readsUnderWay = 0;
  #isClosed = false;

  /** @throws {GatewayError} as `openFile` */
  constructor(entry: FileEntry) {
    this.#path = entry.path;
    this.#descriptor = openFile(entry);
    const { size, mtimeMs } = fstatSync(this.#descriptor);
    this.length = size;
    this.modifiedMs = mtimeMs;
  }

  read(receiver: BodyReceiver): BodyReader {
    return new PieceReader(this, receiver);
  }

  /** Nothing is called back after `close`. */
  readPiece(position: number, done: (piece: Buffer | GatewayError) => void): void {
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, this.length - position));
    this.#readsUnderWay += 1;
    read(this.#descriptor, piece, 0, piece.length, position, (error, bytes) => {
      this.#readsUnderWay -= 1;
      if (this.#isClosed) this.#closeWhenIdle();
      else if (error === null && bytes > 0) done(piece.subarray(0, bytes));
      else {
        const reason = error?.message ?? `it became shorter than ${this.length} bytes`;
        const message = `File ${this.#path} cannot be read to its end: ${reason}`;
        done(new GatewayError('GW_ERR_INTERNAL', message, { cause: error }));
      }
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#readsUnderWay === 0) close(this.#descriptor, () => {});
  }
}
