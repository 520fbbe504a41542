/**
 * An answer has two ends: the client's, when it has all that it was promised, and the application's, END_REQUEST. An
 * application that works on between the two keeps its place at the source, and nothing else.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFetchHandler } from '../src/adapters/fetch.ts';
import type { Log } from '../src/base/log.ts';
import type { HandlerInput, RuleInput, SourceInput } from '../src/config/types.ts';
import { createGateway } from '../src/gateway/gateway.ts';
import type { Gateway } from '../src/gateway/options.ts';
import { RecordReader } from '../src/testing/record-reader.ts';
import { turns } from './support/manual-clock.ts';
import { parseResponses, type RawResponse } from './support/raw-client.ts';
import { endRequest, record, stderr, stdout } from './support/record-builder.ts';
import {
  type Played,
  type ScriptedApplication,
  startScriptedApplication,
} from './support/scripted-application.ts';
import { createTestDirectory } from './support/test-directory.ts';
import { until } from './support/until.ts';

interface StageOptions {
  readonly source?: Partial<SourceInput>;
  readonly handler?: Partial<Extract<HandlerInput, { readonly type: 'fastcgi' }>>;
  readonly authorize?: RuleInput['authorize'];
  /** There is a second source, to be asked where the first one fails. */
  readonly hasSpare?: boolean;
}

interface Stage {
  readonly gateway: Gateway;
  readonly port: number;
  readonly application: ScriptedApplication;
  readonly spare: ScriptedApplication | undefined;
  /** Requests that got the answer of the test, which ends them. */
  readonly working: Played[];
  /** `level message` of each line. */
  readonly lines: string[];
  accessLines(): Record<string, unknown>[];
  /** The value of a metric's sample. */
  metric(sample: string): number;
}

/** A gateway whose application sends `answer` for `/?play=work`, and works on. */
async function onStage(
  t: TestContext,
  answer: readonly Uint8Array[],
  options: StageOptions = {},
): Promise<Stage> {
  const { source, handler, authorize, hasSpare = false } = options;
  const directory = createTestDirectory();
  const accessLog = join(createTestDirectory(), 'access.log');
  const working: Played[] = [];
  const work = (played: Played): void => {
    working.push(played);
    played.send(...answer);
  };
  const application = await startScriptedApplication({ scenarios: { work } });
  const spare = hasSpare ? await startScriptedApplication() : undefined;
  const lines: string[] = [];
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const sourceAt = (address: string): SourceInput => ({ address, profile: 'generic', ...source });
  const gateway = await createGateway(
    {
      listen: [{ host: '127.0.0.1', port: 0 }],
      sources: {
        a: sourceAt(application.address),
        ...(spare === undefined ? {} : { b: sourceAt(spare.address) }),
      },
      virtualServers: [
        {
          documentRoot: directory,
          accessLog: { format: 'json', file: accessLog },
          rules: [
            {
              ...(authorize === undefined ? {} : { authorize }),
              handler: {
                type: 'fastcgi',
                checkFile: false,
                balancer: { policy: 'failover', sources: spare === undefined ? ['a'] : ['a', 'b'] },
                ...handler,
              },
            },
          ],
        },
      ],
    },
    { log },
  );
  const [url] = await gateway.listen();
  t.after(async () => {
    await gateway.close(0);
    await application.close();
    await spare?.close();
  });
  return {
    gateway,
    port: Number(new URL(url!).port),
    application,
    spare,
    working,
    lines,
    accessLines: () =>
      readFileSync(accessLog, 'latin1')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    metric(sample) {
      const line = gateway
        .metrics()
        .split('\n')
        .find((one) => one.startsWith(`${sample} `));
      return Number(line?.slice(sample.length + 1));
    },
  };
}

