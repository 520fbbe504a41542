/** Generations over one shelf: what is kept, what is replaced, what is closed, and when. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startApplication } from '../../test/support/application-client.ts';
import { FakeExchange } from '../../test/support/fake-exchange.ts';
import { nextTurn as turn } from '../../test/support/manual-clock.ts';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { silentLog } from '../base/log.ts';
import { resolveConfig } from '../config/load.ts';
import type { ConfigInput, SourceInput } from '../config/types.ts';
import { Generation } from './generation.ts';
import { planGateway } from './plan.ts';
import { Shelf } from './shelf.ts';

const site = createTestDirectory();

async function planFor(
  sources: Readonly<Record<string, SourceInput>>,
  server: Partial<NonNullable<ConfigInput['virtualServers']>[number]> = {},
) {
  const rules = Object.keys(sources).map((source) => ({
    match: { extensions: [source] },
    handler: { type: 'fastcgi', source, checkFile: false } as const,
  }));
  return planGateway(
    await resolveConfig({ sources, virtualServers: [{ documentRoot: site, rules, ...server }] }, site),
  );
}

function createShelf(t: TestContext): Shelf {
  const shelf = new Shelf({ runtimeDir: createTestDirectory(), log: silentLog, environment: {} });
  t.after(() => shelf.runtimeDirectory.close());
  return shelf;
}

/** An application that answers when the test says so. */
async function startHeld(t: TestContext) {
  const requests: { answer(text: string): void }[] = [];
  const { path } = await startApplication(
    t,
    (request) =>
      new Promise((resolve) => {
        const answer = (text: string) => {
          request.write(`Content-Type: text/plain\r\n\r\n${text}`);
          resolve();
        };
        requests.push({ answer });
      }),
  );
  return { address: `unix:${path}`, requests };
}

function ask(generation: Generation, target: string): FakeExchange {
  const exchange = new FakeExchange({ target });
  generation.router.handle(exchange);
  return exchange;
}

const sourcesOn = (shelf: Shelf) => shelf.sources.all.map(({ source }) => source);

test('what is the same is the same object, and what has changed is another', async (t) => {
  const shelf = createShelf(t);
  const [logs, address] = [createTestDirectory(), 'tcp://127.0.0.1:1'];
  const accessLog = { file: join(logs, 'access.log') };
  const one = new Generation(
    await planFor({ kept: { address }, changed: { address }, gone: { address } }, { accessLog }),
    shelf,
  );
  const before = new Map(one.sources);
  const [log, root] = [shelf.accessLogs.all[0], shelf.documentRoots.all[0]];
  const two = new Generation(
    await planFor(
      { added: { address }, changed: { address, profile: 'generic' }, kept: { address } },
      { accessLog, errorPages: { 404: '/none.html' } },
    ),
    shelf,
  );
  assert.equal(two.sources.get('kept'), before.get('kept'));
  assert.notEqual(two.sources.get('changed'), before.get('changed'));
  assert.deepEqual([shelf.accessLogs.all, shelf.documentRoots.all], [[log], [root]]);
  assert.equal(shelf.sources.all.length, 5);
  await one.retire();
  assert.deepEqual(new Set(sourcesOn(shelf)), new Set(two.sources.values()));
  assert.deepEqual(shelf.accessLogs.all, [log]);
  await two.close();
  assert.deepEqual([shelf.sources.all, shelf.accessLogs.all, shelf.documentRoots.all], [[], [], []]);
});

test('a request of the old generation ends well, and only then its sources, logs and counts end', async (t) => {
  const shelf = createShelf(t);
  const held = await startHeld(t);
  const file = join(createTestDirectory(), 'access.log');
  const one = new Generation(
    await planFor({ app: { address: held.address } }, { accessLog: { file } }),
    shelf,
  );
  one.open(undefined);
  one.start();
  const late = ask(one, '/a.app');
  while (held.requests.length === 0) await turn();
  const two = new Generation(
    await planFor(
      { app: { address: held.address, profile: 'generic' } },
      { name: 'other', accessLog: false },
    ),
    shelf,
  );
  two.open(undefined);
  two.start();
  let isRetired = false;
  const retired = one.retire().then(() => {
    isRetired = true;
  });
  const next = ask(two, '/b.app');
  while (held.requests.length < 2) await turn();
  held.requests[1]!.answer('new');
  await next.whenEnded();
  assert.deepEqual([next.body.toString(), isRetired, shelf.sources.all.length], ['new', false, 2]);
  held.requests[0]!.answer('old');
  await late.whenEnded();
  await retired;
  assert.deepEqual([late.status, late.body.toString(), shelf.sources.all.length], [200, 'old', 1]);
  assert.match(readFileSync(file, 'latin1'), / \/a\.app /);
  const page = shelf.metrics.print('text');
  assert.match(page, /^fastway_source_requests_total\{source="app",outcome="complete"\} 2$/m);
  for (const name of ['default', 'other'])
    assert.match(
      page,
      new RegExp(`^fastway_http_request_duration_seconds_count\\{server="${name}"\\} 1$`, 'm'),
    );
  shelf.metrics.close();
  await two.close();
});

