/** Fastway inside other people's servers: node:http, Express and Connect, in the process of its user. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import connect from 'connect';
import express from 'express';
import { createGateway, defineConfig, type Gateway } from '../../src/index.ts';
import { copyApplication } from '../support/applications.ts';
import { fetchAnswer } from '../support/http-client.ts';

describe('the library', () => {
  let gateway: Gateway;
  const servers: Server[] = [];
  before(async () => {
    const documentRoot = copyApplication('php');
    gateway = await createGateway(
      defineConfig({
        sources: { php: { php: 'fpm', workers: 2 } },
        virtualServers: [
          {
            documentRoot,
            rules: [
              { match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php' } },
              {
                match: { directory: '/mounted' },
                handler: {
                  type: 'fastcgi',
                  source: 'php',
                  scriptAlias: join(documentRoot, 'application.php'),
                },
              },
            ],
          },
        ],
      }),
    );
  });
  after(async () => {
    for (const server of servers) server.close();
    await gateway?.close();
  });

  const serve = async (listener: RequestListener) => {
    const server = createServer(listener).listen(0, '127.0.0.1');
    servers.push(server);
    await new Promise((resolve) => server.once('listening', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const variables = async (origin: string, path: string) => {
    const answer = await fetchAnswer(origin, path);
    assert.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text).variables as Record<string, string>;
  };

  it('is a request listener of node:http', async () => {
    const origin = await serve((request, response) => gateway.listener(request, response));
    assert.equal((await variables(origin, '/application.php/echo?a=1')).QUERY_STRING, 'a=1');
    const posted = await fetchAnswer(origin, '/application.php/body', { method: 'POST', body: 'hello' });
    assert.equal(JSON.parse(posted.text).bytes, 5);
    assert.equal((await fetchAnswer(origin, '/nothing')).status, 404);
  });

  const frameworks: Record<string, () => { use(...args: unknown[]): unknown }> = {
    Express: () => express() as never,
    Connect: () => connect() as never,
  };
  for (const [name, create] of Object.entries(frameworks)) {
    it(`is a middleware of ${name}: what no rule matches goes to the next one`, async () => {
      const app = create();
      app.use(gateway.listener);
      app.use((_request: unknown, response: { end(text: string): void }) => response.end('the next one'));
      const origin = await serve(app as never);
      assert.equal((await variables(origin, '/application.php/echo')).PATH_INFO, '/echo');
      assert.equal((await fetchAnswer(origin, '/somewhere/else')).text, 'the next one');
    });

    it(`${name}: fields that middleware has set are sent, and no line of PHP's repeated ones is lost`, async () => {
      const app = create();
      app.use((_request: unknown, response: ServerResponse, next: () => void) => {
        response
          .setHeader('X-Own', 'kept')
          .setHeader('Content-Type', 'text/odd')
          .setHeader('Set-Cookie', 'own=0');
        next();
      });
      app.use(gateway.listener);
      const { headers } = await fetchAnswer(await serve(app as never), '/application.php/cookies');
      assert.deepEqual([headers['x-own'], headers['content-type']], ['kept', 'application/json']);
      const cookies = (headers['set-cookie'] ?? []).map((line) => line.split(';')[0]);
      assert.deepEqual(cookies, ['own=0', 'first=one', 'second=two']);
    });

    it(`below a path of ${name} the application sees the whole URL`, async () => {
      const app = create();
      app.use('/mounted', gateway.listener);
      const origin = await serve(app as never);
      const found = await variables(origin, '/mounted/echo?a=1');
      assert.deepEqual(
        [found.REQUEST_URI, found.SCRIPT_NAME, found.PATH_INFO],
        ['/mounted/echo?a=1', '/mounted', '/echo'],
      );
    });
  }
});
