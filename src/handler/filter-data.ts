/**
 * The file that a Filter works on (FastCGI 6.4): opened once, so that its length, its moment and its bytes are of one file,
 * and read at the application's pace. It can be read again for another try.
 */
import { close, fstatSync, read } from 'node:fs';
import { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver, RequestBody } from '../http/message.ts';
import type { FileEntry } from './document-root.ts';
import { openFile } from './open-file.ts';

const pieceBytes = 65_536;

export class FilterData implements RequestBody {
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
    return new FilterDataReader(this, receiver);
  }

  /** Gives up to 64 KiB from `position` on to `done`, or the error. Nothing is called back after `close`. */
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

class FilterDataReader implements BodyReader {
  readonly #data: FilterData;
  readonly #receiver: BodyReceiver;
  #position = 0;
  #state: 'reading' | 'waiting' | 'closed' = 'waiting';

  constructor(data: FilterData, receiver: BodyReceiver) {
    this.#data = data;
    this.#receiver = receiver;
    // The receiver is never called before `read` has returned.
    queueMicrotask(() => this.resume());
  }

  resume(): void {
    if (this.#state !== 'waiting') return;
    if (this.#position === this.#data.length) {
      this.#state = 'closed';
      this.#receiver.end();
      return;
    }
    this.#state = 'reading';
    this.#data.readPiece(this.#position, (piece) => {
      if (this.#state === 'closed') return;
      if (piece instanceof GatewayError) {
        this.#state = 'closed';
        this.#receiver.error(piece);
        return;
      }
      this.#position += piece.length;
      this.#state = 'waiting';
      if (this.#receiver.data(piece)) this.resume();
    });
  }

  close(): void {
    this.#state = 'closed';
  }
}
