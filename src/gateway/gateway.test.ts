/** A whole gateway: what asking it does, and does not. */
import assert from 'node:assert/strict';
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
