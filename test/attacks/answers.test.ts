/**
 * Hostile and broken applications: no answer is made of two, no request runs twice that must not, and no answer is complete
 * that its application did not complete.
 */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { serve } from '../../src/app/index.ts';
import type { ConfigInput, SourceInput } from '../../src/config/types.ts';
import { startScriptedApplication } from '../../src/testing/scripted-application.ts';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import {
  type MultiplexedRequest,
  startMultiplexingApplication,
} from '../support/multiplexing-application.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { endRequest, record, text } from '../support/record-builder.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';

type Rules = NonNullable<NonNullable<ConfigInput['virtualServers']>[number]['rules']>;

async function start(
  t: TestContext,
  sources: Record<string, SourceInput>,
  handler: object = {},
  rules?: Rules,
): Promise<GatewayProcess> {
  const fastcgi = {
    type: 'fastcgi',
    checkFile: false,
    ...balanced(Object.keys(sources)),
    ...handler,
  } as const;
  const gateway = await startGateway({
    config: {
      log: { level: 'info' },
      sources,
      virtualServers: [
        { documentRoot: createTestDirectory(), rules: rules ?? [{ handler: fastcgi } as Rules[number]] },
      ],
    },
  });
  t.after(() => gateway.stop());
  return gateway;
}

function balanced(names: readonly string[]): object {
  return names.length === 1
    ? { source: names[0] }
    : { balancer: { policy: 'round-robin', sources: names.map((source) => ({ source })) } };
}

const head = 'Content-Type: text/plain\r\n\r\n';
const end = (request: MultiplexedRequest, status: number) =>
  Buffer.concat([record(6, request.id, text('')), endRequest(status, 0, request.id)]);

/** What a client got, whatever it was. */
async function outcomeOf(asked: ReturnType<typeof fetchAnswer>): Promise<string> {
  return asked.then(
    ({ status, text: body }) => `${status} complete ${body}`,
    () => 'cut',
  );
}

for (const profile of ['generic', 'multiplexing'] as const) {
  for (const [name, status] of [
    ['CANT_MPX_CONN', 1],
    ['OVERLOADED', 2],
  ] as const) {
    test(`S12: output, then ${name}: no second try, and no answer made of two (${profile})`, async (t) => {
      for (const isLarge of [false, true]) {
        const runs: string[] = [];
        const application = await startMultiplexingApplication({
          heard: (request) => {
            const path = request.variables.get('REQUEST_URI')!;
            if (path.startsWith('/warm')) return request.answer(`${head}warm`);
            runs.push(path);
            if (runs.length > 1) return request.answer(`${head}Set-Cookie: of-the-second\r\n\r\nANSWER-TWO`);
            const body = `ANSWER-ONE ${'x'.repeat(isLarge ? 60_000 : 0)}`;
            request.connection.socket.write(
              Buffer.concat([record(6, request.id, text(head + body)), end(request, status)]),
            );
          },
        });
        t.after(() => application.close());
        const source = { address: application.address, profile };
        const gateway = await start(t, { one: source, two: source });
        for (let i = 0; i < 4; i++) await fetchAnswer(gateway.origin, `/warm${i}`);
        const got = await outcomeOf(
          fetchAnswer(gateway.origin, '/pay', { method: 'POST', body: 'amount=1' }),
        );
        assert.match(got, isLarge ? /^(cut|502 complete (?!.*ANSWER))/ : /^502 complete (?!.*ANSWER)/s);
        assert.deepEqual(runs, ['/pay']);
        await waitForLine(gateway, /after it had begun to answer/);
        await gateway.stop();
        await application.close();
      }
    });
  }
}

