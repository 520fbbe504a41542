/**
 * Fuzz of name-value pairs. Invariants: pairs that were encoded decode to themselves in any chunks; any bytes parse or
 * throw ProtocolError and nothing else, and give what a plain reader of the whole input gives.
 */
import assert from 'node:assert/strict';
import { ProtocolError } from '../../src/base/errors.ts';
import { encodePairs, NameValueParser } from '../../src/protocol/name-value.ts';
import { createRandom } from '../support/random.ts';
import { type Random, randomBytes } from './random-bytes.ts';

/** Small, so that lengths above it are often met. */
const bytesMax = 2_000;

/** @param rounds inputs to try; each costs well below a millisecond */
export function fuzz(seed: number, rounds: number): void {
  const random = createRandom(seed);
  for (let round = 0; round < rounds; round++) {
    const place = `seed ${seed}, round ${round}`;
    const pairs = randomPairs(random);
    const encoded = Buffer.from(encodePairs(pairs), 'latin1');
    assert.deepEqual(readChunked(encoded, random), { pairs, ending: 'whole' }, place);

    const input = random() < 0.5 ? randomBytes(random, 300) : damaged(encoded, random);
    assert.deepEqual(readChunked(input, random), readPlainly(input), `${place}: ${input.toString('hex')}`);
  }
}

interface Reading {
  readonly pairs: string[];
  readonly ending: 'whole' | 'cut' | 'refused';
}

/** The straightforward reader: the whole input at once, pair by pair. */
function readPlainly(input: Buffer): Reading {
  const pairs: string[] = [];
  let at = 0;
  while (at < input.length) {
    const lengths: number[] = [];
    for (let i = 0; i < 2; i++) {
      if (at >= input.length) return { pairs, ending: 'cut' };
      const width = input[at]! < 128 ? 1 : 4;
      if (at + width > input.length) return { pairs, ending: 'cut' };
      lengths.push(width === 1 ? input[at]! : input.readUInt32BE(at) - 2 ** 31);
      at += width;
    }
    const [nameLength, valueLength] = lengths as [number, number];
    if (nameLength + valueLength > bytesMax) return { pairs, ending: 'refused' };
    if (at + nameLength + valueLength > input.length) return { pairs, ending: 'cut' };
    pairs.push(input.toString('latin1', at, at + nameLength));
    at += nameLength;
    pairs.push(input.toString('latin1', at, at + valueLength));
    at += valueLength;
  }
  return { pairs, ending: 'whole' };
}

function readChunked(input: Buffer, random: Random): Reading {
  const pairs: string[] = [];
  const parser = new NameValueParser((name, value) => pairs.push(name, value), bytesMax);
  const longest = 1 + Math.floor(random() * 200);
  try {
    for (let at = 0; at < input.length; ) {
      const chunk = Buffer.from(input.subarray(at, at + 1 + Math.floor(random() * longest)));
      at += chunk.length;
      parser.push(chunk);
      chunk.fill(0xee);
    }
  } catch (error) {
    assert.ok(error instanceof ProtocolError, `not our error: ${error}`);
    return { pairs, ending: 'refused' };
  }
  try {
    parser.end();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, `not our error: ${error}`);
    return { pairs, ending: 'cut' };
  }
  return { pairs, ending: 'whole' };
}

function randomPairs(random: Random): string[] {
  const lengths = [0, 1, 5, 126, 127, 128, 129, 400];
  return Array.from({ length: 2 * Math.floor(random() * 5) }, () =>
    Array.from({ length: lengths[Math.floor(random() * lengths.length)]! }, () =>
      String.fromCharCode(Math.floor(random() * 256)),
    ).join(''),
  );
}

function damaged(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length > 0) copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256);
  return copy.subarray(0, Math.floor(random() * (copy.length + 1)));
}
