import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import send from '@fastify/send';
import { FakeRequest, type FakeRequestOptions, fakeSite } from '../../test/support/fake-request.ts';
import { fetchAnswer } from '../../test/support/http-client.ts';
import { createDocumentRoot } from './document-root.ts';
import { createFilesHandler, type FilesHandlerOptions } from './files.ts';
import { testHandler } from './handler.contract.ts';

let directory: string;
const ten = '0123456789';
/** Three chunks and a bit. */
const large = Buffer.alloc(200_000, 'abcdefghijk');
const modified = new Date('2026-01-02T03:04:05Z');

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'fastway-files-'));
  const write = (name: string, content: string | Buffer) => writeFileSync(join(directory, name), content);
  for (const name of ['sub', 'empty', '.git', '.well-known', 'a b']) mkdirSync(join(directory, name));
  write('ten.txt', ten);
  write('large.bin', large);
  write('none', '');
  write('page.html', '<p>');
  write('app.js', 'code');
  write('app.js.br', 'brotli');
  write('app.js.gz', 'gzip');
  write('old.css', 'new content');
  write('old.css.gz', 'old');
  write('a b/index.html', 'index');
  write('sub/index.php', '<?php secret');
  write('x.php', '<?php secret');
  write('X.PHTML', '<?php secret');
  write('.htaccess', 'secret');
  write('.git/config', 'secret');
  write('.well-known/acme', 'token');
  for (const name of ['x.php~', 'x.php.bak', 'x.swp', 'x.orig', '#x#']) write(name, 'secret');
  write('sub/ten.txt', ten);
  symlinkSync(join(directory, 'x.php'), join(directory, 'innocent.txt'));
  symlinkSync('/etc/passwd', join(directory, 'passwd'));
  for (const name of ['ten.txt', 'sub/ten.txt', 'app.js', 'app.js.br', 'app.js.gz', 'large.bin']) {
    utimesSync(join(directory, name), modified, modified);
  }
  utimesSync(join(directory, 'old.css.gz'), modified, modified);
});
after(() => rmSync(directory, { recursive: true }));

async function ask(
  target: string,
  options: FakeRequestOptions & { readonly handler?: Partial<FilesHandlerOptions> } = {},
): Promise<FakeRequest> {
  const site = fakeSite({ documentRoot: root(directory), scriptExtensions: new Set(['php', 'phtml']) });
  const request = new FakeRequest({ site, ...options, target });
  createFilesHandler({
    documentRoot: undefined,
    precompressed: true,
    sendLeftovers: false,
    guard: true,
    isProgram: () => false,
    ...options.handler,
  }).handle(request);
  if (request.indexes.length === 0) await request.exchange.whenEnded();
  return request;
}

const root = (path: string) => createDocumentRoot({ path, symlinks: 'deny', now: () => 0 });
const statusOf = async (target: string, options?: FakeRequestOptions) =>
  (await ask(target, options)).exchange.status;

test('a small file: type, length, validators', async () => {
  const { exchange } = await ask('/ten.txt');
  assert.deepEqual([exchange.status, exchange.body.toString()], [200, ten]);
  assert.equal(exchange.field('Content-Type'), 'text/plain; charset=utf-8');
  assert.equal(exchange.field('Content-Length'), '10');
  assert.equal(exchange.field('Last-Modified'), 'Fri, 02 Jan 2026 03:04:05 GMT');
  assert.equal(exchange.field('Accept-Ranges'), 'bytes');
  assert.match(exchange.field('ETag')!, /^"[0-9a-z-]+"$/);
  const copy = (await ask('/sub/ten.txt')).exchange;
  assert.equal(copy.field('ETag'), exchange.field('ETag'), 'of a copy, as on another machine');
  assert.equal((await ask('/none')).exchange.field('Content-Type'), 'application/octet-stream');
  assert.equal((await ask('/none')).exchange.field('Content-Length'), '0');
});

test("a large file goes out at the client's pace, in chunks of 64 KiB", async () => {
  const site = fakeSite({ documentRoot: root(directory) });
  const request = new FakeRequest({ site, target: '/large.bin' });
  const { exchange } = request;
  exchange.window = 1;
  createFilesHandler({
    documentRoot: undefined,
    precompressed: false,
    sendLeftovers: false,
    guard: true,
    isProgram: () => false,
  }).handle(request);
  for (let tries = 0; tries < 200 && exchange.pieces.length === 0; tries++) await turn();
  for (let tries = 0; tries < 20; tries++) await turn();
  assert.equal(exchange.body.length, 65_536);
  exchange.take(Number.MAX_SAFE_INTEGER);
  await exchange.whenEnded();
  assert.ok(exchange.body.equals(large));
  assert.ok(exchange.pieces.every((piece) => piece.length <= 65_536));
  assert.equal(exchange.wasCut, false);
});