test('S12: a process that says half an answer and dies at its first request: the next process does not say the rest', async (t) => {
  const folder = createTestDirectory();
  openToAll(folder);
  const program = join(folder, 'half.mjs');
  // On the socket that it inherits: the first process says half of its first answer and dies, the second one answers whole.
  writeFileSync(
    program,
    `import { createServer } from 'node:net';
import { mkdirSync } from 'node:fs';
let isFirst = true;
try { mkdirSync(process.env.TRIED); } catch { isFirst = false; }
const record = (type, id, content) => Buffer.concat([Buffer.from([1, type, id >> 8, id & 255, content.length >> 8, content.length & 255, 0, 0]), content]);
createServer((socket) => {
  socket.once('data', (bytes) => {
    const id = bytes[2] * 256 + bytes[3];
    const body = isFirst ? 'ANSWER-ONE ' + 'x'.repeat(30000) : 'ANSWER-TWO';
    socket.write(record(6, id, Buffer.from('Content-Type: text/plain\\r\\n\\r\\n' + body)), () => {
      if (isFirst) setTimeout(() => process.exit(0), 100);
    });
    if (!isFirst) socket.end(Buffer.concat([record(6, id, Buffer.alloc(0)), record(3, id, Buffer.alloc(8))]));
  });
}).listen({ fd: 0 });
`,
  );
  const gateway = await start(t, {
    app: { interpreter: [process.execPath, program], env: { TRIED: join(folder, 'tried') } } as SourceInput,
  });
  const got = await outcomeOf(fetchAnswer(gateway.origin, '/page'));
  assert.ok(!(got.includes('ONE') && got.includes('TWO')), got.slice(0, 100));
  assert.equal(got, 'cut');
});

/** Two requests on one connection, each held by the application. */
async function shareConnection(t: TestContext) {
  const application = await startMultiplexingApplication({
    heard: (request) => {
      if (request.variables.get('REQUEST_URI')!.startsWith('/warm')) request.answer(`${head}warm`);
    },
    values: { FCGI_MPXS_CONNS: '1' },
  });
  t.after(() => application.close());
  const gateway = await start(t, { app: { address: application.address, profile: 'multiplexing' } });
  for (let i = 0; i < 4; i++) await fetchAnswer(gateway.origin, `/warm${i}`);
  const answers = ['/one', '/two'].map((path) =>
    outcomeOf(fetchAnswer(gateway.origin, path, { method: 'POST', body: 'x' })),
  );
  const find = () =>
    application.connections
      .flatMap(({ requests }) => [...requests.values()])
      .filter(({ stdinEnded }) => stdinEnded);
  while (find().length < 2) await new Promise((resolve) => setImmediate(resolve));
  const [one, two] = find().sort((a, b) =>
    a.variables.get('REQUEST_URI')! < b.variables.get('REQUEST_URI')! ? -1 : 1,
  );
  assert.equal(one!.connection, two!.connection, 'they share a connection');
  const { socket } = one!.connection;
  return { answers, one: one!, two: two!, socket, gateway };
}

const half = `${head}HALF ${'x'.repeat(30_000)}`;

test('S12: on a shared connection, END_REQUEST of another answer does not complete one that goes on', async (t) => {
  const { answers, one, two, socket } = await shareConnection(t);
  one.stdout(half);
  two.stdout(half);
  // The part of the application that works on /one takes the id of /two for its own.
  socket.write(endRequest(0, 0, two.id));
  assert.deepEqual(await Promise.all(answers), ['cut', 'cut']);
});

test('S12: on a shared connection, an answer that goes on behind its END_REQUEST in the same bytes is not complete', async (t) => {
  const { answers, one, two, socket } = await shareConnection(t);
  one.stdout(half);
  two.stdout(half);
  socket.write(Buffer.concat([end(two, 0), record(6, two.id, text('REST')), end(two, 0)]));
  assert.deepEqual(await Promise.all(answers), ['cut', 'cut']);
});

test('S12: on a shared connection, an answer that goes on later leaves no other answer complete', async (t) => {
  const { answers, one, two, socket } = await shareConnection(t);
  one.stdout(half);
  two.stdout(`${head}TWO`);
  socket.write(end(two, 0));
  // Nothing could be seen of it so far.
  assert.equal(await answers[1], '200 complete TWO');
  socket.write(Buffer.concat([record(6, two.id, text('REST')), end(two, 0), end(one, 0)]));
  assert.equal(await answers[0], 'cut');
});

test('S12: an empty STDOUT record in the middle: what follows is delivered, and what is not leaves a line', async (t) => {
  const application = await startScriptedApplication();
  t.after(() => application.close());
  const gateway = await start(t, { app: { address: application.address, profile: 'generic' } });
  assert.equal(
    await outcomeOf(fetchAnswer(gateway.origin, '/?play=stdout-after-its-end')),
    '200 complete aLATE',
  );
  for (const play of ['second-answer', 'garbage-after-end']) {
    const before = gateway.lines.length;
    assert.equal(await outcomeOf(fetchAnswer(gateway.origin, `/?play=${play}`)), '200 complete first');
    await waitForLine(gateway, /nobody gets that/, before);
  }
});

