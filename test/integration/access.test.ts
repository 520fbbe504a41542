/**
 * Authorizers before every kind of handler, and Filters: applications written in C on libfcgi, in PHP and on our own
 * application side, behind the whole gateway.
 */
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ApplicationRequest, type ApplicationServer, serve } from '../../src/app/index.ts';
import type { AuthorizeInput, HandlerInput } from '../../src/config/types.ts';
import { compile, type RunningProgram, startProgram } from '../support/fastcgi-programs.ts';
import { type GatewayProcess, runFastway, startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';

const word = { Authorization: 'let me in' };

describe('access', () => {
  const root = createTestDirectory();
  const sockets = createTestDirectory();
  // Each line with its number, so that a lost or repeated piece shows.
  const large = Buffer.from(Array.from({ length: 100_000 }, (_, line) => `line ${line}\n`).join(''));
  const programs: RunningProgram[] = [];
  const servers: ApplicationServer[] = [];
  const asked: Map<string, string>[] = [];
  let gateway: GatewayProcess;
  let config: object;

  const startC = async (name: 'authorizer' | 'filter') => {
    const socket = join(sockets, `${name}.sock`);
    programs.push(await startProgram([compile(name), socket], socket));
    return { address: `unix:${socket}` };
  };
  const startOwn = async (name: string, handler: (request: ApplicationRequest) => void | Promise<void>) => {
    const address = `unix:${join(sockets, `${name}.sock`)}`;
    servers.push(await serve(handler, { listen: address }));
    return { address };
  };
  const get = (path: string, headers = {}) => fetchAnswer(gateway.origin, path, { headers });

  before(async () => {
    openToAll(sockets);
    writeFileSync(join(root, 'page.txt'), 'the page');
    writeFileSync(join(root, 'large.txt'), large);
    writeFileSync(
      join(root, 'show.php'),
      '<?php echo json_encode([$_SERVER, file_get_contents("php://input")]);',
    );
    writeFileSync(
      join(root, 'program.cgi'),
      '#!/bin/sh\necho "Content-Type: text/plain"; echo; echo "$REMOTE_USER"\n',
      { mode: 0o755 },
    );
    writeFileSync(
      join(root, 'authorize.php'),
      '<?php if (($_GET["key"] ?? "") !== "good") { http_response_code(403); exit("no key"); } header("Variable-KEY_OWNER: ann");',
    );
    const rule = (
      directory: string,
      authorize: AuthorizeInput | AuthorizeInput[],
      handler: HandlerInput,
    ) => ({
      match: { directory },
      authorize,
      handler,
    });
    const c = { source: 'authorizer' };
    const files: HandlerInput = { type: 'files', documentRoot: root };
    config = {
      sources: {
        php: { php: 'fpm', workers: 2 },
        authorizer: await startC('authorizer'),
        filter: await startC('filter'),
        node: await startOwn('node', async (request) => {
          asked.push(new Map(request.params));
          request.write(`Status: 200\r\nVariable-ROLE_ASKED: ${request.role}\r\nVariable-TEAM: red\r\n\r\n`);
        }),
        broken: await startOwn('broken', (request) => {
          request.write('Status: 200\r\n\r\n');
          request.end(1);
        }),
        silent: { ...(await startOwn('silent', () => new Promise(() => {}))), readTimeoutMs: 300 },
        gone: { address: `unix:${join(sockets, 'gone.sock')}` },
        nodeFilter: await startOwn('node-filter', async (request) => {
          request.write('Content-Type: text/plain\r\n\r\n');
          for await (const chunk of request.data) {
            if (!request.write((chunk as Buffer).toString('latin1').toUpperCase())) await request.drained();
          }
        }),
      },
      virtualServers: [
        {
          documentRoot: root,
          rules: [
            rule('/files', c, files),
            rule('/php', c, { type: 'fastcgi', source: 'php', documentRoot: root }),
            rule('/cgi', c, { type: 'cgi', documentRoot: root }),
            rule('/away', c, { type: 'redirect', to: 'https://example.test/', status: 302 }),
            rule('/error', c, { type: 'error', status: 410 }),
            rule('/row', [c, { source: 'node' }], {
              type: 'fastcgi',
              source: 'php',
              documentRoot: root,
              env: { TEAM: 'blue' },
            }),
            rule('/cached', { source: 'node', cacheMs: 60_000, cacheKey: ['HTTP_COOKIE'] }, files),
            rule(
              '/key',
              { source: 'php', env: { SCRIPT_FILENAME: join(root, 'authorize.php') } },
              {
                type: 'fastcgi',
                source: 'php',
                documentRoot: root,
              },
            ),
            rule('/broken', { source: 'broken' }, files),
            rule('/silent', { source: 'silent' }, files),
            rule('/gone', { source: 'gone' }, files),
            rule('/no-authorizer', { source: 'filter' }, files),
            rule('/second', { balancer: { policy: 'failover', sources: ['gone', 'authorizer'] } }, files),
            rule('/filter', [], { type: 'filter', source: 'filter', documentRoot: root }),
            rule('/node-filter', c, { type: 'filter', source: 'nodeFilter', documentRoot: root }),
          ],
        },
      ],
    };
    gateway = await startGateway({ config });
  });
  after(async () => {
    await gateway?.stop();
    await Promise.all([
      ...programs.map((program) => program.stop()),
      ...servers.map((server) => server.close()),
    ]);
  });

  it('without leave every handler is out of reach, and the answer is the Authorizer’s own', async () => {
    for (const path of [
      '/files/page.txt',
      '/php/show.php',
      '/cgi/program.cgi',
      '/away',
      '/error',
      '/row/show.php',
    ]) {
      const { status, headers, text } = await get(path);
      assert.deepEqual([status, headers['www-authenticate'], text], [401, 'Word', 'say the word\n'], path);
    }
    const { status, text } = await fetchAnswer(gateway.origin, '/files/page.txt', { method: 'HEAD' });
    assert.deepEqual([status, text], [401, '']);
  });

  it('with leave each answers, and applications hear what the Authorizer said', async () => {
    assert.equal((await get('/files/page.txt', word)).text, 'the page');
    assert.equal((await get('/cgi/program.cgi', word)).text, 'guest\n');
    assert.equal((await get('/away', word)).headers.location, 'https://example.test/');
    assert.equal((await get('/error', word)).status, 410);
    const { text } = await fetchAnswer(gateway.origin, '/php/show.php', {
      method: 'POST',
      headers: word,
      body: 'body',
    });
    const [server, input] = JSON.parse(text);
    assert.deepEqual([server.REMOTE_USER, server.AUTH_METHOD, input], ['guest', 'a word', 'body']);
  });

  it('an upload is not read before there is leave', async () => {
    const body = Buffer.alloc(300_000, 'x');
    const request = { method: 'POST', body, headers: { Expect: '100-continue' } };
    assert.equal((await fetchAnswer(gateway.origin, '/php/show.php', request)).status, 401);
    const allowed = { ...request, headers: { ...request.headers, ...word } };
    assert.equal(
      JSON.parse((await fetchAnswer(gateway.origin, '/php/show.php', allowed)).text)[1].length,
      300_000,
    );
  });

  it('several in a row: the next hears the one before, and the configuration has the last word', async () => {
    asked.length = 0;
    const [server] = JSON.parse((await get('/row/show.php?q=1', word)).text);
    assert.equal(server.REMOTE_USER, 'guest');
    assert.equal(server.ROLE_ASKED, 'Authorizer');
    assert.equal(server.TEAM, 'blue');
    const [heard] = asked;
    assert.equal(heard!.get('REMOTE_USER'), 'guest');
    assert.equal(heard!.get('REQUEST_URI'), '/row/show.php?q=1');
    assert.equal(heard!.get('SCRIPT_NAME'), undefined);
    assert.equal((await get('/row/show.php')).status, 401);
    assert.equal(asked.length, 1);
  });

  it('a remembered decision is asked for once for each cookie', async () => {
    asked.length = 0;
    for (const cookie of ['a=1', 'a=1', 'a=2', 'a=1']) {
      assert.equal((await get('/cached/page.txt', { Cookie: cookie })).text, 'the page');
    }
    assert.equal(asked.length, 2);
  });

  it('php-fpm is an Authorizer too, for whoever names its script', async () => {
    const denied = await get('/key/show.php');
    assert.deepEqual([denied.status, denied.text], [403, 'no key']);
    const [server] = JSON.parse((await get('/key/show.php?key=good')).text);
    assert.equal(server.KEY_OWNER, 'ann');
  });

  it('whatever fails lets nobody through', async () => {
    assert.equal((await get('/broken/page.txt', word)).status, 502);
    assert.equal((await get('/gone/page.txt', word)).status, 503);
    assert.equal((await get('/silent/page.txt', word)).status, 504);
    assert.equal((await get('/no-authorizer/page.txt', word)).status, 500);
    assert.equal((await get('/second/page.txt', word)).text, 'the page');
    assert.equal((await get('/second/page.txt')).status, 401);
  });

  it('a Filter makes the answer out of the file', async () => {
    const seconds = Math.floor(statSync(join(root, 'page.txt')).mtimeMs / 1000);
    assert.equal((await get('/filter/page.txt')).text, `8 bytes of ${seconds}, input 0\nTHE PAGE`);
    const posted = await fetchAnswer(gateway.origin, '/filter/page.txt', { method: 'POST', body: 'four' });
    assert.equal(posted.text, `8 bytes of ${seconds}, input 4\nTHE PAGE`);
    assert.equal((await get('/filter/none.txt')).status, 404);
    assert.equal((await get('/filter/show.php')).status, 403);
  });

  it('large files pass through both Filters whole', async () => {
    const expected = large.toString('latin1').toUpperCase();
    const [own, c] = await Promise.all([get('/node-filter/large.txt', word), get('/filter/large.txt')]);
    assert.ok(own.text === expected);
    assert.ok(c.text.slice(c.text.indexOf('\n') + 1) === expected);
    assert.equal((await get('/node-filter/large.txt')).status, 401);
  });

  it('explain shows whom a request must ask', async () => {
    const file = join(createTestDirectory(), 'fastway.config.json');
    writeFileSync(file, JSON.stringify(config));
    const { stdout } = await runFastway(['explain', '/row/show.php', '--config', file]);
    const rows = stdout.split('\n').filter((line) => line.startsWith('  asks'));
    assert.match(
      rows[0]!,
      /^ {2}asks {6}authorizer \(unix:.*\), as an Authorizer: only its 200 lets the request through$/,
    );
    assert.match(rows[1]!, /node \(unix:/);
    assert.equal(rows.length, 2);
  });
});