test('a client that leaves stops the reading; a file that shrinks cuts the answer', async () => {
  const shrinking = join(directory, 'shrinking');
  writeFileSync(shrinking, large);
  const start = (leave: (request: FakeRequest) => void) => {
    const request = new FakeRequest({
      site: fakeSite({ documentRoot: root(directory) }),
      target: '/shrinking',
    });
    request.exchange.window = 1;
    createFilesHandler({
      documentRoot: undefined,
      precompressed: false,
      sendLeftovers: false,
      guard: true,
      isProgram: () => false,
    }).handle(request);
    leave(request);
    return request.exchange;
  };
  const left = start((request) => request.exchange.leave());
  for (let tries = 0; tries < 20; tries++) await turn();
  assert.equal(left.body.length, 0);
  const cut = start(() => truncateSync(shrinking, 65_536));
  for (let tries = 0; tries < 200 && cut.pieces.length === 0; tries++) await turn();
  cut.take(Number.MAX_SAFE_INTEGER);
  await cut.whenEnded();
  assert.equal(cut.wasCut, true);
});

test('HEAD, OPTIONS, and other methods', async () => {
  const head = (await ask('/ten.txt', { method: 'HEAD' })).exchange;
  assert.deepEqual([head.status, head.field('Content-Length'), head.body.length], [200, '10', 0]);
  const options = (await ask('/ten.txt', { method: 'OPTIONS' })).exchange;
  assert.deepEqual([options.status, options.field('Allow')], [204, 'GET, HEAD, OPTIONS']);
  for (const method of ['POST', 'PUT', 'DELETE', 'TRACE']) {
    const { exchange } = await ask('/ten.txt', { method });
    assert.deepEqual([exchange.status, exchange.field('Allow')], [405, 'GET, HEAD, OPTIONS'], method);
  }
  const folder = (await ask('/sub?a', { method: 'POST' })).exchange;
  assert.deepEqual([folder.status, folder.field('Location')], [308, '/sub/?a']);
  assert.equal((await ask('/nothing', { method: 'POST' })).exchange.status, 404);
  // Whoever runs the index says which methods it takes.
  assert.deepEqual((await ask('/sub/', { method: 'POST' })).indexes, ['index.php']);
});

test('what is not there, forbidden, hidden, a backup or a script is never sent', async () => {
  for (const target of [
    '/nothing',
    '/ten.txt/',
    '/ten.txt/x',
    '/.htaccess',
    '/.git/config',
    '/.git/',
    '/x.php~',
    '/x.php.bak',
    '/x.swp',
    '/x.orig',
    '/%23x%23',
    '/.well-known/.secret',
    '/sub/.x',
  ]) {
    assert.equal(await statusOf(target), 404, target);
  }
  for (const target of ['/x.php', '/X.PHTML', '/innocent.txt', '/passwd', '/empty/']) {
    const { exchange } = await ask(target);
    assert.equal(exchange.status, 403, target);
    assert.doesNotMatch(exchange.body.toString(), /secret|root:/);
  }
  assert.equal(await statusOf('/.well-known/acme'), 200);
});

test('a directory: 301 to the slash with its query, its index by the rules', async () => {
  const slash = (await ask('/a%20b?x=1&y')).exchange;
  assert.deepEqual([slash.status, slash.field('Location')], [301, '/a%20b/?x=1&y']);
  assert.equal((await ask('//sub')).exchange.field('Location'), '/sub/');
  assert.deepEqual((await ask('/a%20b/')).indexes, ['index.html']);
  assert.deepEqual((await ask('/sub/')).indexes, ['index.php']);
});

test("an own document root takes the place of the rule's directory", async () => {
  const handler = { documentRoot: root(directory) };
  const site = fakeSite({ documentRoot: root('/nonexistent') });
  const asked = { site, handler, directory: '/static' };
  assert.equal((await ask('/static/ten.txt', asked)).exchange.body.toString(), ten);
  assert.equal((await ask('/static', asked)).exchange.field('Location'), '/static/');
  assert.equal(
    (await ask('/static/app.js', { ...asked, fields: ['Accept-Encoding', 'br'] })).exchange.body.toString(),
    'brotli',
  );
});

