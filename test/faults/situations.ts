/** Faults that need a stage of their own: several sources, a client that leaves, nobody who listens. */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { endRequest, stdout } from '../support/record-builder.ts';
import type { Played } from '../support/scripted-application.ts';
import { until } from '../support/until.ts';
import { type FaultGateway, see } from './fault-gateway.ts';
import { Gate } from './gate.ts';
import { onStage, type Situation, type Stage, withStoppedClock } from './stage.ts';

/** Events for a second, which is longer than the limit. */
function events(played: Played): void {
  let left = 50;
  played.send(stdout('Content-Type: text/event-stream\r\n\r\n'));
  const timer = setInterval(() => {
    played.send(stdout(':\n'));
    if (--left > 0) return;
    clearInterval(timer);
    played.finish(endRequest());
  }, 20);
  played.socket.on('close', () => clearInterval(timer));
}

const post = { method: 'POST', body: 'a=1' } as const;
const asked = ({ applications }: Stage) => applications.map(({ requests }) => requests.length).join(' and ');

/** Sends this much of a request and leaves when told. */
function leaver(gateway: FaultGateway, text: string): { heard(): string; leave(): void } {
  const socket = connect(Number(new URL(gateway.origin).port), '127.0.0.1', () => socket.write(text));
  let heard = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1');
  });
  return { heard: () => heard, leave: () => socket.destroy() };
}

/** A stage of one application, whose `gate` requests wait until the gate is open. */
function onGatedStage(
  source: Parameters<typeof onStage>[1],
  run: (stage: Stage, gate: Gate) => Promise<string>,
): Promise<string> {
  const gate = new Gate();
  return onStage([{ scenarios: { gate: gate.play } }], source, (stage) => run(stage, gate));
}

