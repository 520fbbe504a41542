import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, test } from 'node:test';
import connectApp from 'connect';
import express from 'express';
import { ManualClock, turns, turnsUntil } from '../../test/support/manual-clock.ts';
import { exchangeRaw, parseResponses } from '../../test/support/raw-client.ts';
import { until } from '../../test/support/until.ts';
import type { HttpExchange } from '../http/exchange.ts';
import type { BodyReader } from '../http/message.ts';
import { testReply } from '../http/reply.contract.ts';
import { createRequestListener, type ExchangeHandler, type NodeFrontOptions } from './node.ts';
import { Pipelines } from './node-pipelines.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function serve(handle: ExchangeHandler, options: Partial<NodeFrontOptions> = {}): Promise<number> {
  const server = createServer(createRequestListener(handle, options));
  server.on('checkContinue', createRequestListener(handle, { ...options, waitsForContinue: true }));
  return listen(server);
}

const bytes = (text: string) => Buffer.from(text, 'latin1');
const get = (path = '/', fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const post = (body: string, fields = '') =>
  `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
const closing = 'Connection: close\r\n';

/** Reads the whole body, then hands it on. */
function collect(
  exchange: HttpExchange,
  then: (body: string) => void,
  failed = (_code: string) => {},
): BodyReader {
  let body = '';
  return exchange.readBody({
    data(chunk) {
      body += Buffer.from(chunk).toString('latin1');
      return true;
    },
    end: () => then(body),
    error: (error) => failed(error.code),
  });
}

function answer(exchange: HttpExchange, text: string): void {
  exchange.reply.respond(200, 'OK', ['Content-Type', 'text/plain']);
  exchange.reply.end(bytes(text));
}

test('the request head arrives byte for byte', async () => {
  let seen: HttpExchange | undefined;
  const port = await serve((exchange) => {
    seen = exchange;
    answer(exchange, '');
  });
  await exchangeRaw(
    port,
    'GET /%E4%41?x=%ff HTTP/1.1\r\nhOsT: a\r\nX-B: \xfc\r\nx-b: 2\r\nConnection: close\r\n\r\n',
  );
  const { request } = seen!;
  assert.equal(request.method, 'GET');
  assert.equal(request.target, '/%E4%41?x=%ff');
  assert.equal(request.version, '1.1');
  assert.deepEqual(request.fields, ['hOsT', 'a', 'X-B', '\xfc', 'x-b', '2', 'Connection', 'close']);
  assert.deepEqual(
    [request.remoteAddress, request.localAddress, request.localPort, request.secure],
    ['127.0.0.1', '127.0.0.1', port, false],
  );
  assert.ok(request.remotePort > 0);
  assert.equal(seen!.bodyLength, 0);
});

test('an answer that is whole within the tick has a Content-Length', async () => {
  const port = await serve((exchange) => {
    exchange.reply.respond(200, '', ['X-A', '1']);
    assert.equal(exchange.reply.write(bytes('hel')), true);
    exchange.reply.end(bytes('lo'));
    assert.equal(exchange.reply.bodyBytesSent, 5);
  });
  const { responses, text } = await exchangeRaw(port, get() + get('/', closing));
  assert.equal(responses.length, 2);
  assert.match(text, /^HTTP\/1\.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n/);
  assert.equal(responses[1]!.body, 'hello');
});

test('an answer that comes later is chunked, its head at once, each piece at once', async () => {
  let exchange: HttpExchange | undefined;
  const port = await serve((taken) => {
    exchange = taken;
    taken.reply.respond(200, 'OK', []);
  });
  const socket = connect(port, '127.0.0.1');
  const received = () =>
    new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
  socket.write(get());
  assert.match(await received(), /transfer-encoding: chunked\r\n\r\n$/i);
  exchange!.reply.write(bytes('one'));
  assert.equal(await received(), '3\r\none\r\n');
  exchange!.reply.end();
  assert.equal(await received(), '0\r\n\r\n');
  socket.destroy();
});

test('HTTP/1.0: an answer of unknown length ends with the connection, a cut one with a reset', async () => {
  let exchange: HttpExchange | undefined;
  const port = await serve((taken) => {
    exchange = taken;
    taken.reply.respond(200, 'OK', []);
    taken.reply.write(bytes('part'));
    if (taken.request.target !== '/cut') setImmediate(() => taken.reply.end(bytes('!')));
  });
  const whole = await exchangeRaw(port, 'GET / HTTP/1.0\r\n\r\n');
  assert.ok(whole.closed);
  assert.match(whole.text, /\r\n\r\npart!$/);
  assert.doesNotMatch(whole.text, /transfer-encoding|content-length/i);
  const code = await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /cut HTTP/1.0\r\n\r\n'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    // Only once the bytes are read: libuv takes a reset that comes together with bytes for an orderly end.
    socket.on('data', () => exchange!.reply.cut());
    socket.on('end', () => resolve('an orderly end'));
  });
  assert.equal(code, 'ECONNRESET');
  assert.equal(exchange!.reply.ended, true);
});

test('T61: not one byte more than the Content-Length goes out', async () => {
  const port = await serve((exchange) => {
    exchange.reply.respond(200, 'OK', ['Content-Length', '5']);
    exchange.reply.write(bytes('hell'));
    exchange.reply.write(bytes('oEVIL!'));
    exchange.reply.end(bytes('HTTP/1.1 200 OK'));
    assert.equal(exchange.reply.bodyBytesSent, 5);
  });
  const { responses } = await exchangeRaw(port, get() + get('/', closing));
  assert.deepEqual(
    responses.map(({ body, complete }) => [body, complete]),
    [
      ['hello', true],
      ['hello', true],
    ],
  );
});

test('fewer bytes than the Content-Length make the end a cut', async () => {
  const port = await serve((exchange) => {
    exchange.reply.respond(200, 'OK', ['Content-Length', '100']);
    exchange.reply.write(bytes('what came'));
    setImmediate(() => exchange.reply.end());
  });
  const { text, closed } = await exchangeRaw(port, get());
  assert.ok(closed);
  assert.match(text, /\r\n\r\nwhat came$/);
});

test('T65: HEAD, 204 and 304 have no body, and the next answer is intact', async () => {
  const port = await serve((exchange) => {
    const status = Number(exchange.request.target.slice(1)) || 200;
    exchange.reply.respond(status, '', ['Content-Length', '4', 'ETag', '"x"']);
    exchange.reply.write(bytes('body'));
    exchange.reply.end();
    if (status !== 200 || exchange.request.method === 'HEAD') assert.equal(exchange.reply.bodyBytesSent, 0);
  });
  const { responses } = await exchangeRaw(
    port,
    `HEAD / HTTP/1.1\r\nHost: a\r\n\r\n${get('/204')}${get('/304')}${get('/200', closing)}`,
    { methods: ['HEAD', 'GET', 'GET', 'GET'] },
  );
  assert.deepEqual(
    responses.map(({ status, body, fields }) => [status, body, fields.get('content-length')?.[0]]),
    [
      [200, '', '4'],
      [204, '', undefined],
      [304, '', '4'],
      [200, 'body', '4'],
    ],
  );
});

test('framing fields of a handler are dropped', async () => {
  const port = await serve((exchange) => {
    exchange.reply.respond(200, 'OK', [
      'Transfer-Encoding',
      'gzip',
      'Connection',
      'x',
      'KEEP-ALIVE',
      'y',
      'Upgrade',
      'h2c',
      'X-Kept',
      '1',
    ]);
    exchange.reply.end(bytes('ok'));
  });
  const { text } = await exchangeRaw(port, get('/', closing));
  assert.doesNotMatch(text, /gzip|h2c|: [xy]\r/);
  assert.match(text, /X-Kept: 1\r\n/);
});

test('T78: a head that node:http refuses becomes a 500, not an exception', async () => {
  const port = await serve((exchange) => {
    exchange.reply.respond(200, 'OK', ['X-Bad', 'a\r\nSet-Cookie: evil']);
    exchange.reply.end(bytes('secret'));
    assert.equal(exchange.reply.status, 500);
  });
  const { text, closed } = await exchangeRaw(port, get());
  assert.match(text, /^HTTP\/1\.1 500 /);
  assert.doesNotMatch(text, /evil|secret/);
  assert.ok(closed);
});

test('the head cannot be sent twice, nor a body before it', async () => {
  const port = await serve((exchange) => {
    assert.throws(() => exchange.reply.write(bytes('x')), RangeError);
    exchange.reply.respond(200, 'OK', []);
    assert.throws(() => exchange.reply.respond(200, 'OK', []), RangeError);
    exchange.reply.end();
    exchange.reply.end(bytes('ignored'));
    exchange.reply.cut();
    assert.equal(exchange.reply.write(bytes('ignored')), true);
  });
  const { responses } = await exchangeRaw(port, get('/', closing));
  assert.deepEqual([responses.length, responses[0]!.body], [1, '']);
});

test('a body with Content-Length or chunked is read whole, trailers are not seen', async () => {
  const port = await serve((exchange) =>
    collect(exchange, (body) => answer(exchange, `${exchange.bodyLength}:${body}`)),
  );
  const chunked =
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Auth\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Auth: 1\r\n\r\n';
  const { responses } = await exchangeRaw(port, post('12345') + get() + chunked);
  assert.deepEqual(
    responses.map(({ body }) => body),
    ['5:12345', '0:', 'undefined:abc'],
  );
});

test('the receiver is never called before readBody returns, and can pause', async () => {
  const calls: string[] = [];
  const port = await serve((exchange) => {
    let returned = false;
    const reader = exchange.readBody({
      data(chunk) {
        assert.ok(returned);
        calls.push(`data ${chunk.length}`);
        void turns(3).then(() => {
          calls.push('resume');
          reader.resume();
        });
        return false;
      },
      end() {
        assert.ok(returned);
        calls.push('end');
        answer(exchange, '');
      },
      error: () => {},
    });
    returned = true;
  });
  const socket = connect(port, '127.0.0.1');
  const closed = new Promise((resolve) => socket.resume().once('close', resolve));
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab');
  await turnsUntil(() => calls.length > 0);
  socket.write('cd');
  await closed;
  // The end carries no bytes: it may come before the last chunk was resumed.
  assert.deepEqual(calls.slice(0, 3), ['data 2', 'resume', 'data 2']);
  assert.ok(calls.includes('end'));
});

test('100 Continue is said when the body is read, and only then', async () => {
  const port = await serve((exchange) => {
    if (exchange.request.method === 'PUT') answer(exchange, 'no');
    else collect(exchange, (body) => answer(exchange, body));
  });
  const fields = 'Expect: 100-continue\r\nConnection: close\r\n';
  const read = await exchangeRaw(port, `POST / HTTP/1.1\r\nHost: a\r\n${fields}Content-Length: 2\r\n\r\n`, {
    later: ['ok'],
  });
  assert.deepEqual(
    read.responses.map(({ status, body }) => [status, body]),
    [
      [100, ''],
      [200, 'ok'],
    ],
  );
  const unread = await exchangeRaw(
    port,
    'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
  );
  assert.deepEqual(
    unread.responses.map(({ status, body }) => [status, body]),
    [[200, 'no']],
  );
  assert.match(unread.text, /connection: close/i);
  assert.ok(unread.closed);
});

test('T43: a short unread body passes by and the connection goes on', async () => {
  const port = await serve((exchange) => answer(exchange, exchange.request.method));
  const { responses, closed } = await exchangeRaw(
    port,
    `${post('x'.repeat(1000))}${get()}${get('/', closing)}`,
  );
  assert.deepEqual(
    responses.map(({ body }) => body),
    ['POST', 'GET', 'GET'],
  );
  assert.ok(closed);
});

test('T43: a long unread body, or one that does not come, ends the connection, and nothing in it is a request', async () => {
  const targets: string[] = [];
  const port = await serve(
    (exchange) => {
      targets.push(exchange.request.target);
      answer(exchange, 'early');
    },
    { drainMs: 50 },
  );
  const long = `POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${get('/hidden')}`;
  const first = await exchangeRaw(port, long);
  assert.deepEqual([first.responses.length, first.responses[0]!.body, first.closed], [1, 'early', true]);
  assert.match(first.text, /connection: close/i);
  const second = await exchangeRaw(port, 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc');
  assert.deepEqual([second.responses.length, second.closed], [1, true]);
  assert.deepEqual(targets, ['/long', '/slow']);
});

test('a client that is still sending a long body can read the early answer', async () => {
  const port = await serve((exchange) => {
    exchange.reply.respond(413, '', []);
    exchange.reply.end(bytes('too large'));
  });
  const piece = 'x'.repeat(60_000);
  const { responses } = await exchangeRaw(
    port,
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n',
    { later: [piece, piece, piece, piece] },
  );
  assert.deepEqual([responses[0]!.status, responses[0]!.body], [413, 'too large']);
});

test('a body that is cut, or too slow, is an error of the reader', async () => {
  const codes: string[] = [];
  let reading: HttpExchange | undefined;
  const handle = (exchange: HttpExchange) => {
    reading = exchange;
    collect(
      exchange,
      () => codes.push('end'),
      (code) => {
        codes.push(code);
        exchange.reply.cut();
      },
    );
  };
  const port = await serve(handle);
  const leaving = connect(port, '127.0.0.1', () =>
    leaving.end('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc'),
  );
  await until(() => codes.length === 1);
  leaving.destroy();
  reading = undefined;
  const clock = new ManualClock();
  const idle = await serve(handle, { clock, bodyIdleMs: 30_000, bodyBytesPerSecondMin: 0 });
  const silent = exchangeRaw(idle, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
  await until(() => reading?.bodyBytesReceived === 3);
  // The first look sees its bytes.
  clock.advance(30_000);
  assert.equal(codes.length, 1);
  clock.advance(1_000);
  await silent;
  reading = undefined;
  const dripping = connect(
    await serve(handle, { clock, bodyGraceMs: 5_000, bodyBytesPerSecondMin: 500 }),
    '127.0.0.1',
  );
  dripping.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n');
  for (let seconds = 1; seconds <= 6; seconds++) {
    assert.equal(codes.length, 2);
    dripping.write('a');
    await until(() => reading?.bodyBytesReceived === seconds);
    clock.advance(1_000);
  }
  dripping.destroy();
  assert.deepEqual(codes, ['GW_ERR_HTTP_BODY_CUT', 'GW_ERR_HTTP_BODY_TIMEOUT', 'GW_ERR_HTTP_BODY_TIMEOUT']);
});

test('a client that leaves is heard once, by listener and observer', async () => {
  const heard: string[] = [];
  let told: (() => void) | undefined;
  const gone = new Promise<void>((resolve) => {
    told = resolve;
  });
  let isAsked = false;
  const port = await serve((exchange) => {
    isAsked = true;
    exchange.setObserver({ id: 'a1', ended: () => heard.push(`ended ${exchange.reply.status}`) });
    exchange.reply.setListener({
      drained() {},
      gone() {
        heard.push('gone');
        assert.equal(exchange.reply.ended, true);
        told!();
      },
    });
  });
  const socket = connect(port, '127.0.0.1', () => socket.write(get()));
  await until(() => isAsked);
  socket.destroy();
  await gone;
  assert.deepEqual(heard, ['ended 0', 'gone']);
});

test('a source that writes on from within drain is told of every drain that it waits for', async () => {
  const chunk = Buffer.alloc(16_384, 'a');
  const chunks = 2_000;
  const port = await serve(
    (exchange) => {
      let left = chunks;
      // First more than the system takes at once; then as the records of one read come.
      let ready = 1_000;
      let mayWrite = true;
      const writeSome = () => {
        for (; ready > 0 && left > 0 && mayWrite; ready--, left--) mayWrite = exchange.reply.write(chunk);
        if (left === 0) exchange.reply.end();
        else if (mayWrite) setImmediate(read);
      };
      const read = () => {
        ready = 6;
        writeSome();
      };
      exchange.reply.setListener({
        drained() {
          mayWrite = true;
          writeSome();
        },
        gone() {},
      });
      exchange.reply.respond(200, 'OK', []);
      writeSome();
    },
    { writeIdleMs: 2_000 },
  );
  const { responses } = await exchangeRaw(port, get('/', closing));
  assert.equal(responses[0]!.body.length, chunks * chunk.length);
});

test('a slow client makes write say no, and drain calls; one that takes nothing is disconnected', async () => {
  const clock = new ManualClock();
  const chunk = Buffer.alloc(65_536, 'x');
  let drained = 0;
  let ended: (() => void) | undefined;
  const over = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const serveFor = (writeIdleMs: number) =>
    serve(
      (exchange) => {
        const more = () => {
          while (exchange.reply.bodyBytesSent < 100 * chunk.length) if (!exchange.reply.write(chunk)) return;
          exchange.reply.end();
        };
        exchange.setObserver({ id: 'a1', ended: () => ended!() });
        exchange.reply.setListener({
          drained() {
            drained++;
            more();
          },
          gone() {},
        });
        exchange.reply.respond(200, 'OK', []);
        more();
      },
      { writeIdleMs, clock },
    );
  const socket = connect(await serveFor(60_000), '127.0.0.1', () => socket.write(get()));
  let received = 0;
  await new Promise<void>((resolve) => {
    socket.on('data', (data) => {
      received += data.length;
      if (received > 100 * chunk.length) resolve();
    });
  });
  assert.ok(drained > 0);
  socket.destroy();
  await over;
  const port = await serveFor(60_000);
  const closed = new Promise<void>((resolve) => {
    servers.at(-1)!.once('connection', (accepted) => accepted.once('close', () => resolve()));
  });
  const lazy = connect(port, '127.0.0.1', () => lazy.write(get()));
  lazy.pause();
  // Twice, since it may have taken something before the first.
  let isClosed = false;
  void closed.then(() => {
    isClosed = true;
  });
  await turnsUntil(() => {
    clock.advance(60_000);
    return isClosed;
  });
  lazy.destroy();
});

test('sendNow sends at once what waits for the end of the tick, and says when its bytes are free', async () => {
  let left: boolean | undefined;
  const port = await serve((exchange) => {
    exchange.reply.respond(200, 'OK', []);
    setImmediate(() => {
      const chunk = Buffer.alloc(1_000, 'x');
      exchange.reply.write(chunk);
      left = exchange.reply.sendNow!();
      chunk.fill('-');
      exchange.reply.end();
    });
  });
  const { text } = await exchangeRaw(port, get('/', closing));
  assert.equal(left, true);
  assert.match(text, /\r\n3e8\r\nx{1000}\r\n0\r\n\r\n$/);
});

test('sendNow does not give free what still waits: for the end of the tick, or for a slow client', async () => {
  const said: (boolean | undefined)[] = [];
  let written = 0;
  const port = await serve((exchange) => {
    exchange.reply.respond(200, 'OK', []);
    exchange.reply.write(Buffer.alloc(10, 'a'));
    said.push(exchange.reply.sendNow!());
    setImmediate(() => {
      while (written < 64 * 1024 * 1024 && exchange.reply.write(Buffer.alloc(65_536, 'b'))) written += 65_536;
      said.push(exchange.reply.sendNow!());
      exchange.reply.cut();
    });
  });
  const client = connect(port, '127.0.0.1', () => client.write(get()));
  client.pause();
  await until(() => said.length === 2);
  client.destroy();
  assert.deepEqual(said, [false, false]);
});

test('sendNow never gives free what somebody between us and the socket may keep', async () => {
  const kept: Uint8Array[] = [];
  let left: boolean | undefined;
  const app = express();
  app.use((_req, res, next) => {
    // As a compression does: it answers in its own time.
    res.write = (chunk: Uint8Array) => {
      kept.push(chunk);
      return true;
    };
    next();
  });
  app.use(
    createRequestListener((exchange) => {
      exchange.reply.respond(200, 'OK', []);
      setImmediate(() => {
        exchange.reply.write(Buffer.alloc(65_536, 'x'));
        left = exchange.reply.sendNow!();
        exchange.reply.end();
      });
    }),
  );
  await exchangeRaw(await listen(createServer(app)), get('/', closing));
  assert.equal(kept.length, 1);
  assert.equal(left, false);
});

test('closeAfterAnswer, and a front that closes, end the connection after the answer', async () => {
  let isClosing = false;
  const port = await serve(
    (exchange) => {
      if (exchange.request.target === '/close') exchange.closeAfterAnswer();
      answer(exchange, 'ok');
    },
    { isClosing: () => isClosing },
  );
  assert.ok((await exchangeRaw(port, get('/close'))).closed);
  const kept = await exchangeRaw(port, get('/'), {
    later: [get('/close')],
    laterWhen: (text) => text.endsWith('ok'),
  });
  assert.equal(kept.responses.length, 2);
  isClosing = true;
  const { closed, text } = await exchangeRaw(port, get('/'));
  assert.ok(closed);
  assert.match(text, /connection: close/i);
});

for (const [name, makeApp] of [
  ['Express', express as unknown as () => ReturnType<typeof connectApp>],
  ['Connect', connectApp],
] as const) {
  test(`${name}: the whole original URL, next for what is not ours, no leak of left exchanges`, async () => {
    let ended = 0;
    const listener = createRequestListener((exchange, next) => {
      exchange.setObserver({ id: 'a1', ended: () => ended++ });
      if (exchange.request.target.startsWith('/app/php')) answer(exchange, exchange.request.target);
      else next!();
    });
    const app = makeApp();
    app.use('/app', listener);
    app.use((_req: unknown, res: { end(text: string): void }) => res.end('theirs'));
    const port = await listen(createServer(app));
    const { responses } = await exchangeRaw(
      port,
      `${get('/app/php/x?y')}${get('/app/other')}${get('/', closing)}`,
    );
    assert.deepEqual(
      responses.map(({ body }) => body),
      ['/app/php/x?y', 'theirs', 'theirs'],
    );
    assert.equal(ended, 1);
  });
}

test('a body that a parser in front has read is sent again, or an error with advice', async () => {
  const app = express();
  app.use(express.json());
  app.use((req, _res, next) => {
    if (req.url === '/lost') req.body = undefined;
    next();
  });
  app.use(
    createRequestListener((exchange) => {
      const { bodyLength } = exchange;
      collect(
        exchange,
        (body) => answer(exchange, `${bodyLength}:${body}`),
        (code) => answer(exchange, code),
      );
    }),
  );
  const port = await listen(createServer(app));
  const fields = `Content-Type: application/json\r\n${closing}`;
  const { responses } = await exchangeRaw(port, post('{ "a": 1 }', fields));
  assert.equal(responses[0]!.body, '7:{"a":1}');
  const lost = await exchangeRaw(port, post('{ "a": 1 }', fields).replace('POST /', 'POST /lost'));
  assert.equal(lost.responses[0]!.body, 'GW_ERR_INTERNAL');
});

test('pipelined requests begin one after another, each when the answer before it has left', async () => {
  const begun: HttpExchange[] = [];
  const port = await serve((exchange) => void begun.push(exchange));
  const targets = () => begun.map(({ request }) => request.target);
  const answers = exchangeRaw(port, get('/1') + get('/2') + get('/3', closing));
  for (const expected of [['/1'], ['/1', '/2'], ['/1', '/2', '/3']]) {
    await until(() => begun.length >= expected.length);
    // What would begin beside it, would begin now.
    await turns(20);
    assert.deepEqual(targets(), expected);
    answer(begun.at(-1)!, 'x'.repeat(100_000));
  }
  assert.deepEqual(
    (await answers).responses.map(({ body }) => body.length),
    [100_000, 100_000, 100_000],
  );
});

test('a client that sends too far ahead loses its connection, the one that has most ahead first', async () => {
  const begun: HttpExchange[] = [];
  let ended = 0;
  const pipelines = new Pipelines({ perConnectionMax: 6, inAllMax: 8, ended: () => void ended++ });
  const port = await serve((exchange) => void begun.push(exchange), { pipelines });
  const alone = await exchangeRaw(port, get().repeat(8));
  assert.deepEqual([alone.text, ended], ['', 1]);

  const five = exchangeRaw(port, get('/five').repeat(6));
  await until(() => begun.length === 2);
  const four = exchangeRaw(port, get('/four').repeat(4) + get('/four', closing));
  assert.equal((await five).text, '');
  assert.equal(ended, 2);
  let isOver = false;
  void four.finally(() => {
    isOver = true;
  });
  await turnsUntil(() => {
    for (const exchange of begun.splice(0)) if (!exchange.reply.ended) answer(exchange, 'ok');
    return isOver;
  });
  assert.equal((await four).responses.length, 5);
});

test('S11: somebody else who has answered, or ended the answer, makes the exchange be over', async () => {
  const exchanges: HttpExchange[] = [];
  let gone = 0;
  const application = express();
  application.use((_req, res, next) => {
    next();
    res.status(503).send('too late');
  });
  application.use(
    createRequestListener((exchange) => {
      exchanges.push(exchange);
      exchange.reply.setListener({ drained() {}, gone: () => void gone++ });
    }),
  );
  const port = await listen(createServer(application));
  const { responses } = await exchangeRaw(port, get('/', closing));
  assert.equal(responses[0]!.body, 'too late');
  for (const call of [
    (exchange: HttpExchange) => exchange.reply.respond(200, '', []),
    (exchange: HttpExchange) => exchange.reply.write(bytes('x')),
    (exchange: HttpExchange) => exchange.reply.end(bytes('x')),
    (exchange: HttpExchange) => exchange.reply.cut(),
  ]) {
    call(exchanges[0]!);
    assert.ok(exchanges[0]!.reply.ended);
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(gone, 1);
});

test('S1: an exception of a handler, a listener or a middleware ends one exchange, and is told', async () => {
  const failures: unknown[] = [];
  const thrown = new Error('of somebody');
  const throws = () => {
    throw thrown;
  };
  const handlers: Record<string, ExchangeHandler> = {
    '/handler': throws,
    '/body': (exchange) => void exchange.readBody({ data: throws, end() {}, error() {} }),
    '/end': (exchange) => void exchange.readBody({ data: () => true, end: throws, error() {} }),
    '/write': (exchange) => {
      exchange.reply.respond(200, '', []);
      exchange.reply.write(bytes('a'));
      exchange.reply.write(bytes('b'));
    },
    '/later': (exchange) => exchange.reply.respond(200, '', []),
    '/whole': (exchange) => answer(exchange, 'x'),
    '/observer': (exchange) => {
      exchange.setObserver({ id: '', ended: throws });
      answer(exchange, 'x');
    },
  };
  const application = connectApp();
  application.use((req, res, next) => {
    if (['/write', '/later', '/whole'].includes(req.url!)) res.writeHead = throws;
    next();
  });
  application.use(
    createRequestListener((exchange) => handlers[exchange.request.target]!(exchange), {
      failed: (error) => void failures.push(error),
    }),
  );
  const port = await listen(createServer(application));
  for (const target of Object.keys(handlers)) {
    const head = `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx`;
    const { closed } = await exchangeRaw(port, head);
    assert.ok(closed, target);
  }
  // The head that a middleware breaks is told once, and ended without a second try.
  assert.ok(failures.length >= 5 && failures.every((failure) => failure === thrown));
});

testReply('node:http', async (method) => {
  let taken!: (exchange: HttpExchange) => void;
  const exchange = new Promise<HttpExchange>((resolve) => {
    taken = resolve;
  });
  const port = await serve((begun) => taken(begun));
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.write(`${method} / HTTP/1.1\r\nHost: a\r\n${closing}\r\n`);
  const { reply } = await exchange;
  return {
    reply,
    leave: () => socket.destroy(),
    async received() {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      await closed;
      const last = parseResponses(text, [method]).at(-1);
      return {
        status: last?.status ?? 0,
        field: (name) => last?.fields.get(name)?.[0],
        body: last?.body ?? '',
        isWhole: last?.complete === true,
      };
    },
  };
});
