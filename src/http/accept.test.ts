import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptsCoding, acceptsHtml, weightOf } from './accept.ts';

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

test('HTML is listed, by name or by a range, with a weight above 0; the most specific decides', () => {
  const accepts = (value: string) => acceptsHtml(['Accept', value]);
  for (const value of [
    'text/html',
    'TEXT/HTML;level=1',
    'text/*',
    'image/png, */*;q=0.1',
    'application/xhtml+xml',
  ])
    assert.ok(accepts(value), value);
  for (const value of ['', 'application/json', 'text/html;q=0', 'text/html;q=0, */*', '*/*;q=0.0'])
    assert.ok(!accepts(value), value);
  assert.ok(acceptsHtml([]));
});

test('the weight of what is listed: the greatest of the first name that is there', () => {
  assert.equal(weightOf('a;q=0.3, b, A;v=1;q=0.7', ['a']), 0.7);
  assert.equal(weightOf('a, *;q=0.5', ['b', '*']), 0.5);
  assert.equal(weightOf('a;q=nonsense', ['a']), 0);
  assert.equal(weightOf('a', ['b']), undefined);
});
