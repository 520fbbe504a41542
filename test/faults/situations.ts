/** Faults that need a stage of their own: several sources, a client that leaves, nobody who listens. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type FaultGateway, see } from './fault-gateway.ts';
import { onStage, type Situation, type Stage, until } from './stage.ts';

const post = { method: 'POST', body: 'a=1' } as const;
const asked = ({ applications }: Stage) => applications.map(({ requests }) => requests.length).join(' and ');

/** Sends this much of a request and leaves when told. */
function leaver(gateway: FaultGateway, text: string): { leave(): void } {
  const socket = connect(Number(new URL(gateway.origin).port), '127.0.0.1', () => socket.write(text));
  socket.on('error', () => {});
  socket.resume();
  return { leave: () => socket.destroy() };
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
      onStage([{}], { totalTimeoutMs: 300 }, async ({ gateway }) => {
        const drip = await see(gateway.origin, '/?play=drip&ms=20&count=100000');
        assert.equal(drip.isCut, true);
        return 'cut';
      }),
  },
  {
    rows: 'F32',
    title: 'the client leaves while its request waits for a place',
    promise: 'nothing is sent',
    run: () =>
      onStage([{}], { capacity: 1 }, async ({ gateway, applications }) => {
        const slow = see(gateway.origin, '/?play=slow&ms=600');
        await until(() => applications[0]!.requests.length === 1, 'the first runs');
        const waiting = leaver(gateway, 'GET /?play=page&who=left HTTP/1.1\r\nHost: test\r\n\r\n');
        await new Promise((resolve) => setTimeout(resolve, 50));
        waiting.leave();
        await slow;
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
        const client = leaver(gateway, 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nabc');
        await new Promise((resolve) => setTimeout(resolve, 50));
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
