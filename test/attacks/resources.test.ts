/**
 * What one client or application makes the gateway keep, in memory, descriptors and places, and whether that takes something
 * from others. Deterministic but for the memory of a process, which is bounded at a distance from what the attack would take.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { type ApplicationRequest, serve } from '../../src/app/index.ts';
import type { ConfigInput } from '../../src/config/types.ts';
import { freePort } from '../support/free-port.ts';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { endRequest, stderr, stdout } from '../support/record-builder.ts';
import {
  type ScriptedApplication,
  type ScriptedApplicationOptions,
  startScriptedApplication,
} from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const isFull = process.env.ATTACKS === 'full';
const folder = createTestDirectory();
const started: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.close();
});

type Started = { gateway: GatewayProcess; application: ScriptedApplication };

/** The gateway in front of one scripted application, for every path but `/files`. */
async function start(
  scenarios: ScriptedApplicationOptions['scenarios'] = {},
  config: Partial<ConfigInput> = {},
  options: { env?: Record<string, string>; source?: object; rule?: object } = {},
): Promise<Started> {
  const { env = {}, source = {}, rule = {} } = options;
  const application = await startScriptedApplication({ scenarios });
  started.push(application);
  const gateway = await startGateway({
    env,
    config: {
      sources: { app: { address: application.address, ...source } },
      virtualServers: [
        {
          documentRoot: folder,
          rules: [
            { match: { directory: '/files' }, handler: { type: 'files' } },
            { handler: { type: 'fastcgi', source: 'app', checkFile: false, ...rule } },
          ],
        },
      ],
      ...config,
    },
  });
  started.push({ close: () => gateway.stop() });
  return { gateway, application };
}

/** A client's socket, closed at the end of the test; `heard` grows. */
function open(to: { port: number; localAddress?: string } | { path: string }) {
  const socket: Socket = connect('path' in to ? to : { host: '127.0.0.1', ...to });
  const client = { socket, heard: '', closed: false };
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    client.heard += chunk.toString('latin1');
  });
  socket.on('close', () => {
    client.closed = true;
  });
  started.push({ close: () => socket.destroy() });
  return client;
}

const chunkedHead = 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';

/** Resident megabytes of a process. */
function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024;
}

/** All that was sent to a TCP port has been read by its program. */
function isAllRead(port: number): boolean {
  const own = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1);
  return lines.every((line) => {
    const [, local, remote, , queues] = line.trim().split(/\s+/);
    const [toSend, toRead] = (queues ?? '').split(':');
    if (local?.endsWith(own)) return toRead === '00000000';
    return !remote?.endsWith(own) || toSend === '00000000';
  });
}

test('S3: a body in ever so many tiny chunks is refused', async () => {
  const { gateway, application } = await start();
  const sent = chunkedHead + '1\r\nx\r\n'.repeat(isFull ? 300_000 : 20_000);
  const { responses, closed } = await exchangeRaw(gateway.port, sent);
  assert.deepEqual([responses[0]?.status, responses.length, closed], [400, 1, true]);
  assert.equal(application.requests.length, 0);
  assert.ok(
    gateway.lines.some((line) => /16385 chunks for 16384 bytes/.test(line)),
    gateway.lines.join('\n'),
  );
  // Chunks as a program that writes line by line sends them are nobody's attack.
  const lines = `${chunkedHead}${'18\r\none line of a log file\n\0\r\n'.repeat(20_000)}0\r\n\r\n`;
  const whole = await exchangeRaw(gateway.port, lines, {
    until: (text) => text.includes('\r\n\r\n'),
  });
  assert.equal(whole.responses[0]?.status, 200);
  await until(() => application.requests.at(-1)?.stdinEnded === true);
  assert.equal(application.requests[0]!.stdin.toString(), 'one line of a log file\n\0'.repeat(20_000));
});

