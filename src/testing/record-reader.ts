/**
 * Reads FastCGI records plainly, for tests of either side: all input in one buffer, nothing shared with the parser
 * that Fastway itself uses (FastCGI 3.3).
 */

export interface ReadRecord {
  readonly version: number;
  readonly type: number;
  readonly requestId: number;
  readonly content: Buffer;
}

export class RecordReader {
  #input: Buffer = Buffer.alloc(0);

  /** The records that are whole now. */
  push(chunk: Uint8Array): ReadRecord[] {
    this.#input = Buffer.concat([this.#input, chunk]);
    const records: ReadRecord[] = [];
    while (this.#input.length >= 8) {
      const length = this.#input.readUInt16BE(4);
      const size = 8 + length + this.#input[6]!;
      if (this.#input.length < size) break;
      records.push({
        version: this.#input[0]!,
        type: this.#input[1]!,
        requestId: this.#input.readUInt16BE(2),
        content: this.#input.subarray(8, 8 + length),
      });
      this.#input = this.#input.subarray(size);
    }
    return records;
  }

  /** Bytes of a record that is not whole. */
  get rest(): number {
    return this.#input.length;
  }
}

/** Name-value pairs of a whole content (FastCGI 3.4). @throws {RangeError} a length passes the end */
export function readPairs(bytes: Buffer): Map<string, string> {
  const pairs = new Map<string, string>();
  let at = 0;
  const readLength = (): number => {
    const isLong = bytes.readUInt8(at) > 127;
    const length = isLong ? bytes.readUInt32BE(at) - 2 ** 31 : bytes.readUInt8(at);
    at += isLong ? 4 : 1;
    return length;
  };
  while (at < bytes.length) {
    const nameLength = readLength();
    const valueLength = readLength();
    const end = at + nameLength + valueLength;
    if (end > bytes.length) throw new RangeError(`A pair needs ${end} bytes, and there are ${bytes.length}`);
    pairs.set(bytes.toString('latin1', at, at + nameLength), bytes.toString('latin1', at + nameLength, end));
    at = end;
  }
  return pairs;
}
