/** A whole gateway: what asking it does and does not, and when it starts. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startApplication } from '../../test/support/application-client.ts';
import { FakeExchange } from '../../test/support/fake-exchange.ts';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { createGateway } from './gateway.ts';
import type { Gateway } from './options.ts';

/** Two applications that say their names, in turn. */
async function openPair(t: TestContext): Promise<Gateway> {
  const [a, b] = await Promise.all(
    ['a', 'b'].map((name) =>
      startApplication(t, (request) => {
        request.write(`Content-Type: text/plain\r\n\r\n${name}`);
        request.end();
      }),
    ),
  );
  const gateway = await createGateway({
    sources: { a: { address: `unix:${a!.path}` }, b: { address: `unix:${b!.path}` } },
    virtualServers: [
      {
        documentRoot: createTestDirectory(),
        rules: [
          {
            handler: {
              type: 'fastcgi',
              balancer: { policy: 'round-robin', sources: ['a', 'b'] },
              checkFile: false,
            },
          },
        ],
      },
    ],
  });
  t.after(() => gateway.close());
  return gateway;
}

async function ask(gateway: Gateway): Promise<string> {
  const exchange = new FakeExchange({ target: '/x' });
  gateway.handle(exchange);
  await exchange.whenEnded();
  return exchange.body.toString();
}

/** The source that the last step names. */
function explained(gateway: Gateway): string {
  const { explanation } = gateway.explain(new FakeExchange({ target: '/x' }).request).at(-1)!;
  return explanation.action === 'run' ? explanation.source.slice(0, 1) : `${explanation.action}`;
}

test('to explain takes no turn from requests, and names the source that the next one gets', async (t) => {
  const gateway = await openPair(t);
  const seen: string[] = [];
  for (let round = 0; round < 4; round++) {
    const named = [1, 2, 3].map(() => explained(gateway)).join('');
    seen.push(`${named} ${await ask(gateway)}`);
  }
  assert.deepEqual(seen, ['aaa a', 'bbb b', 'aaa a', 'bbb b']);
});

test('of none in service, explain names the source that is asked all the same; of none that may be used, the error', async (t) => {
  const gateway = await openPair(t);
  gateway.setSourceState('a', 'maintenance');
  gateway.setSourceState('b', 'drain');
  assert.equal(explained(gateway), 'b');
  assert.equal(await ask(gateway), 'b');
  gateway.setSourceState('b', 'maintenance');
  const { explanation } = gateway.explain(new FakeExchange({ target: '/x' }).request).at(-1)!;
  const exchange = new FakeExchange({ target: '/x' });
  gateway.handle(exchange);
  assert.ok(explanation.action === 'error');
  assert.equal(explanation.status, exchange.status);
  assert.match(explanation.reason, /^All sources are in maintenance: a, b$/);
});

/** A folder with a site, and a configuration for it that opens and starts all that there is. */
function createBusySite() {
  const folder = createTestDirectory();
  const site = join(folder, 'site');
  const runtime = join(folder, 'runtime');
  const logs = join(folder, 'logs');
  for (const path of [site, runtime, logs]) mkdirSync(path);
  // As a source of ours would leave it for its user to pass through, and one that only we may enter.
  chmodSync(runtime, 0o700);
  // What a killed gateway left.
  mkdirSync(join(runtime, 'fastway-0123456789ab'), { mode: 0o700 });
  const listing = { boot: 'another', gateway: { pid: 1, startTime: 0 }, source: '', interpreters: [] };
  writeFileSync(join(runtime, 'fastway-0123456789ab', 'processes'), JSON.stringify(listing), { mode: 0o600 });
  writeFileSync(join(site, 'page.txt'), 'the page');
  return {
    folder,
    runtime,
    accessLog: join(logs, 'access.log'),
    config: {
      runtimeDir: runtime,
      listen: [{ port: 0 }],
      metrics: { port: 0 },
      sources: {
        own: { interpreter: [process.execPath, '-e', 'setInterval(() => {}, 1000)'], processes: { min: 1 } },
        remote: { address: 'tcp://127.0.0.1:1', check: { path: '/', everyMs: 1000 } },
      },
      virtualServers: [
        {
          documentRoot: site,
          accessLog: { file: join(logs, 'access.log') },
          rules: [
            {
              match: { extensions: ['app'] },
              handler: {
                type: 'fastcgi',
                balancer: { policy: 'round-robin', sources: ['own', 'remote'] },
                checkFile: false,
              },
            },
            { handler: { type: 'files' } },
          ],
        },
      ],
    },
  } as const;
}

async function send(gateway: Gateway, target: string): Promise<FakeExchange> {
  const exchange = new FakeExchange({ target });
  gateway.handle(exchange);
  await exchange.whenEnded();
  return exchange;
}

test('the start opens all of it, once, and the end takes it away', async () => {
  const { folder, runtime, accessLog, config } = createBusySite();
  const gateway = await createGateway(config);
  const waiting = send(gateway, '/page.txt');
  await Promise.all([gateway.start(), gateway.start()]);
  assert.deepEqual(
    readdirSync(runtime).filter((name) => name !== 'fastway-0123456789ab').length > 0,
    true,
    readdirSync(runtime).join(),
  );
  if (process.platform === 'linux') assert.ok(!existsSync(join(runtime, 'fastway-0123456789ab')));
  assert.ok(existsSync(accessLog));
  assert.equal((await waiting).body.toString(), 'the page');
  const urls = await gateway.listen();
  assert.equal(await (await fetch(`${urls[0]}page.txt`)).text(), 'the page');
  await gateway.close(100);
  assert.deepEqual(readdirSync(runtime), []);
  assert.equal(readFileSync(accessLog, 'latin1').match(/ \/page\.txt /g)?.length, 2);
  assert.deepEqual(statSync(runtime).mode & 0o777, 0o700, folder);
});

test('below another server the first request starts it; a start that fails answers it, and the next tries again', async (t) => {
  const { accessLog, config } = createBusySite();
  mkdirSync(accessLog);
  const gateway = await createGateway(config);
  t.after(() => gateway.close(1));
  assert.deepEqual(
    (await Promise.all([send(gateway, '/page.txt'), send(gateway, '/page.txt')])).map(({ status }) => status),
    [500, 500],
  );
  await assert.rejects(gateway.start(), {
    code: 'GW_ERR_CONFIG',
    message: /^The access log .* cannot be opened/,
  });
  await assert.rejects(gateway.listen(), { code: 'GW_ERR_CONFIG' });
  rmdirSync(accessLog);
  const [first, second] = await Promise.all([send(gateway, '/page.txt'), send(gateway, '/none')]);
  assert.deepEqual([first.body.toString(), second.status], ['the page', 404]);
  assert.ok(statSync(accessLog).isFile());
});

test('a gateway that is closed while it starts leaves nothing, and answers whom it had let wait', async () => {
  const { runtime, accessLog, config } = createBusySite();
  const gateway = await createGateway(config);
  const waiting = send(gateway, '/page.txt');
  const starting = gateway.listen();
  await gateway.close(1);
  assert.deepEqual(await starting, []);
  assert.equal((await waiting).ended, true);
  assert.deepEqual(
    readdirSync(runtime).filter((name) => name !== 'fastway-0123456789ab'),
    [],
  );
  assert.equal(existsSync(accessLog), false);
  await gateway.start();
  assert.equal(existsSync(accessLog), false);
});
