/** A gateway below a mount path of somebody else's program: no spelling of a path gets anything from outside the mount. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type HttpBindings, serve } from '@hono/node-server';
import connect from 'connect';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { fastwayPlugin } from '../../src/adapters/fastify.ts';
import { createFetchHandler } from '../../src/adapters/fetch.ts';
import { createHonoMiddleware } from '../../src/adapters/hono.ts';
import { createKoaMiddleware } from '../../src/adapters/koa.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';

/** Each of them is another path's name, once canonical. */
const escapes = [
  '/php/../admin/secret.txt',
  '/php/%2e%2e/admin/secret.txt',
  '/php/.%2E/admin/secret.txt',
  '/php/..//admin/secret.txt',
  '/php//../admin/secret.txt',
  '/php/./../admin/secret.txt',
  '/php/a/../../admin/secret.txt',
  '/php/../phpx/secret.txt',
  '/php/../admin/secret.txt?a=/php/',
  '/PHP/../admin/secret.txt',
  'http://a/php/../admin/secret.txt',
  'http://a/php//../admin/secret.txt',
];

/** No way out, and no name of a file either. */
const misses = [
  '/php/../../admin/secret.txt',
  '/php/..%2fadmin/secret.txt',
  '/php%2f..%2fadmin/secret.txt',
  '/php/..\\admin\\secret.txt',
  '/php/%5c..%5cadmin/secret.txt',
  '/php../admin/secret.txt',
  '/php./secret.txt',
  '/php.secret.txt',
  '/phpx/secret.txt',
];

const inside = [
  '/php/page.txt',
  '/php//page.txt',
  '/php/./page.txt',
  '/php/a/../page.txt',
  '/php/page.txt?a=/..',
];

