/** Faults on the way to an application: no permission, a full queue, a lost SYN, a name without an address. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import { parseAddress, toSocketOptions } from '../../src/base/address.ts';
import { startGateway } from '../support/gateway-process.ts';
import { replaceNameService } from '../support/name-service.ts';
import { startNarrowApplication } from '../support/narrow-application.ts';
import { startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { see } from './fault-gateway.ts';
import { type Situation, withGateway } from './stage.ts';

const post = { method: 'POST', body: 'a=1' } as const;

/** Root may open every file, unless it starts without that right. */
const withoutAllRights =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--'] : [];

/** Connects as often as the queue of a listener has places, until one has to wait. @returns what frees the places */
async function fillQueue(address: string): Promise<() => void> {
  const sockets: Socket[] = [];
  for (;;) {
    assert.ok(sockets.length < 50, 'its queue has no end');
    const socket = connect(toSocketOptions(parseAddress(address)));
    sockets.push(socket);
    const isFull = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(false));
      // A unix socket says so at once; TCP lets the SYN go unanswered.
      socket.once('error', () => resolve(true));
      // A turn later, so that what has come meanwhile is heard first.
      setTimeout(() => setImmediate(resolve, true), 500);
    });
    if (isFull) break;
  }
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

export const connecting: readonly Situation[] = [
  {
    rows: 'F2',
    title: 'two sources, the socket of one is not for us (EACCES)',
    promise: '200 from the other, out of service once; alone 503, and the log names owner and mode',
    run: async () => {
      const [closed, open] = [await startScriptedApplication(), await startScriptedApplication()];
      const { path } = toSocketOptions(parseAddress(closed.address)) as { path: string };
      chmodSync(path, 0);
      const rule = (directory: string, names: readonly string[]) => ({
        match: { directory },
        handler: {
          type: 'fastcgi' as const,
          checkFile: false,
          balancer: { policy: 'failover' as const, sources: names },
        },
      });
      const gateway = await startGateway({
        through: withoutAllRights,
        config: {
          sources: { closed: { address: closed.address }, open: { address: open.address } },
          virtualServers: [
            {
              documentRoot: createTestDirectory(),
              rules: [rule('/both', ['closed', 'open']), rule('/closed', ['closed'])],
            },
          ],
        },
      });
      try {
        for (let i = 0; i < 5; i++) assert.equal((await see(gateway.origin, '/both/', post)).status, 200);
        const alone = await see(gateway.origin, '/closed/');
        assert.deepEqual([alone.status, alone.headers['retry-after']], [503, '1']);
        const owner = `permission denied. The socket belongs to ${userInfo().username} (mode 0000)`;
        assert.ok(gateway.lines.some((line) => line.includes(owner)));
        assert.equal(gateway.lines.filter((line) => line.includes('out of service')).length, 1);
        // Whoever corrects it need not wait for anything.
        chmodSync(path, 0o600);
        assert.equal((await see(gateway.origin, '/closed/')).status, 200);
      } finally {
        await gateway.stop();
        await closed.close();
        await open.close();
      }
      return '5 of 5 POSTs answered; 503, Retry-After: 1, and 200 once the mode is right';
    },
  },
  {
    rows: 'F3',
    title: 'the queue of a unix socket is full for a while; 20 POSTs',
    promise: 'all wait, and are answered when there is a place',
    run: async () => {
      const application = await startNarrowApplication({ tcp: false });
      try {
        application.freeze();
        const free = await fillQueue(application.address);
        return await withGateway(
          { a: { address: application.address, connectTimeoutMs: 20_000, keepConnections: 0 } },
          { '/': ['a'] },
          async (gateway) => {
            let ended = 0;
            const answers = Array.from({ length: 20 }, () =>
              see(gateway.origin, '/', post).finally(() => {
                ended++;
              }),
            );
            await until(() => gateway.gateway.sources[0]!.active === 20, 'all are under way');
            assert.equal(ended, 0);
            free();
            application.thaw();
            for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
            return '20 of 20 answered';
          },
        );
      } finally {
        await application.stop();
      }
    },
  },
  {
    rows: 'F3',
    title: 'the queue of a source that never answered is full for longer than connectTimeoutMs; a POST',
    promise: 'it waits within holdMs, and is answered when there is a place',
    run: async () => {
      const application = await startNarrowApplication({ tcp: false });
      try {
        application.freeze();
        const free = await fillQueue(application.address);
        return await withGateway(
          {
            a: { address: application.address, connectTimeoutMs: 200, holdMs: 20_000, keepConnections: 0 },
          },
          { '/': ['a'] },
          async (gateway) => {
            const active = () => gateway.gateway.sources[0]!.active;
            const answer = see(gateway.origin, '/', post);
            await until(() => active() === 1, 'it tries to connect');
            await until(() => active() === 0, 'it met a full queue');
            free();
            application.thaw();
            assert.equal((await answer).status, 200);
            return '200';
          },
        );
      } finally {
        await application.stop();
      }
    },
  },
  ...(
    [
      ['F3', 'the queue of a unix socket stays full', false, 503, 'holdMs'],
      ['F4', 'the queue of a TCP port stays full: SYNs are dropped', true, 504, 'connectTimeoutMs'],
    ] as const
  ).map(([rows, title, tcp, status, limit]) => ({
    rows,
    title,
    promise: `a second source answers a POST; alone ${status} after ${limit}`,
    run: async () => {
      const [full, other] = [await startNarrowApplication({ tcp }), await startScriptedApplication()];
      full.freeze();
      const free = await fillQueue(full.address);
      try {
        return await withGateway(
          {
            full: { address: full.address, connectTimeoutMs: 500, holdMs: 500 },
            other: { address: other.address },
          },
          { '/both': ['full', 'other'], '/full': ['full'] },
          async (gateway) => {
            const both = await see(gateway.origin, '/both/', post);
            assert.deepEqual([both.status, other.requests.length], [200, 1]);
            const alone = await see(gateway.origin, '/full/', post);
            assert.equal(alone.status, status);
            if (status === 503) assert.equal(alone.headers['retry-after'], '1');
            return `200, and ${status}${status === 503 ? ', Retry-After: 1' : ''}`;
          },
          { policy: 'failover' },
        );
      } finally {
        free();
        await full.stop();
        await other.close();
      }
    },
  })),
  {
    rows: 'F5',
    title: 'the name of a source has no address; the name service fails after it had one',
    promise: '503, or a second source; the last good address stays',
    run: async () => {
      const [named, other] = [
        await startScriptedApplication({ tcp: true }),
        await startScriptedApplication(),
      ];
      const nameService = replaceNameService();
      const at = (host: string) => named.address.replace('127.0.0.1', host);
      try {
        return await withGateway(
          {
            known: { address: at('known.test'), keepConnections: 0, profile: 'generic' },
            unknown: { address: at('unknown.test') },
            other: { address: other.address },
          },
          { '/known': ['known'], '/unknown': ['unknown'], '/both': ['unknown', 'other'] },
          async (gateway) => {
            nameService.addresses.set('known.test', '127.0.0.1');
            assert.equal((await see(gateway.origin, '/known/')).status, 200);
            nameService.addresses.clear();
            await named.stop();
            const held = see(gateway.origin, '/known/', post);
            await until(() => nameService.failures.includes('known.test'), 'it is asked for again');
            await named.restart();
            assert.equal((await held).status, 200);

            const unknown = await see(gateway.origin, '/unknown/');
            assert.deepEqual([unknown.status, unknown.headers['retry-after']], [503, '1']);
            const told = /the name unknown\.test has no address \(ENOTFOUND\)/;
            assert.ok(gateway.lines.some(({ message }) => told.test(message)));
            assert.equal((await see(gateway.origin, '/both/', post)).status, 200);
            return '503, Retry-After: 1; 200 from the second; 200 at the last good address';
          },
          { policy: 'failover' },
        );
      } finally {
        nameService.restore();
        await named.close();
        await other.close();
      }
    },
  },
];
