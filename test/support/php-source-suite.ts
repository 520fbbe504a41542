/** What every native PHP has to do as a source, whoever runs it: php-fpm or php-cgi. */

import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { largeBytes, testSource } from '../../src/source/source.contract.ts';
import { ask } from './ask.ts';
import { createFileGate } from './file-gate.ts';
import { openPhp, pageRequest, processesWith } from './local-source.ts';
import { groupsOf, groupsOfUser, isAlive } from './process-facts.ts';
import { until } from './until.ts';

const pages = {
  'pid.php': '<?php echo getmypid();',
  'echo.php': `<?php header('X-Sapi: ' . PHP_SAPI); setcookie('a', '1'); setcookie('b', '2'); http_response_code(201);
    echo json_encode(['get' => $_GET, 'post' => $_POST, 'value' => bin2hex($_SERVER['X_BYTES'] ?? '')], JSON_INVALID_UTF8_SUBSTITUTE);`,
  'settings.php': `<?php echo json_encode([ini_get('memory_limit'), ini_get('error_reporting'), ini_get('user_agent'),
    getenv('SITE_MODE'), getenv('OUR_SECRET'), posix_getuid()]);`,
  'gate.php': `<?php file_put_contents($_GET['gate'], "\n", FILE_APPEND);
    while (!file_exists($_GET['gate'] . '.open')) { usleep(5000); clearstatcache(); }`,
  'hello.php': '<?php echo "Hello";',
  'large.php': `<?php echo str_repeat('x', ${largeBytes});`,
  'silent.php': '<?php sleep(300);',
  'broken.php': '<?php posix_kill(posix_getpid(), 9);',
  'error.php':
    '<?php error_log("a word for the log"); fwrite(fopen("php://stderr", "w"), "straight to stderr\\n"); echo "ok";',
};

