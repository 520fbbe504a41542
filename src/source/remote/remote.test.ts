import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { ask, requestFor } from '../../../test/support/ask.ts';
import { ManualClock, turnsUntil } from '../../../test/support/manual-clock.ts';
import { startScriptedApplication } from '../../../test/support/scripted-application.ts';
import { serve } from '../../app/index.ts';
import { parseAddress, printAddress, toSocketOptions } from '../../base/address.ts';
import type { Log } from '../../base/log.ts';
import { RecordType } from '../../protocol/constants.ts';
import { pair, record } from '../../testing/record-builder.ts';
import { largeBytes, testSource } from '../source.contract.ts';
import { createRemoteSource, type RemoteSource, type RemoteSourceOptions } from './remote.ts';

interface Watched {
  readonly source: RemoteSource;
  readonly lines: string[];
  /** Moves the clock. */
  pass(ms: number): void;
}

function watch(address: string, options: Partial<RemoteSourceOptions> = {}): Watched {
  const lines: string[] = [];
  const note = (level: string) => (message: string) => lines.push(`${level}: ${message}`);
  const log: Log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  const clock = new ManualClock();
  clock.advance(1_000);
  const source = createRemoteSource({
    name: 'shop',
    address: parseAddress(address),
    log,
    clock,
    random: () => 0.5,
    ...options,
  });
  return { source, lines, pass: (ms) => clock.advance(ms) };
}

test('says what it is', async () => {
  const { source } = watch('127.0.0.1:9000');
  assert.equal(source.name, 'shop');
  assert.equal(source.address, 'tcp://127.0.0.1:9000');
  assert.equal(source.describe(), 'FastCGI application at tcp://127.0.0.1:9000');
  assert.equal(source.active, 0);
  assert.equal(source.isAvailable(), true);
  await source.close();
});

test('asks an application after its first answer what it can do: kept connections and capacity follow', async (t) => {
  let together = 0;
  let most = 0;
  const held: (() => void)[] = [];
  let isHolding = false;
  const application = await serve(
    async (request) => {
      most = Math.max(most, ++together);
      if (isHolding) await new Promise<void>((resolve) => held.push(resolve));
      together--;
      request.write('Content-Type: text/plain\n\nok');
    },
    { listen: `unix:@fastway-remote-test-${process.pid}`, connectionsMax: 3, requestsMax: 5 },
  );
  const { source, lines } = watch(printAddress(application.address!), { profile: 'auto' });
  t.after(async () => {
    for (const end of held.splice(0)) end();
    await source.close();
    await application.close();
  });
  await ask(source, requestFor('page'));
  await turnsUntil(() => lines.length > 0);
  assert.match(lines[0]!, /info: The application was asked what it can do/);
  // It shows that it keeps connections.
  for (let i = 0; i < 3; i++) await ask(source, requestFor('page'));
  isHolding = true;
  const all = Array.from({ length: 12 }, () => ask(source, requestFor('page')));
  for (let answered = 0; answered < 12; answered++) {
    await turnsUntil(() => held.length === Math.min(5, 12 - answered));
    held.shift()!();
  }
  const outcomes = await Promise.all(all);
  assert.deepEqual(
    outcomes.filter(({ error }) => error !== undefined),
    [],
    'more than it said would be refused',
  );
  // On three connections, since it multiplexes.
  assert.equal(most, 5);
});

test('who is not said to be asked is not: each request has a connection, and there is no other', async (t) => {
  const application = await startScriptedApplication();
  const { source, lines } = watch(application.address);
  t.after(async () => {
    await source.close();
    await application.close();
  });
  for (let i = 0; i < 3; i++) await ask(source, requestFor('page'));
  assert.equal(application.accepted, 3);
  assert.ok(application.requests.every(({ keepConn }) => !keepConn));
  assert.deepEqual(lines, []);
});