test('S3: bodies that wait in tiny pieces take little more memory than their bytes', async () => {
  // In pieces of their own these bytes would not fit into the heap.
  const connections = isFull ? 300 : 100;
  const { gateway } = await start({}, {}, { env: { NODE_OPTIONS: '--max-old-space-size=128' } });
  const clients = Array.from({ length: connections }, () => open({ port: gateway.port }));
  const body = '1\r\nx\r\n'.repeat(16_000);
  for (const { socket } of clients) socket.write(chunkedHead + body, 'latin1');
  await until(
    () => clients.every(({ socket }) => socket.bytesWritten > body.length) && isAllRead(gateway.port),
  );
  assert.equal((await fetchAnswer(gateway.origin, '/other')).status, 200);
  for (const { socket } of clients) socket.write('0\r\n\r\n');
  await until(() => clients.every(({ heard }) => heard.startsWith('HTTP/1.1 200 ')));
});

test('S18: pieces of an answer that wait for a slow client keep no read buffers', async () => {
  const pieces = isFull ? 16_000 : 4_000;
  let isPlayed = false;
  const path = join(folder, 'slow.sock');
  const { gateway } = await start(
    {
      // The client's kernel takes at most 208 KiB on a unix socket, node:http 64 KiB; 256 KiB wait in memory.
      pinned: async (played) => {
        const send = async (...records: Buffer[]) => {
          if (!played.socket.write(played.forRequest(Buffer.concat(records))))
            await once(played.socket, 'drain');
        };
        await send(stdout('Content-Type: text/plain\r\n\r\n'));
        for (let count = 0; count < 33; count++) await send(stdout('x'.repeat(10_000)));
        for (let count = 0; count < pieces; count++) await send(stderr('e'.repeat(60_000)), stdout('x'));
        isPlayed = true;
        played.finish(endRequest(0, 0));
      },
    },
    {
      listen: [
        { host: '127.0.0.1', port: 0 },
        { path, mode: '0600' },
      ],
    },
  );
  const before = residentMb(gateway.pid);
  const client = open({ path });
  client.socket.pause();
  client.socket.write('GET /?play=pinned HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await until(() => isPlayed);
  assert.equal((await fetchAnswer(gateway.origin, '/other')).status, 200);
  const grown = residentMb(gateway.pid) - before;
  client.socket.resume();
  await until(() => client.closed);
  assert.equal(client.heard.replace(/[^x]/g, '').length >= 330_000 + pieces, true);
  assert.ok(grown < 130, `${pieces} waiting bytes: ${grown.toFixed(0)} MB`);
});

test('S21: silent connections take no place of those who ask whether the gateway lives', async () => {
  const port = await freePort();
  const { gateway } = await start({}, { metrics: { host: '127.0.0.1', port } });
  const silent = Array.from({ length: 64 }, () => open({ port }));
  await until(() => silent.every(({ socket }) => !socket.connecting));
  // One that asks often is not the one to go.
  const asking = open({ port });
  const ask = async () => {
    asking.heard = '';
    asking.socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => asking.heard.endsWith('alive\n'));
  };
  await ask();
  for (let count = 0; count < 200; count++) {
    open({ port });
    if (count % 20 === 0) {
      assert.equal((await fetchAnswer(`http://127.0.0.1:${port}`, '/livez')).status, 200);
      await ask();
    }
  }
  // In the end they are gone by themselves.
  const late = open({ port });
  await until(() => late.closed);
  assert.equal(
    gateway.lines.some((line) => /error/i.test(line)),
    false,
  );
});

test('S32: without a free descriptor a file is 503, and the log says what to do', async () => {
  mkdirSync(join(folder, 'files'));
  writeFileSync(join(folder, 'files/large.bin'), '');
  truncateSync(join(folder, 'files/large.bin'), 50_000_000);
  const { gateway } = await start();
  const ask = async (client: ReturnType<typeof open>, method: string) => {
    client.heard = '';
    client.socket.write(`${method} /files/large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=1-\r\n\r\n`);
    await until(() => client.closed || client.heard.includes('\r\n\r\n'));
    return client.heard;
  };
  // A kept connection, and others that do not read: each of those holds its own descriptor and that of its file.
  const kept = open({ port: gateway.port });
  assert.match(await ask(kept, 'HEAD'), /^HTTP\/1\.1 200 /);
  const limit = readdirSync(`/proc/${gateway.pid}/fd`).length + 20;
  const set = spawnSync('prlimit', ['--pid', String(gateway.pid), `--nofile=${limit}:${limit}`]);
  assert.equal(set.status, 0, String(set.stderr));
  let refused = '';
  for (let count = 0; count < limit && refused === ''; count++) {
    const client = open({ port: gateway.port });
    const answer = await ask(client, 'GET');
    client.socket.pause();
    // Without a head: the system had no descriptor for the connection itself, so there is none for a file, either.
    if (answer === '') refused = await ask(kept, 'GET');
    else if (!answer.startsWith('HTTP/1.1 206 ')) refused = answer;
  }
  assert.match(refused, /^HTTP\/1\.1 503 /);
  assert.match(refused, /\r\nRetry-After: 1\r\n/i);
  const line = gateway.lines.find((line) => line.includes('GW_ERR_FILE'));
  assert.match(line ?? gateway.lines.join('\n'), /no file descriptor is left; raise the limit/);
  assert.equal(
    gateway.lines.some((line) => /report it|^\s+at /.test(line)),
    false,
  );
});