/** A kept connection of a client. */
function connectClient(t: TestContext, port: number) {
  const socket = connect({ host: '127.0.0.1', port });
  let text = '';
  let isClosed = false;
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  t.after(() => socket.destroy());
  return {
    socket,
    get isClosed() {
      return isClosed;
    },
    send: (bytes: string) => void socket.write(bytes, 'latin1'),
    /** @param methods of the requests that were sent */
    async answers(count: number, methods: readonly string[] = []): Promise<RawResponse[]> {
      const whole = () => parseResponses(text, methods).filter(({ complete }) => complete);
      await until(
        () => whole().length >= count,
        `${count} whole answers: ${JSON.stringify(text.slice(-300))}`,
      );
      return whole();
    },
  };
}

const get = (method: string, target: string, version = '1.1', more = ''): string =>
  `${method} ${target} HTTP/${version}\r\nHost: test\r\n${more}\r\n`;

const large = 'x'.repeat(60_000);
const halves = (head: string, body: string) => [
  stdout(`${head}\r\n\r\n${body.slice(0, body.length / 2)}`),
  stdout(body.slice(body.length / 2)),
];

interface Complete {
  readonly what: string;
  readonly answer: readonly Uint8Array[];
  readonly method?: string;
  readonly status: number;
  readonly body: string;
  readonly options?: StageOptions;
}

/** Answers that a client has whole, while their application has not said END_REQUEST. */
const complete: readonly Complete[] = [
  { what: 'a small body', answer: [stdout('Content-Length: 5\r\n\r\nhello')], status: 200, body: 'hello' },
  { what: 'a large body', answer: halves('Content-Length: 60000', large), status: 200, body: large },
  {
    what: 'a body that is not buffered',
    answer: [stdout('X-Accel-Buffering: no\r\nContent-Length: 5\r\n\r\nhello')],
    status: 200,
    body: 'hello',
  },
  {
    what: 'a body in pieces, of a rule that buffers nothing',
    answer: halves('Content-Length: 60000', large),
    status: 200,
    body: large,
    options: { handler: { bufferResponse: false, bufferRequest: false } },
  },
  { what: 'HEAD', answer: [stdout('Content-Length: 5\r\n\r\n')], method: 'HEAD', status: 200, body: '' },
  {
    what: 'HEAD without a length',
    answer: [stdout('X-A: 1\r\n\r\n')],
    method: 'HEAD',
    status: 200,
    body: '',
  },
  {
    what: 'HEAD of events',
    answer: [stdout('Content-Type: text/event-stream\r\n\r\n')],
    method: 'HEAD',
    status: 200,
    body: '',
  },
  { what: '204', answer: [stdout('Status: 204 No Content\r\n\r\n')], status: 204, body: '' },
  { what: '304', answer: [stdout('Status: 304\r\nContent-Length: 7\r\n\r\n')], status: 304, body: '' },
  {
    what: 'a redirect of length 0',
    answer: [stdout('Status: 302\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n')],
    status: 302,
    body: '',
  },
  {
    what: 'a POST whose body is read first',
    answer: [stdout('Content-Length: 5\r\n\r\nhello')],
    method: 'POST',
    status: 200,
    body: 'hello',
  },
  {
    what: 'a POST whose body is streamed',
    answer: [stdout('Content-Length: 5\r\n\r\nhello')],
    method: 'POST',
    status: 200,
    body: 'hello',
    options: { handler: { bufferRequest: false } },
  },
];

for (const { what, answer, method = 'GET', status, body, options } of complete) {
  test(`F59: ${what}: the next request does not wait for the application to end this one`, async (t) => {
    const stage = await onStage(t, answer, options);
    const client = connectClient(t, stage.port);
    const sent = method === 'POST' ? 'Content-Length: 3\r\n' : '';
    const content = method === 'POST' ? 'a=1' : '';
    client.send(get(method, '/?play=work', '1.1', sent) + content + get('GET', '/?play=page'));
    const [first, second] = await client.answers(2, [method, 'GET']);
    assert.deepEqual([first!.status, first!.body], [status, body]);
    assert.deepEqual([second!.status, second!.body], [200, 'Hello']);
    assert.equal(stage.metric('fastway_source_requests_active{source="a"}'), 1);
    await until(() => stage.accessLines().length === 2, 'lines of both');
    assert.equal(stage.accessLines()[0]!.appStatus, undefined);
    // Nor does it matter to the application that the client leaves.
    client.socket.destroy();
    await until(() => client.isClosed, 'it is closed');
    const [worker] = stage.working;
    worker!.send(stderr('late words\n'));
    await until(() => stage.lines.includes('warn late words'), 'its error output is logged');
    assert.deepEqual(
      [worker!.socket.readableEnded, stage.application.requests[0]!.aborted, stage.application.open],
      [false, false, stage.application.open],
    );
    worker!.finish(endRequest(0, 3));
    await until(() => stage.lines.includes('warn Application ended with status 3'), 'its end is logged');
    await until(() => stage.metric('fastway_source_requests_active{source="a"}') === 0, 'its place is free');
    assert.equal(stage.metric('fastway_source_app_status_failures_total{source="a"}'), 1);
    assert.equal(stage.metric('fastway_source_requests_total{source="a",outcome="complete"}'), 2);
  });
}

