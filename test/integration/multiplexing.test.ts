/** The whole gateway on applications that take many requests on one connection: ours, and node-fastcgi of others. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createRequire } from 'node:module';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fromHttp, serveConnection } from '../../src/app/index.ts';
import type { SourceInput } from '../../src/config/types.ts';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { createHttpApplication } from '../support/http-application.ts';
import { fetchAnswer, measureBody, openAnswer, sha256 } from '../support/http-client.ts';
import { patternDigest } from '../support/pattern.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const large = 64 * 1024 * 1024;

/** A unix socket on which `accept` gets each connection; counts them. */
async function listen(accept: (socket: Socket) => void) {
  const path = join(createTestDirectory(), 'app.sock');
  const counts = { accepted: 0 };
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => {
    counts.accepted++;
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { address: `unix:${path}`, counts, server };
}

function start(source: SourceInput, handler = {}): Promise<GatewayProcess> {
  return startGateway({
    config: {
      log: { level: 'debug' },
      sources: { app: source },
      virtualServers: [
        {
          documentRoot: createTestDirectory(),
          rules: [{ handler: { type: 'fastcgi', checkFile: false, source: 'app', ...handler } }],
        },
      ],
    },
  });
}

const residentMiB = (pid: number) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

describe('an application of ours, that is asked what it can do', () => {
  let application: Awaited<ReturnType<typeof listen>>;
  let gateway: GatewayProcess;
  let idMax = 0;
  const seen = { cut: 0, closed: 0 };

  before(async () => {
    const http = fromHttp(createHttpApplication({ cut: () => seen.cut++, closed: () => seen.closed++ }));
    application = await listen((socket) => {
      void serveConnection(socket, (incoming) => {
        idMax = Math.max(idMax, incoming.id);
        return http(incoming);
      });
    });
    gateway = await start({ address: application.address, profile: 'auto' });
    await fetchAnswer(gateway.origin, '/');
  });
  after(async () => {
    await gateway?.stop();
    application?.server.close();
  });

  it('shares a connection from then on', async () => {
    await waitForLine(gateway, /profile=multiplexing/);
    // Two after each other on one connection show that it stays open.
    for (let i = 0; i < 2; i++) await fetchAnswer(gateway.origin, '/');
    const before = application.counts.accepted;
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => fetchAnswer(gateway.origin, `/nonce?n=${i}`)),
    );
    for (const [i, { status, text }] of answers.entries()) {
      assert.equal(status, 200);
      assert.equal(text, `?n=${i}\n\n`);
    }
    assert.equal(application.counts.accepted, before);
    assert.ok(idMax > 60);
  });

  it('large bodies go both ways beside small requests', async () => {
    const sent = Buffer.alloc(20_000_000, 'u');
    const upload = fetchAnswer(gateway.origin, '/body', { method: 'POST', body: sent });
    const downloads = Array.from({ length: 3 }, async () =>
      measureBody(await openAnswer(gateway.origin, `/download?bytes=${large}`)),
    );
    let small = 0;
    const run = { on: true };
    const beside = (async () => {
      while (run.on) {
        assert.equal((await fetchAnswer(gateway.origin, '/')).status, 200);
        small++;
      }
    })();
    for (const { sha256 } of await Promise.all(downloads)) assert.equal(sha256, patternDigest(large));
    assert.equal(JSON.parse((await upload).text).sha256, sha256(sent));
    run.on = false;
    await beside;
    assert.ok(small > 0);
  });

  it('a client that does not read waits alone, its answer on disk; the memory stays flat', async () => {
    const before = residentMiB(gateway.pid);
    const slow = await openAnswer(gateway.origin, `/download?bytes=${large}`);
    slow.pause();
    for (let i = 0; i < 300; i++) {
      const { status } = await fetchAnswer(gateway.origin, `/nonce?n=${i}`);
      assert.equal(status, 200);
    }
    const grown = residentMiB(gateway.pid) - before;
    assert.ok(grown < 64, `${grown} MiB more`);
    assert.equal((await measureBody(slow)).sha256, patternDigest(large));
  });

  it('a client that leaves is told to the application, and disturbs nobody', async () => {
    const { closed } = seen;
    const accepted = application.counts.accepted;
    const leaving = await openAnswer(gateway.origin, '/endless');
    const staying = Promise.all(Array.from({ length: 20 }, () => fetchAnswer(gateway.origin, '/')));
    leaving.destroy();
    assert.ok((await staying).every(({ status }) => status === 200));
    await until(() => seen.closed > closed, 'the end of the answer, at the application');
    assert.ok(application.counts.accepted <= accepted + 1);
  });
});

describe('node-fastcgi, which others wrote, and which says that it multiplexes, but closes after each answer', () => {
  it('gets a connection for each request, and each answer is for who asked', async () => {
    type CreateServer = (listener: RequestListener) => Server;
    const { createServer: createFastcgiServer } = createRequire(import.meta.url)('node-fastcgi') as {
      createServer: CreateServer;
    };
    const path = join(createTestDirectory(), 'app.sock');
    let accepted = 0;
    const server = createFastcgiServer((incoming, outgoing) => {
      let body = '';
      incoming.on('data', (chunk) => {
        body += chunk;
      });
      incoming.on('end', () => {
        outgoing.writeHead(200, { 'Content-Type': 'text/plain' });
        outgoing.write(`${incoming.url} `);
        setImmediate(() => outgoing.end(body));
      });
    });
    server.on('connection', () => accepted++);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const gateway = await start({ address: `unix:${path}`, profile: 'multiplexing' });
    try {
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, i) =>
          fetchAnswer(gateway.origin, `/?n=${i}`, { method: 'POST', body: `${i}`.repeat(i) }),
        ),
      );
      for (const [i, { text }] of answers.entries()) assert.equal(text, `/?n=${i} ${`${i}`.repeat(i)}`);
      assert.equal(accepted, 200);
    } finally {
      await gateway.stop();
      server.close();
    }
  });
});