export const situations: readonly Situation[] = [
  {
    rows: 'F1',
    title: 'two sources, one listens no more; POST',
    promise: '200 from the other',
    run: () =>
      onStage([{}, {}], {}, async ({ gateway, applications }) => {
        await applications[0]!.stop();
        for (let i = 0; i < 4; i++) {
          assert.equal((await see(gateway.origin, '/?play=page', post)).status, 200);
        }
        return '4 of 4 answered';
      }),
  },
  ...([true, false] as const).map((tcp) => ({
    rows: 'F1, F41',
    title: `the only source restarts (${tcp ? 'TCP: refused' : 'unix: no socket'}); 20 POSTs meanwhile`,
    promise: 'all wait, and each runs once',
    run: () =>
      onStage([{ tcp }], { holdMs: 20_000 }, async ({ gateway, applications }) => {
        const [application] = applications;
        assert.equal((await see(gateway.origin, '/?play=page')).status, 200);
        await application!.stop();
        application!.requests.length = 0;
        const answers = Promise.all(
          Array.from({ length: 20 }, () => see(gateway.origin, '/?play=page', post)),
        );
        await until(
          () => gateway.lines.filter(({ message }) => /waiting a moment$/.test(message)).length >= 20,
          'all wait',
        );
        await application!.restart();
        const good = (await answers).filter(({ status, body }) => status === 200 && body === 'Hello');
        assert.equal(good.length, 20);
        assert.equal(application!.requests.length, 20);
        return `${good.length} of 20 answered, ${application!.requests.length} runs`;
      }),
  })),
  {
    rows: 'F1',
    title: 'the only source does not come back',
    promise: '503 with Retry-After after holdMs',
    run: () =>
      onStage([{}], { holdMs: 200 }, async ({ gateway, applications }) => {
        await see(gateway.origin, '/?play=page');
        await applications[0]!.stop();
        const { status, headers } = await see(gateway.origin, '/?play=page', post);
        assert.deepEqual([status, headers['retry-after']], [503, '1']);
        return '503, Retry-After: 1';
      }),
  },
  {
    rows: 'F8, F42',
    title: 'two sources, one closes without a byte',
    promise: 'GET: the other; POST: 502',
    run: () =>
      onStage(
        [{ play: 'close-without-a-byte' }, {}],
        {},
        async (stage) => {
          const { gateway } = stage;
          assert.equal((await see(gateway.origin, '/')).status, 200);
          const before = asked(stage);
          assert.equal(before, '1 and 1');
          assert.equal((await see(gateway.origin, '/', post)).status, 502);
          return 'GET 200, POST 502';
        },
        { policy: 'failover' },
      ),
  },
  {
    rows: 'F12',
    title: 'two sources, one breaks off in a small answer; GET',
    promise: '200 from the other, nothing of the broken one',
    run: () =>
      onStage(
        [{ play: 'eof-without-end' }, {}],
        {},
        async (stage) => {
          const { body, status } = await see(stage.gateway.origin, '/');
          assert.deepEqual([status, body], [200, 'Hello']);
          return '200';
        },
        { policy: 'failover' },
      ),
  },
  {
    rows: 'F21',
    title: 'two sources, one is OVERLOADED; POST',
    promise: '200 from the other',
    run: () =>
      onStage(
        [{ play: 'overloaded' }, {}],
        {},
        async (stage) => {
          assert.equal((await see(stage.gateway.origin, '/', post)).status, 200);
          assert.equal(asked(stage), '1 and 1');
          return '200';
        },
        { policy: 'failover' },
      ),
  },
  {
    rows: 'F16',
    title: 'one byte now and then, for longer than totalTimeoutMs',
    promise: 'cut; an answer of events goes on',
    run: () =>
      onStage([{ scenarios: { events } }], { totalTimeoutMs: 300 }, async ({ gateway }) => {
        const drip = await see(gateway.origin, '/?play=drip&ms=20&count=100000');
        assert.equal(drip.isCut, true);
        const streamed = await see(gateway.origin, '/?play=events');
        assert.deepEqual([streamed.isCut, streamed.body.length], [false, 100]);
        return 'cut; the events complete';
      }),
  },
  {
    rows: 'F32',
    title: 'the client leaves while its request waits for a place',
    promise: 'nothing is sent',
    run: () =>
      onGatedStage({ capacity: 1 }, async ({ gateway, applications }, gate) => {
        const first = see(gateway.origin, '/?play=gate');
        await until(() => gate.waiting === 1, 'the first runs');
        const active = () => gateway.gateway.sources[0]!.active;
        const waiting = leaver(gateway, 'GET /?play=page&who=left HTTP/1.1\r\nHost: test\r\n\r\n');
        await until(() => active() === 2, 'the next one waits');
        waiting.leave();
        await until(() => active() === 1, 'it has left');
        gate.open();
        await first;
        await see(gateway.origin, '/?play=page');
        const seen = applications[0]!.requests.map(({ variables }) => variables.get('QUERY_STRING'));
        assert.ok(!seen.includes('play=page&who=left'), seen.join(' '));
        return 'not asked';
      }),
  },
  {
    rows: 'F33',
    title: 'the client leaves in the middle of an upload, bufferRequest on',
    promise: 'no source is contacted',
    run: () =>
      onStage([{}], {}, async ({ gateway, applications }) => {
        const client = leaver(
          gateway,
          'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\nabc',
        );
        await until(() => client.heard().includes('100 Continue'), 'the gateway reads');
        client.leave();
        await see(gateway.origin, '/?play=page');
        assert.equal(applications[0]!.requests.length, 1);
        return 'not contacted';
      }),
  },
  {
    rows: 'F34',
    title: 'the same, bufferRequest off',
    promise: 'the connection closes; STDIN has no end',
    run: () =>
      onStage(
        [{}],
        {},
        async ({ gateway, applications }) => {
          const client = leaver(
            gateway,
            'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nabc',
          );
          await until(() => applications[0]!.requests[0]?.stdin.length === 3, 'the begin arrives');
          client.leave();
          await until(() => applications[0]!.open === 0, 'the connection closes');
          const [request] = applications[0]!.requests;
          assert.deepEqual([request!.stdinEnded, request!.aborted], [false, false]);
          return 'closed without an end';
        },
        { bufferRequest: false },
      ),
  },
  {
    rows: 'F35',
    title: 'the client leaves during the answer',
    promise: 'the connection closes',
    run: () =>
      onStage([{}], {}, async ({ gateway, applications }) => {
        const client = leaver(gateway, 'GET /?play=drip&ms=20&count=100000 HTTP/1.1\r\nHost: test\r\n\r\n');
        await until(() => applications[0]!.requests.length === 1, 'it runs');
        client.leave();
        await until(() => applications[0]!.open === 0, 'the connection closes');
        return 'closed';
      }),
  },
  {
    rows: 'F36',
    title: 'a client reads nothing of 20 MB, the source has one place',
    promise: 'the next request is answered',
    run: () =>
      onStage([{}], { capacity: 1 }, async ({ gateway, applications }) => {
        const port = Number(new URL(gateway.origin).port);
        const slow = connect(port, '127.0.0.1');
        slow.on('error', () => {});
        slow.pause();
        slow.write('GET /?play=large&bytes=20000000 HTTP/1.1\r\nHost: test\r\n\r\n');
        await until(() => applications[0]!.requests.length === 1, 'it runs');
        const next = await see(gateway.origin, '/?play=page');
        slow.destroy();
        assert.equal(next.body, 'Hello');
        return '200';
      }),
  },
  {
    rows: 'F38',
    title: 'two workers, each held by a connection that is kept; three clients, 30 requests',
    promise: 'nobody waits for a kept connection to grow old; to PHP none is kept',
    run: async () => {
      const seen = await onStage(
        [{ workers: 2 }],
        { profile: 'generic', keepConnections: 8 },
        async ({ gateway }) => {
          for (let i = 0; i < 10; i++) {
            const answers = await Promise.all([1, 2, 3].map(() => see(gateway.origin, '/?play=page')));
            for (const { body } of answers) assert.equal(body, 'Hello');
          }
          return '30 of 30 answered';
        },
      );
      return onStage([{}], { profile: 'php-fpm' }, async ({ gateway, applications }) => {
        await see(gateway.origin, '/?play=page');
        await until(() => applications[0]!.open === 0, 'the connection closes');
        return seen;
      });
    },
  },
  {
    rows: 'F39',
    title: 'health checks, and the application goes away and comes back',
    promise: 'each is a request on a connection that is closed after it; only changes are logged',
    run: () =>
      onStage(
        [{}],
        { profile: 'php-fpm', check: { path: '/ping', everyMs: 20 } },
        async ({ gateway, applications }) => {
          const [application] = applications;
          const told = (text: string) =>
            gateway.lines.filter(({ message }) => message.startsWith(`Health checks ${text}`)).length;
          await until(() => application!.requests.length >= 10, 'ten checks');
          await until(
            () => application!.open === 0 && application!.accepted === application!.requests.length,
            'each connection had its request, and is closed',
          );
          await application!.stop();
          await until(() => told('take the source out of service') > 0, 'it is out');
          await application!.restart();
          await until(() => told('find the source well again') > 0, 'it is back');
          assert.deepEqual([told('take'), told('find')], [1, 1]);
          return 'no bare connection; one line for each change';
        },
      ),
  },
  {
    rows: 'F40',
    title:
      'FCGI_GET_VALUES to an application that does not know it, where it is to be asked; an application of which nothing is said',
    promise: 'asked once, on a connection of its own, and no request waits for it; the other is not asked',
    run: async () => {
      const seen = await onStage([{}], { profile: 'auto' }, async ({ gateway, applications }) => {
        const [application] = applications;
        await see(gateway.origin, '/?play=page');
        const isLearnt = () =>
          gateway.lines.some(({ message }) => message === 'The application was asked what it can do');
        await until(() => application!.accepted === 2, 'it is asked');
        assert.equal((await see(gateway.origin, '/?play=page')).body, 'Hello');
        assert.equal(isLearnt(), false, 'the question still waits for its answer');
        await until(isLearnt, 'the question is given up');
        for (let i = 0; i < 3; i++) await see(gateway.origin, '/?play=page');
        assert.deepEqual([application!.requests.length, application!.accepted], [5, 4]);
        return 'asked once; not asked';
      });
      return onStage([{}], {}, async ({ gateway, applications }) => {
        for (let i = 0; i < 3; i++) await see(gateway.origin, '/?play=page');
        assert.equal(applications[0]!.accepted, 3);
        return seen;
      });
    },
  },
  {
    rows: 'F44',
    title: 'two sources, one comes back',
    promise: 'its share grows for 10 s: a tenth of its weight at first, half of it after 5 s, then all',
    run: () =>
      withStoppedClock((forward) =>
        onStage([{}, {}], { profile: 'generic' }, async ({ gateway, applications }) => {
          const [recovered, other] = applications;
          const burst = async (): Promise<number> => {
            for (const { requests } of applications) requests.length = 0;
            await Promise.all(Array.from({ length: 110 }, () => see(gateway.origin, '/?play=page')));
            assert.equal(recovered!.requests.length + other!.requests.length, 110);
            return recovered!.requests.length;
          };
          const isBack = () =>
            gateway.lines.some(({ message }) => message === 'The source is back in service');
          await recovered!.stop();
          await burst();
          await recovered!.restart();
          forward(1_500);
          await until(async () => {
            await see(gateway.origin, '/?play=page');
            return isBack();
          }, 'it is back');
          const shares = [await burst()];
          for (let i = 0; i < 2; i++) {
            forward(5_000);
            shares.push(await burst());
          }
          for (const [i, share] of [10, 37, 55].entries()) {
            assert.ok(Math.abs(shares[i]! - share) <= 3, `${shares.join(', ')} of 110`);
          }
          return 'of 110 requests about 10, then 37, then 55';
        }),
      ),
  },
  {
    rows: 'F43',
    title: 'three sources, nobody listens at any',
    promise: 'each is asked once, then 503 with Retry-After',
    run: () =>
      onStage([{}, {}, {}], {}, async ({ gateway, applications }) => {
        for (const application of applications) await application.stop();
        const { status, headers } = await see(gateway.origin, '/');
        assert.deepEqual([status, headers['retry-after']], [503, '1']);
        return '503, Retry-After: 1';
      }),
  },
];
