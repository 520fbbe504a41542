import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeExchange, type FakeExchangeOptions } from '../../test/support/fake-exchange.ts';
import { ManualClock, turnsUntil } from '../../test/support/manual-clock.ts';
import { silentLog } from '../base/log.ts';
import { AccessLog, type AccessLogOptions } from './access-log.ts';
import type { AccessLogEntry } from './access-log-line.ts';

let directory: string;
let file: string;
let clock: ManualClock;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fastway-access-'));
  file = join(directory, 'access.log');
  clock = new ManualClock();
});
afterEach(() => rmSync(directory, { recursive: true }));

const nowMs = Date.UTC(2026, 10, 23, 12, 34, 56, 789);

function create(options: Partial<AccessLogOptions> = {}): AccessLog {
  const usual = { format: 'combined', file, now: () => nowMs, clock, log: silentLog } as const;
  const log = new AccessLog({ ...usual, ...options });
  log.open();
  return log;
}

function entry(options: FakeExchangeOptions & { readonly source?: string } = {}): AccessLogEntry {
  const exchange = new FakeExchange(options);
  exchange.respond(200, '', []);
  exchange.end(Buffer.from('hello'));
  return {
    exchange,
    id: 'x1',
    host: 'site.test',
    client: { address: '203.0.113.1' },
    record: { source: options.source, tries: options.source === undefined ? 0 : 2 },
    durationMs: 42.4,
  };
}

/** Lets time pass, as often as the log waits for it, until something is so. */
const until = (holds: () => boolean) =>
  turnsUntil(() => {
    clock.advance(100);
    return holds();
  });

const lines = () => readFileSync(file, 'latin1').split('\n').slice(0, -1);

/** The line of one entry. */
function printed(logged: AccessLogEntry, format: 'combined' | 'json' = 'combined'): string {
  const log = create({ format });
  log.write(logged);
  void log.close();
  return lines()[0]!;
}

test('combined, as Apache and nginx write it', () => {
  const fields = [
    'Host',
    'a',
    'User-Agent',
    'curl/8',
    'REFERER',
    'http://r/',
    'Authorization',
    'Basic c2VjcmV0',
    'Cookie',
    'secret',
  ];
  const line = printed(entry({ method: 'POST', target: '/a?b=c', fields }));
  assert.match(
    line,
    /^203\.0\.113\.1 - - \[2[34]\/Nov\/2026:\d\d:\d4:56 [+-]\d{4}\] "POST \/a\?b=c HTTP\/1\.1" 200 5 "http:\/\/r\/" "curl\/8"$/,
  );
  assert.doesNotMatch(line, /ecret|c2V/);
});

test('the user that an authorizer named; a space in a name does not move what follows', () => {
  const named = entry();
  named.record.user = 'ann "x" y\xe9';
  assert.match(printed(named), /^203\.0\.113\.1 - ann\\x20\\x22x\\x22\\x20y\\xE9 \[/);
  printed(named, 'json');
  assert.equal(JSON.parse(lines()[1]!).user, named.record.user);
});

test('JSON names the status that an application ended with, when it is not 0', () => {
  const failed = entry({ source: 'php' });
  failed.record.waitedMs = 12.6;
  failed.record.appStatus = 4_294_967_295;
  assert.equal(JSON.parse(printed(failed, 'json')).appStatus, 4_294_967_295);
  assert.equal(JSON.parse(printed(failed, 'json')).waitedMs, 13);
});

test('the time is local, with its offset from UTC', () => {
  const [, day, month, year, time, offset] = /\[(\d+)\/(\w+)\/(\d+):([\d:]+) (\S+)\]/.exec(printed(entry()))!;
  assert.equal(Date.parse(`${day} ${month} ${year} ${time} ${offset}`), Math.floor(nowMs / 1000) * 1000);
});

test('no client can forge a line or reach a terminal (CVE-2009-4489)', () => {
  const fields = ['User-Agent', 'a" 200 "\\\x1b[31m\x9b\xff\n'];
  assert.match(
    printed(entry({ target: '/"x', fields })),
    /"GET \/\\x22x HTTP\/1\.1" 200 5 "-" "a\\x22 200 \\x22\\x5C\\x1B\[31m\\x9B\\xFF\\x0A"$/,
  );
});

test('JSON: one object a line, with what the combined format has no room for', () => {
  const line = printed(entry({ target: '/\u00e4"', fields: ['User-Agent', 'x\n'], source: 'php' }), 'json');
  assert.deepEqual(JSON.parse(line), {
    time: '2026-11-23T12:34:56.000Z',
    id: 'x1',
    client: '203.0.113.1',
    host: 'site.test',
    method: 'GET',
    target: '/\u00e4"',
    version: '1.1',
    status: 200,
    bytes: 5,
    durationMs: 42,
    source: 'php',
    tries: 2,
    referer: '',
    userAgent: 'x\n',
  });
  assert.match(line, /^[\x20-\x7e]+$/);
});

test('a client that left before the answer is a 499, one on a unix socket a dash', () => {
  const left = { ...entry(), exchange: new FakeExchange(), client: { address: '' } };
  assert.match(printed(left), /^- - - .* 499 0 /);
});

test('lines are written together, after 100 ms or 256 KiB', async () => {
  const log = create();
  log.write(entry());
  clock.advance(99);
  log.write(entry());
  assert.equal(clock.armed, 1);
  clock.advance(1);
  assert.equal(clock.armed, 0);
  await turnsUntil(() => lines().length === 2);
  const large = entry({ target: `/${'x'.repeat(65_000)}` });
  for (let count = 0; count < 16; count++) log.write(large);
  // Without the timer.
  await turnsUntil(() => lines().length === 18);
  await log.close();
});

test('a line has the second in which its request ended, however long it waits', async () => {
  let later = 0;
  const log = create({ now: () => nowMs + later });
  for (later of [0, 200, 211, 1210, 1211]) log.write(entry());
  await log.close();
  const seconds = lines().map((line) => /:(\d\d) [+-]\d{4}\]/.exec(line)?.[1]);
  assert.deepEqual(seconds, ['56', '56', '57', '57', '58']);
});

