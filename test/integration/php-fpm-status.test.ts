/** The capacity of a php-fpm that somebody else runs, from its status page. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseAddress } from '../../src/base/address.ts';
import { systemClock } from '../../src/base/clock.ts';
import { createClient } from '../../src/client/index.ts';
import { createGateway } from '../../src/index.ts';
import { createRemoteSource } from '../../src/source/remote/remote.ts';
import { copyApplication } from '../support/applications.ts';
import { ask } from '../support/ask.ts';
import { freePort } from '../support/free-port.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { pageRequest, recordLog } from '../support/local-source.ts';
import { type PhpFpmOptions, startPhpFpm } from '../support/php-fpm.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

/** A php-fpm with two workers at most, whose page has an address of its own besides. */
async function startTwo(t: TestContext, options: PhpFpmOptions = {}) {
  const statusAddress = `unix:${join(createTestDirectory(), 'status.sock')}`;
  const fpm = await startPhpFpm(2, {
    ...options,
    settings: [
      'pm.status_path = /fpm/status',
      `pm.status_listen = ${statusAddress.slice('unix:'.length)}`,
      ...(options.settings ?? []),
    ],
  });
  const client = createClient(statusAddress, { keepConnections: 0 });
  t.after(async () => {
    await client.close();
    await fpm.stop();
  });
  return {
    address: fpm.address,
    statusAddress,
    /** What php-fpm says about itself at its other address. */
    async page(): Promise<Record<string, unknown>> {
      const variables = { SCRIPT_NAME: '/fpm/status' };
      const response = await client.request({ script: '/fpm/status', query: 'json', variables });
      return (await response.json()) as Record<string, unknown>;
    },
  };
}

test('20 requests for two static workers: two at a time, the others wait here and not in php-fpm', async (t) => {
  const { address, statusAddress, page } = await startTwo(t, { port: await freePort() });
  const { log, lines } = recordLog();
  const rule = (source: string) => ({
    match: { directory: `/${source}` },
    handler: { type: 'fastcgi', source, documentRoot: copyApplication('php') } as const,
  });
  const gateway = await createGateway(
    {
      listen: [{ host: '127.0.0.1', port: 0 }],
      sources: { limited: { address, statusPath: '/fpm/status', statusAddress }, open: { address } },
      virtualServers: [
        { documentRoot: createTestDirectory(), accessLog: false, rules: [rule('limited'), rule('open')] },
      ],
    },
    { log },
  );
  t.after(() => gateway.close());
  const [origin] = (await gateway.listen()) as [string];
  /** Longer than php-fpm needs to see its own queue, which it looks at once a second. */
  const askTwenty = async (source: string) => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => fetchAnswer(origin, `/${source}/application.php/sleep?ms=250`)),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  };

  await until(async () => {
    assert.equal((await fetchAnswer(origin, '/limited/application.php/echo')).status, 200);
    return lines.some(({ message }) => message.startsWith('The status page'));
  }, 'two looks');
  const line = lines.find(({ message }) => message.startsWith('The status page'))!;
  assert.deepEqual([line.level, line.fields.source, line.fields.capacity], ['debug', 'limited', 2]);
  assert.match(String(line.fields.reason), /^process manager static, total processes 2,/);
  const mostQueued = async () => Number((await page())['max listen queue']);
  await askTwenty('limited');
  // A worker's answer is here a moment before that worker accepts again: the next two may be seen between.
  assert.ok((await mostQueued()) <= 2, `${await mostQueued()} connections queued`);

  await askTwenty('open');
  assert.ok((await mostQueued()) >= 10, `without the capacity its queue fills: ${await mostQueued()}`);
});

for (const { manager, capacity } of [
  { manager: 'dynamic', capacity: 2 },
  { manager: 'ondemand', capacity: 3 },
] as const) {
  test(`${manager} workers: no limit until php-fpm has reached its own, asked where the requests go`, async (t) => {
    const { address, page } = await startTwo(t, {
      manager,
      settings:
        manager === 'dynamic'
          ? ['pm.start_servers = 1', 'pm.min_spare_servers = 1', 'pm.max_spare_servers = 1']
          : [],
    });
    const { log, lines } = recordLog();
    let later = 0;
    const source = createRemoteSource({
      name: 'php',
      address: parseAddress(address),
      profile: 'php-fpm',
      statusPath: '/fpm/status',
      log,
      clock: { ...systemClock, now: () => performance.now() + later },
      random: () => 0.5,
    });
    t.after(() => source.close());
    const root = copyApplication('php');
    const request = async (ms: number) => {
      const outcome = await ask(
        source,
        pageRequest(root, '/application.php', { query: `ms=${ms}`, more: { PATH_INFO: '/sleep' } }),
      );
      assert.equal(outcome.error, undefined);
      assert.match(outcome.stdout, /\r\n\r\n\d+$/);
    };
    await request(1);
    await until(() => lines.length === 1, 'the first look');
    assert.equal(lines[0]!.fields.capacity, undefined);
    await until(async () => {
      await Promise.all(Array.from({ length: 6 }, () => request(200)));
      return Number((await page())['max children reached']) > 0;
    }, 'its limit');
    later = 10_000;
    await request(1);
    await until(() => lines.length === 2, 'the second look');
    // Its own count may be off by one.
    const found = Number(lines[1]!.fields.capacity);
    assert.ok(found === capacity || found === capacity + 1, `capacity ${found}`);
  });
}
