import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { finished } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import {
  askApplication,
  exchange,
  readAll,
  readAnswer,
  startApplication,
} from '../../test/support/application-client.ts';
import { beginRequest, params, stdin } from '../../test/support/record-builder.ts';
import { fromHttp, type HttpListener, type HttpOptions } from './http.ts';

const start = (t: TestContext, listener: HttpListener, options?: HttpOptions) =>
  startApplication(t, fromHttp(listener, options));

const get = { REQUEST_METHOD: 'GET', REQUEST_URI: '/', HTTP_HOST: 'a.example' };

test('a request is the one that the client sent to the web server', async (t) => {
  const { path } = await start(t, (request, response) => {
    const { method, url, httpVersion, headers, rawHeaders, headersDistinct, socket, variables } = request;
    assert.equal(variables.get('REQUEST_METHOD'), method);
    const { remoteAddress, remotePort, localAddress, localPort, encrypted } = socket as typeof socket & {
      encrypted: boolean;
    };
    const connection = { remoteAddress, remotePort, localAddress, localPort, encrypted };
    const fields = { headers, rawHeaders, distinct: headersDistinct.accept };
    response.end(JSON.stringify({ method, url, httpVersion, ...fields, ...connection }));
  });
  const { body } = await askApplication(path, {
    REQUEST_METHOD: 'DELETE',
    REQUEST_URI: '/a%20b?c=d',
    SERVER_PROTOCOL: 'HTTP/1.0',
    HTTPS: 'on',
    HTTP_HOST: 'a.example',
    HTTP_ACCEPT: '*/*',
    HTTP_CONNECTION: 'close',
    REMOTE_ADDR: '192.0.2.1',
    REMOTE_PORT: '4711',
    SERVER_ADDR: '192.0.2.2',
    SERVER_PORT: '443',
  });
  assert.deepEqual(JSON.parse(body), {
    method: 'DELETE',
    url: '/a%20b?c=d',
    httpVersion: '1.0',
    headers: { host: 'a.example', accept: '*/*' },
    rawHeaders: ['host', 'a.example', 'accept', '*/*'],
    distinct: ['*/*'],
    remoteAddress: '192.0.2.1',
    remotePort: 4711,
    localAddress: '192.0.2.2',
    localPort: 443,
    encrypted: true,
  });
});

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += (chunk as Buffer).toString('latin1');
  return text;
}

test('a body comes whole, surplus bytes are dropped, and one that ends early is an error', async (t) => {
  const { path } = await start(t, async (request, response) => {
    const text = await readBody(request).catch((error) => `${error.code}: ${error.cause.message}`);
    response.end(`${text} ${request.complete} ${request.aborted}`);
  });
  const ask = async (length: string, body: string) =>
    (await askApplication(path, { REQUEST_METHOD: 'POST', CONTENT_LENGTH: length }, body)).body;
  assert.equal(await ask('3', 'abc'), 'abc true false');
  assert.equal(await ask('3', 'abcdef'), 'abc true false');
  assert.equal(await ask('', 'abc'), 'abc true false');
  assert.equal(await ask('4', 'abc'), 'ECONNRESET: The request body ended after 3 of 4 bytes false true');
});

