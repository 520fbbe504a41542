/** Local sources: an interpreter is started when it is needed, watched, restarted, stopped; and all that can go wrong. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { serve } from '../../src/app/index.ts';
import { ask } from '../support/ask.ts';
import { freePort } from '../support/free-port.ts';
import { openInterpreter, pageRequest, processesWith } from '../support/local-source.ts';
import { isAlive } from '../support/process-facts.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const request = pageRequest('/nowhere', '/x.php');
/** php-cgi answers anything, were it only that there is no such script. */
const phpCgi = ['php-cgi', '-b', '{address}'] as const;
/** How long something sleeps: long, and like nobody else on this machine, so that it can be found. */
const seconds = (whole: string) => `${whole}.${process.pid}`;
const startsOf = (lines: readonly { message: string }[]) =>
  lines.filter(({ message }) => message === 'The interpreter is up').length;

test('nothing is started before the first request, nor when the source is closed unused', async (t) => {
  const { source, lines } = openInterpreter(t, { interpreter: phpCgi });
  assert.equal(source.isAvailable(), true);
  await source.close();
  assert.deepEqual(lines, []);
  assert.equal(existsSync(dirname(source.address.slice('unix:'.length))), false);
});

test('a tcp address with {host} and {port}', async (t) => {
  const port = await freePort();
  const { source } = openInterpreter(t, {
    address: `tcp://127.0.0.1:${port}`,
    interpreter: ['php-cgi', '-b', '{host}:{port}'],
  });
  const { stdout, error } = await ask(source, request);
  assert.equal(error, undefined);
  assert.match(stdout, /No input file specified/);
});

test('somebody who answers at the address is used, and left alone; when he goes, ours is started', async (t) => {
  const directory = createTestDirectory();
  openToAll(directory);
  const path = join(directory, 'app.sock');
  const other = await serve((got) => void got.write('Content-Type: a/b\r\n\r\nother'), {
    listen: `unix:${path}`,
  });
  const { source, lines } = openInterpreter(t, { address: `unix:${path}`, interpreter: phpCgi });
  assert.match((await ask(source, request)).stdout, /other$/);
  assert.equal(startsOf(lines), 0);
  await other.close();
  const { stdout, error } = await ask(source, request);
  assert.equal(error, undefined);
  assert.match(stdout, /No input file/);
  assert.equal(startsOf(lines), 1);
  await source.close();
  assert.equal(existsSync(path), false, 'its socket is gone');
});

test('no such program: one sentence, no loop, 30 s until the next try (F45)', async (t) => {
  const { source, lines } = openInterpreter(t, { interpreter: ['no-such-interpreter'] });
  const outcomes = await Promise.all([ask(source, request), ask(source, request)]);
  for (const { error } of [...outcomes, await ask(source, request)]) {
    assert.equal(error?.code, 'GW_ERR_SOURCE_NO_INTERPRETER');
    assert.match(
      error?.message ?? '',
      /^The interpreter no-such-interpreter of source app does not exist in \/usr\S+; install it, or correct "interpreter"$/,
    );
    assert.equal((error as unknown as { retryAfterSeconds: number }).retryAfterSeconds, 30);
    assert.equal((error as unknown as { delivery: string }).delivery, 'unsent');
  }
  assert.equal(source.isAvailable(), false);
  assert.equal(lines.filter(({ level }) => level === 'error').length, 1);
});

test('a program that may not be run, a working directory that is not there, a user that is not there', async (t) => {
  const file = join(createTestDirectory(), 'program');
  writeFileSync(file, '', { mode: 0o644 });
  const asked = async (options: Parameters<typeof openInterpreter>[1]) =>
    (await ask(openInterpreter(t, options).source, request)).error?.message;
  assert.match((await asked({ interpreter: [file] })) ?? '', /is not executable; make it so \(chmod \+x\)/);
  assert.match(
    (await asked({ interpreter: phpCgi, workingDirectory: '/no/such/folder' })) ?? '',
    /The working directory \/no\/such\/folder of source app does not exist/,
  );
  assert.throws(() => openInterpreter(t, { interpreter: phpCgi, user: 'no-such-user' }), {
    code: 'GW_ERR_SOURCE_SPAWN',
  });
});

test('a crash loop: five quick tries, then 503 with exit code, last words and Retry-After (F46)', async (t) => {
  const directory = createTestDirectory();
  openToAll(directory);
  const count = join(directory, 'count');
  const { source, lines } = openInterpreter(t, {
    socket: 'own',
    interpreter: ['sh', '-c', 'echo x >> "$COUNT"; echo "cannot find \x1b[31mmodule\x1b[0m" >&2; exit 3'],
    env: { COUNT: count },
  });
  const first = await ask(source, request);
  assert.equal(first.error?.code, 'GW_ERR_SOURCE_EXITED');
  assert.match(
    first.error?.message ?? '',
    /^The interpreter of source app ended with exit code 3 before it answered: (cannot find .*module.* \| )*cannot find .*module/,
  );
  for (let i = 0; i < 20 && source.isAvailable(); i++) {
    const { error } = await ask(source, request);
    assert.equal(error?.code, 'GW_ERR_SOURCE_EXITED');
  }
  assert.equal(source.isAvailable(), false, 'the circuit is open');
  const last = await ask(source, request);
  const { retryAfterSeconds } = last.error as unknown as { retryAfterSeconds: number };
  assert.ok(retryAfterSeconds > 20 && retryAfterSeconds <= 36, `Retry-After ${retryAfterSeconds}`);
  assert.equal(readFileSync(count, 'utf8').trim().split('\n').length, 6);
  assert.equal(lines.find(({ level }) => level === 'warn')?.fields.source, 'app');
});

