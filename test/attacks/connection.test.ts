/**
 * A hostile client at the HTTP front: what it sends ahead, behind the end, and away from home. One connection has one request
 * at a time at the application, nothing is run behind an answer that ends the connection, and nothing of that ends the process.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { exchangeRaw, parseResponses } from '../support/raw-client.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { count } from './counts.ts';
import { Load } from './load.ts';

const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const page = 'Hello';
/** A request that is refused with the end of the connection. */
const refused = 'HEAD * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';

const logFile = join(createTestDirectory(), 'access.log');

function everythingTo(address: string, capacity?: number) {
  return {
    sources: { app: { address, ...(capacity === undefined ? {} : { capacity }) } },
    virtualServers: [
      {
        documentRoot: createTestDirectory(),
        rules: [
          {
            match: { directory: '/denied', from: ['127.0.0.0/8'] },
            handler: { type: 'error' as const, status: 403 },
          },
          {
            handler: {
              type: 'fastcgi' as const,
              balancer: { sources: ['app'] },
              checkFile: false,
            },
          },
        ],
        accessLog: { file: logFile, format: 'combined' as const },
      },
    ],
  };
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Sends, then half-closes after a while; resolves when the connection is gone. */
async function burst(port: number, number: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  socket.write(`${refused}PUT /dir HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
  await delay(40);
  socket.write(get('/app/x'));
  await delay(number % 12);
  socket.end();
  if (!socket.closed) await once(socket, 'close');
}

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const targetsOf = (application: ScriptedApplication) =>
  application.requests.map(({ variables }) => variables.get('REQUEST_URI'));

describe('a hostile client at the front', () => {
  let application: ScriptedApplication;
  let gateway: GatewayProcess;
  before(async () => {
    application = await startScriptedApplication({ scenarios: { wait: new Load().play } });
    gateway = await startGateway({ config: everythingTo(application.address) });
  });
  after(async () => {
    const exit = await gateway.stop();
    await application.close();
    assert.deepEqual(exit, { code: 0, signal: null });
    assert.ok(!gateway.lines.some((line) => line.includes('error of ours')));
  });

  it('S1: requests behind an answer that closes, and a half-close, do not end the process', async () => {
    const connections = count(30_000, 1500);
    for (let begun = 0; begun < connections; begun += 150) {
      await Promise.all(Array.from({ length: 150 }, (_, index) => burst(gateway.port, begun + index)));
    }
    const { responses } = await exchangeRaw(gateway.port, get('/alive', 'Connection: close\r\n'));
    assert.equal(responses[0]?.body, page);
  });

  it('S1: nothing that comes behind the decision to close is run', async () => {
    application.requests.length = 0;
    const behind: Readonly<Record<string, readonly [string, readonly string[]]>> = {
      'in the same segment': [refused + get('/behind'), []],
      'two of them': [refused + get('/behind') + get('/behind'), []],
      'in a later segment': [refused, [get('/behind')]],
      'behind two Hosts': [get('/', 'Host: b\r\n') + get('/behind'), []],
      'behind a request that asks for the end': [get('/first', 'Connection: close\r\n') + get('/behind'), []],
      'behind HTTP/1.0': [`GET /first HTTP/1.0\r\nHost: a\r\n\r\n${get('/behind')}`, []],
    };
    for (const [name, [bytes, later]] of Object.entries(behind)) {
      for (let round = 0; round < count(50, 5); round++) {
        const methods = bytes.startsWith('HEAD') ? ['HEAD'] : [];
        const { responses, closed } = await exchangeRaw(gateway.port, bytes, { later, pauseMs: 30, methods });
        assert.equal(responses.length, 1, name);
        assert.ok(responses[0]!.complete, name);
        assert.ok(closed, name);
      }
    }
    assert.ok(!targetsOf(application).includes('/behind'));
  });

  it('S1, H1: what is no HTTP never takes the place of an answer that is due', async () => {
    const post = (fields: string, behind: string) =>
      `POST /slow?play=slow&ms=100 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n${fields}\r\nabc${behind}`;
    const rows: Readonly<Record<string, readonly [string, readonly number[]]>> = {
      'behind the end that the client asked for': [post('Connection: close\r\n', 'EXTR'), [200]],
      'a request behind it': [post('Connection: close\r\n', get('/behind')), [200]],
      'on a connection that stays': [post('', 'EXTR A\r\n\r\n'), [200, 400]],
      CONNECT: [post('', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n'), [200, 405]],
      'a head that is too large': [post('', get('/', `X-A: ${'x'.repeat(60_000)}\r\n`)), [200, 431]],
      'behind two': [post('', `${get('/second')}\0\0\0\r\n\r\n`), [200, 200, 400]],
    };
    for (const [name, [bytes, statuses]] of Object.entries(rows)) {
      const { responses, closed } = await exchangeRaw(gateway.port, bytes);
      assert.deepEqual(
        responses.map(({ status }) => status),
        statuses,
        name,
      );
      assert.ok(responses.every(({ complete }) => complete) && closed, name);
    }
  });

  it('S33: what comes in one segment behind an Upgrade that is ignored is not swallowed in silence', async () => {
    const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
    const { responses, closed } = await exchangeRaw(
      gateway.port,
      get('/a', upgrade) + get('/b', 'Connection: close\r\n'),
    );
    // Either both are answered, or the client learns that the second has to be sent again.
    assert.equal(responses[0]!.status, 200);
    if (responses.length === 1) assert.ok(closed && responses[0]!.fields.get('connection')?.[0] === 'close');
    else assert.equal(responses.length, 2);
  });

  it('S35: more than one space after the method is no way past a rule', async () => {
    const { responses } = await exchangeRaw(
      gateway.port,
      'GET  /denied/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    // RFC 9112 3 allows to be lenient here, as nginx is; what is taken is what one space gives.
    assert.ok([400, 403].includes(responses[0]!.status));
  });

  it('S5: leaves, and what it sent ahead is not run', async () => {
    application.requests.length = 0;
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const socket = await open(gateway.port);
        socket.write(get('/?play=wait').repeat(900));
        await once(socket, 'data');
        socket.destroy();
      }),
    );
    let seen = -1;
    while (seen !== application.requests.length) {
      seen = application.requests.length;
      await delay(200);
    }
    assert.ok(seen < 100, `${seen} were run`);
  });

  it('S4: a request followed by a reset is not run without its sender', async () => {
    application.requests.length = 0;
    for (let sent = 0; sent < count(3000, 300); sent++) {
      const socket = await open(gateway.port);
      socket.write(get('/denied/transfer'), () => socket.resetAndDestroy());
      await once(socket, 'close');
    }
    await exchangeRaw(gateway.port, get('/last', 'Connection: close\r\n'));
    assert.deepEqual(targetsOf(application), ['/last']);
    const log = () => readFileSync(logFile, 'utf8');
    await until(() => log().includes('GET /last '), 'the last line');
    const lines = log()
      .split('\n')
      .filter((line) => line.includes('/denied/transfer'));
    assert.deepEqual(
      lines.filter((line) => !/^127\.0\.0\.1 .* 403 /.test(line)),
      [],
    );
  });
});

describe('a client that sends ahead', () => {
  let application: ScriptedApplication;
  let gateway: GatewayProcess;
  const load = new Load();
  before(async () => {
    application = await startScriptedApplication({ scenarios: { wait: load.play } });
    gateway = await startGateway({ config: everythingTo(application.address, 4) });
  });
  after(async () => {
    const exit = await gateway.stop();
    await application.close();
    assert.deepEqual(exit, { code: 0, signal: null });
  });

  it('S5: has one request at a time at the application, and its answers in order; others are served', async () => {
    const requests = count(1000, 200);
    const socket = await open(gateway.port);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.write(Array.from({ length: requests }, (_, index) => get(`/?play=wait&n=${index}`)).join(''));
    const others = await Promise.all(
      Array.from({ length: 20 }, () =>
        exchangeRaw(gateway.port, get('/?play=page', 'Connection: close\r\n')),
      ),
    );
    assert.ok(others.every(({ responses }) => responses[0]?.status === 200));
    while (parseResponses(text).length < requests) await once(socket, 'data');
    socket.destroy();
    assert.ok(parseResponses(text).every(({ status, body }) => status === 200 && body === page));
    assert.equal(load.most, 1);
    const numbers = application.requests
      .map(({ variables }) => /n=(\d+)/.exec(variables.get('QUERY_STRING') ?? '')?.[1])
      .filter((number) => number !== undefined);
    assert.deepEqual(
      numbers,
      Array.from({ length: requests }, (_, index) => String(index)),
    );
  });
});

describe('a stop', () => {
  it('H14: loses no request that is on its way, kept or first of its connection', async () => {
    const application = await startScriptedApplication();
    const gateway = await startGateway({ config: everythingTo(application.address) });
    const fresh = await Promise.all(Array.from({ length: 20 }, () => open(gateway.port)));
    const kept = await Promise.all(Array.from({ length: 20 }, () => open(gateway.port)));
    const collect = (socket: Socket) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      return () => text;
    };
    const texts = [...kept, ...fresh].map(collect);
    for (const socket of kept) {
      socket.write(get('/one'));
    }
    await Promise.all(kept.map((socket) => once(socket, 'data')));
    process.kill(gateway.pid, 'SIGTERM');
    // The requests leave as the stop begins: what they meet is a server that has heard of it, and they have not.
    for (const socket of [...kept, ...fresh]) socket.write(get('/two'));
    await gateway.exited;
    const answers = texts.map((text) => parseResponses(text()).map(({ status }) => status));
    assert.deepEqual(answers, [...kept.map(() => [200, 200]), ...fresh.map(() => [200])]);
    await application.close();
  });
});
