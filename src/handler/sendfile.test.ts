import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeRequest, fakeRoot, fakeSite } from '../../test/support/fake-request.ts';
import { ScriptedSource } from '../../test/support/scripted-source.ts';
import { createFailover } from '../balancer/failover.ts';
import { systemClock } from '../base/clock.ts';
import { createFastcgiHandler, type FastcgiHandlerOptions } from './fastcgi.ts';

const base = realpathSync(mkdtempSync(join(tmpdir(), 'sendfile-')));
after(() => rmSync(base, { recursive: true }));
mkdirSync(join(base, 'files/protected'), { recursive: true });
writeFileSync(join(base, 'files/a.txt'), '0123456789');
writeFileSync(join(base, 'files/protected/b c.txt'), 'protected');
writeFileSync(join(base, 'secret.txt'), 'secret');
symlinkSync('../secret.txt', join(base, 'files/link.txt'));

/** One answer with this head, and what the client sees of it. */
async function answer(
  head: string,
  fields: readonly string[] = [],
  options: Partial<FastcgiHandlerOptions> = {},
): Promise<FakeRequest> {
  const source = new ScriptedSource('php', (application) => {
    application.print(`${head}\n\nnot this`);
    application.print(' and not this');
    application.end();
  });
  const request = new FakeRequest({
    target: '/a.php',
    fields: ['Host', 'site.test', ...fields],
    site: fakeSite({ documentRoot: fakeRoot(join(base, 'files'), { '/a.php': 1 }) }),
  });
  createFastcgiHandler({
    balancer: createFailover([{ source, weight: 1 }]),
    checkFile: true,
    guard: true,
    scriptAlias: undefined,
    errorHandler: true,
    passRequestHeaders: true,
    underscoreHeaders: [],
    xSendfile: true,
    sendfileRoots: [join(base, 'files')],
    accelRoots: {},
    env: new Map(),
    documentRoot: undefined,
    scriptRoot: undefined,
    clientOf: undefined,
    bufferRequest: true,
    bufferResponse: true,
    maxBodyBytes: 1_000_000,
    localRedirect: false,
    failurePattern: undefined,
    errorPages: new Map(),
    serverSoftware: 'fastway/test',
    clock: { ...systemClock, now: () => 0 },
    random: () => 0.5,
    spoolDir: base,
    ...options,
  }).handle(request);
  await request.exchange.whenEnded();
  return request;
}

test('the file is sent in place of the output, with what the application says about it', async () => {
  const { exchange } = await answer(
    `X-Sendfile: ${base}/files/a.txt\nContent-Type: text/x-mine\nContent-Disposition: attachment\nSet-Cookie: a=b\nContent-Length: 8\nETag: "php"`,
  );
  assert.equal(exchange.status, 200);
  assert.equal(exchange.body.toString(), '0123456789');
  assert.equal(exchange.field('Content-Type'), 'text/x-mine');
  assert.equal(exchange.field('Content-Disposition'), 'attachment');
  assert.equal(exchange.field('Set-Cookie'), 'a=b');
  assert.equal(exchange.field('Content-Length'), '10');
  assert.notEqual(exchange.field('ETag'), '"php"');
  assert.equal(exchange.field('X-Sendfile'), undefined);
});

test('ranges and validators are those of the file', async () => {
  const head = `X-Sendfile: ${base}/files/a.txt\nContent-Type: text/plain`;
  const part = await answer(head, ['Range', 'bytes=2-4']);
  assert.equal(part.exchange.status, 206);
  assert.equal(part.exchange.body.toString(), '234');
  const whole = await answer(head);
  const again = await answer(head, ['If-None-Match', whole.exchange.field('ETag')!]);
  assert.equal(again.exchange.status, 304);
});

test('X-Accel-Redirect: a path below a root, percent-encoded, or an absolute one', async () => {
  for (const [value, body] of [
    ['/protected/b%20c.txt?x=1', 'protected'],
    [`${base}/files/a.txt`, '0123456789'],
  ]) {
    const { exchange } = await answer(`X-Accel-Redirect: ${value}`);
    assert.equal(exchange.body.toString(), body);
    assert.equal(exchange.field('X-Accel-Redirect'), undefined);
  }
});

test('X-Accel-Redirect: a prefix stands for a directory, the longest for its own, and nothing beside it is sent', async () => {
  const accelRoots = {
    '/protected/': join(base, 'files'),
    '/protected/deep/': join(base, 'files/protected'),
  };
  const options = { accelRoots, sendfileRoots: [join(base, 'files')] };
  const ask = (path: string) => answer(`X-Accel-Redirect: ${path}`, [], options);
  assert.equal((await ask('/protected/a.txt')).exchange.body.toString(), '0123456789');
  assert.equal((await ask('/protected/deep/b%20c.txt')).exchange.body.toString(), 'protected');
  for (const path of [
    '/protected/../secret.txt',
    '/protected/%2e%2e/secret.txt',
    '/protected/link.txt',
    '/protected/deep/../a.txt',
    '/protected/deep/a.txt',
    '/protected/',
    '/protected',
  ]) {
    assert.equal((await ask(path)).exchange.status, 502, path);
  }
});

test('the application’s own path is translated with scriptRoot', async () => {
  const { exchange } = await answer('X-Sendfile: /app/a.txt', [], { scriptRoot: '/app' });
  assert.equal(exchange.body.toString(), '0123456789');
});

test('nothing outside the roots is sent, whatever the spelling: 502 and the reason in the log (T71)', async () => {
  for (const head of [
    'X-Sendfile: /etc/passwd',
    `X-Sendfile: ${base}/files/../secret.txt`,
    `X-Sendfile: ${base}/files/link.txt`,
    `X-Sendfile: ${base}/files`,
    `X-Sendfile: ${base}/files/none.txt`,
    'X-Sendfile: a.txt',
    'X-Accel-Redirect: /etc/passwd',
    'X-Accel-Redirect: /../secret.txt',
    'X-Accel-Redirect: /%2e%2e/secret.txt',
    'X-Accel-Redirect: /link.txt',
    'X-Accel-Redirect: /a%00.txt',
    'X-Accel-Redirect: /a%zz.txt',
    'X-Accel-Redirect: protected/b.txt',
  ]) {
    const request = await answer(head);
    assert.equal(request.exchange.status, 502, head);
    assert.doesNotMatch(request.exchange.body.toString(), /secret|root:|not this/);
    assert.equal(request.failures[0]!.code, 'GW_ERR_CGI_SENDFILE');
    assert.equal(request.logged.length, 1);
  }
});

test('with no root allowed nothing is sent; with the option off field and output pass, and the log says so', async () => {
  const head = `X-Sendfile: ${base}/files/a.txt`;
  const none = await answer(head, [], { sendfileRoots: [] });
  assert.equal(none.exchange.status, 502);
  assert.match(none.logged[0]!, /sendfileRoots is empty/);
  const off = await answer(head, [], { xSendfile: false });
  assert.equal(off.exchange.body.toString(), 'not this and not this');
  assert.equal(off.exchange.field('X-Sendfile'), `${base}/files/a.txt`);
  assert.match(off.logged.join('\n'), /asks for a file to be sent \(X-Sendfile\), and "xSendfile" .* is off/);
});