test('S12: an application that ends requests without a head is out of service after three', async (t) => {
  const broken = await startScriptedApplication({ play: 'end-only' });
  const well = await startScriptedApplication({ play: 'page' });
  t.after(() => Promise.all([broken.close(), well.close()]));
  const gateway = await start(t, {
    broken: { address: broken.address, profile: 'generic' },
    well: { address: well.address, profile: 'generic' },
  });
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) {
    statuses.push((await fetchAnswer(gateway.origin, '/', { method: 'POST', body: 'x' })).status);
  }
  const failed = statuses.filter((status) => status === 502).length;
  // A trial a second later is one more.
  assert.ok(failed >= 3 && failed <= 8, `${failed} of 40 failed`);
  assert.equal(broken.requests.length, failed);
});

test('S33: behind an upgrade that was refused, an answer keeps to its Content-Length', async (t) => {
  const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL';
  const answers: Readonly<Record<string, string>> = {
    '/long': `Status: 200\r\nContent-Length: 2\r\n\r\nok${evil}`,
    '/none': `Status: 204\r\n\r\n${evil}`,
    '/short': 'Status: 200\r\nContent-Length: 200\r\n\r\nok',
    '/next': 'Status: 200\r\n\r\nnext',
  };
  const address = `unix:${join(createTestDirectory(), 'app.sock')}`;
  // It answers before STDIN has ended, which it does not before an upgrade is refused.
  const application = await serve(
    (request) => {
      request.write(answers[request.params.get('REQUEST_URI')!]!);
      request.end();
    },
    { listen: address },
  );
  t.after(() => application.close());
  const gateway = await start(t, { app: { address, profile: 'php-fpm' } }, { upgrade: true });
  const ask = (path: string) =>
    exchangeRaw(
      gateway.port,
      `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
  for (const [path, status, body] of [
    ['/long', 200, 'ok'],
    ['/none', 204, ''],
  ] as const) {
    const { responses, text: got } = await ask(path);
    assert.deepEqual([responses[0]?.status, responses[0]?.body], [status, body], got);
    assert.doesNotMatch(got, /EVIL/, path);
  }
  const { responses, text: got } = await ask('/short');
  assert.ok(responses[0] === undefined || !responses[0].complete || responses[0].status === 502, got);
  assert.doesNotMatch(got, /ok.*HTTP\/1\.1/s, 'nothing follows an answer that is too short');
});

test('S34: what an authorizer says sets no variable that makes programs run something else', async (t) => {
  const chosen = ['GIT_SSH_COMMAND', 'PHP-ADMIN-VALUE', 'LESSOPEN', 'REMOTE_ADDR', 'QUERY_STRING', 'X-A-B'];
  const authorizer = await startScriptedApplication({
    scenarios: {
      allow: (c) =>
        c.finish(
          record(
            6,
            1,
            text(
              `${chosen.map((name) => `Variable-${name}: chosen\r\n`).join('')}Variable-REMOTE_USER: ann\r\n\r\n`,
            ),
          ),
          endRequest(),
        ),
    },
    play: 'allow',
  });
  const application = await startScriptedApplication();
  t.after(() => Promise.all([authorizer.close(), application.close()]));
  const gateway = await start(
    t,
    {
      login: { address: authorizer.address, profile: 'php-fpm' },
      app: { address: application.address, profile: 'php-fpm' },
    },
    {},
    [
      {
        authorize: { source: 'login' },
        handler: { type: 'fastcgi', checkFile: false, source: 'app' },
      } as Rules[number],
    ],
  );
  assert.equal((await fetchAnswer(gateway.origin, '/?a=b')).status, 200);
  const { variables } = application.requests[0]!;
  assert.deepEqual(
    [...variables].filter(([, value]) => value === 'chosen' || value === 'ann'),
    [
      ['X_A_B', 'chosen'],
      ['REMOTE_USER', 'ann'],
    ],
  );
  const left = gateway.lines.filter((line) => line.includes('may not set the variable'));
  assert.equal(left.length, 5);
});
