/** A body that lies in a file, read piece by piece at the receiver's pace. */
import { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';

/** Bytes of one piece. */
export const pieceBytes = 65_536;

export interface PieceSource {
  readonly length: number;
  /** Gives up to `pieceBytes` from `position` on, at least one byte, or the error; later, and once. */
  readPiece(position: number, done: (piece: Buffer | GatewayError) => void): void;
}

/** Reads it from the start, at the receiver's pace. */
export class PieceReader implements BodyReader {
  readonly #source: PieceSource;
  readonly #receiver: BodyReceiver;
  #position = 0;
  #state: 'reading' | 'waiting' | 'closed' = 'waiting';

  constructor(source: PieceSource, receiver: BodyReceiver) {
    this.#source = source;
    this.#receiver = receiver;
    // The receiver is never called before `read` has returned.
    queueMicrotask(() => this.resume());
  }

  resume(): void {
    if (this.#state !== 'waiting') return;
    if (this.#position === this.#source.length) {
      this.#state = 'closed';
      this.#receiver.end();
      return;
    }
    this.#state = 'reading';
    this.#source.readPiece(this.#position, (piece) => {
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
