/** Several sources under failure, from outside: all four balancers, health checks, and what an operator sets. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import { type ApplicationServer, serve } from '../../src/app/index.ts';
import type { BalancerPolicy, ConfigInput } from '../../src/config/types.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const names = ['a', 'b', 'c'] as const;
type Name = (typeof names)[number];
const policies: readonly BalancerPolicy[] = ['round-robin', 'ip-hash', 'failover', 'least-busy'];

describe('several sources', () => {
  const folder = createTestDirectory();
  const addressOf = (name: Name) => `unix:${join(folder, name)}.sock`;
  const applications = new Map<Name, ApplicationServer>();
  /** What a health check gets. */
  let ping = 'pong';
  let gateway: Gateway;
  let origin: string;

  const start = async (name: Name) => {
    const answer = (text: string) => `Content-Type: text/plain\n\n${text}`;
    const application = await serve(
      (request) => {
        request.write(answer(request.params.get('SCRIPT_NAME') === '/ping' ? ping : name));
        request.end();
      },
      { listen: addressOf(name) },
    );
    applications.set(name, application);
  };
  const stop = async (name: Name) => applications.get(name)!.close();

  before(async () => {
    for (const name of names) await start(name);
    const sources: ConfigInput['sources'] = {
      ...Object.fromEntries(names.map((name) => [name, { address: addressOf(name), profile: 'generic' }])),
      checked: {
        address: addressOf('a'),
        profile: 'generic',
        check: { path: '/ping', everyMs: 20, timeoutMs: 5_000, expectText: 'pong' },
      },
      spare: { address: addressOf('b'), profile: 'generic' },
    };
    const handler = (policy: BalancerPolicy, chosen: readonly string[] = names) => ({
      type: 'fastcgi' as const,
      checkFile: false,
      balancer: { policy, sources: chosen },
      realIp: { trusted: ['127.0.0.1'] },
    });
    gateway = await createGateway({
      listen: [{ host: '127.0.0.1', port: 0 }],
      sources,
      virtualServers: [
        {
          documentRoot: folder,
          accessLog: false,
          rules: [
            ...policies.map((policy) => ({ match: { directory: `/${policy}` }, handler: handler(policy) })),
            { match: { directory: '/checked' }, handler: handler('failover', ['checked', 'spare']) },
          ],
        },
      ],
    });
    [origin] = (await gateway.listen()) as [string];
  });
  after(async () => {
    await gateway?.close();
    await Promise.all([...applications.values()].map((application) => application.close()));
  });

  const ask = async (path: string, client = '10.0.0.1') => {
    const { status, text } = await fetchAnswer(origin, `/${path}/`, {
      headers: { 'X-Forwarded-For': client },
    });
    return status === 200 ? text : String(status);
  };
  const clients = Array.from({ length: 30 }, (_, index) => `10.0.0.${index + 1}`);
  /** Whom each client gets. */
  const homes = async (policy: BalancerPolicy) => {
    const found = [];
    for (const client of clients) found.push(await ask(policy, client));
    return found;
  };

  it('while all are well', async () => {
    assert.deepEqual([...new Set(await homes('round-robin'))].sort(), [...names]);
    assert.deepEqual([...new Set(await homes('ip-hash'))].sort(), [...names]);
    assert.deepEqual([...new Set(await homes('least-busy'))].sort(), [...names]);
    assert.deepEqual([...new Set(await homes('failover'))], ['a']);
  });

  it('one is lost and comes back: no request fails, and ip-hash moves only its clients', async () => {
    const before = await homes('ip-hash');
    await stop('a');
    for (const policy of policies) {
      const found = await homes(policy);
      assert.ok(
        found.every((name) => name === 'b' || name === 'c'),
        `${policy}: ${found.join(' ')}`,
      );
      if (policy !== 'ip-hash') continue;
      for (const [index, name] of found.entries())
        if (before[index] !== 'a') assert.equal(name, before[index]);
    }
    await start('a');
    await until(async () => (await ask('failover')) === 'a', 'failover is back at the first source');
    await until(async () => (await homes('ip-hash')).join() === before.join(), 'all clients are back');
    await until(async () => (await homes('round-robin')).includes('a'), 'it has its part again');
  });

  it('drain takes nothing new while others can, maintenance nothing at all', async () => {
    gateway.setSourceState('a', 'drain');
    assert.ok(!(await homes('round-robin')).includes('a'));
    gateway.setSourceState('b', 'maintenance');
    gateway.setSourceState('c', 'maintenance');
    assert.deepEqual(new Set(await homes('least-busy')), new Set(['a']));
    gateway.setSourceState('a', 'maintenance');
    assert.equal(await ask('round-robin'), '503');
    assert.deepEqual(
      gateway.sources.slice(0, 3).map(({ name, state, isAvailable }) => [name, state, isAvailable]),
      names.map((name) => [name, 'maintenance', false]),
    );
    for (const name of names) gateway.setSourceState(name, 'active');
    assert.equal(await ask('failover'), 'a');
    assert.throws(() => gateway.setSourceState('d', 'active'), /No source is called d; there are a, b, c/);
  });

  it('a health check takes a source out and brings it back', async () => {
    assert.equal(await ask('checked'), 'a');
    ping = 'not well';
    await until(async () => (await ask('checked')) === 'b', 'the spare one answers');
    const status = gateway.sources.find(({ name }) => name === 'checked')!;
    assert.deepEqual([status.isAvailable, status.problem], [false, 'its answer did not hold "pong"']);
    ping = 'pong';
    await until(async () => (await ask('checked')) === 'a', 'the first one answers again');
  });
});

it('a full source is shared fairly by virtual servers, and the access log tells waiting from working', async () => {
  const folder = createTestDirectory();
  const application = await serve(
    async (request) => {
      await rest(10);
      request.write('Content-Type: text/plain\n\nok');
    },
    { listen: `unix:${join(folder, 'narrow.sock')}` },
  );
  const log = join(folder, 'access.log');
  const rules = [{ handler: { type: 'fastcgi', source: 'narrow', checkFile: false } as const }];
  const gateway = await createGateway({
    listen: [{ host: '127.0.0.1', port: 0 }],
    sources: { narrow: { address: `unix:${join(folder, 'narrow.sock')}`, profile: 'generic', capacity: 1 } },
    virtualServers: [
      { name: 'a', hosts: ['a.test'], documentRoot: folder, rules, accessLog: { format: 'json', file: log } },
      { name: 'b', hosts: ['b.test'], documentRoot: folder, rules, accessLog: false },
    ],
  });
  try {
    const [origin] = (await gateway.listen()) as [string];
    const order: string[] = [];
    const ask = async (name: string) => {
      const { status } = await fetchAnswer(origin, '/', { headers: { Host: `${name}.test` } });
      order.push(name);
      assert.equal(status, 200);
    };
    const flood = Array.from({ length: 40 }, () => ask('a'));
    // They wait before the others come.
    await until(() => gateway.sources[0]!.active >= 30);
    await Promise.all([...flood, ask('b'), ask('b'), ask('b')]);
    assert.ok(order.lastIndexOf('b') < 30, order.join(''));
  } finally {
    await gateway.close();
    await application.close();
  }
  const entries = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const waited = entries.filter(({ waitedMs }) => waitedMs > 0);
  assert.ok(waited.length >= 30);
  assert.ok(waited.every(({ waitedMs, durationMs }) => waitedMs <= durationMs + 2));
});
