import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { type NameService, Resolver } from './resolver.ts';

function setUp() {
  const clock = { nowMs: 0 };
  const asked: string[] = [];
  const answers: { error?: NodeJS.ErrnoException; addresses?: LookupAddress[] } = {};
  const nameService: NameService = (name, _options, callback) => {
    asked.push(name);
    process.nextTick(callback, answers.error ?? null, answers.addresses ?? []);
  };
  const resolver = new Resolver(() => clock.nowMs, nameService);
  const find = () =>
    new Promise<string>((resolve) =>
      resolver.lookup('app.test', { all: true }, ((error: Error | null, addresses: LookupAddress[]) =>
        resolve(
          error === null ? addresses.map(({ address }) => address).join(' ') : error.message,
        )) as never),
    );
  return { clock, asked, answers, resolver, find };
}

const v4 = (address: string): LookupAddress => ({ address, family: 4 });

test('asks once, and again after 30 s or after a connection that failed', async () => {
  const { clock, asked, answers, resolver, find } = setUp();
  answers.addresses = [v4('192.0.2.1'), v4('192.0.2.2')];
  assert.equal(await find(), '192.0.2.1 192.0.2.2');
  answers.addresses = [v4('192.0.2.3')];
  clock.nowMs = 29_999;
  assert.equal(await find(), '192.0.2.1 192.0.2.2');
  assert.equal(asked.length, 1);
  clock.nowMs = 30_000;
  assert.equal(await find(), '192.0.2.3');
  answers.addresses = [v4('192.0.2.4')];
  resolver.expire();
  assert.equal(await find(), '192.0.2.4');
  assert.deepEqual(asked, ['app.test', 'app.test', 'app.test']);
});

test('keeps the last good addresses while the name service fails (F5)', async () => {
  const { clock, answers, find } = setUp();
  answers.error = new Error('EAI_AGAIN');
  assert.equal(await find(), 'EAI_AGAIN');
  delete answers.error;
  answers.addresses = [v4('192.0.2.1')];
  assert.equal(await find(), '192.0.2.1');
  clock.nowMs = 60_000;
  answers.error = new Error('EAI_AGAIN');
  assert.equal(await find(), '192.0.2.1');
});

test('a socket tries one address after the other', async () => {
  const { answers, resolver } = setUp();
  const server = createServer((socket) => socket.end('here')).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  // Nobody listens at the first one.
  answers.addresses = [v4('127.0.0.9'), v4('127.0.0.1')];
  const socket = connect({ host: 'app.test', port, lookup: resolver.lookup });
  const [said] = await Promise.all([new Promise((resolve) => socket.once('data', resolve))]);
  assert.equal(String(said), 'here');
  socket.destroy();
  server.close();
});
