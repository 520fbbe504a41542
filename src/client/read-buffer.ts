/**
 * Where the bytes of one socket arrive. Connections with small answers read into one buffer together, since each has
 * done with it before the next one reads; one with large answers gets buffers of its own, and hands them on uncopied.
 */

/** Bytes of a read buffer. */
export const readBufferBytes = 65_536;

/** From here on a read is handed over with its buffer; below, copying it is cheaper than a new buffer. */
const handOverBytes = 16_384;

export class ReadBuffer {
  #bytes: Buffer;
  #isOwn: boolean;
  /** Somebody keeps it: the next read needs another one. */
  #isHandedOver = false;

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
    return this.#bytes.subarray(0, length);
  }

  /** What was read last, with its buffer, for whoever wants to keep it; undefined when a copy is cheaper. */
  handOver(length: number): Buffer | undefined {
    if (length < handOverBytes) return undefined;
    if (this.#isOwn) {
      this.#isHandedOver = true;
      return this.view(length);
    }
    // A shared buffer is never handed over: other sockets read into it.
    const read = copy(this.view(length));
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

  /** What was read last, to be kept by whoever wants to. */
  take(length: number): Buffer {
    return this.handOver(length) ?? copy(this.view(length));
  }
}

function copy(bytes: Buffer): Buffer {
  const kept = Buffer.allocUnsafe(bytes.length);
  bytes.copy(kept);
  return kept;
}
