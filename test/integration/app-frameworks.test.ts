/** Express, Koa, Fastify and Hono applications, unchanged, behind our gateway and behind nginx, through FastCGI. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import {
  type ApplicationHandler,
  type ApplicationRequest,
  type ApplicationServer,
  fromFetch,
  fromHttp,
  serve,
} from '../../src/app/index.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { freePort } from '../support/free-port.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { nginx, startWebServer, type WebServer } from '../support/web-servers.ts';

/** What every application answers at `/hello`. */
interface Hello {
  readonly name: string;
  readonly url: string;
  readonly host: string;
  readonly client: string;
}

const pieces = 20;
const piece = 'x'.repeat(50_000);

function* lines(): Generator<string> {
  for (let i = 0; i < pieces; i++) yield piece;
}

function expressApplication(): ApplicationHandler {
  const app = express();
  app.get('/hello', (request, response) => {
    const url = `${request.protocol}://${request.host}${request.originalUrl}`;
    const hello = { name: String(request.query.name), url, host: request.hostname, client: request.ip! };
    response
      .cookie('a', '1')
      .cookie('b', '2')
      .json(hello satisfies Hello);
  });
  app.post('/double', express.json(), (request, response) => {
    response.status(201).json({ double: request.body.number * 2 });
  });
  app.get('/stream', (_request, response) => {
    for (const line of lines()) response.write(line);
    response.end();
  });
  app.get('/broken', () => {
    throw new Error('no luck');
  });
  app.use(((_error, _request, response, _next) => {
    response.status(500).send('broken');
  }) as express.ErrorRequestHandler);
  return fromHttp(app as Parameters<typeof fromHttp>[0]);
}

function koaApplication(): ApplicationHandler {
  const app = new Koa();
  app.on('error', () => {});
  app.use(async (context) => {
    const { path, method } = context;
    if (path === '/hello') {
      const hello = {
        name: String(context.query.name),
        url: context.href,
        host: context.hostname,
        client: context.ip,
      };
      context.cookies.set('a', '1');
      context.cookies.set('b', '2');
      context.body = hello satisfies Hello;
    } else if (path === '/double' && method === 'POST') {
      let text = '';
      for await (const chunk of context.req) text += chunk;
      context.status = 201;
      context.body = { double: JSON.parse(text).number * 2 };
    } else if (path === '/stream') {
      context.body = Readable.from(lines(), { objectMode: false });
    } else if (path === '/broken') {
      throw new Error('no luck');
    }
  });
  return fromHttp(app.callback());
}

async function fastifyApplication(): Promise<ApplicationHandler> {
  const app = fastify();
  app.get('/hello', (request, reply) => {
    const { name } = request.query as { name: string };
    const url = `${request.protocol}://${request.host}${request.originalUrl}`;
    reply.header('Set-Cookie', ['a=1', 'b=2']);
    return { name, url, host: request.hostname, client: request.ip } satisfies Hello;
  });
  app.post('/double', (request, reply) => {
    reply.status(201);
    return { double: (request.body as { number: number }).number * 2 };
  });
  app.get('/stream', (_request, reply) => reply.send(Readable.from(lines(), { objectMode: false })));
  app.get('/broken', () => {
    throw new Error('no luck');
  });
  await app.ready();
  return fromHttp((request, response) => app.routing(request, response));
}

function honoApplication(): ApplicationHandler {
  const app = new Hono<{ Bindings: ApplicationRequest }>();
  app.get('/hello', (context) => {
    const { url } = context.req;
    context.header('Set-Cookie', 'a=1', { append: true });
    context.header('Set-Cookie', 'b=2', { append: true });
    return context.json({
      name: context.req.query('name')!,
      url,
      host: new URL(url).hostname,
      client: context.env.params.get('REMOTE_ADDR')!,
    } satisfies Hello);
  });
  app.post('/double', async (context) =>
    context.json({ double: (await context.req.json()).number * 2 }, 201),
  );
  app.get('/stream', (context) =>
    context.body(Readable.toWeb(Readable.from(lines(), { objectMode: false })) as ReadableStream),
  );
  app.get('/broken', () => {
    throw new Error('no luck');
  });
  app.onError((_error, context) => context.text('broken', 500));
  return fromFetch(app.fetch);
}

const applications: Record<string, () => ApplicationHandler | Promise<ApplicationHandler>> = {
  Express: expressApplication,
  Koa: koaApplication,
  Fastify: fastifyApplication,
  Hono: honoApplication,
};

for (const [name, create] of Object.entries(applications)) {
  describe(`an application of ${name}`, () => {
    let application: ApplicationServer;
    let gateway: Gateway;
    let web: WebServer;
    const origins: Record<string, string> = {};
    before(async () => {
      const folder = createTestDirectory();
      const path = join(folder, 'app.sock');
      application = await serve(await create(), { listen: `unix:${path}`, mode: 0o777 });
      gateway = await createGateway({
        listen: [{ host: '127.0.0.1', port: await freePort() }],
        sources: { app: { address: `unix:${path}` } },
        virtualServers: [
          {
            documentRoot: folder,
            accessLog: false,
            rules: [{ handler: { type: 'fastcgi', source: 'app', checkFile: false } }],
          },
        ],
      });
      origins.Fastway = (await gateway.listen())[0]!;
      web = await startWebServer(nginx(), path);
      origins.nginx = web.origin;
    });
    after(async () => {
      await web?.stop();
      await gateway?.close();
      await application?.close();
    });

    for (const server of ['Fastway', 'nginx']) {
      it(`answers through ${server}`, async () => {
        const origin = origins[server]!;
        const hello = await fetchAnswer(origin, '/hello?name=a%20b', { headers: { Host: 'site.example' } });
        assert.equal(hello.status, 200, hello.text);
        assert.deepEqual(JSON.parse(hello.text), {
          name: 'a b',
          url: 'http://site.example/hello?name=a%20b',
          host: 'site.example',
          client: '127.0.0.1',
        } satisfies Hello);
        assert.deepEqual(
          hello.headers['set-cookie']?.map((cookie) => cookie.split(';')[0]),
          ['a=1', 'b=2'],
        );
        const double = await fetchAnswer(origin, '/double', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: '{"number":21}',
        });
        assert.deepEqual([double.status, JSON.parse(double.text)], [201, { double: 42 }]);
        assert.equal((await fetchAnswer(origin, '/stream')).text.length, pieces * piece.length);
        assert.equal((await fetchAnswer(origin, '/nothing')).status, 404);
        assert.equal((await fetchAnswer(origin, '/broken')).status, 500);
        const head = await fetchAnswer(origin, '/hello?name=a', { method: 'HEAD' });
        assert.deepEqual([head.status, head.text], [200, '']);
      });
    }
  });
}