export function phpSourceSuite(php: 'fpm' | 'cgi'): void {
  const open = (t: Parameters<typeof openPhp>[0], options: object = {}) =>
    openPhp(t, { php, ...options }, pages);
  const body = (stdout: string) => stdout.slice(stdout.indexOf('\r\n\r\n') + 4);

  testSource(`php-${php}`, (t) => {
    const { source, root } = open(t, { workers: 4 });
    return {
      source,
      page: pageRequest(root, '/hello.php'),
      large: pageRequest(root, '/large.php'),
      silent: pageRequest(root, '/silent.php'),
      broken: pageRequest(root, '/broken.php'),
    };
  });

  test('it says what it is', (t) => {
    const { source } = open(t);
    assert.match(
      source.describe(),
      new RegExp(`^php-${php} 8\\.\\d+ with 2 workers.* because it was asked for, at /\\S+$`),
    );
  });

  test('status, headers, cookies, query, body and odd bytes come through', async (t) => {
    const { source, root } = open(t);
    const outcome = await ask(
      source,
      pageRequest(root, '/echo.php', {
        method: 'POST',
        query: 'q=1&r[]=2',
        body: Buffer.from('a=1&b=%FF'),
        contentType: 'application/x-www-form-urlencoded',
        more: { X_BYTES: 'x\xff\x01' },
      }),
    );
    assert.equal(outcome.error, undefined);
    assert.equal(outcome.appStatus, 0);
    assert.match(outcome.stdout, /^Status: 201 Created\r\n/);
    assert.match(outcome.stdout, /X-Sapi: (fpm|cgi)-fcgi\r\n/);
    assert.match(outcome.stdout, /Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n/);
    assert.match(body(outcome.stdout), /"get":\{"q":"1","r":\["2"\]\}/);
    assert.match(body(outcome.stdout), /"post":\{"a":"1","b":"/);
    assert.match(body(outcome.stdout), /"value":"78ff01"/);
  });

  test('php.ini directives, configured variables, none of ours (T16), not root', async (t) => {
    const { source, root } = open(t, {
      ini: { memory_limit: '77M', error_reporting: 'E_ALL & ~E_DEPRECATED', user_agent: 'a "b" ; $c' },
      env: { SITE_MODE: 'test' },
      environment: { PATH: process.env.PATH, OUR_SECRET: 'secret' },
    });
    const { stdout } = await ask(source, pageRequest(root, '/settings.php'));
    const [memory, reporting, agent, mode, secret, uid] = JSON.parse(body(stdout)) as unknown[];
    assert.deepEqual([memory, reporting, agent], ['77M', '24575', 'a "b" ; $c']);
    assert.deepEqual([mode, secret], ['test', false]);
    if (process.getuid?.() === 0) assert.notEqual(uid, 0);
  });

  test('200 requests while nothing runs: one start, all answered', async (t) => {
    const { source, root, lines } = open(t, { capacity: 200 });
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, () => ask(source, pageRequest(root, '/pid.php'))),
    );
    assert.deepEqual(
      outcomes.filter(({ error }) => error !== undefined).map(({ error }) => error?.message),
      [],
    );
    assert.equal(lines.filter(({ message }) => message === 'The interpreter is up').length, 1);
    assert.ok(new Set(outcomes.map(({ stdout }) => body(stdout))).size <= 2, 'two workers answered');
    assert.equal(source.active, 0);
  });

  test('kill -9 of the master: it is restarted, and no request fails after that', async (t) => {
    const { source, root, lines } = open(t);
    await ask(source, pageRequest(root, '/pid.php'));
    const master = Number(lines.find(({ message }) => message === 'The interpreter is up')?.fields.pid);
    process.kill(master, 'SIGKILL');
    await until(
      () => lines.filter(({ message }) => message === 'The interpreter is up').length === 2,
      'the second start',
    );
    const outcome = await ask(source, pageRequest(root, '/pid.php'));
    assert.equal(outcome.error, undefined);
    const death = lines.find(({ level }) => level === 'error');
    assert.match(death?.message ?? '', /The interpreter of source php ended by SIGKILL/);
    assert.equal(death?.fields.pid, master);
    assert.ok(Number(death?.fields.restartInMs) >= 80);
  });

  test('kill -9 of all its processes in the middle of a request: that one fails, the next is answered', async (t) => {
    const { source, root, lines } = open(t);
    await ask(source, pageRequest(root, '/pid.php'));
    const master = Number(lines.find(({ message }) => message === 'The interpreter is up')?.fields.pid);
    const gate = createFileGate();
    const running = ask(source, pageRequest(root, '/gate.php', { query: gate.query }));
    await until(() => gate.arrived().length === 1, 'the begin of the request');
    process.kill(-master, 'SIGKILL');
    const { error } = await running;
    assert.equal(error?.code, 'GW_ERR_SOURCE_CLOSED');
    await until(() => lines.some(({ level }) => level === 'error'), 'the news of its end');
    const next = await ask(source, pageRequest(root, '/pid.php'));
    assert.equal(next.error, undefined);
  });

  test('an orderly stop leaves no process, no socket, no directory; the socket was private (T87)', async (t) => {
    const { source, root, lines } = open(t);
    const { stdout } = await ask(source, pageRequest(root, '/pid.php'));
    const socket = source.address.slice('unix:'.length);
    assert.equal(statSync(dirname(socket)).mode & 0o777, 0o700);
    const master = Number(lines.find(({ message }) => message === 'The interpreter is up')?.fields.pid);
    assert.ok(isAlive(master));
    const closing = source.close();
    await Promise.all([closing, source.close()]);
    assert.equal(isAlive(master), false);
    assert.equal(isAlive(Number(body(stdout))), false);
    assert.deepEqual(processesWith(dirname(socket)), []);
    assert.equal(existsSync(dirname(socket)), false);
    const { error } = await ask(source, pageRequest(root, '/pid.php'));
    assert.equal(error?.code, 'GW_ERR_SOURCE_STOPPED');
  });

  test("a script's error goes with its request, its own stderr into our log, each once (G12)", async (t) => {
    const { source, root, lines } = open(t);
    const { stderr } = await ask(source, pageRequest(root, '/error.php'));
    assert.match(stderr, /a word for the log/);
    await until(() => lines.some(({ message }) => message === 'straight to stderr'), 'the line in our log');
    assert.deepEqual(
      lines.filter(({ level, message }) => level !== 'debug' && message.includes('a word for the log')),
      [],
    );
  });

  test('it inherits none of our descriptors (T98) and no supplementary group (T97)', async (t) => {
    const ours = openSync(fileURLToPath(import.meta.url), 'r');
    t.after(() => closeSync(ours));
    const { source, root, lines } = open(t);
    await ask(source, pageRequest(root, '/pid.php'));
    const master = Number(lines.find(({ message }) => message === 'The interpreter is up')?.fields.pid);
    const targets = readdirSync(`/proc/${master}/fd`).map((name) =>
      readlinkSync(`/proc/${master}/fd/${name}`),
    );
    assert.deepEqual(
      targets.filter((target) => target.endsWith('.ts')),
      [],
    );
    if (process.getuid?.() !== 0) return;
    // Packages put www-data into groups of theirs.
    const others = groupsOf(master).filter((group) => !groupsOfUser('www-data').includes(group));
    assert.deepEqual(others, []);
  });
}
