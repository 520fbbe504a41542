/** Whole conversations of the specification, played to our application side and to our web-server side. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ApplicationRequest, serve } from '../src/app/index.ts';
import { parseAddress } from '../src/base/address.ts';
import { toRequestBody } from '../src/client/client-body.ts';
import { type ClientRequest, createPool, getValues } from '../src/client/index.ts';
import { hex } from '../src/testing/record-builder.ts';
import { type ReadRecord, RecordReader } from '../src/testing/record-reader.ts';
import { createTestDirectory } from './support/test-directory.ts';
import { type Conversation, conversations } from './vectors/conversations.ts';

const page = 'Content-type: text/html\r\n\r\n<html>\n';

/** What each request was told: where a stream is cut, and how streams lie between each other, means nothing. */
function summarize(records: readonly ReadRecord[]): unknown {
  const requests = new Map<number, Record<string, string>>();
  for (const { type, requestId, content } of records) {
    const request = requests.get(requestId) ?? {};
    requests.set(requestId, request);
    const isStream = type === 6 || type === 7;
    const key = isStream && content.length === 0 ? `end of ${type}` : String(type);
    request[key] = (request[key] ?? '') + content.toString('hex');
  }
  // In the order in which they ended.
  const ends = records.filter(({ type }) => type === 3).map(({ requestId }) => requestId);
  return { ends, requests: Object.fromEntries(requests) };
}

/** Sends a conversation's requests to a handler of ours, and compares what comes back. */
async function answers(
  t: TestContext,
  { sent, received }: Conversation,
  handler: (request: ApplicationRequest) => void | Promise<void>,
): Promise<void> {
  const path = `${createTestDirectory()}/app.sock`;
  const server = await serve(handler, { listen: `unix:${path}`, connectionsMax: 7 });
  const socket = connect(path);
  t.after(() => {
    socket.destroy();
    return server.close();
  });
  const expected = new RecordReader().push(hex(received));
  const reader = new RecordReader();
  const records: ReadRecord[] = [];
  socket.write(hex(sent));
  for await (const chunk of socket) {
    records.push(...reader.push(chunk as Buffer));
    if (JSON.stringify(summarize(records)) === JSON.stringify(summarize(expected))) break;
  }
  assert.deepEqual(summarize(records), summarize(expected));
}

/** An application that says a conversation's answer once all that it must hear has come, and keeps what came. */
async function replay(t: TestContext, { sent, received }: Conversation) {
  const path = `${createTestDirectory()}/app.sock`;
  const length = hex(sent).length;
  let heard = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      heard = Buffer.concat([heard, chunk]);
      if (heard.length >= length) socket.end(hex(received));
    });
  }).listen(path);
  await once(server, 'listening');
  t.after(() => server.close());
  return {
    address: parseAddress(`unix:${path}`),
    expectHeard: () => assert.equal(heard.toString('hex'), hex(sent).toString('hex')),
  };
}

/** Asks as our web-server side does, and gives what it understood. */
async function ask(t: TestContext, conversation: Conversation, request: Partial<ClientRequest>) {
  const { address, expectHeard } = await replay(t, conversation);
  const pool = createPool({ address, keepConnections: 0 });
  t.after(() => pool.close());
  const variables = ['SERVER_PORT', '80', 'SERVER_ADDR', '199.170.183.42'];
  const heard = { stdout: '', stderr: '', appStatus: -1 };
  await new Promise<void>((resolve, reject) => {
    pool.open(
      { variables, body: undefined, ...request },
      {
        stdout(chunk) {
          heard.stdout += chunk.toString('latin1');
          return true;
        },
        stderr(chunk) {
          heard.stderr += chunk.toString('latin1');
        },
        end(appStatus) {
          heard.appStatus = appStatus;
          resolve();
        },
        error: reject,
      },
    );
  });
  expectHeard();
  return heard;
}

const readAll = async (input: AsyncIterable<unknown>) => {
  let text = '';
  for await (const chunk of input) text += chunk;
  return text;
};

