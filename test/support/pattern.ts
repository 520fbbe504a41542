/**
 * The bytes that the test applications' `/download` sends and that big uploads carry: blocks of 64 KiB, each with its
 * number in front, so that a lost, repeated or moved block changes the digest.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

const blockBytes = 65_536;
const filler = Buffer.from('0123456789abcdef'.repeat(blockBytes / 16)).subarray(11);

export function* patternBlocks(bytes: number): Generator<Buffer> {
  for (let number = 0; bytes > 0; number++, bytes -= blockBytes) {
    const block = Buffer.concat([Buffer.from(`${String(number).padStart(10, '0')}\n`), filler]);
    yield bytes < blockBytes ? block.subarray(0, bytes) : block;
  }
}

export function patternStream(bytes: number): Readable {
  return Readable.from(patternBlocks(bytes), { objectMode: false, highWaterMark: 4 * blockBytes });
}

export function patternDigest(bytes: number): string {
  const hash = createHash('sha256');
  for (const block of patternBlocks(bytes)) hash.update(block);
  return hash.digest('hex');
}