test('every line is whole and in its place, where a buffer ends, is too small, or is used again', async () => {
  const log = create();
  const targets: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    for (let count = 0; count < 1500; count++) targets.push(`/${turn}/${'a'.repeat(count % 211)}`);
    targets.push(`/${turn}/${'b'.repeat(200_000)}`);
    for (const target of targets.slice(-1501)) log.write(entry({ target }));
    // By now the first buffers were written, and may take lines again.
    await until(() => lines().length === targets.length);
  }
  await log.close();
  const paths = lines().map(
    (line) => /^203\.0\.113\.1 - - \[.*\] "GET (\S+) HTTP\/1\.1" 200 5 "-" "-"$/.exec(line)?.[1],
  );
  assert.deepEqual(paths, targets);
});

test('reopen goes on in a new file after a rotation, and loses nothing', async () => {
  const log = create();
  for (let count = 0; count < 2000; count++) log.write(entry({ target: `/${count}` }));
  const rotated = join(directory, 'access.log.1');
  renameSync(file, rotated);
  log.reopen();
  log.write(entry({ target: '/new' }));
  await until(() => lines().some((line) => line.includes('/new')));
  await log.close();
  const count = lines().length + readFileSync(rotated, 'latin1').split('\n').length - 1;
  assert.equal(count, 2001);
});

test('F52: lines beyond 4 MiB that wait are dropped, counted, and told once', async () => {
  const told: string[] = [];
  const log = create({ log: { ...silentLog, error: (message) => told.push(message) } });
  const large = entry({ target: `/${'x'.repeat(65_000)}` });
  for (let count = 0; count < 80; count++) log.write(large);
  assert.ok(log.dropped > 0 && log.dropped < 20, `${log.dropped} dropped`);
  assert.equal(told.length, 1);
  const { dropped } = log;
  await until(() => lines().length === 80 - dropped);
  await log.close();
  await log.close();
  log.write(large);
  assert.equal(log.dropped, dropped);
});

test('F52: what the write under way at the close loses is counted and told, too', async () => {
  const told: string[] = [];
  const log = create({ file: '/dev/full', log: { ...silentLog, warn: (message) => told.push(message) } });
  for (let count = 0; count < 3; count++) log.write(entry());
  clock.advance(100);
  log.write(entry());
  await log.close();
  assert.deepEqual(told, ['Access log dropped 4 lines']);
});

test('F52: lines that a full disk does not take are counted, and told at the end', async () => {
  const told: string[] = [];
  const tell = (message: string) => void told.push(message);
  const log = create({ file: '/dev/full', log: { ...silentLog, error: tell, warn: tell } });
  for (let count = 0; count < 3; count++) log.write(entry());
  await until(() => log.dropped === 3);
  log.write(entry());
  await log.close();
  assert.deepEqual(told, [
    'Access log cannot be written: ENOSPC: no space left on device, write',
    'Access log dropped 4 lines',
  ]);
});

test('F52: a pipe that nobody reads holds up nothing, and has every line once it is read', async () => {
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  assert.throws(() => create({ file: pipe }), /access log .*pipe cannot be opened \(ENXIO\)/);
  const reader = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const log = create({ file: pipe });
  const total = 40;
  for (let count = 0; count < total; count++) log.write(entry({ target: `/${'x'.repeat(10_000)}` }));
  let text = '';
  await until(() => {
    const buffer = Buffer.alloc(20_000);
    try {
      text += buffer.toString('latin1', 0, readSync(reader, buffer));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
    return text.split('\n').length === total + 1;
  });
  assert.equal(log.dropped, 0);
  assert.ok(text.split('\n').every((line) => line === '' || line.length > 10_000));
  for (let count = 0; count < total; count++) log.write(entry({ target: `/${'x'.repeat(10_000)}` }));
  await log.close();
  // A write that was under way comes back a moment later.
  await until(() => log.dropped > 30);
  assert.ok(log.dropped > 30 && log.dropped <= total, `${log.dropped} dropped`);
  closeSync(reader);
});

test('a file that cannot be opened is one sentence at the start, and the old one goes on at a rotation', async () => {
  assert.throws(() => create({ file: join(directory, 'none', 'access.log') }), {
    code: 'GW_ERR_CONFIG',
    message:
      /^The access log \S+access\.log cannot be opened \(ENOENT\); name a file that may be written, or a pipe that is read$/,
  });
  const told: string[] = [];
  const folder = join(directory, 'folder');
  mkdirSync(folder);
  const log = create({
    file: join(folder, 'access.log'),
    log: { ...silentLog, error: (message) => told.push(message) },
  });
  renameSync(folder, join(directory, 'moved'));
  log.reopen();
  log.write(entry());
  await log.close();
  assert.match(told.join(), /^Access log cannot be opened anew: ENOENT/);
  assert.match(readFileSync(join(directory, 'moved/access.log'), 'latin1'), /^203/);
});
