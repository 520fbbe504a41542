/** Bodies that a framework's parser has read before PHP gets them: sent again where that is faithful, else a clear error. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createAdaptorServer } from '@hono/node-server';
import connect from 'connect';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { fastwayPlugin } from '../../src/adapters/fastify.ts';
import { createHonoMiddleware } from '../../src/adapters/hono.ts';
import { createKoaMiddleware } from '../../src/adapters/koa.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { encodeMultipart } from '../support/form-data.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const script = `<?php
  $input = file_get_contents('php://input');
  echo json_encode(['length' => $_SERVER['CONTENT_LENGTH'], 'type' => $_SERVER['CONTENT_TYPE'], 'post' => $_POST, 'input' => bin2hex($input)]);`;

const json = 'application/json';
const form = 'application/x-www-form-urlencoded';
const binary = Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * 7) & 255));
const keepRaw = (request: IncomingMessage & { rawBody?: Buffer }, _response: unknown, bytes: Buffer) => {
  request.rawBody = bytes;
};
type Parser = (request: never, response: never, next: (error?: unknown) => void) => void;

describe('a body that a parser has read', () => {
  let gateway: Gateway;
  const logLines: string[] = [];
  const closers: (() => unknown)[] = [];

  before(async () => {
    const documentRoot = createTestDirectory();
    writeFileSync(join(documentRoot, 'body.php'), script);
    const push = (line: string) => logLines.push(line);
    gateway = await createGateway(
      {
        sources: { php: { php: 'fpm', workers: 2 } },
        virtualServers: [
          {
            documentRoot,
            accessLog: false,
            rules: [{ match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php' } }],
          },
        ],
      },
      { log: { debug() {}, info() {}, warn: push, error: push } },
    );
  });
  after(async () => {
    for (const close of closers) await close();
    await gateway?.close();
  });

  const serve = async (server: Server): Promise<string> => {
    closers.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const listen = (listener: RequestListener) => serve(createServer(listener));

  /** Posts a body; its answer is what PHP saw. */
  const post = async (origin: string, type: string, body: string | Buffer, headers = {}) => {
    const request = { method: 'POST', headers: { 'Content-Type': type, ...headers }, body };
    const answer = await fetchAnswer(origin, '/body.php', request);
    assert.equal(answer.status, 200, `${answer.text}\n${logLines.join('\n')}`);
    const seen = JSON.parse(answer.text) as { length: string; type: string; post: unknown; input: string };
    assert.equal(seen.type, type);
    // PHP itself takes forms with files, and leaves nothing to read.
    if (!type.startsWith('multipart/')) assert.equal(seen.length, String(seen.input.length / 2));
    return { post: seen.post, input: Buffer.from(seen.input, 'hex') };
  };
  const refuse = async (
    origin: string,
    type: string,
    body: string | Buffer,
    reason: string,
    headers = {},
  ) => {
    const request = { method: 'POST', headers: { 'Content-Type': type, ...headers }, body };
    assert.equal((await fetchAnswer(origin, '/body.php', request)).status, 500);
    assert.ok(logLines.at(-1)!.includes(reason), logLines.at(-1));
  };

  const frameworks: Record<string, (parser: Parser) => Promise<string>> = {
    Express: (parser) =>
      listen(
        express()
          .use(parser as never)
          .use(gateway.listener as never) as never,
      ),
    Connect: (parser) =>
      listen(
        connect()
          .use(parser as never)
          .use(gateway.listener as never),
      ),
    Koa: (parser) => {
      const app = new Koa();
      app.use(async ({ req, res, request }, next) => {
        await new Promise((resolve) => parser(req as never, res as never, resolve));
        // As parsers made for Koa do: on Koa's request, not on Node's.
        const { body, rawBody } = req as { body?: unknown; rawBody?: unknown };
        Object.assign(request, { body, rawBody });
        Object.assign(req, { body: undefined, rawBody: undefined });
        await next();
      });
      app.use(createKoaMiddleware(gateway));
      return listen(app.callback());
    },
  };
  for (const [name, create] of Object.entries(frameworks)) {
    it(`${name}: JSON is the same values, with its own length`, async () => {
      const origin = await create(express.json() as Parser);
      const { input } = await post(origin, json, '{ "a": [1, "\u00e9"], "b": null }');
      assert.equal(input.toString(), '{"a":[1,"\u00e9"],"b":null}');
      const { input: chunked } = await post(origin, json, '[1, 2]', { 'Transfer-Encoding': 'chunked' });
      assert.equal(chunked.toString(), '[1,2]');
    });

    it(`${name}: a form is the same for PHP, whichever parser read it`, async () => {
      const fields = 'a=1&list[]=x&list[]=y&map[key][deep]=z&text=a%3Db%26c+%2B%0D%0A%C3%A9';
      const expected = {
        ...{ a: '1', list: ['x', 'y'], map: { key: { deep: 'z' } } },
        text: 'a=b&c +\r\n\u00e9',
      };
      for (const extended of [false, true]) {
        const origin = await create(express.urlencoded({ extended }) as Parser);
        assert.deepEqual((await post(origin, form, fields)).post, expected, `extended ${extended}`);
      }
    });

    it(`${name}: bytes and texts are exact`, async () => {
      const raw = await create(express.raw({ type: '*/*' }) as Parser);
      assert.deepEqual((await post(raw, 'application/octet-stream', binary)).input, binary);
      const { type, body } = encodeMultipart({ note: 'kept' }, []);
      assert.deepEqual((await post(raw, type, body)).post, { note: 'kept' });
      const plain = await create(express.text() as Parser);
      assert.equal((await post(plain, 'text/plain', 'na\u00efve')).input.toString(), 'na\u00efve');
      await refuse(
        plain,
        'text/plain',
        Buffer.from([0x61, 0xff]),
        'its text does not have the bytes that came',
      );
    });

    it(`${name}: rawBody is exact, whatever became of the values`, async () => {
      const origin = await create(express.json({ verify: keepRaw }) as Parser);
      const source = '{ "number": 12345678901234567890.0 }';
      assert.equal((await post(origin, json, source)).input.toString(), source);
    });

    it(`${name}: what cannot be sent again is a clear error, and the next request goes on`, async () => {
      const multipart = encodeMultipart({ a: '1' }, []);
      // As multer does: fields as values, files elsewhere.
      const origin = await create(async (request: IncomingMessage & { body?: unknown }, _response, next) => {
        const whole = await text(request);
        if (whole.includes('form-data')) request.body = { a: '1' };
        next();
      });
      await refuse(origin, multipart.type, multipart.body, 'nothing is left that is multipart/form-data');
      await refuse(origin, json, '{}', 'nothing is left that is application/json');
      const packed = await create(express.json() as Parser);
      const headers = { 'Content-Encoding': 'gzip' };
      await refuse(packed, json, gzipSync('{"a":1}'), 'its Content-Encoding was gzip', headers);
      assert.equal((await post(packed, json, '{"a":1}')).input.toString(), '{"a":1}');
    });
  }

  it('Fastify: bytes that a hook has read and kept', async () => {
    const app = fastify({ forceCloseConnections: true });
    closers.push(() => app.close());
    app.addHook('preParsing', async (request, _reply, payload) => {
      const bytes = Buffer.from(await text(payload));
      if (request.headers['x-keep'] !== undefined) Object.assign(request, { rawBody: bytes });
      return payload;
    });
    await app.register(fastwayPlugin, { gateway });
    const origin = await app.listen({ host: '127.0.0.1', port: 0 });
    assert.equal((await post(origin, json, '{ "a": 1 }', { 'X-Keep': '1' })).input.toString(), '{ "a": 1 }');
    await refuse(origin, json, '{ "a": 1 }', 'nothing is left that is application/json');
  });

  it('Hono: whatever was read through it, on Node and off it', async () => {
    const app = new Hono();
    app.use(async (context, next) => {
      await (context.req[context.req.query('read') as 'text'] as () => Promise<unknown>)();
      await next();
    });
    app.use(createHonoMiddleware(gateway));
    const origin = await serve(createAdaptorServer({ fetch: app.fetch }) as Server);
    const source = '{ "a": 1 }';
    const ask = async (way: string, type: string, body: string) => {
      const headers = { 'Content-Type': type };
      const path = `/body.php?read=${way}`;
      const onNode = await fetchAnswer(origin, path, { method: 'POST', headers, body });
      const offNode = await app.request(path, { method: 'POST', headers, body });
      assert.equal(onNode.status, offNode.status);
      if (offNode.status === 200) assert.equal(onNode.text, await offNode.text());
      return onNode;
    };
    for (const way of ['json', 'text', 'arrayBuffer', 'blob']) {
      const { input } = JSON.parse((await ask(way, json, source)).text);
      assert.equal(Buffer.from(input, 'hex').toString(), source, way);
    }
    const { post: fields } = JSON.parse((await ask('parseBody', form, 'a=1&b[]=2')).text);
    assert.deepEqual(fields, { a: '1', b: ['2'] });
    assert.equal((await ask('formData', form, 'a=1')).status, 500);
    assert.ok(logLines.at(-1)!.includes('already read'), logLines.at(-1));
  });
});
