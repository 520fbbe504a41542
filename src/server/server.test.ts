import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { exchangeRaw } from '../../test/support/raw-client.ts';
import { until } from '../../test/support/until.ts';
import { ConfigError } from '../base/errors.ts';
import { silentLog } from '../base/log.ts';
import type { HttpExchange } from '../http/exchange.ts';
import type { ListenAddress } from './listen.ts';
import { type Refusal, Server, type ServerLimits } from './server.ts';

const running: Server[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close(0)));
});

const refusals: Refusal[] = [];
const anyPort: ListenAddress = { host: '127.0.0.1', port: 0 };

function answer(exchange: HttpExchange): void {
  exchange.reply.respond(200, '', ['X-Target', exchange.request.target]);
  exchange.reply.end(Buffer.from('ok'));
}

function create(handle = answer, limits: Partial<ServerLimits> = {}, listen = [anyPort]): Server {
  const refused = (refusal: Refusal) => void refusals.push(refusal);
  const server = new Server({ listen, handle, refused, log: silentLog, limits });
  running.push(server);
  return server;
}

async function start(handle = answer, limits: Partial<ServerLimits> = {}): Promise<number> {
  const [url] = await create(handle, limits).listen();
  return Number(new URL(url!).port);
}

const get = (fields = '') => `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

/** RFC 9112 and CVEs of other servers: what the parser must not let through (T35, T47). */
const malformed: Readonly<Record<string, string>> = {
  'no HTTP': 'BLA BLA\r\n\r\n',
  'Content-Length twice': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
  'Content-Length list': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx',
  'Content-Length signed': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx',
  'Content-Length hex': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx',
  'Content-Length and Transfer-Encoding':
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'chunked not last': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
  'space before the colon': 'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
  'folded field line': 'GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n',
  'bare CR in a value': 'GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n',
  'NUL in a value': 'GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n',
  'space in a name': 'GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n',
  'no colon': 'GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n',
  'two spaces in the request line': 'GET / extra HTTP/1.1\r\nHost: a\r\n\r\n',
  'chunk size is junk':
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\naz\r\nx\r\n0\r\n\r\n',
  'chunk is longer than its size':
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n',
  'chunk extension of 20 KB': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`,
};

for (const [name, request] of Object.entries(malformed)) {
  test(`T35: ${name} is a 400 and the end of the connection`, async () => {
    const port = await start((exchange) => {
      const refuse = () => {
        exchange.reply.respond(400, '', []);
        exchange.reply.end();
      };
      exchange.readBody({ data: () => true, end: () => answer(exchange), error: refuse });
    });
    const { responses, closed } = await exchangeRaw(port, request + get());
    assert.deepEqual(
      responses.map(({ status }) => status),
      [400],
    );
    assert.ok(closed);
  });
}

