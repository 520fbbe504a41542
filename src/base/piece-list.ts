/**
 * Bytes that wait, first in, first out, at little more memory than they have bytes, in whatever pieces they came.
 * A small piece is copied behind the one before it: a Buffer of one byte takes more than a hundred, and a view keeps all of
 * the memory that it looks into.
 */

/** Bytes from which on a piece is kept as it is, when it is also a quarter of what it looks into. */
const keptBytesMin = 1024;

/** Bytes of a block that small pieces are copied into: as many as wait already, within these limits. */
const blockBytesMin = 256;
const blockBytesMax = 16_384;

export class PieceList {
  /** Older than what is in the block. */
  #pieces: Buffer[] = [];
  #block: Buffer | undefined;
  #usedBytes = 0;
  #bytes = 0;

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Takes the bytes over. The first is kept as it came, so that what comes in one piece is never copied. */
  push(piece: Uint8Array): void {
    const { length } = piece;
    if (length === 0) return;
    const isKept = this.#bytes === 0 || (length >= keptBytesMin && length * 4 >= piece.buffer.byteLength);
    this.#bytes += length;
    if (isKept) {
      this.#seal();
      this.#pieces.push(asBuffer(piece));
    } else this.#copy(piece);
  }

  /** The oldest piece, the caller's to keep; undefined when nothing waits. */
  shift(): Buffer | undefined {
    if (this.#pieces.length === 0) this.#seal();
    const piece = this.#pieces.shift();
    if (piece !== undefined) this.#bytes -= piece.length;
    return piece;
  }

  /** Everything in one piece, which is copied unless it came so. Nothing waits afterwards. */
  takeAll(): Buffer {
    this.#seal();
    const pieces = this.#pieces;
    const whole = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, this.#bytes);
    this.clear();
    return whole;
  }

  clear(): void {
    this.#pieces = [];
    this.#block = undefined;
    this.#usedBytes = 0;
    this.#bytes = 0;
  }

  #copy(piece: Uint8Array): void {
    for (let start = 0; start < piece.length; ) {
      this.#block ??= Buffer.allocUnsafeSlow(Math.max(blockBytesMin, Math.min(blockBytesMax, this.#bytes)));
      const part = piece.subarray(start, start + this.#block.length - this.#usedBytes);
      this.#block.set(part, this.#usedBytes);
      this.#usedBytes += part.length;
      start += part.length;
      if (this.#usedBytes === this.#block.length) this.#seal();
    }
  }

  /** What is in the block becomes a piece. A block that is mostly empty stays ours, to be filled again. */
  #seal(): void {
    if (this.#usedBytes === 0) return;
    const block = this.#block!;
    const filled = block.subarray(0, this.#usedBytes);
    if (this.#usedBytes * 2 >= block.length) {
      this.#pieces.push(filled);
      this.#block = undefined;
    } else this.#pieces.push(copyAlone(filled));
    this.#usedBytes = 0;
  }
}

/** Not into the pool of small Buffers, whose 64 KiB (from Node 24 on) one of them would keep. */
function copyAlone(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