const whole = [stdout('Content-Length: 5\r\n\r\nhello')];

test('F59: HTTP/1.0, kept and not', async (t) => {
  const stage = await onStage(t, whole);
  const kept = connectClient(t, stage.port);
  kept.send(
    get('GET', '/?play=work', '1.0', 'Connection: keep-alive\r\n') + get('GET', '/?play=page', '1.0'),
  );
  assert.deepEqual(
    (await kept.answers(2)).map(({ body }) => body),
    ['hello', 'Hello'],
  );
  const closed = connectClient(t, stage.port);
  closed.send(get('GET', '/?play=work', '1.0'));
  await until(() => closed.isClosed, 'the connection is closed');
  assert.deepEqual([stage.working.length, stage.application.requests[0]!.aborted], [2, false]);
});

test('F59: an application that breaks off behind a whole answer: logged, counted, tried nowhere', async (t) => {
  const stage = await onStage(t, halves('Content-Length: 60000', large), { hasSpare: true });
  const client = connectClient(t, stage.port);
  for (let times = 0; times < 3; times++) {
    client.send(get('GET', '/?play=work'));
    const answers = await client.answers(times + 1);
    assert.deepEqual([answers[times]!.status, answers[times]!.body], [200, large]);
    stage.working[times]!.socket.destroy();
    await until(
      () => stage.lines.filter((line) => line.endsWith('; the client has its answer')).length === times + 1,
      'the fault is logged',
    );
  }
  assert.equal(client.isClosed, false);
  assert.equal(stage.spare!.requests.length, 0);
  assert.equal(stage.gateway.sources[0]!.isAvailable, false);
  assert.equal(stage.metric('fastway_source_requests_total{source="a",outcome="GW_ERR_SOURCE_CLOSED"}'), 3);
});

test('F59: a small answer whose application dies just behind it is another try still (F12)', async (t) => {
  const stage = await onStage(t, [], { hasSpare: true });
  const client = connectClient(t, stage.port);
  client.send(get('GET', '/?play=work'));
  await until(() => stage.working.length === 1, 'it runs');
  stage.working[0]!.socket.end(stage.working[0]!.forRequest(Buffer.concat(whole)));
  const [answer] = await client.answers(1);
  assert.equal(answer!.status, 200);
  assert.equal(stage.spare!.requests.length, answer!.body === 'hello' ? 0 : 1);
});

