import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeExchange } from '../../test/support/fake-exchange.ts';
import { ManualClock, turns, turnsUntil } from '../../test/support/manual-clock.ts';
import type { GatewayError } from '../base/errors.ts';
import { ResponseSpool } from './response-spool.ts';

const spoolDir = mkdtempSync(join(tmpdir(), 'response-spool-'));
after(() => rmSync(spoolDir, { recursive: true }));

function slowClient(options: {
  memoryBytesMax: number;
  fileBytesMax: number;
  spoolDir?: string;
  patienceMs?: number;
}) {
  const clock = new ManualClock();
  const exchange = new FakeExchange();
  exchange.respond(200, 'OK', []);
  exchange.window = 0;
  const heard = { resumed: 0, errors: [] as GatewayError[] };
  const spool = new ResponseSpool(
    exchange,
    { spoolDir, isShared: false, patienceMs: 0, clock, ...options },
    {
      spoolResumed: () => {
        heard.resumed += 1;
      },
      spoolFailed: (error) => heard.errors.push(error),
    },
  );
  exchange.setListener({ drained: () => spool.drained(), gone: () => spool.close() });
  return { exchange, spool, heard, clock };
}

function takeAll(exchange: FakeExchange, step: number): Promise<void> {
  return turnsUntil(() => {
    exchange.take(step);
    return exchange.ended;
  });
}

test('what fits in memory waits there and leaves in order', () => {
  const { exchange, spool } = slowClient({ memoryBytesMax: 100, fileBytesMax: 1000 });
  assert.equal(spool.write(Buffer.from('one ')), true);
  assert.equal(spool.write(Buffer.from('two ')), true);
  assert.equal(exchange.body.length, 0);
  exchange.take(1000);
  assert.equal(exchange.body.toString(), 'one two ');
  spool.write(Buffer.from('three'));
  assert.equal(exchange.body.toString(), 'one two three', 'straight through again');
  spool.end();
  assert.equal(exchange.ended, true);
  assert.equal(exchange.wasCut, false);
});

test('the source can end long before the client has read: memory, then a file, then the rest (F36)', async () => {
  const { exchange, spool, heard } = slowClient({ memoryBytesMax: 1000, fileBytesMax: 10_000_000 });
  const sent: Buffer[] = [];
  for (let i = 0; i < 100; i++) {
    const chunk = Buffer.alloc(5000, i);
    sent.push(chunk);
    assert.equal(spool.write(chunk), true);
  }
  spool.end();
  assert.equal(exchange.ended, false);
  assert.deepEqual(readdirSync(spoolDir), [], 'the file has no name');
  await takeAll(exchange, 30_000);
  assert.ok(exchange.body.equals(Buffer.concat(sent)));
  assert.equal(exchange.wasCut, false);
  assert.deepEqual(heard, { resumed: 0, errors: [] });
});

test('a full file pauses the source, and an empty one lets it go on', async () => {
  const { exchange, spool, heard } = slowClient({ memoryBytesMax: 10, fileBytesMax: 100_000 });
  const sent: Buffer[] = [];
  let isOpen = true;
  for (let i = 0; isOpen; i++) {
    assert.ok(i < 100, 'never paused');
    const chunk = Buffer.alloc(20_000, i);
    sent.push(chunk);
    isOpen = spool.write(chunk);
  }
  assert.equal(sent.length, 5);
  await turnsUntil(() => {
    exchange.take(40_000);
    return heard.resumed > 0;
  });
  assert.equal(heard.resumed, 1);
  const last = Buffer.from('the end');
  sent.push(last);
  assert.equal(spool.write(last), true);
  spool.end();
  await takeAll(exchange, 40_000);
  assert.ok(exchange.body.equals(Buffer.concat(sent)));
});

test('the client leaves: everything is dropped', async () => {
  const { exchange, spool, heard } = slowClient({ memoryBytesMax: 10, fileBytesMax: 100_000 });
  spool.write(Buffer.alloc(50_000));
  exchange.leave();
  assert.equal(spool.write(Buffer.alloc(50_000)), true);
  await turns(20);
  assert.deepEqual(heard, { resumed: 0, errors: [] });
});

test('a disk that refuses is told once', () => {
  const { spool, heard } = slowClient({
    memoryBytesMax: 1,
    fileBytesMax: 100,
    spoolDir: join(spoolDir, 'nowhere'),
  });
  assert.equal(spool.write(Buffer.from('ab')), true);
  assert.equal(spool.write(Buffer.from('cd')), true);
  assert.deepEqual(
    heard.errors.map((error) => error.code),
    ['GW_ERR_SPOOL'],
  );
});

test('a client that was only busy: the source waits a moment, and nothing goes to the disk', () => {
  const { exchange, spool, heard } = slowClient({
    memoryBytesMax: 100,
    fileBytesMax: 1000,
    patienceMs: 60_000,
    // A file could not be opened there.
    spoolDir: join(spoolDir, 'nowhere'),
  });
  assert.equal(spool.write(Buffer.alloc(80, 'a')), true);
  assert.equal(spool.write(Buffer.alloc(80, 'b')), false, 'memory is full');
  assert.equal(spool.write(Buffer.alloc(10, 'c')), false, 'what was under way is taken over');
  exchange.take(1000);
  assert.deepEqual(heard, { resumed: 1, errors: [] });
  spool.end();
  assert.equal(exchange.body.toString(), 'a'.repeat(80) + 'b'.repeat(80) + 'c'.repeat(10));
  assert.equal(exchange.ended, true);
});

test('a client that is slow: after the moment the source goes on, into a file', async () => {
  const { exchange, spool, heard, clock } = slowClient({
    memoryBytesMax: 100,
    fileBytesMax: 100_000,
    patienceMs: 5,
  });
  assert.equal(spool.write(Buffer.alloc(200, 'a')), false);
  clock.advance(4);
  assert.equal(heard.resumed, 0);
  clock.advance(1);
  assert.equal(heard.resumed, 1);
  for (let i = 0; i < 50; i++) assert.equal(spool.write(Buffer.alloc(1000, 'b')), true);
  spool.end();
  await takeAll(exchange, 10_000);
  assert.equal(exchange.body.toString(), 'a'.repeat(200) + 'b'.repeat(50_000));
  assert.deepEqual(heard, { resumed: 1, errors: [] });
});

test('the client leaves, or the answer ends, while the source waits: nobody is told to go on', () => {
  const gone = slowClient({ memoryBytesMax: 100, fileBytesMax: 1000, patienceMs: 1 });
  gone.spool.write(Buffer.alloc(200));
  gone.exchange.leave();
  const ended = slowClient({ memoryBytesMax: 100, fileBytesMax: 1000, patienceMs: 1 });
  ended.spool.write(Buffer.alloc(200));
  ended.spool.end();
  ended.exchange.take(1000);
  assert.equal(ended.exchange.body.length, 200);
  const { resumed } = ended.heard;
  for (const { clock } of [gone, ended]) {
    assert.equal(clock.armed, 0);
    clock.advance(60_000);
  }
  assert.deepEqual([gone.heard.resumed, ended.heard.resumed], [0, resumed]);
});
