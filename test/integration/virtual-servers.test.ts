/** A configuration with everything in it, from outside: hosts, rules, error pages, sent files, proxies, access logs. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { HandlerInput } from '../../src/config/types.ts';
import { copyApplication } from '../support/applications.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { type Answer, fetchAnswer, type Request } from '../support/http-client.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const letters = 'abcdefghijklmnopqrstuvwxyz';

describe('virtual servers', () => {
  let gateway: GatewayProcess;
  const logs = createTestDirectory();
  const root = copyApplication('php');
  const script = (options = {}): HandlerInput => ({ type: 'fastcgi', source: 'php', ...options });
  const php = { match: { extensions: ['php'] }, handler: script() };

  before(async () => {
    const protectedFiles = join(dirname(root), 'protected');
    mkdirSync(protectedFiles);
    writeFileSync(join(protectedFiles, 'letters.txt'), letters);
    symlinkSync('/etc/passwd', join(protectedFiles, 'link.txt'));
    mkdirSync(join(root, 'static'));
    writeFileSync(join(root, 'static/style.css'), 'body { color: red }\n');
    mkdirSync(join(dirname(root), 'shared'));
    writeFileSync(join(dirname(root), 'shared/logo.svg'), '<svg/>');
    writeFileSync(join(root, 'missing.html'), '<p>our own page for what is missing');
    gateway = await startGateway({
      config: {
        sources: { php: { php: 'fpm', workers: 2 } },
        virtualServers: [
          {
            name: 'options',
            hosts: ['options.test'],
            documentRoot: root,
            errorPages: { 401: '/missing.html', 404: '/missing.html', 503: 'https://status.example/' },
            accessLog: { format: 'combined', file: join(logs, 'combined.log') },
            rules: [
              {
                match: { directory: '/shared' },
                handler: { type: 'files', documentRoot: join(dirname(root), 'shared') },
              },
              { match: { directory: '/gone' }, handler: { type: 'error', status: 410 } },
              { match: { directory: '/busy' }, handler: { type: 'error', status: 503 } },
              {
                match: { request: '^/old/(\\d+)/(.*)$' },
                handler: { type: 'redirect', to: '/new/$2?id=$1', status: 308 },
              },
              {
                match: { request: '^/pretty/(\\w+)$' },
                handler: { type: 'redirect', to: '/application.php/echo?name=$1', internal: true },
              },
              {
                match: { directory: '/loop' },
                handler: { type: 'redirect', to: '/loop/again', internal: true },
              },
              {
                match: { all: [{ directory: '/private' }, { not: { from: ['10.0.0.0/8'] } }] },
                handler: { type: 'error', status: 403 },
              },
              { match: { method: 'DELETE' }, handler: { type: 'error', status: 405 } },
              {
                match: { directory: '/alias' },
                handler: script({
                  scriptAlias: join(root, 'application.php'),
                  env: { APP_MODE: 'alias', HTTP_X_FIXED: 'ours' },
                }),
              },
              {
                match: { all: [{ extensions: ['php'] }, { query: { send: true } }] },
                handler: script({
                  xSendfile: true,
                  sendfileRoots: [protectedFiles],
                  accelRoots: { '/internal/': protectedFiles },
                }),
              },
              {
                match: { all: [{ extensions: ['php'] }, { header: { 'x-replace': 'yes' } }] },
                handler: script({ errorHandler: false }),
              },
              {
                match: { all: [{ extensions: ['php'] }, { query: { local: '1' } }] },
                handler: script({ localRedirect: true }),
              },
              {
                match: { all: [{ extensions: ['php'] }, { query: { few: '1' } }] },
                handler: script({ passRequestHeaders: false, underscoreHeaders: ['api_key'] }),
              },
              php,
              { handler: { type: 'files' } },
            ],
          },
          {
            name: 'proxied',
            hosts: ['*.proxied.test'],
            documentRoot: root,
            encodedSlashes: true,
            accessLog: { format: 'json', file: join(logs, 'json.log') },
            rules: [
              {
                match: { extensions: ['php'] },
                handler: script({ realIp: { trusted: ['127.0.0.1', '10.0.0.0/8'] } }),
              },
            ],
          },
          {
            name: 'rest',
            hosts: ['*'],
            documentRoot: root,
            accessLog: { format: 'combined', file: join(logs, 'rest.log') },
            rules: [{ handler: { type: 'error', status: 404 } }],
          },
        ],
      },
    });
  });
  after(() => gateway?.stop());

  const send = (path: string, request: Request & { host?: string } = {}) =>
    fetchAnswer(gateway.origin, path, {
      ...request,
      headers: { Host: request.host ?? 'options.test', ...request.headers },
    });
  const variables = (answer: Answer) => JSON.parse(answer.text).variables as Record<string, string>;
  const field = (name: string, value: string) => `field[${name}]=${encodeURIComponent(value)}`;

  it('the host decides: exact, wildcard, the rest', async () => {
    assert.equal((await send('/page.html')).status, 200);
    assert.equal((await send('/page.html', { host: 'OPTIONS.test:8080' })).status, 200);
    assert.equal((await send('/application.php/echo', { host: 'a.b.proxied.test' })).status, 200);
    assert.equal((await send('/page.html', { host: 'proxied.test' })).status, 404);
    assert.equal((await send('/page.html', { host: 'elsewhere.test' })).status, 404);
  });

  describe('rules', () => {
    it('a directory of its own root', async () => {
      const answer = await send('/shared/logo.svg');
      assert.deepEqual(
        [answer.status, answer.headers['content-type'], answer.text],
        [200, 'image/svg+xml', '<svg/>'],
      );
      assert.equal((await send('/sharedx/logo.svg')).status, 404);
    });
    it('an error, an access rule, a method', async () => {
      assert.equal((await send('/gone/page.html')).status, 410);
      assert.equal((await send('/private/page.html')).status, 403);
      assert.equal((await send('/page.html', { method: 'DELETE' })).status, 405);
    });
    it('an external redirect with captures', async () => {
      const answer = await send('/old/42/some/page');
      assert.deepEqual([answer.status, answer.headers.location], [308, '/new/some/page?id=42']);
    });
    it('an internal redirect keeps method, body and REQUEST_URI', async () => {
      const answer = await send('/pretty/anna?x=1', { method: 'POST', body: 'hello' });
      const found = variables(answer);
      assert.equal(found.QUERY_STRING, 'name=anna&x=1');
      assert.equal(found.REQUEST_URI, '/pretty/anna?x=1');
      assert.equal(found.REQUEST_METHOD, 'POST');
      assert.equal(found.CONTENT_LENGTH, '5');
      assert.equal(found.SCRIPT_NAME, '/application.php');
    });
    it('a loop of redirects ends with 500', async () => {
      assert.equal((await send('/loop/x')).status, 500);
    });
    it('scriptAlias: the directory is SCRIPT_NAME, configured variables win', async () => {
      const found = variables(await send('/alias/echo/more', { headers: { 'X-Fixed': 'theirs' } }));
      assert.deepEqual([found.SCRIPT_NAME, found.PATH_INFO], ['/alias', '/echo/more']);
      assert.equal(found.SCRIPT_FILENAME, join(root, 'application.php'));
      assert.deepEqual([found.APP_MODE, found.HTTP_X_FIXED], ['alias', 'ours']);
    });
    it('passRequestHeaders off: only well-known fields reach the application', async () => {
      const found = variables(
        await send('/application.php/echo?few=1', {
          headers: { 'X-Rare': '1', 'User-Agent': 'a', api_key: 'mine', 'Api-Key': 'theirs' },
        }),
      );
      assert.deepEqual([found.HTTP_X_RARE, found.HTTP_USER_AGENT], [undefined, 'a']);
      assert.equal(found.HTTP_API_KEY, 'mine');
    });
  });

  it('an encoded slash is a part of PATH_INFO and of nothing else', async () => {
    assert.equal(variables(await send('/application.php/echo/a%2Fb')).PATH_INFO, '/echo/a%2Fb');
    const host = 'www.proxied.test';
    const seen = variables(await send('/application.php/echo/a%2fb%20c?d', { host }));
    assert.deepEqual(
      [seen.SCRIPT_NAME, seen.PATH_INFO, seen.REQUEST_URI],
      ['/application.php', '/echo/a%2Fb c', '/application.php/echo/a%2fb%20c?d'],
    );
    for (const path of [
      '/static%2f..%2fapplication.php/echo',
      '/static%2Fstyle.css',
      '/%2fapplication.php',
    ]) {
      assert.equal((await send(path, { host })).status, 404, path);
    }
  });

  describe('error pages', () => {
    it('our own errors get the page of the virtual server', async () => {
      const answer = await send('/nothing.html');
      assert.equal(answer.status, 404);
      assert.match(answer.text, /our own page for what is missing/);
    });
    it('a page elsewhere is a redirect', async () => {
      const answer = await send('/busy/');
      assert.deepEqual([answer.status, answer.headers.location], [302, 'https://status.example/']);
    });
    it("the application's error pages pass, unless errorHandler is off", async () => {
      const own = await send('/answer.php?status=404');
      assert.deepEqual([own.status, own.text], [404, 'the answer of the script']);
      const replaced = await send('/answer.php?status=404', { headers: { 'X-Replace': 'yes' } });
      assert.equal(replaced.status, 404);
      assert.match(replaced.text, /our own page for what is missing/);
      const login = await send(`/answer.php?status=401&${field('WWW-Authenticate', 'Basic realm="x"')}`, {
        headers: { 'X-Replace': 'yes' },
      });
      assert.deepEqual([login.status, login.headers['www-authenticate']], [401, 'Basic realm="x"']);
      assert.match(login.text, /our own page for what is missing/);
      const fine = await send('/answer.php', { headers: { 'X-Replace': 'yes' } });
      assert.deepEqual([fine.status, fine.text], [200, 'the answer of the script']);
    });
    it('PHP that finds no script is explained in the log', async () => {
      assert.equal((await send('/nothing.php')).status, 404);
    });
  });

  describe('files that the application names', () => {
    const sendfile = (name: string) => `/answer.php?send&${field('X-Sendfile', name)}`;
    const letterFile = () => join(dirname(root), 'protected/letters.txt');
    it('X-Sendfile: the file, with validators and ranges, and no trace of the field', async () => {
      const answer = await send(sendfile(letterFile()));
      assert.deepEqual([answer.status, answer.text], [200, letters]);
      assert.equal(answer.headers['x-sendfile'], undefined);
      const part = await send(sendfile(letterFile()), { headers: { Range: 'bytes=3-5' } });
      assert.deepEqual([part.status, part.text], [206, 'def']);
      const again = await send(sendfile(letterFile()), { headers: { 'If-None-Match': answer.headers.etag } });
      assert.deepEqual([again.status, again.text], [304, '']);
    });
    it('X-Accel-Redirect names a path below the roots', async () => {
      const answer = await send(`/answer.php?send&${field('X-Accel-Redirect', '/letters.txt')}`);
      assert.deepEqual([answer.status, answer.text], [200, letters]);
    });
    it('X-Accel-Redirect names a file by the prefix of its directory', async () => {
      const ask = (path: string) => send(`/answer.php?send&${field('X-Accel-Redirect', path)}`);
      const answer = await ask('/internal/letters.txt');
      assert.deepEqual([answer.status, answer.text], [200, letters]);
      assert.equal((await ask('/internal/../index.php')).status, 502);
    });
    it('nothing outside the roots, by no way', async () => {
      for (const name of [
        '/etc/passwd',
        `${dirname(letterFile())}/../../../etc/passwd`,
        `${dirname(letterFile())}/link.txt`,
      ]) {
        const answer = await send(sendfile(name));
        assert.ok(answer.status >= 400, `${name}: ${answer.status}`);
        assert.ok(!answer.text.includes('root:'), name);
      }
    });
    it('fields that are for every web server on the way are passed on', async () => {
      const answer = await send(`/answer.php?${field('X-Accel-Buffering', 'no')}`);
      assert.equal(answer.headers['x-accel-buffering'], 'no');
    });
    it('without the option the field means nothing here', async () => {
      const answer = await send(`/answer.php?${field('X-Sendfile', letterFile())}`);
      assert.deepEqual([answer.status, answer.text], [200, 'the answer of the script']);
    });
    it('localRedirect: a Location without scheme runs the rules again', async () => {
      const query = `${field('Location', '/static/style.css')}&local=1`;
      const answer = await send(`/answer.php?${query}&status=200`);
      assert.deepEqual([answer.status, answer.text], [200, 'body { color: red }\n']);
      const external = await send(`/answer.php?${field('Location', '/static/style.css')}&status=302`);
      assert.deepEqual([external.status, external.headers.location], [302, '/static/style.css']);
    });
  });

  it('a trusted proxy tells who asks, and over what', async () => {
    const headers = { 'X-Forwarded-For': '192.0.2.66, 198.51.100.7, 10.1.1.1', 'X-Forwarded-Proto': 'https' };
    const found = variables(await send('/application.php/echo', { host: 'a.proxied.test', headers }));
    assert.deepEqual([found.REMOTE_ADDR, found.HTTPS, found.REQUEST_SCHEME], ['198.51.100.7', 'on', 'https']);
    const direct = variables(await send('/application.php/echo', { headers }));
    assert.deepEqual([direct.REMOTE_ADDR, direct.HTTPS], ['127.0.0.1', undefined]);
  });

  it('each request is one line of its access log, in the format of the virtual server', async () => {
    await send('/static/style.css?mark=combined', {
      headers: { 'User-Agent': 'a "quoted" agent', Referer: 'http://from.test/' },
    });
    await send('/application.php/echo?mark=json', {
      host: 'a.proxied.test',
      headers: { Authorization: 'Basic c2VjcmV0' },
    });
    const lines = async (file: string, mark: string) => {
      const find = () =>
        readFileSync(join(logs, file), 'utf8')
          .split('\n')
          .filter((line) => line.includes(mark));
      await until(() => find().length > 0, `a line with ${mark} in ${file}`);
      return find();
    };
    const combined = await lines('combined.log', 'mark=combined');
    assert.equal(combined.length, 1);
    assert.match(
      combined[0]!,
      /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/static\/style\.css\?mark=combined HTTP\/1\.1" 200 20 "http:\/\/from\.test\/" "a .{0,4}quoted.{0,4} agent"$/,
    );
    const json = await lines('json.log', 'mark=json');
    assert.equal(json.length, 1);
    const refused = await exchangeRaw(gateway.port, 'no HTTP at all\r\n\r\n');
    assert.equal(refused.responses[0]!.status, 400);
    assert.match((await lines('rest.log', ' 400 '))[0]!, /^127\.0\.0\.1 - - \[.*\] "-" 400 16 "-" "-"$/);
    const entry = JSON.parse(json[0]!);
    assert.equal(entry.status, 200);
    assert.ok(!json[0]!.includes('c2VjcmV0'), 'a password in the log');
  });
});
