/**
 * Where the bytes of one socket arrive. Connections with small answers read into one buffer together, since each has
 * done with it before the next one reads; one with large answers gets buffers of its own, and hands them on uncopied.
 */

/** Bytes of a read buffer. */
const readBufferBytes = 65_536;

/** From here on a read is handed over with its buffer; below, copying it is cheaper than a new buffer. */
const handOverBytes = 16_384;

/** A part that is less than a sixteenth of the memory behind it is copied before somebody keeps it. */
const keptShift = 4;

export class ReadBuffer {
  #bytes: Buffer;
  #isOwn: boolean;
  /** Somebody keeps it: the next read needs another one. */
  #isHandedOver = false;
  /** Parts of the last read from this size on may be kept as they are. */
  #keptBytesMin = Number.POSITIVE_INFINITY;

  /** @param shared undefined where the system fills buffers in advance */
  constructor(shared: Buffer | undefined) {
    this.#isOwn = shared === undefined;
    this.#bytes = shared ?? Buffer.allocUnsafeSlow(readBufferBytes);
  }

  /** For the next read. */
  get bytes(): Buffer {
    if (this.#isHandedOver) {
      this.#isHandedOver = false;
      this.#bytes = Buffer.allocUnsafeSlow(readBufferBytes);
    }
    return this.#bytes;
  }

  /** What was read last, to look at until the next read. */
  view(length: number): Buffer {
    this.#keptBytesMin = Number.POSITIVE_INFINITY;
    return this.#view(length);
  }

  #view(length: number): Buffer {
    return this.#bytes.subarray(0, length);
  }

  /** What was read last, with its buffer, for a caller that wants to keep it; undefined when a copy is cheaper. */
  handOver(length: number): Buffer | undefined {
    if (length < handOverBytes) return undefined;
    this.#keptBytesMin = readBufferBytes >> keptShift;
    if (this.#isOwn) {
      this.#isHandedOver = true;
      return this.#view(length);
    }
    // A shared buffer is never handed over: other sockets read into it.
    const read = copy(this.#view(length));
    this.#isOwn = true;
    this.#bytes = Buffer.allocUnsafeSlow(readBufferBytes);
    return read;
  }

  /** What was read last went with its buffer. */
  get isHandedOver(): boolean {
    return this.#isHandedOver;
  }

  /** Nobody needs what was handed over any more: the next read overwrites it. Saves memory that only the garbage collector frees. */
  takeBack(): void {
    this.#isHandedOver = false;
  }

  /** What was read last, for a caller that wants to keep it. */
  take(length: number): Buffer {
    const handedOver = this.handOver(length);
    if (handedOver !== undefined) return handedOver;
    this.#keptBytesMin = length >> keptShift;
    return copy(this.#view(length));
  }

  /**
   * A part of what was read last, for a caller that wants to keep it: itself where it is not much less than the read, else a copy, for a
   * view of a few bytes would keep the whole buffer for as long as somebody needs them.
   */
  keep(part: Buffer): Buffer {
    return part.length >= this.#keptBytesMin ? part : Buffer.from(part);
  }
}

function copy(bytes: Buffer): Buffer {
  const kept = Buffer.allocUnsafe(bytes.length);
  bytes.copy(kept);
  return kept;
}