test('precompressed variants: the best that the client takes, Vary in any case, the type of the file', async () => {
  const coded = async (accept: string, target = '/app.js') => {
    const { exchange } = await ask(target, { fields: accept === '' ? [] : ['Accept-Encoding', accept] });
    return [exchange.body.toString(), exchange.field('Content-Encoding'), exchange.field('Vary')];
  };
  assert.deepEqual(await coded('gzip, br'), ['brotli', 'br', 'Accept-Encoding']);
  assert.deepEqual(await coded('gzip'), ['gzip', 'gzip', 'Accept-Encoding']);
  assert.deepEqual(await coded('br;q=0, gzip;q=0'), ['code', undefined, 'Accept-Encoding']);
  assert.deepEqual(await coded(''), ['code', undefined, 'Accept-Encoding']);
  assert.deepEqual(await coded('gzip', '/ten.txt'), [ten, undefined, undefined]);
  // Older than its file: made of another content.
  assert.deepEqual(await coded('gzip', '/old.css'), ['new content', undefined, undefined]);
  const br = (await ask('/app.js', { fields: ['Accept-Encoding', 'br'] })).exchange;
  const plain = (await ask('/app.js')).exchange;
  assert.equal(br.field('Content-Type'), 'text/javascript; charset=utf-8');
  assert.notEqual(br.field('ETag'), plain.field('ETag'));
  const off = await ask('/app.js', { fields: ['Accept-Encoding', 'br'], handler: { precompressed: false } });
  assert.equal(off.exchange.body.toString(), 'code');
});

test('several ranges are one multipart answer of the announced length (RFC 9110 14.6)', async () => {
  const { exchange } = await ask('/ten.txt', { fields: ['Range', 'bytes=0-1,-2,4-4'] });
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(exchange.field('Content-Type')!)![1]!;
  assert.equal(exchange.status, 206);
  const part = (range: string, bytes: string) =>
    `\r\n--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ${range}/10\r\n\r\n${bytes}`;
  const expected = `${part('0-1', '01')}${part('4-4', '4')}${part('8-9', '89')}\r\n--${boundary}--\r\n`;
  assert.equal(exchange.body.toString(), expected);
  assert.equal(exchange.field('Content-Length'), String(expected.length));
});

test('T73: a thousand ranges are the whole, once', async () => {
  const { exchange } = await ask('/ten.txt', { fields: ['Range', `bytes=${Array(1000).fill('0-').join()}`] });
  assert.deepEqual([exchange.status, exchange.body.toString()], [200, ten]);
});

test('an error page is sent whole with its status, whatever the conditions', async () => {
  const fields = ['If-None-Match', '*', 'Range', 'bytes=0-1'];
  const { exchange } = await ask('/ten.txt', { fields, errorPage: { status: 404, fields: [] } });
  assert.deepEqual(
    [exchange.status, exchange.body.toString(), exchange.field('ETag')],
    [404, ten, undefined],
  );
});

test('T30: a folder swapped for a link between finding and opening is refused', async () => {
  mkdirSync(join(directory, 'swapped'));
  mkdirSync(join(directory, 'outside'));
  writeFileSync(join(directory, 'swapped', 'f.txt'), 'inside');
  writeFileSync(join(directory, 'outside', 'f.txt'), 'secret');
  const documentRoot = root(directory);
  assert.equal(typeof documentRoot.pin().find('/swapped/f.txt'), 'object');
  rmSync(join(directory, 'swapped'), { recursive: true });
  symlinkSync(join(directory, 'outside'), join(directory, 'swapped'));
  const { exchange } = await ask('/swapped/f.txt', { site: fakeSite({ documentRoot }) });
  assert.equal(exchange.status, 403);
  assert.doesNotMatch(exchange.body.toString(), /secret/);
});

test('T30: a file that became a link, or went away, between finding and opening', async () => {
  const path = join(directory, 'changing.txt');
  const askAfter = async (change: () => void) => {
    writeFileSync(path, 'before');
    const documentRoot = root(directory);
    assert.equal(typeof documentRoot.pin().find('/changing.txt'), 'object');
    rmSync(path);
    change();
    return (await ask('/changing.txt', { site: fakeSite({ documentRoot }) })).exchange.status;
  };
  assert.equal(await askAfter(() => {}), 404);
  assert.equal(await askAfter(() => symlinkSync(join(directory, '.htaccess'), path)), 403);
});

test('explain agrees with handle', async () => {
  const explain = (target: string, method = 'GET') => {
    const site = fakeSite({ documentRoot: root(directory) });
    return createFilesHandler({
      documentRoot: undefined,
      precompressed: true,
      sendLeftovers: false,
      guard: true,
      isProgram: () => false,
    }).explain(new FakeRequest({ site, target, method }));
  };
  assert.deepEqual(explain('/ten.txt'), { action: 'file', path: join(directory, 'ten.txt') });
  assert.deepEqual(explain('/sub?q'), { action: 'redirect', status: 301, to: '/sub/?q' });
  assert.deepEqual(explain('/sub/'), { action: 'index', name: 'index.php' });
  const status = (target: string, method?: string) => (explain(target, method) as { status: number }).status;
  assert.deepEqual(
    [status('/nothing'), status('/x.php'), status('/ten.txt', 'POST'), status('/', 'OPTIONS')],
    [404, 403, 405, 204],
  );
});