test('what a process says that serves one request at a time is no capacity of the address', async (t) => {
  const application = await startScriptedApplication();
  // As libfcgi answers; behind one address there may be many such processes.
  const answer = Buffer.concat([
    record(10, 0, Buffer.concat([pair('FCGI_MAX_CONNS', '1'), pair('FCGI_MAX_REQS', '1')])),
    record(10, 0, pair('FCGI_MPXS_CONNS', '0')),
  ]);
  const relay = createServer((client) => {
    client.on('error', () => {});
    client.once('data', (first) => {
      if (first[1] === RecordType.GetValues) {
        client.end(answer);
        return;
      }
      const socket = connect(toSocketOptions(parseAddress(application.address)));
      socket.on('error', () => {});
      socket.write(first);
      client.pipe(socket).pipe(client);
    });
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  const { source, lines } = watch(`127.0.0.1:${(relay.address() as AddressInfo).port}`, { profile: 'auto' });
  t.after(async () => {
    await source.close();
    relay.close();
    await application.close();
  });
  await ask(source, requestFor('page'));
  await turnsUntil(() => lines.length > 0);
  assert.equal(source.facts?.capacity, undefined);
  await ask(source, requestFor('page'));
  assert.equal(source.facts?.idleConnections, 0, 'none is kept: it would hold the process');
});

test('a source that runs is told other limits: a request under way ends by them, one that waits gets its place', async (t) => {
  const application = await startScriptedApplication();
  const { source, pass } = watch(application.address, { capacity: 1, holdMs: 1 });
  t.after(async () => {
    await source.close();
    await application.close();
  });
  const silent = ask(source, requestFor('silence'));
  const waiting = ask(source, requestFor('page'));
  await turnsUntil(() => application.requests.length === 1);
  source.tune({ capacity: 2, readTimeoutMs: 100, holdMs: 2 });
  assert.equal((await waiting).error, undefined);
  assert.equal(source.holdMs, 2);
  for (let i = 0; i < 4; i++) pass(100);
  assert.equal((await silent).error?.code, 'GW_ERR_SOURCE_READ_TIMEOUT');
  assert.match((await silent).error!.message, /100 ms/);
  // What it is told no more has its default again.
  source.tune({});
  assert.deepEqual([source.facts?.capacity, source.holdMs], [undefined, 5_000]);
});

test('who is silent when asked what it can do, or hangs up, is generic, and no request notices', async () => {
  const application = await startScriptedApplication();
  for (const hangsUp of [false, true]) {
    const relay = createServer((client) => {
      client.once('data', (first) => {
        if (hangsUp && first[1] === RecordType.GetValues) {
          client.destroy();
          return;
        }
        const socket = connect(toSocketOptions(parseAddress(application.address)));
        socket.write(first);
        client.pipe(socket).pipe(client);
        for (const end of [client, socket]) end.on('error', () => {});
        client.on('close', () => socket.destroy());
        socket.on('close', () => client.destroy());
      });
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const { source, lines } = watch(`127.0.0.1:${(relay.address() as AddressInfo).port}`, {
      profile: 'auto',
    });
    do {
      assert.equal((await ask(source, requestFor('page'))).error, undefined);
    } while (lines.length === 0);
    assert.deepEqual(lines, ['info: The application was asked what it can do']);
    const accepted = application.accepted;
    for (let i = 0; i < 3; i++) await ask(source, requestFor('page'));
    assert.equal(application.accepted, accepted + 1, 'connections are kept now');
    await source.close();
    await new Promise((resolve) => relay.close(resolve));
  }
  await application.close();
});

test('overloaded: it stays in service with a smaller share for a second (F21)', async () => {
  const application = await startScriptedApplication();
  const { source, pass } = watch(application.address, { profile: 'generic' });
  for (let i = 0; i < 5; i++) await ask(source, requestFor('overloaded'));
  assert.deepEqual([source.isAvailable(), source.share], [true, 0.1]);
  pass(1_000);
  assert.equal(source.share, 1);
  await source.close();
  await application.close();
});

test('nobody listens: out of service at once, tried again after a second, back when somebody answers', async () => {
  const first = await startScriptedApplication({ tcp: true });
  const { address } = first;
  await first.close();
  const { source, lines, pass } = watch(address);
  assert.equal((await ask(source, requestFor('page'))).error?.code, 'GW_ERR_SOURCE_CONNECT');
  assert.equal(source.isAvailable(), false);
  assert.deepEqual(lines, ['warn: The source is out of service']);
  pass(999);
  assert.equal(source.isAvailable(), false);
  pass(1);
  assert.equal(source.isAvailable(), true);

  const trial = ask(source, requestFor('page'));
  assert.equal(source.isAvailable(), false, 'one trial at a time');
  assert.equal(source.active, 1);
  assert.equal((await trial).error?.code, 'GW_ERR_SOURCE_CONNECT');
  pass(1_999);
  assert.equal(source.isAvailable(), false);
  assert.deepEqual(lines.length, 1, 'a failed trial is no news');
  await source.close();
});

test('a source that answers a trial is back', async () => {
  const application = await startScriptedApplication();
  const { source, lines, pass } = watch(application.address);
  for (let i = 0; i < 3; i++) await ask(source, requestFor('version-2'));
  assert.equal(source.isAvailable(), false);
  pass(1_000);
  assert.equal((await ask(source, requestFor('page'))).appStatus, 0);
  assert.equal(source.isAvailable(), true);
  assert.deepEqual(lines, ['warn: The source is out of service', 'info: The source is back in service']);
  await source.close();
  await application.close();
});

test('what the source did not do wrong does not count: aborted requests, a pair too large', async () => {
  const application = await startScriptedApplication();
  const { source } = watch(application.address);
  for (let i = 0; i < 5; i++) {
    await ask(source, { variables: ['A', 'x'.repeat(70_000)], body: undefined });
    source.open(requestFor('silence'), { stdout: () => true, stderr() {}, end() {}, error() {} }).abort();
  }
  assert.equal(source.isAvailable(), true);
  await source.close();
  await application.close();
});

test('keeps connections to what is no PHP', async () => {
  for (const [profile, connections] of [
    ['generic', 1],
    ['php-fpm', 2],
    ['php-cgi', 2],
  ] as const) {
    const application = await startScriptedApplication();
    const { source } = watch(application.address, { profile });
    await ask(source, requestFor('page'));
    await ask(source, requestFor('page'));
    assert.equal(application.accepted, connections, profile);
    await source.close();
    await source.close();
    await application.whenAllClosed();
    await application.close();
  }
});

testSource('a remote source', async () => {
  const application = await startScriptedApplication();
  return {
    source: watch(application.address).source,
    page: requestFor('page'),
    large: requestFor(`large&bytes=${largeBytes}`),
    silent: requestFor('silence'),
    broken: requestFor('close-without-a-byte'),
    stop: () => application.close(),
  };
});

testSource('a remote source that shares connections', async () => {
  const application = await serve(
    async (request) => {
      const play = request.params.get('QUERY_STRING');
      if (play === 'play=silent')
        await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
      request.write(`Content-Type: text/plain\n\nHello${'x'.repeat(play === 'play=large' ? largeBytes : 0)}`);
    },
    { listen: `unix:@fastway-remote-contract-${process.pid}-${Math.random()}` },
  );
  return {
    source: watch(printAddress(application.address!), { profile: 'multiplexing' }).source,
    page: requestFor('page'),
    large: requestFor('large'),
    silent: requestFor('silent'),
    broken: undefined,
    stop: () => application.close(),
  };
});
