import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everyChunking } from '../../test/support/every-chunking.ts';
import { TerminalText } from './terminal-text.ts';

test('the same text, however it is cut', () => {
  everyChunking(Buffer.from('a: b\r\n\r\nä\u202e\r\r\n\r', 'utf8'), (feed, name) => {
    const terminal = new TerminalText();
    let text = '';
    feed((chunk) => {
      text += terminal.read(chunk);
    });
    assert.equal(text + terminal.end(), 'a: b\n\nä\u202e\r\n\r', name);
  });
});

test('bytes that are no UTF-8 are shown as such', () => {
  const terminal = new TerminalText();
  assert.equal(
    terminal.read(Uint8Array.of(0x61, 0x9b)) + terminal.read(Uint8Array.of(0xc3)) + terminal.end(),
    'a��',
  );
});