/** Requests on `ten.txt` (10 bytes) whose answers must be those of a static server that has had years of bug reports. */
const oracle: Readonly<Record<string, (etag: string) => Record<string, string>>> = {
  plain: () => ({}),
  'first bytes': () => ({ range: 'bytes=0-3' }),
  'suffix range': () => ({ range: 'bytes=-3' }),
  'open range': () => ({ range: 'bytes=7-' }),
  'range past the end': () => ({ range: 'bytes=5-500' }),
  'unsatisfiable range': () => ({ range: 'bytes=10-' }),
  'another unit': () => ({ range: 'items=0-3' }),
  'overlapping ranges': () => ({ range: 'bytes=0-3,2-5' }),
  'If-Range matches': (etag) => ({ range: 'bytes=0-3', 'if-range': etag }),
  'If-Range does not match': () => ({ range: 'bytes=0-3', 'if-range': '"other"' }),
  'If-Range by date': () => ({ range: 'bytes=0-3', 'if-range': modified.toUTCString() }),
  'If-Range by an older date': () => ({ range: 'bytes=0-3', 'if-range': 'Thu, 01 Jan 2026 00:00:00 GMT' }),
  'If-None-Match': (etag) => ({ 'if-none-match': etag }),
  'If-None-Match *': () => ({ 'if-none-match': '*' }),
  'If-None-Match list': (etag) => ({ 'if-none-match': `"a", W/${etag}, "b"` }),
  'If-None-Match other, not modified since': () => ({
    'if-none-match': '"other"',
    'if-modified-since': modified.toUTCString(),
  }),
  'If-Modified-Since same': () => ({ 'if-modified-since': modified.toUTCString() }),
  'If-Modified-Since earlier': () => ({ 'if-modified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' }),
  'If-Match other': () => ({ 'if-match': '"other"' }),
  'If-Unmodified-Since earlier': () => ({ 'if-unmodified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' }),
};

test('answers are those of @fastify/send', async (t) => {
  const server = createServer(async (req: IncomingMessage, res) => {
    const { statusCode, headers, stream } = await send(req, req.url!, { root: directory });
    res.writeHead(statusCode, headers);
    stream.pipe(res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(() => server.close());
  const etags = {
    ours: (await ask('/ten.txt')).exchange.field('ETag')!,
    theirs: (await fetchAnswer(base, '/ten.txt')).headers.etag!.replace('W/', ''),
  };
  for (const method of ['GET', 'HEAD']) {
    for (const [name, fieldsFor] of Object.entries(oracle)) {
      // Theirs are weak tags, which rightly never satisfy If-Range.
      if (name === 'If-Range matches') continue;
      // RFC 9110 14.2: Range is defined for GET alone; they honour it for HEAD too.
      if (method === 'HEAD' && 'range' in fieldsFor('')) continue;
      const theirs = await fetchAnswer(base, '/ten.txt', { method, headers: fieldsFor(etags.theirs) });
      const fields = Object.entries(fieldsFor(etags.ours)).flat();
      const { exchange } = await ask('/ten.txt', { method, fields });
      const compared = ['content-range', 'last-modified'] as const;
      const isError = theirs.status >= 400;
      assert.deepEqual(
        {
          status: exchange.status,
          body: isError ? '' : exchange.body.toString(),
          fields: isError ? [] : compared.map((field) => exchange.field(field)),
        },
        {
          status: theirs.status,
          body: isError ? '' : theirs.text,
          fields: isError ? [] : compared.map((field) => theirs.headers[field]),
        },
        `${method} ${name}`,
      );
    }
  }
  const matched = await ask('/ten.txt', { fields: ['Range', 'bytes=0-3', 'If-Range', etags.ours] });
  assert.deepEqual([matched.exchange.status, matched.exchange.body.toString()], [206, '0123']);
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

for (const target of ['/ten.txt', '/large.bin']) {
  testHandler(`files, ${target}`, () => {
    const site = fakeSite({ documentRoot: root(directory), scriptExtensions: new Set(['php']) });
    return {
      handler: createFilesHandler({
        documentRoot: undefined,
        precompressed: true,
        sendLeftovers: false,
        guard: true,
        isProgram: () => false,
      }),
      answered: { target, site },
      refused: { target: '/missing.txt', site },
    };
  });
}
