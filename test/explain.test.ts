/**
 * `explain` says what the gateway does: each request of a table is sent to a running gateway, and explained, and the two
 * statuses must be the same one.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ApplicationServer, serve } from '../src/app/index.ts';
import { createGateway } from '../src/gateway/gateway.ts';
import type { Gateway } from '../src/gateway/options.ts';
import type { RequestHead } from '../src/http/message.ts';

/** The parts of a head that differ from `GET / HTTP/1.1` of one Host. */
interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly version?: string;
  /** `Host: test` when left out. */
  readonly fields?: readonly string[];
  readonly body?: string;
}

const host = ['Host', 'test'];
const withFields = (...fields: string[]): Asked => ({ target: '/page.html', fields: [...host, ...fields] });
const at = (target: string, more: Asked = {}): Asked => ({ target, ...more });
const post = (target: string, fields: readonly string[], body = ''): Asked => ({
  method: 'POST',
  target,
  fields: [...host, ...fields],
  body,
});

/** What it is -> the request, and the status that is right. */
const requests: Readonly<Record<string, readonly [Asked, number]>> = {
  'a file': [at('/page.html'), 200],
  'HEAD of a file': [at('/page.html', { method: 'HEAD' }), 200],
  'OPTIONS of a file': [at('/page.html', { method: 'OPTIONS' }), 204],
  'DELETE of a file': [at('/page.html', { method: 'DELETE' }), 405],
  'a file that is not there': [at('/other.html'), 404],
  'a dot file': [at('/.env'), 404],
  'what is left by mistake': [at('/page.html~'), 404],
  'a script that no rule runs': [at('/sub/a.php'), 403],
  'a directory without a slash': [at('/sub'), 301],
  'a directory without an index': [at('/empty/'), 403],
  "a directory's index": [at('/'), 200],
  'a script': [at('/index.php'), 200],
  'a script that is not there': [at('/other.php'), 404],
  'a form': [post('/index.php', ['Content-Length', '5'], 'hello'), 200],
  'a chunked form': [post('/index.php', ['Transfer-Encoding', 'chunked'], '5\r\nhello\r\n0\r\n\r\n'), 200],
  'a form that is too large': [post('/index.php', ['Content-Length', '2000']), 413],
  'a form that is too large and may be streamed': [post('/stream/a.php', ['Content-Length', '2000']), 413],
  'a streamed form without a length': [
    post('/stream/a.php', ['Transfer-Encoding', 'chunked'], '5\r\nhello\r\n0\r\n\r\n'),
    200,
  ],
  'a streamed form': [post('/stream/a.php', ['Content-Length', '5'], 'hello'), 200],
  'a form for a file': [post('/page.html', ['Content-Length', '5'], 'hello'), 405],
  'a filtered file': [at('/filtered/page.html'), 200],
  'a filtered file that is not there': [at('/filtered/other.html'), 404],
  'a filtered form that is too large': [post('/filtered/page.html', ['Content-Length', '2000']), 413],
  'credentials twice, for a file': [withFields('Authorization', 'a b', 'Authorization', 'c d'), 200],
  'credentials twice, for a script': [
    at('/index.php', { fields: [...host, 'Authorization', 'a b', 'Authorization', 'c d'] }),
    400,
  ],
  'credentials twice, for an Authorizer': [
    at('/guarded/page.html', { fields: [...host, 'Authorization', 'a b', 'Authorization', 'c d'] }),
    400,
  ],
  'a guarded file': [at('/guarded/page.html'), 200],
  'a guarded file that is not there': [at('/guarded/other.html'), 404],
  'a source in maintenance': [at('/maintained/a.php'), 503],
  'an Authorizer in maintenance': [at('/unguarded/page.html'), 503],
  'a redirect': [at('/moved'), 302],
  'a rewrite': [at('/rewritten'), 200],
  'a rewrite to what is not there': [at('/rewritten-to-nothing'), 404],
  'a rewrite to what is no path': [at('/rewritten-badly'), 500],
  'a rewrite without an end': [at('/loop'), 500],
  'a status of the rules': [at('/gone'), 410],
  'a path of no rule': [at('/nothing', { fields: ['Host', 'empty.test'] }), 404],
  'OPTIONS *': [at('*', { method: 'OPTIONS' }), 204],
  'GET *': [at('*'), 400],
  CONNECT: [{ method: 'CONNECT', target: 'test:443' }, 405],
  'a method that nobody knows': [{ method: 'FROBNICATE' }, 400],
  'a method in small letters': [{ method: 'get' }, 400],
  'a method that is no token': [{ method: 'G@T' }, 400],
  'a method of WebDAV': [at('/page.html', { method: 'PROPFIND' }), 405],
  'HTTP/1.0 without a Host': [at('/page.html', { version: '1.0', fields: [] }), 200],
  'HTTP/0.9': [at('/page.html', { version: '0.9' }), 400],
  'HTTP/1.2': [at('/page.html', { version: '1.2' }), 400],
  'HTTP/2.0': [at('/page.html', { version: '2.0' }), 505],
  'HTTP/3.0': [at('/page.html', { version: '3.0' }), 400],
  'no Host': [{ fields: [] }, 400],
  'two Hosts': [{ fields: [...host, ...host] }, 400],
  'a Host that is none': [{ fields: ['Host', 'a b"<>'] }, 400],
  'an absolute target': [at('http://other.test/page.html'), 200],
  'an absolute target of no host': [at('http://a"b/page.html'), 400],
  'an absolute target beside a Host that is none': [at('http://test/', { fields: ['Host', 'a"b'] }), 400],
  'a broken escape': [at('/%zz'), 400],
  'a NUL': [at('/page%00.html'), 400],
  'above the root': [at('/../x'), 400],
  'an encoded slash, for a file': [at('/a%2fb.html'), 404],
  'an encoded slash, for a script': [at('/index.php/a%2fb'), 200],
  'an encoded slash, for a program that is named': [at('/map/a%2fb'), 200],
  'an encoded slash and dot segments': [at('/map/a%2f..%2fb'), 404],
  'an encoded slash in place of a directory’s': [at('/map%2fa'), 404],
  'a program that is named, without a slash': [at('/map?a'), 200],
  'a directory without a slash, and a form': [post('/sub', ['Content-Length', '5'], 'hello'), 308],
  'a form for what is not there': [post('/nothing', ['Content-Length', '5'], 'hello'), 404],
  'PROPFIND of a directory without a slash': [at('/sub', { method: 'PROPFIND' }), 308],
  'a directory of scripts without a slash': [at('/maintained'), 301],
  'the nearest front controller': [at('/application/a/b.php'), 200],
  'the nearest front controller, of none': [at('/none/a'), 404],
  'a rewritten directory': [at('/prefix/sub'), 301],
  'a space in the target': [at('/a b'), 400],
  'a byte above ASCII in the target': [at('/\xe4'), 400],
  'a # in the target': [at('/page.html#part'), 400],
  'a target without a slash': [at('page.html'), 400],
  'an empty target': [at(''), 400],
  'Transfer-Encoding gzip, chunked': [post('/index.php', ['Transfer-Encoding', 'gzip, chunked']), 501],
  'Transfer-Encoding gzip': [post('/index.php', ['Transfer-Encoding', 'gzip']), 501],
  'Transfer-Encoding xchunked': [post('/index.php', ['Transfer-Encoding', 'xchunked']), 501],
  'Transfer-Encoding chunked, gzip': [post('/index.php', ['Transfer-Encoding', 'chunked, gzip']), 400],
  'Transfer-Encoding twice': [
    post('/index.php', ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked']),
    400,
  ],
  'Transfer-Encoding in HTTP/1.0': [
    { ...post('/index.php', ['Transfer-Encoding', 'chunked']), version: '1.0' },
    400,
  ],
  'two ways to frame a body': [
    post('/index.php', ['Content-Length', '5', 'Transfer-Encoding', 'chunked']),
    400,
  ],
  'two lengths': [post('/index.php', ['Content-Length', '5', 'Content-Length', '6']), 400],
  'the same length twice': [post('/index.php', ['Content-Length', '5', 'Content-Length', '5']), 400],
  'a length with a plus': [post('/index.php', ['Content-Length', '+5']), 400],
  'a length of two numbers': [post('/index.php', ['Content-Length', '5 5']), 400],
  'an empty length': [post('/index.php', ['Content-Length', '']), 400],
  'a length past every integer': [post('/index.php', ['Content-Length', '9'.repeat(23)]), 400],
  'the same length twice, for a file': [withFields('Content-Length', '0', 'Content-Length', '0'), 400],
  'a length of GET': [withFields('Content-Length', '0'), 200],
  'a name that is no token': [withFields('X(A)', 'b'), 400],
  'a name with a space': [withFields('X A', 'b'), 400],
  'a field without a name': [withFields('', 'b'), 400],
  'a control byte in a value': [withFields('X-A', 'b\x01c'), 400],
  'a line break in a value': [withFields('X-A', 'b\rc'), 400],
  'the byte 0x7f in a value': [withFields('X-A', 'b\x7fc'), 400],
  'a byte above ASCII in a value': [withFields('X-A', 'b\xe4c'), 200],
  'a tab in a value': [withFields('X-A', 'b\tc'), 200],
  '128 lines': [withFields(...Array<string[]>(127).fill(['X-A', 'b']).flat()), 200],
  '129 lines': [withFields(...Array<string[]>(128).fill(['X-A', 'b']).flat()), 431],
  'a field of 40 KB': [withFields('X-A', 'b'.repeat(40_000)), 431],
  'a target of 40 KB': [at(`/${'b'.repeat(40_000)}`), 431],
  'a head just too long': [withFields('X-A', 'b'.repeat(32_768 - '/page.htmlHosttestX-A'.length)), 431],
  'a head just short enough': [
    withFields('X-A', 'b'.repeat(32_768 - '/page.htmlHosttestX-A'.length - 1)),
    200,
  ],
  'a wish to be told to go on': [
    post('/index.php', ['Content-Length', '5', 'Expect', '100-Continue'], 'hello'),
    200,
  ],
  'a wish that nobody knows': [withFields('Expect', 'a-miracle'), 417],
  'a wish that nobody knows, in HTTP/1.0': [{ ...withFields('Expect', 'a-miracle'), version: '1.0' }, 200],
  'an empty wish': [withFields('Expect', ''), 200],
  "a proxy's field of one value, twice": [
    at('/page.html', { fields: [...host, 'X-Real-IP', '192.0.2.1', 'X-Real-IP', '192.0.2.2'] }),
    400,
  ],
};

describe('explain says what the gateway does', () => {
  let directory: string;
  let application: ApplicationServer;
  let gateway: Gateway;
  let port: number;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fastway-explain-'));
    for (const folder of ['sub', 'empty', 'stream', 'maintained', 'application'])
      mkdirSync(join(directory, folder), { recursive: true });
    for (const file of [
      'page.html',
      'index.php',
      'stream/a.php',
      'maintained/a.php',
      'application/index.php',
      'sub/a.php',
      '.env',
      'page.html~',
    ])
      writeFileSync(join(directory, file), 'text');
    const address = `unix:${join(directory, 'application.sock')}`;
    application = await serve(
      async (request) => {
        request.stdin.resume();
        await once(request.stdin, 'end');
        request.write('Content-Type: text/plain\r\n\r\nhello');
      },
      { listen: address },
    );
    gateway = await createGateway({
      listen: [{ host: '127.0.0.1', port: 0 }],
      realIp: { trusted: ['127.0.0.0/8'], field: 'x-real-ip' },
      sources: {
        application: { address },
        away: { address, state: 'maintenance' },
      },
      virtualServers: [
        {
          documentRoot: directory,
          rules: [
            {
              match: { directory: '/stream', extensions: ['php'] },
              handler: { type: 'fastcgi', source: 'application', bufferRequest: false, maxBodyBytes: 1000 },
            },
            {
              match: { directory: '/map' },
              handler: { type: 'fastcgi', source: 'application', scriptAlias: join(directory, 'index.php') },
            },
            {
              match: { directory: '/application', nearest: 'index.php', not: { exists: true } },
              handler: { type: 'redirect', to: '$nearest', internal: true },
            },
            {
              match: { request: '^/prefix(/.*)$' },
              handler: { type: 'redirect', to: '/./$1', internal: true },
            },
            {
              match: { directory: '/maintained' },
              handler: { type: 'fastcgi', source: 'away' },
            },
            {
              match: { directory: '/filtered' },
              handler: { type: 'filter', source: 'application', documentRoot: directory, maxBodyBytes: 1000 },
            },
            {
              match: { directory: '/guarded' },
              authorize: { source: 'application' },
              handler: { type: 'files', documentRoot: directory },
            },
            {
              match: { directory: '/unguarded' },
              authorize: { source: 'away' },
              handler: { type: 'files', documentRoot: directory },
            },
            { match: { path: '/moved' }, handler: { type: 'redirect', to: '/page.html' } },
            {
              match: { path: '/rewritten' },
              handler: { type: 'redirect', to: '/page.html', internal: true },
            },
            {
              match: { path: '/rewritten-to-nothing' },
              handler: { type: 'redirect', to: '/other.html', internal: true },
            },
            {
              match: { path: '/rewritten-badly' },
              handler: { type: 'redirect', to: '/%zz', internal: true },
            },
            { match: { path: '/loop' }, handler: { type: 'redirect', to: '/loop', internal: true } },
            { match: { path: '/gone' }, handler: { type: 'error', status: 410 } },
            {
              match: { all: [{ extensions: ['php'] }, { not: { directory: '/sub' } }] },
              handler: { type: 'fastcgi', source: 'application', maxBodyBytes: 1000 },
            },
            { handler: { type: 'files' } },
          ],
        },
        { name: 'empty', hosts: ['empty.test'], documentRoot: directory, rules: [] },
      ],
    });
    const [url] = await gateway.listen();
    port = Number(new URL(url!).port);
  });

  after(async () => {
    await gateway?.close(0);
    await application?.close();
    await rm(directory, { recursive: true });
  });

  for (const [what, [asked, expected]] of Object.entries(requests)) {
    it(`${what}: ${expected}`, async () => {
      const { method = 'GET', target = '/', version = '1.1', fields = host, body = '' } = asked;
      const lines = fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]}\r\n`] : []));
      const bytes = `${method} ${target} HTTP/${version}\r\n${lines.join('')}\r\n${body}`;
      const head: RequestHead = {
        method,
        target,
        version: version as '1.1',
        fields,
        secure: false,
        remoteAddress: '127.0.0.1',
        remotePort: 1,
        localAddress: '127.0.0.1',
        localPort: 80,
      };
      const statuses = { done: await statusOf(port, bytes), explained: explainedStatus(gateway, head) };
      assert.deepEqual(statuses, { done: expected, explained: expected });
    });
  }
});

/** Of the first final answer. */
function statusOf(port: number, bytes: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ host: '127.0.0.1', port });
    socket.write(bytes, 'latin1');
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1').replace(/^HTTP\/1\.1 100 .*\r\n\r\n/, '');
      const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1];
      if (status === undefined) return;
      socket.destroy();
      resolve(Number(status));
    });
    socket.on('error', reject);
    socket.on('end', () => reject(new Error(`The gateway closed without an answer: ${text}`)));
  });
}

/** What the last step comes to. Applications of the test always answer with 200. */
function explainedStatus(gateway: Gateway, head: RequestHead): number {
  const explanation = gateway.explain(head).at(-1)!.explanation;
  switch (explanation.action) {
    case 'run':
    case 'file':
      return 200;
    case 'redirect':
    case 'error':
      return explanation.status;
    default:
      throw new Error(`${explanation.action} is no end`);
  }
}