test('a body larger than what is held arrives whole, as slowly as it is read', async (t) => {
  const { path } = await start(t, async (request, response) => {
    await new Promise((resolve) => setImmediate(resolve));
    let bytes = 0;
    for await (const chunk of request) {
      bytes += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end(String(bytes));
  });
  const records = Array.from({ length: 60 }, () => stdin('x'.repeat(50_000)));
  const variables = params({ REQUEST_METHOD: 'PUT', CONTENT_LENGTH: '3000000' });
  const answer = readAnswer(await exchange(path, beginRequest(), variables, ...records, stdin('')));
  assert.equal(answer.body, '3000000');
});

/** The head's lines and body of an answer that was written so. */
async function answerOf(t: TestContext, listener: HttpListener, variables: Record<string, string> = get) {
  const { path } = await start(t, listener);
  return askApplication(path, variables);
}

test('an answer whose end comes with its head has a Content-Length', async (t) => {
  const answer = await answerOf(t, (_request, response) => {
    response.writeHead(201, { 'Content-Type': 'text/plain', 'X-Many': ['a', 'b'] });
    response.end('hällo');
  });
  assert.deepEqual(answer, {
    head: ['Status: 201 Created', 'Content-Type: text/plain', 'X-Many: a', 'X-Many: b', 'Content-Length: 6'],
    body: 'h\xc3\xa4llo',
    stderr: '',
    appStatus: 0,
  });
});

test('an answer in pieces has none, and ends with END_REQUEST', async (t) => {
  const answer = await answerOf(t, (_request, response) => {
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    response.write('6f6e65', 'hex');
    response.write(Buffer.from(' two'));
    setImmediate(() => response.end(' three'));
  });
  assert.deepEqual(answer.head, ['Status: 200 OK', 'Set-Cookie: a=1', 'Set-Cookie: b=2']);
  assert.equal(answer.body, 'one two three');
});

test("the connection is the web server's: its fields are not sent", async (t) => {
  const answer = await answerOf(t, (_request, response) => {
    response.writeHead(200, 'Fine', ['Connection', 'close', 'Status', '500', 'X-A', '1', 'X-A', '2']);
    response.addTrailers({ 'X-Late': '1' });
    response.end();
  });
  assert.deepEqual(answer.head, ['Status: 200 Fine', 'X-A: 1', 'X-A: 2', 'Content-Length: 0']);
});

test('HEAD, 204 and 304 send no body', async (t) => {
  const { path } = await start(t, (request, response) => {
    response.statusCode = Number(request.url!.slice(1));
    response.write('body');
    response.end('more');
  });
  for (const [method, status] of [
    ['HEAD', '200'],
    ['GET', '204'],
    ['GET', '304'],
  ] as const) {
    const answer = await askApplication(path, { REQUEST_METHOD: method, REQUEST_URI: `/${status}` });
    assert.equal(answer.body, '');
    assert.equal(answer.head.length, 1);
    assert.equal(answer.appStatus, 0);
  }
});

test('fields are bytes', async (t) => {
  const answer = await answerOf(
    t,
    (request, response) => {
      response.setHeader('X-Bytes', request.headers['x-bytes']!);
      response.end('ä');
    },
    { ...get, HTTP_X_BYTES: '\xe4\xff' },
  );
  assert.ok(answer.head.includes('X-Bytes: \xe4\xff'));
  assert.equal(answer.body, '\xc3\xa4');
});

test('misuse is told as node:http tells it', async (t) => {
  const codes: unknown[] = [];
  const attempt = (action: () => unknown) => {
    try {
      action();
    } catch (error) {
      codes.push((error as NodeJS.ErrnoException).code);
    }
  };
  await answerOf(t, async (_request, response) => {
    attempt(() => response.writeHead(42));
    attempt(() => response.writeHead(200, { 'X-A': 'a\nb' }));
    attempt(() => response.writeHead(200, 'a\nb'));
    attempt(() => response.write(7 as never));
    attempt(() => response.write(null as never));
    response.statusMessage = '';
    response.writeHead(200);
    assert.ok(response.headersSent);
    attempt(() => response.writeHead(200));
    attempt(() => response.setHeader('a', 'b'));
    response.end();
    assert.ok(response.writableEnded);
    const failed = new Promise((resolve) => response.once('error', resolve));
    response.write('late');
    codes.push(((await failed) as NodeJS.ErrnoException).code);
  });
  assert.deepEqual(codes, [
    'ERR_HTTP_INVALID_STATUS_CODE',
    'ERR_INVALID_CHAR',
    'ERR_INVALID_CHAR',
    'ERR_INVALID_ARG_TYPE',
    'ERR_STREAM_NULL_VALUES',
    'ERR_HTTP_HEADERS_SENT',
    'ERR_HTTP_HEADERS_SENT',
    'ERR_STREAM_WRITE_AFTER_END',
  ]);
});

test('a listener that fails: 500 before the head, a cut answer after it', async (t) => {
  const { path } = await start(t, async (request, response) => {
    if (request.url === '/head') response.write('half');
    if (request.url === '/destroy') {
      response.write('half');
      response.destroy();
      return;
    }
    if (request.url === '/request') {
      response.write('half');
      request.destroy();
      return;
    }
    throw new Error('no luck');
  });
  const before = await askApplication(path, { REQUEST_URI: '/' });
  assert.equal(before.head[0], 'Status: 500 Internal Server Error');
  assert.equal(before.appStatus, 1);
  assert.match(before.stderr, /^Error: no luck\n/);
  for (const url of ['/head', '/destroy', '/request']) {
    const after = await askApplication(path, { REQUEST_URI: url });
    assert.equal(after.body, 'half');
    assert.equal(after.appStatus, undefined, url);
  }
});

test('a client that leaves: aborted, closed, and nothing breaks', async (t) => {
  const seen: string[] = [];
  let told = () => {};
  const all = new Promise<void>((resolve) => {
    told = resolve;
  });
  const { path } = await start(t, (request, response) => {
    request.on('aborted', () => seen.push('aborted'));
    request.on('error', (error: NodeJS.ErrnoException) => seen.push(String(error.code)));
    request.on('close', () => told());
    response.on('close', () => seen.push('close'));
    request.resume();
    response.write('half');
  });
  const socket = connect(path);
  socket.write(Buffer.concat([beginRequest(), params({ REQUEST_METHOD: 'POST', CONTENT_LENGTH: '9' })]));
  socket.once('data', () => socket.destroy());
  await all;
  assert.deepEqual(seen.sort(), ['ECONNRESET', 'aborted', 'close']);
});

test('output waits for the web server, with drain, and finishes', async (t) => {
  let drains = 0;
  let whole: Promise<void> | undefined;
  const { path } = await start(t, async (_request, response) => {
    whole = finished(response);
    for (let i = 0; i < 100; i++) {
      if (response.write(Buffer.alloc(40_000, 'x'))) continue;
      drains++;
      await new Promise((resolve) => response.once('drain', resolve));
    }
    response.end();
  });
  const answer = readAnswer(await exchange(path, beginRequest(), params(get), stdin('')));
  assert.equal(answer.body.length, 4_000_000);
  await whole;
  assert.ok(drains > 0);
});

test('what Express does: other prototypes, and writeHead patched on the response', async (t) => {
  const { path } = await start(t, (request, response) => {
    Object.setPrototypeOf(request, Object.create(Object.getPrototypeOf(Object.getPrototypeOf(request))));
    Object.setPrototypeOf(response, Object.create(Object.getPrototypeOf(Object.getPrototypeOf(response))));
    const { writeHead } = response;
    response.writeHead = function (this: ServerResponse, ...args: unknown[]) {
      this.setHeader('X-Patched', 'yes');
      return writeHead.apply(this, args as never);
    } as never;
    request.on('data', (chunk) => response.write(chunk));
    request.on('end', () => response.end('.'));
  });
  const answer = await askApplication(path, { REQUEST_METHOD: 'POST', CONTENT_LENGTH: '3' }, 'abc');
  assert.deepEqual(answer.head, ['Status: 200 OK', 'X-Patched: yes']);
  assert.equal(answer.body, 'abc.');
});

test('early hints are a head before the head, for web servers that take it', async (t) => {
  const listener: HttpListener = (_request, response) => {
    response.writeEarlyHints({
      link: ['</a.css>; rel=preload; as=style', '</b.js>; rel=preload; as=script'],
    });
    response.end('page');
  };
  const told = await startApplication(t, fromHttp(listener, { interimHeads: true }));
  assert.deepEqual((await askApplication(told.path, get)).head, [
    'Status: 103 Early Hints',
    'link: </a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script',
  ]);
  const failing = await startApplication(
    t,
    fromHttp(
      (_request, response) => {
        response.writeProcessing();
        throw new Error('no luck');
      },
      { interimHeads: true },
    ),
  );
  assert.match((await askApplication(failing.path, get)).body, /^Status: 500 /);
  const untold = await start(t, listener);
  assert.deepEqual((await askApplication(untold.path, get)).head[0], 'Status: 200 OK');
});

test('an answer before the body was read ends its request', async (t) => {
  let aborted = false;
  const { path } = await start(t, (request, response) => {
    request.on('aborted', () => {
      aborted = true;
    });
    response.statusCode = 413;
    response.end();
  });
  const socket = connect(path);
  socket.write(Buffer.concat([beginRequest(), params({ REQUEST_METHOD: 'POST', CONTENT_LENGTH: '9' })]));
  assert.equal(readAnswer(await readAll(socket)).head[0], 'Status: 413 Payload Too Large');
  assert.ok(aborted);
});
