/** The gateway inside somebody else's program: nothing that a client, an application or a middleware does throws out of an exchange. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import express from 'express';
import fastify from 'fastify';
import { fastwayPlugin } from '../../src/adapters/fastify.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { Load } from './load.ts';

const closing = 'Host: a\r\nConnection: close\r\n\r\n';

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('embedded', () => {
  let application: ScriptedApplication;
  let gateway: Gateway;
  const load = new Load();
  before(async () => {
    application = await startScriptedApplication({ tcp: true, scenarios: { wait: load.play } });
    gateway = await createGateway({
      sources: { app: { address: application.address } },
      virtualServers: [
        {
          documentRoot: createTestDirectory(),
          accessLog: false,
          rules: [{ handler: { type: 'fastcgi', balancer: { sources: ['app'] }, checkFile: false } }],
        },
      ],
    });
  });
  after(async () => {
    await gateway.close(0);
    await application.close();
  });

  it('S10: below https, an answer to HTTP/1.0 that breaks off ends its connection alone', async () => {
    const folder = createTestDirectory();
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=a', '-keyout', key, '-out', cert],
      { stdio: 'ignore' },
    );
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, gateway.listener);
    const port = await listen(server);
    const ask = async (head: string): Promise<string> => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      socket.on('error', () => {});
      socket.write(head);
      await once(socket, 'close');
      return text;
    };
    for (const play of ['eof-without-end', 'reset']) {
      const text = await ask(`GET /?play=${play}&before=30000 HTTP/1.0\r\n\r\n`);
      assert.match(text, /^HTTP\/1\.1 (200|502|504) /, play);
    }
    assert.match(await ask(`GET / HTTP/1.1\r\n${closing}`), /Hello/);
    server.close();
  });

  it('S11: in Express, behind a middleware that answered first or writes into the answer', async () => {
    const app = express();
    app.use((req, res, next) => {
      if (req.url.includes('early')) setTimeout(() => res.status(503).end('timeout'), 20);
      if (req.url.includes('during')) setTimeout(() => res.end('!'), 120);
      next();
    });
    app.use(gateway.listener);
    const server = createServer(app);
    const port = await listen(server);
    const early = await exchangeRaw(port, `GET /?early&play=slow&ms=100 HTTP/1.1\r\n${closing}`);
    assert.deepEqual([early.responses[0]!.status, early.responses[0]!.body], [503, 'timeout']);
    await exchangeRaw(port, `GET /?during&play=drip&ms=50 HTTP/1.1\r\n${closing}`);
    const last = await exchangeRaw(port, `GET / HTTP/1.1\r\n${closing}`);
    assert.equal(last.responses[0]!.body, 'Hello');
    server.close();
  });

  it('S5: in Express and in Fastify, pipelined requests are answered one after another', async () => {
    const app = express();
    app.use(gateway.listener);
    const server = createServer(app);
    const plugin = fastify();
    await plugin.register(fastwayPlugin, { gateway });
    await plugin.listen({ port: 0, host: '127.0.0.1' });
    const ports = [await listen(server), (plugin.server.address() as AddressInfo).port];
    for (const port of ports) {
      application.requests.length = 0;
      const pipelined = 'GET /?play=wait HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3);
      const { responses } = await exchangeRaw(port, `${pipelined}GET / HTTP/1.1\r\n${closing}`);
      assert.deepEqual(
        responses.map(({ status }) => status),
        [200, 200, 200, 200],
      );
      assert.equal(application.requests.length, 4);
      assert.equal(load.most, 1);
    }
    server.close();
    await plugin.close();
  });

  it('S4: a peer that has reset its connection is not asked for', async () => {
    const server = createServer(gateway.listener);
    const port = await listen(server);
    application.requests.length = 0;
    for (let sent = 0; sent < 100; sent++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write('GET /reset HTTP/1.1\r\nHost: a\r\n\r\n', () => socket.resetAndDestroy());
      await once(socket, 'close');
    }
    await exchangeRaw(port, `GET /last HTTP/1.1\r\n${closing}`);
    const addresses = application.requests.map(({ variables }) => variables.get('REMOTE_ADDR'));
    assert.ok(addresses.every((address) => address === '127.0.0.1'));
    server.close();
  });
});