for (const { what, method, answer, line } of [
  {
    what: 'a Content-Length',
    method: 'GET',
    answer: whole,
    line: 'warn Response is longer than its Content-Length of 5; the rest was cut off',
  },
  {
    what: 'a redirect of length 0',
    method: 'GET',
    answer: [stdout('Status: 302\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n')],
    line: 'warn Response is longer than its Content-Length of 0; the rest was cut off',
  },
  {
    what: '204',
    method: 'GET',
    answer: [stdout('Status: 204\r\n\r\n')],
    line: 'warn Response has a body, and may have none with status 204; it was dropped',
  },
  {
    what: 'HEAD',
    method: 'HEAD',
    answer: [stdout('Content-Length: 5\r\n\r\n')],
    line: 'debug The application prints a body for HEAD, which was dropped',
  },
]) {
  test(`F59: what is printed behind ${what} is dropped, and the log says so once`, async (t) => {
    const stage = await onStage(t, answer);
    const client = connectClient(t, stage.port);
    client.send(get(method, '/?play=work'));
    await client.answers(1, [method]);
    const [worker] = stage.working;
    for (let i = 0; i < 20; i++) worker!.send(stdout(large));
    await until(() => stage.lines.includes(line), `${line}: ${stage.lines.join('\n')}`);
    worker!.finish(stdout('more'), endRequest());
    await until(() => stage.metric('fastway_source_requests_active{source="a"}') === 0, 'its place is free');
    assert.equal(stage.lines.filter((one) => one === line).length, 1);
    client.send(get('GET', '/?play=page'));
    assert.equal((await client.answers(2, [method, 'GET']))[1]!.body, 'Hello');
    assert.equal(stage.metric('fastway_source_requests_total{source="a",outcome="complete"}'), 2);
  });
}

test('F59: the place at the source stays taken, and its time limits hold', async (t) => {
  const stage = await onStage(t, whole, { source: { capacity: 1, readTimeoutMs: 300 } });
  const client = connectClient(t, stage.port);
  client.send(get('GET', '/?play=work') + get('GET', '/?play=page'));
  await client.answers(1);
  await until(() => stage.metric('fastway_source_requests_waiting{source="a"}') === 1, 'the next one waits');
  assert.equal(stage.application.requests.length, 1);
  assert.equal((await client.answers(2))[1]!.body, 'Hello');
  assert.equal(
    stage.metric('fastway_source_requests_total{source="a",outcome="GW_ERR_SOURCE_READ_TIMEOUT"}'),
    1,
  );
});

test('F59: an answer without a total limit has one again when its client has it', async (t) => {
  const head = 'X-Accel-Buffering: no\r\nContent-Length: 5\r\n\r\nhello';
  const stage = await onStage(t, [stdout(head)], { source: { totalTimeoutMs: 300 } });
  const client = connectClient(t, stage.port);
  client.send(get('GET', '/?play=work'));
  await client.answers(1);
  const [worker] = stage.working;
  await until(
    () => {
      worker!.send(stderr('still here\n'));
      return stage.lines.some((line) => /took longer than 300 ms .*; the client has its answer$/.test(line));
    },
    'the end of its time',
    () => stage.lines.join('\n'),
  );
});

test('F59: a stop waits for what works on, and gives it up when its time is over', async (t) => {
  for (const ends of [true, false]) {
    const stage = await onStage(t, whole);
    const client = connectClient(t, stage.port);
    client.send(get('GET', '/?play=work'));
    await client.answers(1);
    let isClosed = false;
    const closed = stage.gateway.close(60_000).then(() => {
      isClosed = true;
    });
    await until(() => client.isClosed, 'the listener is closed');
    await turns(20);
    assert.deepEqual([isClosed, stage.application.open > 0], [false, true]);
    if (ends) stage.working[0]!.finish(endRequest(0, 7));
    else await stage.gateway.close(0);
    await closed;
    const last = ends
      ? 'Application ended with status 7'
      : 'The gateway stops, and gives up an application that works on';
    assert.ok(
      stage.lines.some((line) => line.includes(last)),
      stage.lines.join('\n'),
    );
  }
});

test('F59: a body that is still streamed: the connection goes on when it was read', async (t) => {
  const stage = await onStage(t, [], { handler: { bufferRequest: false } });
  const client = connectClient(t, stage.port);
  client.send(get('POST', '/?play=early-answer', '1.1', 'Content-Length: 6\r\n'));
  await until(() => stage.application.requests.length === 1, 'it is asked');
  client.send('abc');
  await until(() => stage.application.requests[0]!.stdin.length === 3, 'the begin arrives');
  const [request] = stage.application.requests;
  assert.equal(request!.stdinEnded, false);
  client.send(`def${get('GET', '/?play=page')}`);
  await until(() => request!.stdinEnded, 'STDIN ends');
  assert.equal(request!.stdin.toString(), 'abcdef');
  await client.answers(1);
});

