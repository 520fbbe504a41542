/** PHP inside Hono on node:http, over HTTP/2, and in the Fetch API alone, in the process of its user. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createAdaptorServer, type HttpBindings, type ServerType } from '@hono/node-server';
import { Hono, type MiddlewareHandler } from 'hono';
import { createFetchHandler } from '../../src/adapters/fetch.ts';
import { createHonoMiddleware } from '../../src/adapters/hono.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { applicationSuite } from '../support/application-suite.ts';
import { copyApplication } from '../support/applications.ts';
import { encodeMultipart } from '../support/form-data.ts';
import { fetchAnswer, measureBody, openAnswer, sha256 } from '../support/http-client.ts';
import { patternDigest } from '../support/pattern.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const scripts = {
  // Sends its second event when the first one has been seen.
  'steps.php': `<?php
    header('Content-Type: text/event-stream');
    while (ob_get_level() > 0) ob_end_flush();
    echo "data: 1\\n\\n";
    flush();
    while (!file_exists($_GET['file'])) { usleep(5000); clearstatcache(); }
    echo "data: 2\\n\\n";`,
  // Dies in the middle of its answer.
  'crash.php': '<?php echo str_repeat("x", 300000); flush(); posix_kill(getmypid(), 9);',
  // Writes down how it ended, which is what it knows of its client.
  'leave.php': `<?php
    register_shutdown_function(fn () => file_put_contents($_GET['file'], connection_aborted() ? 'aborted' : 'whole'));
    while (ob_get_level() > 0) ob_end_flush();
    for ($tick = 0; $tick < 1000; $tick++) { echo '.'; flush(); usleep(20000); }`,
};

describe('inside Hono and the Fetch API', () => {
  let gateway: Gateway;
  const logLines: string[] = [];
  const origins = new Map<string, string>();
  const servers: ServerType[] = [];

  const listen = async (app: Hono<{ Bindings: HttpBindings }>, options: object = {}): Promise<string> => {
    const server = createAdaptorServer({ fetch: app.fetch, ...options });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const createApp = () => new Hono<{ Bindings: HttpBindings }>();
  /** As the documentation says it for those whose middleware changes answers. */
  const fetchMiddleware = (): MiddlewareHandler<{ Bindings: HttpBindings }> => {
    const handler = createFetchHandler(gateway);
    return async (context, next) =>
      (await handler(context.req.raw, context.env.incoming.socket)) ?? (await next());
  };

  before(async () => {
    const documentRoot = copyApplication('php');
    for (const [name, text] of Object.entries(scripts)) writeFileSync(join(documentRoot, name), text);
    gateway = await createGateway(
      {
        sources: { php: { php: 'fpm', workers: 3 } },
        virtualServers: [
          {
            documentRoot,
            accessLog: false,
            rules: [
              {
                match: { directory: '/socket' },
                handler: {
                  type: 'fastcgi',
                  source: 'php',
                  upgrade: true,
                  scriptAlias: join(documentRoot, 'answer.php'),
                },
              },
              { match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php' } },
            ],
          },
        ],
      },
      {
        log: {
          debug() {},
          info() {},
          warn: (line) => logLines.push(line),
          error: (line) => logLines.push(line),
        },
      },
    );

    const fronts = {
      'Hono on node:http': createHonoMiddleware(gateway),
      'Hono through the Fetch API': fetchMiddleware(),
    };
    for (const [name, middleware] of Object.entries(fronts)) {
      const app = createApp();
      app.use(async (context, next) => {
        context.res.headers.set('X-Before', 'set before');
        await next();
        context.res.headers.set('X-After', 'set after');
      });
      app.use(middleware);
      app.get('*', (context) => context.text(`hono answers ${context.req.path}`));
      origins.set(name, await listen(app));
    }
  });
  after(async () => {
    for (const server of servers) server.close();
    await gateway?.close();
  });

  for (const name of ['Hono on node:http', 'Hono through the Fetch API']) {
    describe(name, () => {
      const origin = () => origins.get(name)!;

      applicationSuite({
        origin,
        scriptName: '/application.php',
        scriptFilename: '/application.php',
        logLines: () => logLines,
      });

      it("what no rule matches is Hono's", async () => {
        const answer = await fetchAnswer(origin(), '/nothing/here');
        assert.deepEqual([answer.status, answer.text], [200, 'hono answers /nothing/here']);
        assert.deepEqual(
          [answer.headers['x-before'], answer.headers['x-after']],
          ['set before', 'set after'],
        );
        assert.equal((await fetchAnswer(origin(), '/nothing', { method: 'POST', body: 'x' })).status, 404);
      });

      it('what middleware set before is sent; what it sets after, where the answer passes through it', async () => {
        const { headers } = await fetchAnswer(origin(), '/answer.php');
        assert.equal(headers['x-before'], 'set before');
        assert.equal(headers['x-after'], name === 'Hono on node:http' ? undefined : 'set after');
      });

      it('G2: an answer that breaks off is cut for the client', async () => {
        for (let tries = 0; tries < 10; tries++) {
          const outcome = await fetchAnswer(origin(), '/crash.php').then(
            ({ status, body }) => `${status} with ${body.length} bytes`,
            (error: NodeJS.ErrnoException) => error.code,
          );
          // Where nothing has left yet, an error in its place is as honest.
          assert.match(outcome ?? '', /^(ECONNRESET|50[02] with \d+ bytes)$/);
        }
        assert.equal((await fetchAnswer(origin(), '/answer.php')).text, 'the answer of the script');
      });

      it('a client that leaves ends the script', async () => {
        const file = createReport();
        const answer = await openAnswer(origin(), `/leave.php?file=${encodeURIComponent(file)}`);
        await once(answer, 'data');
        answer.destroy();
        await until(() => readIfThere(file) !== '', 'the end of the script');
        assert.equal(readIfThere(file), 'aborted');
      });
    });
  }

  describe('a Request without any server', () => {
    const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
      const response = await createFetchHandler(gateway)(new Request(`http://site.test${path}`, init));
      assert.ok(response !== undefined);
      return response;
    };

    it('GET: variables of the URL, and of a connection of which nothing is known', async () => {
      const response = await ask('/application.php/echo?a=1', {
        headers: { Cookie: 'b=2', 'X-Own': 'its value' },
      });
      const variables = await variablesOf(response);
      const expected = {
        ...{ PATH_INFO: '/echo', QUERY_STRING: 'a=1', HTTP_COOKIE: 'b=2', HTTP_X_OWN: 'its value' },
        ...{ HTTP_HOST: 'site.test', SERVER_NAME: 'site.test', SERVER_PORT: '80', REMOTE_ADDR: 'unknown' },
      };
      for (const [name, value] of Object.entries(expected)) assert.equal(variables[name], value, name);
      assert.equal((await ask('/missing.php')).status, 404);
    });

    it('an upload of unknown length has an exact CONTENT_LENGTH', async () => {
      const content = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * at) & 255));
      const file = { name: 'file', filename: 'a.bin', type: 'application/octet-stream', content };
      const { type, body } = encodeMultipart({ note: 'with a file' }, [file]);
      const response = await ask('/application.php/upload', {
        ...{ method: 'POST', headers: { 'Content-Type': type }, duplex: 'half' },
        body: new Blob([body]).stream(),
      } as RequestInit);
      assert.deepEqual(await response.json(), {
        ...{ fields: { note: 'with a file' }, filename: 'a.bin' },
        ...{ bytes: content.length, sha256: sha256(content) },
      });
    });

    it('a slow reader holds neither PHP nor memory', async () => {
      const bytes = 80_000_000;
      const before = measureBuffers();
      const response = await ask(`/application.php/download?bytes=${bytes}`);
      await until(() => gateway.sources[0]!.active === 0, 'the end of the script');
      await until(() => measureBuffers() - before < 5_000_000, 'memory without the body');
      const body = response.body as unknown as AsyncIterable<Buffer>;
      assert.deepEqual(await measureBody(body), { bytes, sha256: patternDigest(bytes) });
    });

    it('an event is there before the next one is made', async () => {
      const file = createReport();
      const response = await ask(`/steps.php?file=${encodeURIComponent(file)}`);
      const events = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      assert.equal((await events.read()).value, 'data: 1\n\n');
      writeFileSync(file, '');
      assert.equal((await events.read()).value, 'data: 2\n\n');
      assert.equal((await events.read()).done, true);
    });

    it('the signal, and a cancelled body, end the script', async () => {
      for (const way of ['signal', 'cancel']) {
        const file = createReport();
        const controller = new AbortController();
        const response = await ask(`/leave.php?file=${encodeURIComponent(file)}`, {
          signal: controller.signal,
        });
        if (way === 'signal') controller.abort();
        else await response.body!.cancel();
        await until(() => readIfThere(file) !== '', 'the end of the script');
        assert.equal(readIfThere(file), 'aborted');
      }
    });

    it('an upgrade is refused, with the reason in the log', async () => {
      const headers = { Connection: 'Upgrade', Upgrade: 'websocket' };
      const path = '/socket/?status=101&field[Upgrade]=websocket';
      assert.equal((await ask(path, { headers })).status, 500);
      assert.ok(
        logLines.some((line) => line.includes('An upgrade cannot pass through a Response')),
        logLines.join(),
      );
    });

    it('Hono: app.request, and what no rule matches', async () => {
      const app = new Hono();
      app.use(createHonoMiddleware(gateway, { connection: () => ({ remoteAddress: '192.0.2.9' }) }));
      app.get('*', (context) => context.text('hono answers'));
      const variables = await variablesOf(await app.request('/application.php/echo'));
      assert.equal(variables.REMOTE_ADDR, '192.0.2.9');
      const form = await app.request('/application.php/form', {
        method: 'POST',
        body: new URLSearchParams({ a: 'ö' }),
      });
      assert.deepEqual(await form.json(), { fields: { a: 'ö' } });
      assert.equal(await (await app.request('/nothing')).text(), 'hono answers');
    });
  });

  it('Hono over HTTP/2 goes through the Fetch API, with the address of the client', async () => {
    const app = createApp();
    app.use(createHonoMiddleware(gateway));
    const session = connect(await listen(app, { createServer }));
    try {
      const stream = session.request({ ':path': '/application.php/echo?a=1' });
      const [head] = await once(stream, 'response');
      const { variables } = JSON.parse(Buffer.concat(await stream.toArray()).toString());
      assert.equal(head[':status'], 200);
      assert.deepEqual([variables.QUERY_STRING, variables.REMOTE_ADDR], ['a=1', '127.0.0.1']);
    } finally {
      session.close();
    }
  });
});

/** Bytes in buffers that somebody still holds. */
function measureBuffers(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

/** The CGI variables that PHP saw. */
async function variablesOf(response: Response): Promise<Record<string, string>> {
  return ((await response.json()) as { variables: Record<string, string> }).variables;
}

/** A file that does not exist yet, and that every user may read and write. */
function createReport(): string {
  const directory = createTestDirectory();
  openToAll(directory);
  return join(directory, 'ended');
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
