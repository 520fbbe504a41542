/**
 * The guarantees, through the whole gateway, seeded: no answer for somebody else (G1), no cut answer that looks whole (G2),
 * nothing that may not run twice runs twice (G3), and nothing left behind.
 */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { createRandom } from '../support/random.ts';
import { endRequest, record, stdout } from '../support/record-builder.ts';
import { type Played, startScriptedApplication } from '../support/scripted-application.ts';
import { until } from '../support/until.ts';
import { count } from './counts.ts';
import { startFaultGateway } from './fault-gateway.ts';
import { PlainClient } from './plain-client.ts';

const seed = Number(process.env.SEED ?? 20_261_124);
const host = 'Host: test\r\n';
const endOfStdout = record(6, 1, Buffer.alloc(0));

/** Runs `work` for each of `total` numbers, `parallel` at a time. */
async function inParallel(
  parallel: number,
  total: number,
  work: (number: number, client: PlainClient) => Promise<void>,
  origin: string,
): Promise<void> {
  let next = 0;
  const one = async () => {
    const client = new PlainClient(origin);
    while (next < total) await work(next++, client);
    client.close();
  };
  await Promise.all(Array.from({ length: parallel }, one));
}

test('G1: each of many requests, some of them left at random bytes, has its own answer', async (t) => {
  const random = createRandom(seed);
  const nonce = (c: Played) => {
    const own = c.argument.get('nonce')!;
    const body = own.repeat(1 + ((Number(own) % 97) ** 2 % 5000));
    const cut = body.length >> 1;
    const end = () => c.finish(stdout(body.slice(cut)), endOfStdout, endRequest());
    c.send(stdout(`Content-Type: text/plain\r\nX-Nonce: ${own}\r\n\r\n`), stdout(body.slice(0, cut)));
    // In one piece or in two, so that clients leave in the middle too.
    if (Number(own) % 3 === 0) setTimeout(end, 2);
    else end();
  };
  const application = await startScriptedApplication({ scenarios: { nonce } });
  const gateway = await startFaultGateway(
    { small: { address: application.address, keepConnections: 4, capacity: 8 } },
    { '/': ['small'] },
  );
  const total = count(100_000, 4_000);
  let answered = 0;
  let left = 0;
  try {
    await inParallel(
      64,
      total,
      async (number, client) => {
        const own = String(1_000_000 + number);
        const request = `GET /?play=nonce&nonce=${own} HTTP/1.1\r\n${host}\r\n`;
        const leaves = random() < 0.2;
        const where = random();
        const part = random();
        // In the request, with all of it sent, or in the answer.
        const leave =
          where < 0.2
            ? { afterSent: Math.floor(part * request.length) }
            : where < 0.4
              ? { afterSent: request.length }
              : { afterReceived: Math.floor(part * 25_000) };
        const answer = await client.request(request, leaves ? leave : {});
        application.requests.length = 0;
        if (answer === undefined) {
          left++;
          return;
        }
        assert.equal(answer.status, 200, `seed ${seed}, request ${number}`);
        assert.deepEqual(answer.fields.get('x-nonce'), [own], `seed ${seed}`);
        assert.equal(answer.body.replaceAll(own, ''), '', `seed ${seed}, request ${number}`);
        answered++;
      },
      gateway.origin,
    );
    t.diagnostic(`${answered} answered, ${left} left early, seed ${seed}`);
    assert.ok(left > total * 0.05 && answered + left === total);
    assert.ok(application.accepted > 8, 'connections of clients that left are not used again');
  } finally {
    await gateway.close();
    await application.close();
  }
});