test('an answer in the place of the application ends the body that is still streamed to it: no place is kept for ever', async (t) => {
  // Answers when PARAMS have ended, and reads STDIN for its end.
  const application = createTcpServer((socket) => {
    const reader = new RecordReader();
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      for (const { type, requestId, content } of reader.push(chunk)) {
        if (type === 4 && content.length === 0)
          socket.write(stdout('Status: 500\r\nContent-Type: text/plain\r\n\r\nfailed', requestId));
      }
    });
  }).listen(0, '127.0.0.1');
  await once(application, 'listening');
  t.after(() => application.close());
  const { port } = application.address() as AddressInfo;
  const stage = await onStage(t, [], {
    source: { address: `tcp://127.0.0.1:${port}` } as Partial<SourceInput>,
    handler: { bufferRequest: false, errorHandler: false },
  });
  const client = connectClient(t, stage.port);
  client.send(`${get('POST', '/', '1.1', 'Content-Length: 100\r\n')}abc`);
  const [page] = await client.answers(1);
  assert.equal(page!.status, 500);
  assert.doesNotMatch(page!.body, /failed/);
  // The application still reads, and will never get the rest.
  await until(() => stage.gateway.sources[0]!.active === 0, 'its place is free');
});

test('F59: an authorizer that says no works on; one that says yes is waited for', async (t) => {
  const denied = 'Status: 403\r\nContent-Length: 2\r\n\r\nno';
  const authorize = { source: 'a', env: { QUERY_STRING: 'play=work' } };
  const no = await onStage(t, [stdout(denied)], { authorize });
  const client = connectClient(t, no.port);
  client.send(get('GET', '/?play=page') + get('GET', '/?play=page'));
  assert.deepEqual(
    (await client.answers(2)).map(({ status }) => status),
    [403, 403],
  );
  const yes = await onStage(t, [stdout('Status: 200\r\nContent-Length: 2\r\n\r\nok')], { authorize });
  const guest = connectClient(t, yes.port);
  guest.send(get('GET', '/?play=page'));
  await until(() => yes.working.length === 1, 'it is asked');
  await turns(20);
  assert.equal(yes.application.requests.length, 1, 'nobody was let through');
  yes.working[0]!.finish(endRequest(0, 1));
  assert.equal((await guest.answers(1))[0]!.status, 502);
});

test('F59: in the Fetch API, and in a server of somebody else', async (t) => {
  const stage = await onStage(t, halves('Content-Length: 60000', large));
  const response = await createFetchHandler(stage.gateway)(new Request('http://test/?play=work'));
  assert.equal((await response!.text()).length, large.length);
  const empty = await createFetchHandler(stage.gateway)(
    new Request('http://test/?play=work', { method: 'HEAD' }),
  );
  assert.equal(await empty!.text(), '');
  const server = createServer(stage.gateway.listener).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const client = connectClient(t, (server.address() as AddressInfo).port);
  client.send(get('GET', '/?play=work') + get('GET', '/?play=page'));
  assert.equal((await client.answers(2))[1]!.body, 'Hello');
  client.socket.destroy();
  assert.deepEqual(
    [stage.working.length, stage.application.requests.some(({ aborted }) => aborted)],
    [3, false],
  );
});

test('an empty STDOUT record in the middle of an answer ends nothing: what follows is delivered', async (t) => {
  for (const [head, profile] of [
    ['Content-Length: 10', 'generic'],
    ['Content-Type: text/plain', 'generic'],
    ['Content-Type: text/plain', 'multiplexing'],
  ] as const) {
    const empty = record(6, 1, Buffer.alloc(0));
    const stage = await onStage(t, [stdout(`${head}\r\n\r\nhello`), empty, stdout('world'), empty], {
      source: { profile },
    });
    const client = connectClient(t, stage.port);
    client.send(get('GET', '/?play=work'));
    await until(() => stage.working.length === 1, 'it runs');
    stage.working[0]!.finish(endRequest());
    assert.equal((await client.answers(1))[0]!.body, 'helloworld');
    assert.deepEqual(
      stage.lines.filter((line) => /^(warn|error)/.test(line)),
      [],
    );
  }
});
