import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../test/support/random.ts';
import { PieceList } from './piece-list.ts';

/** Bytes of memory behind pieces: what a Buffer itself takes, and all that it looks into, once. */
function memoryOf(pieces: readonly Buffer[]): number {
  const buffers = new Set(pieces.map(({ buffer }) => buffer));
  return pieces.length * 128 + [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function drain(list: PieceList): Buffer[] {
  const pieces: Buffer[] = [];
  for (let piece = list.shift(); piece !== undefined; piece = list.shift()) pieces.push(piece);
  return pieces;
}

/** A few bytes of a large read. */
const view = (bytes: number) => Buffer.allocUnsafeSlow(65_536).subarray(7, 7 + bytes);

test('what comes in one piece, or in large ones, is not copied', () => {
  const list = new PieceList();
  const one = Buffer.from('a');
  list.push(one);
  assert.equal(list.takeAll(), one);
  const large = [Buffer.allocUnsafeSlow(1024), Buffer.allocUnsafeSlow(65_536)];
  for (const piece of large) list.push(piece);
  assert.equal(list.bytes, 1024 + 65_536);
  const pieces = drain(list);
  assert.equal(pieces[0], large[0]);
  assert.equal(pieces[1], large[1]);
  assert.deepEqual([list.bytes, list.isEmpty, list.shift(), list.takeAll().length], [0, true, undefined, 0]);
});

for (const [what, sizes] of [
  ['bytes one by one', [1]],
  ['a few at a time', [3, 17, 100]],
  ['small and large in turn', [1, 16_384]],
  ['small between pieces that are just large enough', [1, 1024]],
  ['parts of large reads', [1000, 5000, 16_000]],
] as const) {
  test(`memory stays near the bytes that wait: ${what}`, () => {
    const list = new PieceList();
    for (let count = 0; list.bytes < 50_000; count++) {
      const size = sizes[count % sizes.length]!;
      list.push(size >= 1024 && size !== 5000 && size !== 16_000 ? Buffer.allocUnsafeSlow(size) : view(size));
    }
    const { bytes } = list;
    const memory = memoryOf(drain(list));
    // Besides the first piece, which keeps what it looks into.
    assert.ok(memory < 65_536 + bytes * 2, `${memory} bytes of memory for ${bytes}`);
  });
}

test('whatever the pieces, and whenever some are taken, the bytes and their order stay', () => {
  const random = createRandom(1);
  for (let round = 0; round < 50; round++) {
    const list = new PieceList();
    const put: Buffer[] = [];
    const got: Buffer[] = [];
    let next = 0;
    for (let step = 0; step < 60; step++) {
      const size = Math.floor(random() ** 6 * 20_000);
      const piece = Buffer.allocUnsafe(size);
      for (let at = 0; at < size; at++) piece[at] = next++;
      list.push(piece);
      put.push(Buffer.from(piece));
      if (random() < 0.4) got.push(list.shift() ?? Buffer.alloc(0));
    }
    const left = list.bytes;
    const rest = random() < 0.5 ? [list.takeAll()] : drain(list);
    assert.equal(Buffer.concat(rest).length, left);
    assert.ok(Buffer.concat([...got, ...rest]).equals(Buffer.concat(put)), `round ${round}`);
    assert.equal(list.isEmpty, true);
  }
});