for (const [name, bytes, versions] of [
  ['that is held whole', 2_000, ['1.1', '1.0']],
  // libuv takes a reset that comes together with bytes for an orderly end, so no client of node's can judge HTTP/1.0 here.
  ['of 20 KB', 20_000, ['1.1', '1.1']],
] as const) {
  test(`G2: an answer ${name}, cut at every byte, is never taken for whole`, async (t) => {
    const body = 'b'.repeat(bytes);
    const whole = Buffer.concat([
      stdout('Content-Type: text/plain\r\n\r\n'),
      record(6, 1, Buffer.from(body.slice(0, 700)), 5),
      record(7, 1, Buffer.from('a warning\n')),
      record(6, 1, Buffer.from(body.slice(700)), 3),
      endOfStdout,
      endRequest(),
    ]);
    const cut = (c: Played) => {
      const at = Number(c.argument.get('at'));
      c.socket.write(c.forRequest(whole).subarray(0, at));
      if (at === whole.length) c.finish();
      else if (at % 3 === 0 && at > 0) setImmediate(() => c.socket.destroy());
      else c.socket.end();
    };
    const application = await startScriptedApplication({ scenarios: { cut } });
    const { address } = application;
    const gateway = await startFaultGateway(
      { kept: { address }, fresh: { address, keepConnections: 0 } },
      { '/kept': ['kept'], '/fresh': ['fresh'] },
    );
    const step = count(1, 41);
    const offsets = Math.floor((whole.length - 1) / step) + 1;
    const statuses = new Map<string, number>();
    try {
      await inParallel(
        4,
        offsets,
        async (number, client) => {
          const at = number * step;
          const version = versions[number % 8 === 7 ? 1 : 0];
          // POST: not tried again.
          const request = `${version === '1.0' ? 'GET' : 'POST'} /${number % 2 === 0 ? 'kept' : 'fresh'}/?play=cut&at=${at} HTTP/${version}\r\n${host}Content-Length: 0\r\n\r\n`;
          const answer = (await client.request(request))!;
          application.requests.length = 0;
          const seen = answer.isCut ? 'cut' : String(answer.status);
          statuses.set(seen, (statuses.get(seen) ?? 0) + 1);
          assert.ok(
            answer.isCut || answer.status === 502,
            `cut at ${at} of ${whole.length} over HTTP/${version}: ${answer.status}, ${answer.body.length} bytes`,
          );
        },
        gateway.origin,
      );
      const client = new PlainClient(gateway.origin);
      const complete = await client.request(`GET /kept/?play=cut&at=${whole.length} HTTP/1.1\r\n${host}\r\n`);
      client.close();
      assert.equal(complete!.body, body);
      t.diagnostic(JSON.stringify(Object.fromEntries(statuses)));
    } finally {
      await gateway.close();
      await application.close();
    }
  });
}

