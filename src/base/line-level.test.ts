import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelOfErrorOutput, namedLevel } from './line-level.ts';

test('the level that a line names, as the usual loggers write it', () => {
  for (const [line, level] of [
    ['[28-Nov-2026 12:00:00] NOTICE: ready to handle connections', 'info'],
    ['[28-Nov-2026 12:00:00] WARNING: [pool www] child 7 exited on signal 9 (SIGKILL)', 'warn'],
    ['[28-Nov-2026 12:00:00] ERROR: unable to bind listening socket', 'error'],
    ['[2026-11-28 12:00:00 +0000] [7] [INFO] Listening at: unix:/run/a.sock', 'info'],
    ['2026-11-28 12:00:00,123 DEBUG django.db.backends (0.001) SELECT 1', 'debug'],
    ['WARNING:root:disk is nearly full', 'warn'],
    ['W, [2026-11-28T12:00:00.123456 #7]  WARN -- : slow', 'warn'],
    ['2026/11/28 12:00:00 [crit] 7#0: out of memory', 'error'],
    ['{"level":"info","ts":1795867200,"msg":"an error was repaired"}', 'info'],
    ['time="2026-11-28T12:00:00Z" level=warning msg=slow', 'warn'],
    ['error: no such file', 'error'],
    ['Warning: 3 deprecated options', 'warn'],
    ['panic: runtime error: index out of range', 'error'],
    ['127.0.0.1 - - [28/Nov/2026:12:00:00 +0000] "GET /error?error=1 HTTP/1.1" 404 11 "-" "curl"', 'info'],
    ['::1 - bob [28/Nov/2026:12:00:00 +0000] "PROPFIND / HTTP/1.1" 500 - 0.0012', 'warn'],
  ] as const) {
    assert.equal(namedLevel(line), level, line);
  }
});

test('a line that names none: trouble is a warning, and the rest is news', () => {
  for (const line of [
    '*** Starting uWSGI 2.0.21-debian (64bit) on [Sat Nov 28 12:00:00 2026] ***',
    'spawned uWSGI worker 1 (pid: 7, cores: 1)',
    '[pid: 7|app: 0|req: 1/1] 127.0.0.1 () {28 vars in 400 bytes} [Sat Nov 28 12:00:00 2026] GET /error?is=error => generated 2 bytes in 0 msecs (HTTP/1.1 200)',
    'mapped 72920 bytes (71 KB) for 1 cores',
    'Server running at unix:/run/app.sock',
  ]) {
    assert.equal(namedLevel(line), undefined, line);
    assert.equal(levelOfErrorOutput(line), 'info', line);
  }
  for (const line of [
    'Traceback (most recent call last):',
    'ValueError: invalid literal for int()',
    "Can't locate CGI/Fast.pm in @INC",
    'app.rb:7: cannot load such file -- fcgi (LoadError)',
    'Segmentation fault (core dumped)',
    'bind(): Permission denied [core/socket.c line 230]',
  ]) {
    assert.equal(levelOfErrorOutput(line), 'warn', line);
  }
});

test('a long line costs no more than a short one says', () => {
  assert.equal(levelOfErrorOutput(`${'a '.repeat(500_000)}error: x`), 'info');
});