test('a head above the limit is a 431, CONNECT a 405 with Allow, an upgrade is ignored', async () => {
  const port = await start(answer, { headerBytesMax: 8192 });
  const long = await exchangeRaw(port, get(`X: ${'y'.repeat(9000)}\r\n`));
  assert.deepEqual([long.responses[0]!.status, long.closed], [431, true]);
  const { status, bodyBytes, remoteAddress } = refusals.at(-1)!;
  assert.deepEqual([status, bodyBytes, remoteAddress], [431, long.responses[0]!.body.length, '127.0.0.1']);
  const connect = await exchangeRaw(port, 'CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n');
  assert.equal(connect.responses[0]!.status, 405);
  assert.ok(connect.responses[0]!.fields.has('allow'));
  const upgrade = await exchangeRaw(
    port,
    get('Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
  );
  assert.deepEqual([upgrade.responses.length, upgrade.responses[0]!.status], [1, 200]);
});

test('T40: a field beyond any count is still seen', async () => {
  let lines = 0;
  const port = await start((exchange) => {
    lines = exchange.request.fields.length / 2;
    answer(exchange);
  });
  await exchangeRaw(port, get(`${'A: b\r\n'.repeat(3000)}Connection: close\r\n`));
  assert.equal(lines, 3002);
});

test('T45: a head that does not come to its end is a 408', async () => {
  const port = await start(answer, { headerTimeoutMs: 100 });
  const { responses, closed } = await exchangeRaw(port, 'GET / HTTP/1.1\r\nHost: a\r\n');
  assert.deepEqual([responses[0]!.status, closed], [408, true]);
});

test('a connection ends with the last of its requests, at once, and when it idles', async () => {
  const busy = await start(answer, { requestsPerConnectionMax: 2, keepAliveTimeoutMs: 1_000_000 });
  const many = await exchangeRaw(busy, get() + get() + get());
  assert.deepEqual(
    many.responses.map(({ status, fields }) => [status, fields.get('connection')]),
    [
      [200, ['keep-alive']],
      [200, ['close']],
    ],
  );
  const port = await start(answer, { keepAliveTimeoutMs: 50 });
  const idle = await exchangeRaw(port, get());
  assert.ok(idle.closed);
});

test('connections beyond the limit are refused', async () => {
  const port = await start(answer, { connectionsMax: 1 });
  const first = connect(port, '127.0.0.1');
  first.write(get());
  await once(first, 'data');
  const second = await exchangeRaw(port, get(), { later: [get()] });
  assert.deepEqual([second.responses.length, second.closed], [0, true]);
  first.destroy();
});

test('close lets a running request finish, refuses new ones, and ends idle connections', async () => {
  let finish: (() => void) | undefined;
  const server = create((exchange) => {
    finish = () => answer(exchange);
    if (exchange.request.target === '/now') answer(exchange);
  });
  const port = Number(new URL((await server.listen())[0]!).port);
  const idle = connect(port, '127.0.0.1');
  idle.write(get().replace('GET /', 'GET /now'));
  await once(idle, 'data');
  const slow = exchangeRaw(port, get());
  await until(() => finish !== undefined);
  const closed = server.close(60_000);
  await once(idle, 'close');
  assert.equal((await exchangeRaw(port, get())).responses.length, 0);
  finish!();
  const { responses } = await slow;
  assert.equal(responses[0]!.status, 200);
  assert.match(responses[0]!.head, /connection: close/i);
  await closed;
});

test('close waits for nobody who has not said anything yet', async () => {
  const server = create(answer);
  const port = Number(new URL((await server.listen())[0]!).port);
  const silent = exchangeRaw(port, '');
  // Answered, so the one before it has been accepted too.
  await exchangeRaw(port, get('Connection: close\r\n'));
  // Longer than a test may take.
  await server.close(1_000_000);
  assert.ok((await silent).closed);
});

test('close disconnects what is still running after the grace time, at once when asked again', async () => {
  let isAsked = false;
  const server = create(() => {
    isAsked = true;
  });
  const port = Number(new URL((await server.listen())[0]!).port);
  const stuck = exchangeRaw(port, get());
  await until(() => isAsked);
  const patient = server.close(60_000);
  await server.close(0);
  await patient;
  const { closed, responses } = await stuck;
  assert.deepEqual([closed, responses.length], [true, 0]);
});

test('a port in use is one clear sentence, and nothing is left listening', async () => {
  const other = createNetServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const server = create(answer, {}, [anyPort, { host: '127.0.0.1', port }]);
  await assert.rejects(server.listen(), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(error.problems, [
      {
        path: 'listen[1]',
        message: `Port ${port} of 127.0.0.1 is in use by another program; stop it, or choose another port`,
      },
    ]);
    return true;
  });
  await new Promise((resolve) => other.close(resolve));
});

test('a unix socket: its permissions, a dead one replaced, a live one or another file left alone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fastway-server-'));
  try {
    const path = join(directory, 'web.sock');
    const live = create(answer, {}, [{ path, mode: 0o600 }]);
    assert.deepEqual(await live.listen(), [`unix:${path}`]);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await assert.rejects(create(answer, {}, [{ path, mode: 0o600 }]).listen(), /Something listens on/);
    await live.close(0);
    const file = join(directory, 'file');
    writeFileSync(file, 'precious');
    await assert.rejects(create(answer, {}, [{ path: file, mode: 0o600 }]).listen(), /already/);
    const missing = join(directory, 'none', 'web.sock');
    await assert.rejects(create(answer, {}, [{ path: missing, mode: 0o600 }]).listen(), ConfigError);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