test('G3: while sources die at random moments no POST runs twice, and every 2xx ran once', async (t) => {
  const random = createRandom(seed);
  const runs = new Map<string, number>();
  const sources: Awaited<ReturnType<typeof startScriptedApplication>>[] = [];
  const total = count(10_000, 1_000);
  const execute = (c: Played) => {
    const phase = random() * 200;
    // Before it ran, after it ran, in the head, in the body, after the whole answer.
    if (phase < 1) {
      c.socket.destroy();
      return;
    }
    const own = c.argument.get('nonce')!;
    runs.set(own, (runs.get(own) ?? 0) + 1);
    const answer = Buffer.concat([
      stdout(`Content-Type: text/plain\r\n\r\n${own}`),
      endOfStdout,
      endRequest(),
    ]);
    if (phase < 2) c.socket.destroy();
    else if (phase < 4) c.socket.end(answer.subarray(0, Math.floor(random() * answer.length)));
    else if (phase < 5) c.socket.end(answer);
    else if (phase < 6) {
      c.send(answer);
      setImmediate(() => c.socket.destroy());
    } else c.finish(answer);
  };
  for (const tcp of [true, false])
    sources.push(await startScriptedApplication({ tcp, scenarios: { execute } }));
  const gateway = await startFaultGateway(
    { one: { address: sources[0]!.address }, two: { address: sources[1]!.address } },
    { '/': ['one', 'two'] },
  );
  let deaths = 0;
  const die = async (which: number) => {
    const source = sources[which]!;
    await source.stop();
    deaths++;
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    await source.restart();
  };
  const statuses = new Map<number, number>();
  let dying: Promise<void> | undefined;
  try {
    await inParallel(
      32,
      total,
      async (number, client) => {
        const own = `n${number}`;
        if (number % 100 === 99) {
          dying ??= die(random() < 0.5 ? 0 : 1).finally(() => {
            dying = undefined;
          });
        }
        const body = 'x'.repeat(Math.floor(random() * 3000));
        const answer = (await client.request(
          `POST /?play=execute&nonce=${own} HTTP/1.1\r\n${host}Content-Length: ${body.length}\r\n\r\n${body}`,
        ))!;
        for (const source of sources) source.requests.length = 0;
        const status = answer.isCut ? 0 : answer.status;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        const times = runs.get(own) ?? 0;
        assert.ok(times <= 1, `seed ${seed}: ${own} ran ${times} times`);
        if (status === 200) {
          assert.equal(times, 1);
          assert.equal(answer.body, own);
        } else assert.ok([0, 502, 503].includes(status), `status ${status}`);
      },
      gateway.origin,
    );
    await dying;
    t.diagnostic(`${JSON.stringify(Object.fromEntries(statuses))}, ${deaths} deaths, seed ${seed}`);
    assert.ok(deaths > total / 400);
    assert.ok(statuses.get(200)! > total * 0.8, JSON.stringify([...statuses]));
    for (const [own, times] of runs) assert.equal(times, 1, own);
  } finally {
    await gateway.close();
    for (const source of sources) await source.close();
  }
});

test('nothing is left behind: descriptors and timers are back after many requests, good and bad', async (t) => {
  const random = createRandom(seed);
  const application = await startScriptedApplication({ tcp: true });
  const source = { address: application.address, readTimeoutMs: 500 };
  const gateway = await startFaultGateway(
    { kept: source, fresh: { ...source, keepConnections: 0 } },
    { '/kept': ['kept'], '/fresh': ['fresh'] },
  );
  const plays = [
    ...Array.from({ length: 20 }, () => 'page'),
    'large&bytes=100000',
    'eof-without-end&before=20000',
    'close-without-a-byte',
    'overloaded',
    'version-2',
    'wrong-id-in-body',
    'second-answer',
    'late-bytes',
    'silence',
    'head-never-ends',
  ];
  const facts = () => {
    const resources = process.getActiveResourcesInfo();
    return {
      descriptors: readdirSync('/proc/self/fd').length,
      timers: resources.filter((kind) => kind === 'Timeout').length,
      resources: resources.length,
    };
  };
  const run = (total: number) =>
    inParallel(
      32,
      total,
      async (_number, client) => {
        const play = plays[Math.floor(random() * plays.length)]!;
        const route = random() < 0.5 ? 'kept' : 'fresh';
        const leave = random() < 0.1 ? { afterReceived: Math.floor(random() * 3000) } : {};
        const method = random() < 0.3 ? 'POST' : 'GET';
        await client.request(
          `${method} /${route}/?play=${play} HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`,
          leave,
        );
        application.requests.length = 0;
      },
      gateway.origin,
    );
  try {
    await run(50);
    await until(() => application.open === 0, 'the end of all connections');
    const before = facts();
    await run(count(20_000, 1_000));
    const isBack = () => {
      const now = facts();
      return (
        now.descriptors <= before.descriptors + 2 &&
        now.timers <= before.timers + 2 &&
        now.resources <= before.resources + 4
      );
    };
    const told = () => `before ${JSON.stringify(before)}, after ${JSON.stringify(facts())}, seed ${seed}`;
    await until(isBack, 'what was before', told);
    t.diagnostic(told());
  } finally {
    await gateway.close();
    await application.close();
  }
});
