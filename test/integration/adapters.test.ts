/** PHP inside Koa and Fastify, in the process of their user. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import fastify, { type FastifyInstance } from 'fastify';
import Koa from 'koa';
import { fastwayPlugin } from '../../src/adapters/fastify.ts';
import { createKoaMiddleware } from '../../src/adapters/koa.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { copyApplication } from '../support/applications.ts';
import { fetchAnswer } from '../support/http-client.ts';

describe('inside a framework', () => {
  let gateway: Gateway;
  const origins = new Map<string, string>();
  const closers: (() => unknown)[] = [];

  const listen = async (listener: RequestListener): Promise<string> => {
    const server: Server = createServer(listener).listen(0, '127.0.0.1');
    closers.push(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  before(async () => {
    gateway = await createGateway({
      sources: { php: { php: 'fpm', workers: 2 } },
      virtualServers: [
        {
          documentRoot: copyApplication('php'),
          accessLog: false,
          rules: [{ match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php' } }],
        },
      ],
    });

    const koa = new Koa();
    koa.use(createKoaMiddleware(gateway));
    koa.use(async (context) => {
      context.body = `koa answers ${context.path}`;
    });
    origins.set('Koa', await listen(koa.callback()));

    const app: FastifyInstance = fastify({ forceCloseConnections: true });
    app.get('/own', async () => 'fastify answers');
    app.setNotFoundHandler((_request, reply) => reply.code(200).send('not found by fastify'));
    await app.register(fastwayPlugin, { gateway });
    origins.set('Fastify', await app.listen({ host: '127.0.0.1', port: 0 }));
    closers.push(() => app.close());
  });
  after(async () => {
    for (const close of closers) await close();
    await gateway?.close();
  });

  for (const name of ['Koa', 'Fastify']) {
    const send = (path: string, request = {}) => fetchAnswer(origins.get(name)!, path, request);

    it(`${name}: GET with PATH_INFO, query and cookies`, async () => {
      const answer = await send('/application.php/echo?a=1', { headers: { Cookie: 'b=2' } });
      const { variables } = JSON.parse(answer.text);
      assert.deepEqual(
        [variables.PATH_INFO, variables.QUERY_STRING, variables.HTTP_COOKIE, variables.REQUEST_URI],
        ['/echo', 'a=1', 'b=2', '/application.php/echo?a=1'],
      );
    });

    it(`${name}: bodies of any type and size reach PHP byte for byte`, async () => {
      const body = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7) & 255));
      for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/x-odd']) {
        const answer = await send('/application.php/body', {
          method: 'POST',
          body,
          headers: { 'Content-Type': type },
        });
        assert.equal(answer.status, 200, answer.text.slice(0, 200));
        assert.ok(answer.body.includes(body.subarray(0, 1000)) || answer.text.includes('300000'), type);
      }
    });

    it(`${name}: what no rule matches is the framework's`, async () => {
      const text = (await send('/own')).text;
      assert.equal(text, name === 'Koa' ? 'koa answers /own' : 'fastify answers');
      const other = (await send('/nothing/here')).text;
      assert.equal(other, name === 'Koa' ? 'koa answers /nothing/here' : 'not found by fastify');
    });

    it(`${name}: an error of PHP is an answer, and the next request goes on`, async () => {
      assert.equal((await send('/missing.php')).status, 404);
      assert.equal((await send('/answer.php?status=418')).status, 418);
      assert.equal((await send('/answer.php')).text, 'the answer of the script');
    });
  }
});