test('what a source can be told anew is told to the one that runs, when the new generation starts', async (t) => {
  const shelf = createShelf(t);
  const { address, requests } = await startHeld(t);
  const one = new Generation(await planFor({ app: { address, capacity: 1 } }), shelf);
  one.start();
  const [first, second] = [ask(one, '/a.app'), ask(one, '/b.app')];
  while (requests.length === 0) await turn();
  const plan = await planFor({ app: { address, capacity: 2, state: 'drain' } });
  // One that is never started changes nothing.
  await new Generation(plan, shelf).close();
  const two = new Generation(plan, shelf);
  const source = two.sources.get('app')!;
  assert.equal(source, one.sources.get('app'));
  assert.deepEqual([source.facts?.waiting, source.facts?.capacity, source.state], [1, 1, 'active']);
  two.start();
  assert.deepEqual([source.facts?.waiting, source.facts?.capacity, source.state], [0, 2, 'drain']);
  while (requests.length < 2) await turn();
  requests[0]!.answer('first');
  requests[1]!.answer('second');
  await Promise.all([first.whenEnded(), second.whenEnded()]);
  assert.deepEqual([first.body.toString(), second.body.toString()], ['first', 'second']);
  await one.retire();
  // What was told so last is what the next one is compared with.
  const three = new Generation(await planFor({ app: { address, capacity: 1 } }), shelf);
  three.start();
  assert.deepEqual([source.facts?.capacity, source.state], [1, 'active']);
  await Promise.all([two.retire(), three.close()]);
});

test('a state that an operator set stays while that of the configuration stays', async (t) => {
  const shelf = createShelf(t);
  const address = 'tcp://127.0.0.1:1';
  const generations: Generation[] = [];
  const start = async (source: SourceInput) => {
    const generation = new Generation(await planFor({ app: source }), shelf);
    generation.start();
    generations.push(generation);
    return generation.sources.get('app')!;
  };
  const source = await start({ address });
  source.state = 'drain';
  assert.equal((await start({ address, capacity: 3 })).state, 'drain');
  assert.equal((await start({ address, capacity: 3, state: 'maintenance' })).state, 'maintenance');
  assert.equal((await start({ address })).state, 'active');
  await Promise.all(generations.map((generation) => generation.close()));
});

test('a source that only the old generation used closes its connections with the last request', async (t) => {
  const shelf = createShelf(t);
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.resume()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const one = new Generation(await planFor({ app: { address: `tcp://127.0.0.1:${port}` } }), shelf);
  const two = new Generation(await planFor({}), shelf);
  const exchange = ask(one, '/a.app');
  while (sockets.length === 0) await turn();
  const retired = one.retire();
  await turn();
  assert.equal(shelf.sources.all.length, 1);
  exchange.leave();
  await retired;
  assert.deepEqual(shelf.sources.all, []);
  if (!sockets[0]!.closed) await once(sockets[0]!, 'close');
  await two.close();
});

test('of a generation that cannot be made nothing is left on the shelf', async (t) => {
  const shelf = createShelf(t);
  const plan = await planFor({ a: { address: 'tcp://127.0.0.1:1' }, php: { php: '/bin/true' } });
  assert.throws(() => new Generation(plan, shelf), { code: 'GW_ERR_SOURCE_NO_INTERPRETER' });
  await turn();
  assert.deepEqual([shelf.sources.all, shelf.documentRoots.all], [[], []]);
});

test('a generation that is closed, or never opened, opens no log', async (t) => {
  const shelf = createShelf(t);
  const file = join(createTestDirectory(), 'access.log');
  const generation = new Generation(await planFor({}, { accessLog: { file } }), shelf);
  const exchange = ask(generation, '/none');
  assert.equal(exchange.status, 404);
  generation.reopenLogs();
  await generation.close();
  generation.open(undefined);
  assert.equal(existsSync(file), false);
});
