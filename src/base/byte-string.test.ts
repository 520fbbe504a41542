import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toByteString, toText } from './byte-string.ts';

test('text is UTF-8, one unit a byte, and comes back', () => {
  for (const [text, bytes] of [
    ['', ''],
    ['/index.php\0', '/index.php\0'],
    ['é', '\xc3\xa9'],
    ['a€𝄞', 'a\xe2\x82\xac\xf0\x9d\x84\x9e'],
  ] as const) {
    assert.equal(toByteString(text), bytes);
    assert.equal(toText(bytes), text);
  }
  assert.equal(toText('\xff'), '\ufffd');
});
