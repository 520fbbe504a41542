import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptsCoding } from './accept-encoding.ts';

test('a coding is listed, by name or by star, with a weight above 0', () => {
  const accepts = (value: string, coding = 'gzip') => acceptsCoding(['Accept-Encoding', value], coding);
  for (const value of ['gzip', 'br, GZIP', 'gzip;q=0.1', 'x-gzip', '*', 'br;q=0, *;q=0.5', 'gzip ; q=1']) {
    assert.ok(accepts(value), value);
  }
  for (const value of ['', 'br', 'gzip;q=0', 'gzip; q=0.000', '*;q=0', 'gzip;q=0, *', 'gzipped']) {
    assert.ok(!accepts(value), value);
  }
  assert.ok(accepts('br', 'br'));
  assert.ok(!acceptsCoding([], 'gzip'));
});