const { simple, withStdin, withError, multiplexed, authorizer, filter, endedValues } = conversations;
const approval = 'Status: 200\r\nVariable-AUTH_METHOD: database lookup\r\n\r\n';
const complaint = 'config error: missing SI_UID\n';
const variablesOfAppendix = { SERVER_PORT: '80', SERVER_ADDR: '199.170.183.42' };

test(`our application answers ${simple.name} (${simple.source})`, (t) =>
  answers(t, simple, (request) => {
    assert.deepEqual(Object.fromEntries(request.params), variablesOfAppendix);
    request.write(page);
  }));

test(`our application answers ${withStdin.name} (${withStdin.source})`, (t) =>
  answers(t, withStdin, async (request) => {
    assert.equal(await readAll(request.stdin), 'quantity=100&item=304');
    request.write(page);
  }));

test(`our application answers like ${withError.name} (${withError.source})`, (t) =>
  answers(t, withError, async (request) => {
    await readAll(request.stdin);
    request.write(page);
    request.writeError(complaint);
    request.end(938);
  }));

test(`our application answers ${multiplexed.name} (${multiplexed.source})`, (t) => {
  let secondEnded: () => void;
  const second = new Promise<void>((resolve) => {
    secondEnded = resolve;
  });
  return answers(t, multiplexed, async (request) => {
    assert.deepEqual(Object.fromEntries(request.params), variablesOfAppendix);
    if (request.id === 1) await second;
    request.write(page);
    request.end();
    if (request.id === 2) secondEnded();
  });
});

test(`our application is ${authorizer.name} (${authorizer.source})`, (t) =>
  answers(t, authorizer, (request) => {
    assert.equal(request.role, 'Authorizer');
    request.write(approval);
  }));

test(`our application is ${filter.name} (${filter.source})`, (t) =>
  answers(t, filter, async (request) => {
    assert.equal(request.role, 'Filter');
    assert.equal(request.params.get('FCGI_DATA_LENGTH'), '5');
    assert.equal(await readAll(request.stdin), '');
    assert.equal(await readAll(request.data), 'hello');
    request.write(page);
  }));

for (const name of ['values', 'endedValues', 'unknownType', 'unknownRole', 'abort'] as const) {
  const conversation = conversations[name];
  test(`our application answers ${conversation.name} (${conversation.source})`, (t) =>
    answers(t, conversation, () => assert.fail('nothing is to be run')));
}

for (const [conversation, request, expected] of [
  [simple, {}, { stdout: page, stderr: '', appStatus: 0 }],
  [
    withStdin,
    { body: toRequestBody('quantity=100&item=304', undefined) },
    { stdout: page, stderr: '', appStatus: 0 },
  ],
  [
    withError,
    { body: toRequestBody('quantity=100&item=304', undefined) },
    { stdout: page, stderr: complaint, appStatus: 938 },
  ],
  [authorizer, { role: 'Authorizer' }, { stdout: approval, stderr: '', appStatus: 0 }],
  [
    filter,
    {
      role: 'Filter',
      variables: ['FCGI_DATA_LENGTH', '5', 'FCGI_DATA_LAST_MOD', '1000000000'],
      data: toRequestBody('hello', undefined),
    },
    { stdout: page, stderr: '', appStatus: 0 },
  ],
] as const) {
  test(`our web-server side sends ${conversation.name}, and understands the answer (${conversation.source})`, async (t) => {
    assert.deepEqual(await ask(t, conversation, request), expected);
  });
}

test(`our web-server side asks by ${endedValues.name}, and understands the answer (${endedValues.source})`, async (t) => {
  const { address, expectHeard } = await replay(t, endedValues);
  const names = ['FCGI_MAX_CONNS', 'FCGI_MPXS_CONNS'];
  assert.deepEqual(Object.fromEntries(await getValues(address, { names, timeoutMs: 20_000 })), {
    FCGI_MAX_CONNS: '7',
    FCGI_MPXS_CONNS: '1',
  });
  expectHeard();
});
