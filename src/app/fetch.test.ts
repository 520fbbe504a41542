import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import {
  askApplication,
  exchange,
  readAnswer,
  startApplication,
} from '../../test/support/application-client.ts';
import { beginRequest, params, stdin } from '../../test/support/record-builder.ts';
import { type FetchHandler, fromFetch } from './fetch.ts';

const start = (t: TestContext, handler: FetchHandler) => startApplication(t, fromFetch(handler));

test("a Request has the URL, method, fields and variables of the client's", async (t) => {
  const { path } = await start(t, (request, application) =>
    Response.json({
      url: request.url,
      method: request.method,
      accept: request.headers.get('accept'),
      from: application.params.get('REMOTE_ADDR'),
      body: request.body,
    }),
  );
  const answer = await askApplication(path, {
    REQUEST_METHOD: 'GET',
    REQUEST_URI: '/\xe4%20?q=1',
    REQUEST_SCHEME: 'https',
    HTTP_HOST: 'a.example:8443',
    HTTP_ACCEPT: '*/*',
    REMOTE_ADDR: '192.0.2.1',
  });
  assert.deepEqual(answer.head, ['Status: 200 OK', 'content-type: application/json']);
  assert.deepEqual(JSON.parse(answer.body), {
    url: 'https://a.example:8443/%E4%20?q=1',
    method: 'GET',
    accept: '*/*',
    from: '192.0.2.1',
    body: null,
  });
});

test('a body is a stream, and one that ends early is an error', async (t) => {
  const { path } = await start(t, async (request) => {
    const copy = request.clone();
    assert.ok(request instanceof Request && copy instanceof Request);
    const text = await copy.text().catch((error: Error) => `failed: ${error.message}`);
    return new Response(text.length > 100 ? String(text.length) : text);
  });
  const ask = (length: string, body: string) =>
    askApplication(path, { REQUEST_METHOD: 'POST', CONTENT_LENGTH: length }, body);
  assert.equal((await ask('3', 'abc')).body, 'abc');
  assert.equal((await ask('', 'abc')).body, 'abc');
  assert.equal((await ask('4', 'abc')).body, 'failed: The request body ended after 3 of 4 bytes');
  const records = Array.from({ length: 40 }, () => stdin('x'.repeat(50_000)));
  const variables = params({ REQUEST_METHOD: 'POST', CONTENT_LENGTH: '2000000' });
  assert.equal(
    readAnswer(await exchange(path, beginRequest(), variables, ...records, stdin(''))).body,
    '2000000',
  );
});

test('a Response keeps each Set-Cookie, and its stream is read as fast as the web server reads', async (t) => {
  let sent = 0;
  const { path } = await start(t, () => {
    const body = new ReadableStream({
      pull(controller) {
        sent += 50_000;
        controller.enqueue(new Uint8Array(50_000).fill(120));
        if (sent === 5_000_000) controller.close();
      },
    });
    const headers: [string, string][] = [
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['Connection', 'close'],
    ];
    return new Response(body, { status: 404, headers });
  });
  const socket = connect(path);
  socket.pause();
  socket.write(Buffer.concat([beginRequest(), params({}), stdin('')]));
  while (sent === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(sent < 5_000_000, `${sent} bytes were taken`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const answer = readAnswer(Buffer.concat(chunks));
  assert.deepEqual(answer.head, ['Status: 404 Not Found', 'set-cookie: a=1', 'set-cookie: b=2']);
  assert.equal(answer.body.length, 5_000_000);
});

test('HEAD sends no body; a method or host that no Request can have is a 400', async (t) => {
  const { path } = await start(t, () => new Response('body', { headers: { 'Content-Length': '4' } }));
  const head = await askApplication(path, { REQUEST_METHOD: 'HEAD' });
  assert.deepEqual([head.head[0], head.body], ['Status: 200 OK', '']);
  const impossible: Record<string, string>[] = [{ REQUEST_METHOD: 'TRACE' }, { HTTP_HOST: 'a b' }];
  for (const variables of impossible) {
    const answer = await askApplication(path, variables);
    assert.equal(answer.head[0], 'Status: 400 Bad Request');
  }
});

test('what fails before the head is a 500, a stream that fails cuts the answer', async (t) => {
  const { path } = await start(t, (request) => {
    if (request.url.endsWith('/throw')) throw new Error('no luck');
    if (request.url.endsWith('/used')) {
      const used = new Response('body');
      used.body!.getReader();
      return used;
    }
    let pulls = 0;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (pulls++ === 0) controller.enqueue(new TextEncoder().encode('half'));
          else controller.error(new Error('no luck'));
        },
      }),
    );
  });
  for (const url of ['/throw', '/used']) {
    const failed = await askApplication(path, { REQUEST_URI: url });
    assert.equal(failed.head[0], 'Status: 500 Internal Server Error');
  }
  const cut = await askApplication(path, { REQUEST_URI: '/' });
  assert.equal(cut.body, 'half');
  assert.equal(cut.appStatus, undefined);
});

test('a client that leaves aborts the signal and cancels the stream', async (t) => {
  const seen: string[] = [];
  const { path } = await start(t, (request) => {
    request.signal.addEventListener('abort', () => seen.push('aborted'));
    request.clone().signal.addEventListener('abort', () => seen.push('clone aborted'));
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode('half')),
        cancel: () => void seen.push('cancelled'),
      }),
    );
  });
  const socket = connect(path);
  socket.write(Buffer.concat([beginRequest(), params({}), stdin('')]));
  socket.once('data', () => socket.destroy());
  while (seen.length < 3) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen.sort(), ['aborted', 'cancelled', 'clone aborted']);
});
