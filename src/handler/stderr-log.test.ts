import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everyChunking } from '../../test/support/every-chunking.ts';
import { type Log, type LogFields, silentLog } from '../base/log.ts';
import { StderrLimit, StderrLog, stderrBytesMax, stderrLinesPerSecond } from './stderr-log.ts';

function record(now = () => 0) {
  const lines: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (message, fields) => void lines.push(`${fields?.request} ${message}`),
  };
  const limit = new StderrLimit(now);
  const make = (id = 'r1', failurePattern?: RegExp) =>
    new StderrLog({ log, limit, fields: { request: id, source: 'php' }, failurePattern });
  return { lines, make };
}

test('lines are put together whatever the records, and the last one needs no end', () => {
  const { lines, make } = record();
  const stderr = make();
  for (const piece of ['first wa', 'rning: x\r\n', '\nsecond\nthi', 'rd']) stderr.push(Buffer.from(piece));
  assert.deepEqual(lines, ['r1 first warning: x', 'r1 second']);
  stderr.end();
  stderr.end();
  assert.deepEqual(lines, ['r1 first warning: x', 'r1 second', 'r1 third']);
});

test('the messages that php-fpm puts into one line are apart', () => {
  const { lines, make } = record();
  make().push(Buffer.from('PHP message: one; two; PHP message: three\n'));
  assert.deepEqual(lines, ['r1 one; two', 'r1 three']);
});

test('a message of PHP is one line, with its severity as level, its file and its line', () => {
  const said: unknown[] = [];
  const say = (level: string) => (message: string, fields?: LogFields) => {
    said.push([level, message, fields?.file, fields?.line, fields?.trace]);
  };
  const log: Log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  // What php-fpm 8.2 sends for a notice of two lines, error_log() and an uncaught exception.
  const output = `PHP message: PHP Notice:  note
second line in /srv/a.php on line 3; PHP message: own words; PHP message: PHP Fatal error:  Uncaught Exception: bad in /srv/a.php:7
Stack trace:
#0 /srv/a.php(8): f('x')
#1 {main}
  thrown in /srv/a.php on line 7`;
  everyChunking(Buffer.from(output), (feed) => {
    said.length = 0;
    const fields = { request: 'r1', source: 'php' };
    const stderr = new StderrLog({ log, limit: new StderrLimit(() => 0), fields, failurePattern: undefined });
    feed((chunk) => stderr.push(Buffer.from(chunk)));
    stderr.end();
    assert.deepEqual(said, [
      ['info', 'PHP Notice: note second line', '/srv/a.php', 3, undefined],
      ['warn', 'own words', undefined, undefined, undefined],
      [
        'error',
        'PHP Fatal error: Uncaught Exception: bad',
        '/srv/a.php',
        7,
        "#0 /srv/a.php(8): f('x') | #1 {main}",
      ],
    ]);
  });
});

test('lines of a program that happen to follow an unfinished message are not lost', () => {
  const { lines, make } = record();
  const stderr = make();
  stderr.push(Buffer.from('PHP Warning:  never ends\nown words\nPHP Notice:  x\n'));
  stderr.end();
  assert.deepEqual(lines, ['r1 PHP Warning:  never ends\nown words', 'r1 PHP Notice:  x']);
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
