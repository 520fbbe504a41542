/**
 * Fuzz of the record parser. Invariant: any bytes, in any chunks, parse or throw ProtocolError and nothing else, and
 * what is heard is what a plain reader of the whole input hears.
 */
import assert from 'node:assert/strict';
import { ProtocolError } from '../../src/base/errors.ts';
import { RecordParser } from '../../src/protocol/record-parser.ts';
import { createRandom } from '../support/random.ts';
import { type Random, randomBytes } from './random-bytes.ts';

/** @param rounds inputs to try; each costs well below a millisecond */
export function fuzz(seed: number, rounds: number): void {
  const random = createRandom(seed);
  for (let round = 0; round < rounds; round++) {
    const input = random() < 0.2 ? randomBytes(random, 200) : almostRecords(random);
    const expected = readPlainly(input);
    const actual = readChunked(input, random);
    assert.deepEqual(actual, expected, `seed ${seed}, round ${round}: ${input.toString('hex')}`);
  }
}

interface Reading {
  /** Streams by type and id, and whole records, in order; a stream's end as `end`. */
  readonly heard: string[];
  readonly broken: boolean;
}

/** The straightforward reader: the whole input at once, record by record. */
function readPlainly(input: Buffer): Reading {
  const heard: string[] = [];
  let at = 0;
  while (at < input.length) {
    if (input[at] !== 1) return { heard, broken: true };
    if (at + 8 > input.length) break;
    const type = input[at + 1]!;
    const id = input.readUInt16BE(at + 2);
    const length = input.readUInt16BE(at + 4);
    const padding = input[at + 6]!;
    const content = input.subarray(at + 8, at + 8 + length);
    if (type >= 4 && type <= 8) {
      if (length === 0) heard.push(`${type}/${id} end`);
      else for (const byte of content) heard.push(`${type}/${id} ${byte}`);
    } else if (at + 8 + length + padding <= input.length) {
      heard.push(`${type}/${id} whole ${content.toString('hex')}`);
    }
    at += 8 + length + padding;
  }
  return { heard, broken: false };
}

function readChunked(input: Buffer, random: Random): Reading {
  const heard: string[] = [];
  const parser = new RecordParser({
    stream(type, id, bytes) {
      if (bytes.length === 0) heard.push(`${type}/${id} end`);
      for (const byte of bytes) heard.push(`${type}/${id} ${byte}`);
    },
    record: (type, id, content) => heard.push(`${type}/${id} whole ${content.toString('hex')}`),
  });
  const longest = 1 + Math.floor(random() * 40);
  for (let at = 0; at < input.length; ) {
    const chunk = Buffer.from(input.subarray(at, at + 1 + Math.floor(random() * longest)));
    at += chunk.length;
    try {
      parser.push(chunk);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, `not our error: ${error}`);
      return { heard, broken: true };
    }
    chunk.fill(0xee);
  }
  return { heard, broken: false };
}

/** Records with mostly sound headers, a few bytes changed, perhaps cut. */
function almostRecords(random: Random): Buffer {
  const parts: Buffer[] = [];
  for (let count = Math.floor(random() * 6); count >= 0; count--) {
    const content = randomBytes(random, 30);
    const padding = random() < 0.5 ? 0 : Math.floor(random() * 9);
    const type = random() < 0.9 ? Math.floor(random() * 13) : Math.floor(random() * 256);
    const id = random() < 0.7 ? 1 : Math.floor(random() * 65_536);
    parts.push(Buffer.from([1, type, id >> 8, id & 255, 0, content.length, padding, 0]));
    parts.push(content, Buffer.alloc(padding));
  }
  const bytes = Buffer.concat(parts);
  if (random() < 0.3) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
  return random() < 0.3 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes;
}
