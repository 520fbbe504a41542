import assert from 'node:assert/strict';
import { test } from 'node:test';
import { escapeControls, escapeJson, escapeText } from './escape.ts';

test('controls, C1 controls, separators of lines and marks of direction', () => {
  assert.equal(escapeControls('a\0\x1b[m\x7f\x80\x9f\xa0ä'), 'a\\x00\\x1b[m\\x7f\\x80\\x9f\xa0ä');
  assert.equal(
    escapeControls('\u2028\u2029\u202a\u202e\u2066\u2069'),
    '\\u2028\\u2029\\u202a\\u202e\\u2066\\u2069',
  );
  assert.equal(
    escapeControls('\u200e\u200f\u061c\ufeff\u2027\u202f'),
    '\\u200e\\u200f\\u061c\\ufeff\u2027\u202f',
  );
  assert.equal(escapeControls('\t\n\r'), '\\x09\\x0a\\x0d');
});

test('text of several lines keeps its lines and tabs', () => {
  assert.equal(escapeText('a\tb\r\n\x9b'), 'a\tb\\x0d\n\\x9b');
});

test('JSON keeps its meaning', () => {
  const value = { 'n\u202e': 'a\x00\x7f\x9b\u2028\ufeff\n' };
  const json = escapeJson(JSON.stringify(value, null, 2));
  assert.doesNotMatch(json, /[^\n\x20-\x7e]/);
  assert.deepEqual(JSON.parse(json), value);
});
