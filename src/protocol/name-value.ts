/**
 * Name-value pairs (FastCGI 3.4), the content of PARAMS, GET_VALUES and GET_VALUES_RESULT. From either side.
 * Names and values are byte strings. A length up to 127 is one byte, a longer one four with the high bit set.
 */
import { ProtocolError } from '../base/errors.ts';

/**
 * Most bytes of a pair that we send, lengths not counted. PHP breaks the connection when a pair lies in two
 * PARAMS records, so each pair has to fit into one (65 535 bytes).
 */
export const pairBytesMax = 65_000;

/** Most bytes of a pair that we take when the reader gives no limit of its own. */
const receivedPairBytesMax = 1_048_576;

/** Bytes of a pair on the wire. */
export function pairLength(name: string, value: string): number {
  return (name.length < 128 ? 1 : 4) + (value.length < 128 ? 1 : 4) + name.length + value.length;
}

/** Two lengths that fit into a byte each, as made before; by the first times 128 and the second. */
const shortLengths: (string | undefined)[] = new Array(128 * 128);

/** The lengths of a name and its value, each as a byte string of one or four bytes. */
export function encodeLengths(name: number, value: number): string {
  if (name >= 128 || value >= 128) return encodeLength(name) + encodeLength(value);
  const index = name * 128 + value;
  shortLengths[index] ??= String.fromCharCode(name, value);
  return shortLengths[index];
}

function encodeLength(length: number): string {
  return length < 128
    ? String.fromCharCode(length)
    : String.fromCharCode(
        (length >>> 24) | 0x80,
        (length >>> 16) & 0xff,
        (length >>> 8) & 0xff,
        length & 0xff,
      );
}

/**
 * One pair as a byte string.
 * @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE, which names the variable
 */
function encodePair(name: string, value: string): string {
  const { length } = name;
  if (length + value.length > pairBytesMax) throw tooLarge(name, value);
  return encodeLengths(length, value.length) + name + value;
}

/**
 * Pairs of a flat list (name, value, name, value ...), of any total length.
 * @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE
 */
export function encodePairs(pairs: readonly string[]): string {
  let bytes = '';
  for (let i = 0; i < pairs.length; i += 2) bytes += encodePair(pairs[i]!, pairs[i + 1]!);
  return bytes;
}

/**
 * Pairs of a whole content as a flat list (name, value, name, value ...).
 * @throws {ProtocolError} GW_ERR_PROTOCOL_NAME_VALUE: a length passes the content's end
 */
export function decodePairs(content: Uint8Array): string[] {
  const pairs: string[] = [];
  const parser = new NameValueParser((name, value) => pairs.push(name, value), content.length);
  parser.push(content);
  parser.end();
  return pairs;
}

/**
 * Splits a stream into pairs, whatever the chunking: a pair may lie in several records, as the specification allows.
 * Holds at most one partial pair. Nothing it was given is kept.
 */
export class NameValueParser {
  readonly #pair: (name: string, value: string) => void;
  readonly #bytesMax: number;
  #partial: Buffer = Buffer.alloc(0);
  #partialBytes = 0;
  /** Bytes that the partial pair needs before it is worth another look. */
  #needed = 1;

  /** @param bytesMax the limit of name and value together */
  constructor(pair: (name: string, value: string) => void, bytesMax: number = receivedPairBytesMax) {
    this.#pair = pair;
    this.#bytesMax = bytesMax;
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_NAME_VALUE: a pair is above the limit */
  push(bytes: Uint8Array): void {
    if (this.#partialBytes === 0) {
      this.#keep(bytes, this.#parse(toBuffer(bytes)));
      return;
    }
    this.#keep(bytes, 0);
    if (this.#partialBytes < this.#needed) return;
    const partial = this.#partial.subarray(0, this.#partialBytes);
    const parsed = this.#parse(partial);
    if (parsed > 0) {
      this.#partialBytes = 0;
      this.#partial = Buffer.alloc(0);
      this.#keep(partial, parsed);
    }
  }

  /** @throws {ProtocolError} GW_ERR_PROTOCOL_NAME_VALUE: the stream ends inside a pair */
  end(): void {
    if (this.#partialBytes > 0) {
      throw new ProtocolError(
        'GW_ERR_PROTOCOL_NAME_VALUE',
        `The name-value pairs end after ${this.#partialBytes} bytes of a pair that needs at least ${this.#needed}`,
      );
    }
  }

  /** Reads whole pairs and returns how many bytes they took. */
  #parse(bytes: Buffer): number {
    let start = 0;
    for (;;) {
      let at = start;
      const nameLength = readLength(bytes, at);
      if (nameLength >= 0) at += bytes[at]! < 128 ? 1 : 4;
      const valueLength = nameLength >= 0 ? readLength(bytes, at) : -1;
      if (valueLength < 0) {
        this.#needed = bytes.length - start + 1;
        return start;
      }
      at += bytes[at]! < 128 ? 1 : 4;
      if (nameLength + valueLength > this.#bytesMax) {
        throw new ProtocolError(
          'GW_ERR_PROTOCOL_NAME_VALUE',
          `A name-value pair has ${nameLength} + ${valueLength} bytes, and ${this.#bytesMax} are allowed`,
        );
      }
      const end = at + nameLength + valueLength;
      if (end > bytes.length) {
        this.#needed = end - start;
        return start;
      }
      const name = bytes.toString('latin1', at, at + nameLength);
      start = end;
      this.#pair(name, bytes.toString('latin1', at + nameLength, end));
    }
  }

  #keep(bytes: Uint8Array, from: number): void {
    const added = bytes.length - from;
    if (added === 0) return;
    const total = this.#partialBytes + added;
    if (total > this.#partial.length) {
      // Doubled, so that a peer who sends a large pair byte by byte costs linear work.
      const larger = Buffer.allocUnsafe(Math.max(total, this.#partial.length * 2));
      this.#partial.copy(larger, 0, 0, this.#partialBytes);
      this.#partial = larger;
    }
    this.#partial.set(from === 0 ? bytes : bytes.subarray(from), this.#partialBytes);
    this.#partialBytes = total;
  }
}

/** The length that starts at `at`, or -1 while its bytes are incomplete. */
function readLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at];
  if (first === undefined) return -1;
  if (first < 128) return first;
  if (at + 4 > bytes.length) return -1;
  return (first & 0x7f) * 0x1000000 + bytes[at + 1]! * 0x10000 + bytes[at + 2]! * 0x100 + bytes[at + 3]!;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Also used by the encoder, which inlines `encodePair`. */
export function tooLarge(name: string, value: string): ProtocolError {
  return new ProtocolError(
    'GW_ERR_PROTOCOL_PAIR_TOO_LARGE',
    `Variable ${JSON.stringify(name.slice(0, 64))} has ${name.length + value.length} bytes with its name, ` +
      `and a FastCGI application takes ${pairBytesMax}`,
  );
}
