import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRange } from './ranges.ts';

const ranges = (value: string, size = 100) =>
  parseRange(value, size)?.map(({ first, last }) => `${first}-${last}`);

test('single ranges (RFC 9110 14.1.2)', () => {
  assert.deepEqual(ranges('bytes=0-0'), ['0-0']);
  assert.deepEqual(ranges('bytes=10-19'), ['10-19']);
  assert.deepEqual(ranges('bytes=90-'), ['90-99']);
  assert.deepEqual(ranges('bytes=-10'), ['90-99']);
  assert.deepEqual(ranges('bytes=-1000'), ['0-99']);
  assert.deepEqual(ranges('bytes=95-1000'), ['95-99']);
  assert.deepEqual(ranges('Bytes = 1-2 , '), ['1-2']);
});

test('what cannot be satisfied is an empty list', () => {
  assert.deepEqual(ranges('bytes=100-'), []);
  assert.deepEqual(ranges('bytes=200-300,100-'), []);
  assert.deepEqual(ranges('bytes=-0'), []);
  assert.deepEqual(ranges('bytes=0-', 0), []);
  assert.deepEqual(ranges('bytes=-5', 0), []);
});

test('what is no bytes range is ignored', () => {
  for (const value of [
    '',
    'bytes',
    'bytes=',
    'bytes=,',
    'items=0-1',
    'bytes=a-b',
    'bytes=-',
    'bytes=5-4',
    'bytes=1-2,x',
    'bytes=1 -2',
    'bytes=+1-2',
    'bytes=9999999999999999-',
  ]) {
    assert.equal(ranges(value), undefined, value);
  }
});

test('T73: merged, ascending, at most 16', () => {
  assert.deepEqual(ranges('bytes=50-59,0-9,5-14,15-19'), ['0-19', '50-59']);
  assert.deepEqual(ranges('bytes=0-,-1'), ['0-99']);
  assert.deepEqual(ranges(`bytes=${Array(16).fill('0-').join()}`), ['0-99']);
  assert.equal(ranges(`bytes=${Array(17).fill('0-').join()}`), undefined);
  assert.equal(ranges(`bytes=${Array(1000).fill('0-').join()}`), undefined);
});

test('any field: ascending ranges inside the representation, and together no longer than it', () => {
  const number = fc.option(fc.nat(120), { nil: '' });
  const spec = fc.tuple(number, number).map(([first, last]) => `${first}-${last}`);
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 20 }), fc.nat(110), (specs, size) => {
      let before = -2;
      for (const { first, last } of parseRange(`bytes=${specs.join()}`, size) ?? []) {
        assert.ok(first > before + 1 && last >= first && last < size);
        before = last;
      }
    }),
    { seed: 7, numRuns: 2000 },
  );
});
