import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginsPhpMessage, endsPhpMessage, parsePhpMessage, splitPhpLine } from './php-message.ts';

test('severity, text, file and line', () => {
  assert.deepEqual(
    parsePhpMessage('PHP Warning:  Undefined variable $a in b in /srv/my site/i.php on line 12'),
    {
      severity: 'Warning',
      level: 'warn',
      text: 'Undefined variable $a in b',
      trace: [],
      file: '/srv/my site/i.php',
      line: 12,
    },
  );
});

test('the trace of an uncaught exception, whose text has two lines, is apart', () => {
  // As PHP 8.2 prints it.
  const message = `PHP Fatal error:  Uncaught Exception: bad
next in /srv/err.php:7
Stack trace:
#0 /srv/err.php(8): f('x')
#1 {main}
  thrown in /srv/err.php on line 7`;
  assert.deepEqual(parsePhpMessage(message), {
    severity: 'Fatal error',
    level: 'error',
    text: 'Uncaught Exception: bad next',
    trace: ["#0 /srv/err.php(8): f('x')", '#1 {main}'],
    file: '/srv/err.php',
    line: 7,
  });
});

test('each severity has a level', () => {
  const levelOf = (severity: string) => parsePhpMessage(`PHP ${severity}:  x in /a on line 1`)?.level;
  assert.deepEqual(
    ['Parse error', 'Recoverable fatal error', 'Notice', 'Deprecated', 'Startup', 'Nonsense'].map(levelOf),
    ['error', 'error', 'info', 'info', undefined, undefined],
  );
});

test('a line of php-fpm is its messages', () => {
  assert.deepEqual(
    splitPhpLine(
      'end in /a on line 1; PHP message: PHP Notice:  a; b in /c on line 2; PHP message: own words',
    ),
    ['end in /a on line 1', 'PHP Notice:  a; b in /c on line 2', 'own words'],
  );
  assert.deepEqual(splitPhpLine('own; words'), ['own; words']);
});

test('what a program wrote by itself is no message of PHP', () => {
  for (const line of ['PHP is fine', 'warning: x', ' PHP Warning:  x', 'PHP Nonsense:  x']) {
    assert.equal(beginsPhpMessage(line), false, line);
    assert.equal(parsePhpMessage(`${line} in /a on line 1`), undefined, line);
  }
  assert.equal(beginsPhpMessage('PHP Notice:  first line'), true);
  assert.equal(endsPhpMessage('PHP Notice:  first line'), false);
  assert.equal(endsPhpMessage('last in /a b on line 3'), true);
});

test('S29: the time for a message grows with its length, however often ` in /` is in it', () => {
  const times = [20_000, 200_000].map((count) => {
    const hostile = `PHP Warning:  x${' in /'.repeat(count)}`;
    const began = process.cpuUsage();
    assert.equal(parsePhpMessage(hostile), undefined);
    assert.equal(parsePhpMessage(`${' in a'.repeat(count)} on line 1`), undefined);
    const { user, system } = process.cpuUsage(began);
    return user + system;
  });
  // With the square of its length the second would be some 100 s.
  assert.ok(times[1]! < 3_000_000, `${times.join(' and ')} µs`);
});