test('an interpreter that never answers is ended after its time, with what to do', async (t) => {
  const { source } = openInterpreter(t, {
    interpreter: ['sleep', seconds('4711')],
    socket: 'own',
    spawnTimeoutMs: 200,
  });
  const { error } = await ask(source, request);
  assert.equal(error?.code, 'GW_ERR_SOURCE_SPAWN');
  assert.match(
    error?.message ?? '',
    /did not answer at unix:\S+ within 200 ms; does it listen at that address\?/,
  );
  await until(() => processesWith(`sleep\0${seconds('4711')}`).length === 0, 'its end');
});

test('its output comes line by line into our log, and endless lines are cut', async (t) => {
  const { source, lines } = openInterpreter(t, {
    interpreter: [
      'sh',
      '-c',
      'echo one; echo two >&2; head -c 100000 /dev/zero | tr "\\0" x >&2; echo >&2; exec php-cgi -b "$1"',
      'sh',
      '{address}',
    ],
  });
  await ask(source, request);
  // Two pipes, which are read in any order.
  const isThere = (text: string) => lines.some(({ level, message }) => level === 'info' && message === text);
  await until(() => isThere('one') && isThere('two'), 'both lines');
  assert.ok(lines.every(({ message }) => message.length <= 8_196));
  const pid = lines.find(({ message }) => message === 'The interpreter is up')?.fields.pid;
  assert.equal(lines.find(({ message }) => message === 'two')?.fields.pid, pid);
});

test('closing during a start leaves no process, and the waiting request hears it', async (t) => {
  const { source } = openInterpreter(t, { interpreter: ['sleep', seconds('4712')], socket: 'own' });
  const waiting = ask(source, request);
  await until(() => processesWith(`sleep\0${seconds('4712')}`).length > 0, 'the start');
  await source.close();
  assert.equal((await waiting).error?.code, 'GW_ERR_SOURCE_STOPPED');
  assert.deepEqual(processesWith(`sleep\0${seconds('4712')}`), []);
});

test('an interpreter that ignores TERM, and its children, are killed', async (t) => {
  const script = `trap "" TERM; sleep ${seconds('4713')} & echo $! >&2; php-cgi -b "$1" & wait; wait; wait`;
  const { source, lines } = openInterpreter(t, { interpreter: ['sh', '-c', script, 'sh', '{address}'] });
  await ask(source, request);
  const pid = Number(lines.find(({ message }) => message === 'The interpreter is up')?.fields.pid);
  await source.close();
  assert.equal(isAlive(pid), false);
  assert.deepEqual(processesWith(`sleep\0${seconds('4713')}`), []);
});

test('a request given up while it waits is not sent, and the others are', async (t) => {
  const { source } = openInterpreter(t, { interpreter: phpCgi });
  let calls = 0;
  const note = () => {
    calls++;
    return true;
  };
  const exchange = source.open(request, { stdout: note, stderr: note, end: note, error: note });
  const other = ask(source, request);
  assert.equal(source.active, 2);
  exchange.abort();
  exchange.abort();
  assert.equal(source.active, 1);
  assert.equal((await other).error, undefined);
  assert.equal(calls, 0);
  assert.equal(source.active, 0);
});

test('it ends with us even when we are killed', async (t) => {
  const directory = createTestDirectory();
  openToAll(directory);
  const program = join(directory, 'program.mts');
  const local = new URL('../../src/source/interpreter/local-source.ts', import.meta.url).href;
  const base = new URL('../../src/base/log.ts', import.meta.url).href;
  const clock = new URL('../../src/base/clock.ts', import.meta.url).href;
  writeFileSync(
    program,
    `import { createLocalSource } from '${local}'; import { createLog } from '${base}'; import { systemClock } from '${clock}';
    const log = createLog({ write: (line) => process.stdout.write(line), level: 'info', format: 'json', now: () => new Date() });
    createLocalSource({ name: 'app', runtimeDir: '${directory}', interpreter: ['php-cgi', '-b', '{address}'], log, clock: systemClock,
      random: Math.random }).open({ variables: [], body: undefined }, { stdout: () => true, stderr() {}, end() {}, error() {} });
    setInterval(() => {}, 1000);`,
  );
  const gateway = spawn(process.execPath, ['--import', 'tsx', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => gateway.kill('SIGKILL'));
  let output = '';
  gateway.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await until(() => output.includes('The interpreter is up'), 'the start');
  const { pid } = JSON.parse(output.split('\n').find((line) => line.includes('is up'))!) as { pid: number };
  assert.ok(isAlive(pid));
  gateway.kill('SIGKILL');
  await until(() => !isAlive(pid), 'the end of the interpreter');
});
