import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Log, silentLog } from '../base/log.ts';
import { StderrLimit, StderrLog, stderrBytesMax, stderrLinesPerSecond } from './stderr-log.ts';

function record(now = () => 0) {
  const lines: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (message, fields) => void lines.push(`${fields?.request} ${message}`),
  };
  const limit = new StderrLimit(now);
  return { lines, limit, make: (id = 'r1') => new StderrLog(log, limit, { request: id, source: 'php' }) };
}

test('lines are put together whatever the records, and the last one needs no end', () => {
  const { lines, make } = record();
  const stderr = make();
  for (const piece of ['PHP Wa', 'rning: x\r\n', '\nsecond\nthi', 'rd']) stderr.push(Buffer.from(piece));
  assert.deepEqual(lines, ['r1 PHP Warning: x', 'r1 second']);
  stderr.end();
  stderr.end();
  assert.deepEqual(lines, ['r1 PHP Warning: x', 'r1 second', 'r1 third']);
});

test('the messages that php-fpm puts into one line are apart', () => {
  const { lines, make } = record();
  make().push(Buffer.from('PHP message: one; two; PHP message: three\n'));
  assert.deepEqual(lines, ['r1 PHP message: one; two', 'r1 PHP message: three']);
});

test('a letter of several bytes is whole, though split', () => {
  const { lines, make } = record();
  const stderr = make();
  for (const byte of Buffer.from('Größe\n')) stderr.push(Buffer.of(byte));
  assert.deepEqual(lines, ['r1 Größe']);
});

test('a flood is cut at 8 KiB a request, and what was dropped is counted (T69)', () => {
  const { lines, make } = record();
  const stderr = make();
  const chunk = Buffer.alloc(65_536, 'x');
  for (let i = 0; i < 100; i++) stderr.push(chunk);
  stderr.end();
  assert.equal(lines.length, 2);
  assert.equal(lines[0], `r1 ${'x'.repeat(stderrBytesMax)}`);
  assert.equal(lines[1], `r1 ${100 * 65_536 - stderrBytesMax} more bytes of error output were dropped`);
});

test('a handler logs 100 lines a second, and goes on in the next', () => {
  let now = 5000;
  const { lines, make } = record(() => now);
  const logs = [make('a'), make('b')];
  for (let i = 0; i < 80; i++) for (const log of logs) log.push(Buffer.from('line\n'));
  assert.equal(lines.length, stderrLinesPerSecond);
  now = 6000;
  logs[0]!.push(Buffer.from('later\n'));
  assert.equal(lines.at(-1), 'a later');
});