test('S5: a client that fills the queue takes no place of twenty others', async () => {
  const held: (() => void)[] = [];
  const { gateway, application } = await start(
    {
      hold: (played) => {
        const { request } = played;
        held.push(() => {
          assert.ok(request !== undefined);
          played.finish(stdout('Content-Type: text/plain\r\n\r\nok'), endRequest(0, 0));
        });
      },
    },
    {},
    { source: { capacity: 1, keepConnections: 0 } },
  );
  const ask = (localAddress: string) => {
    const client = open({ port: gateway.port, localAddress });
    client.socket.write('GET /?play=hold HTTP/1.1\r\nHost: a\r\n\r\n');
    return client;
  };
  const refused = (clients: readonly { heard: string }[]) =>
    clients.filter(({ heard }) => heard.startsWith('HTTP/1.1 503 ')).length;
  // One runs, 100 wait, and nine find the queue full.
  const greedy = Array.from({ length: 110 }, () => ask('127.0.0.1'));
  await until(() => held.length === 1 && refused(greedy) === 9);
  const others = Array.from({ length: 20 }, (_, index) => ask(`127.0.0.${index + 2}`));
  await until(() => refused(greedy) === 29 || refused(others) > 0);
  assert.equal(refused(others), 0);
  for (let turn = 0; turn <= 21; turn++) {
    await until(() => held.length > turn);
    held[turn]!();
  }
  await until(() => others.every(({ heard }) => heard.startsWith('HTTP/1.1 200 ')));
  // All of them ran within one round of turns, with one more request of the first.
  const addresses = application.requests.slice(1, 22).map(({ variables }) => variables.get('REMOTE_ADDR')!);
  assert.equal(new Set(addresses).size, 21);
});

test('S20: an upgraded connection on which nobody says anything is closed, and the source is not blamed', async () => {
  const head = 'Status: 101\r\nUpgrade: websocket\r\n\r\nhello';
  const address = `unix:${join(folder, 'upgrade.sock')}`;
  const answer = (request: ApplicationRequest): Promise<void> => {
    request.write(head);
    const isChatty = request.params.get('QUERY_STRING') === 'chatty';
    // More often than the limit asks.
    const timer = setInterval(() => isChatty && request.write('x'), 100);
    return new Promise<void>((resolve) =>
      request.whenAborted(() => {
        clearInterval(timer);
        resolve();
      }),
    );
  };
  started.push(await serve(answer, { listen: address }));
  const { gateway } = await start(
    {},
    {},
    {
      source: { address, readTimeoutMs: 3_000 },
      rule: { upgrade: true },
    },
  );
  const upgrade = (play: string) => {
    const client = open({ port: gateway.port });
    client.socket.write(
      `GET /?${play} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    return client;
  };
  const silent = upgrade('silent');
  const chatty = upgrade('chatty');
  await until(() => silent.heard.includes('hello') && chatty.heard.includes('hello'));
  await until(() => silent.closed);
  await waitForLine(gateway, /GW_ERR_SOURCE_IDLE/);
  const { length } = chatty.heard;
  await until(() => chatty.heard.length > length);
  assert.equal(chatty.closed, false);
  const isBlamed = gateway.lines.some((line) => /out of service| error | warn .*source=app/.test(line));
  assert.equal(isBlamed, false, gateway.lines.join('\n'));
});