describe('mount', () => {
  let gateway: Gateway;
  before(async () => {
    const root = createTestDirectory();
    for (const folder of ['php', 'admin', 'phpx', 'php.']) mkdirSync(join(root, folder));
    writeFileSync(join(root, 'php/page.txt'), 'page');
    for (const file of [
      'admin/secret.txt',
      'phpx/secret.txt',
      'php./secret.txt',
      'php.secret.txt',
      'php\\..\\secret.txt',
    ])
      writeFileSync(join(root, file), 'secret');
    gateway = await createGateway({
      virtualServers: [{ documentRoot: root, accessLog: false, rules: [{ handler: { type: 'files' } }] }],
    });
  });
  after(() => gateway.close(0));

  async function listen(server: Server): Promise<number> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function ask(port: number, target: string) {
    const { responses } = await exchangeRaw(
      port,
      `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      {},
    );
    assert.equal(responses.length, 1, target);
    return responses[0]!;
  }

  /** @param other what the program itself answers with to the target, when it sees the URL as it came */
  async function attack(port: number, other: ((target: string) => string) | undefined): Promise<void> {
    for (const target of inside) assert.equal((await ask(port, target)).body, 'page', target);
    for (const target of [...escapes, ...misses]) {
      const { status, body } = await ask(port, target);
      assert.ok(status === 404 || status === 400, `${target} is answered with ${status} ${body}`);
      assert.doesNotMatch(body, /^secret/, target);
      if (other !== undefined && escapes.includes(target)) assert.equal(body, other(target), target);
    }
  }

  const seen = (target: string) => `not found: ${target}`;

  async function attackListener(
    listener: RequestListener,
    other: typeof seen | 'nobody' = seen,
  ): Promise<void> {
    const server = createServer(listener);
    const port = await listen(server);
    try {
      await attack(port, other === 'nobody' ? undefined : other);
    } finally {
      server.close();
    }
  }

  it('S14: Express: what leads out of the mount is seen by the routes behind it, as it came', async () => {
    const app = express();
    app.use('/php', gateway.listener);
    app.use((req, res) => void res.status(404).send(`not found: ${req.url}`));
    await attackListener(app);
  });

  it('S14: Express, applications and routers below one another', async () => {
    const [app, inner, router] = [express(), express(), express.Router()];
    router.use('/php', gateway.listener);
    inner.use(router);
    app.use(inner);
    app.use((req, res) => void res.status(404).send(`not found: ${req.url}`));
    await attackListener(app);
  });

  it('S14: Express, where nothing comes behind the gateway', async () => {
    const app = express();
    app.use('/php', (req, res) => gateway.listener(req, res));
    await attackListener(app, 'nobody');
  });

  it('S14: Express, with a URL that a middleware has rewritten below the mount', async () => {
    const app = express();
    app.use('/php', (req, _res, next) => {
      req.url = '/rewritten';
      next();
    });
    app.use('/php', gateway.listener);
    const server = createServer(app);
    const port = await listen(server);
    for (const target of escapes) assert.doesNotMatch((await ask(port, target)).body, /^secret/, target);
    server.close();
  });

  it('S14: Connect, which also takes a dot for the end of a mount path', async () => {
    const app = connect();
    app.use('/php', gateway.listener);
    app.use((req, res) => {
      res.statusCode = 404;
      res.end(`not found: ${req.url}`);
    });
    // Connect puts its own spelling of the mount path back.
    await attackListener(app, (target) => seen(target.replace('/PHP', '/php')));
  });

  it('S14: Koa, mounted as koa-mount does it', async () => {
    const app = new Koa();
    const middleware = createKoaMiddleware(gateway);
    app.use(async (context, next) => {
      const whole = context.path;
      if (!/^\/php(\/|$)/i.test(whole)) return next();
      context.path = whole.slice('/php'.length) || '/';
      await middleware(context, async () => {
        context.path = whole;
        await next();
      });
    });
    app.use((context) => {
      context.status = 404;
      context.body = `not found: ${context.originalUrl}`;
    });
    await attackListener(app.callback());
  });

  it('S14: Fastify: what leads out of the prefix is Fastify’s 404', async () => {
    for (const prefix of ['/php', '/php/']) {
      const app = fastify();
      app.setNotFoundHandler((request, reply) => reply.code(404).send(`not found: ${request.raw.url}`));
      await app.register(fastwayPlugin, { gateway, prefix });
      await app.listen({ port: 0, host: '127.0.0.1' });
      await attack((app.server.address() as AddressInfo).port, undefined);
      const { body } = await ask((app.server.address() as AddressInfo).port, escapes[0]!);
      assert.equal(body, seen(escapes[0]!));
      await app.close();
    }
  });

  const honoApps: Readonly<Record<string, (app: Hono<{ Bindings: HttpBindings }>) => void>> = {
    'app.all': (app) => app.all('/php/*', createHonoMiddleware(gateway)),
    'app.use': (app) => app.use('/php/*', createHonoMiddleware(gateway)),
    'app.route': (app) => {
      const inner = new Hono<{ Bindings: HttpBindings }>();
      inner.all('/*', createHonoMiddleware(gateway));
      app.route('/php', inner);
    },
    'a parameter': (app) => app.all('/:mount{php}/*', createHonoMiddleware(gateway)),
    'the mount option': (app) => app.use(createHonoMiddleware(gateway, { mount: '/php' })),
    'the Fetch API': (app) => {
      const handler = createFetchHandler(gateway, { mount: '/php' });
      app.all('*', async (context, next) => (await handler(context.req.raw)) ?? (await next()));
    },
  };
  for (const [name, build] of Object.entries(honoApps)) {
    it(`S14: Hono, ${name}`, async () => {
      const app = new Hono<{ Bindings: HttpBindings }>();
      build(app);
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server;
      if (!server.listening) await once(server, 'listening');
      const port = (server.address() as AddressInfo).port;
      assert.equal((await ask(port, '/php/page.txt')).body, 'page');
      for (const target of [...escapes, ...misses]) {
        const { status, body } = await ask(port, target);
        assert.ok(status === 404 || status === 400, `${target} is answered with ${status} ${body}`);
      }
      server.close();
    });
  }
});
