import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeRequest, fakeRoot, fakeSite } from '../../test/support/fake-request.ts';
import { GatewayError, HttpRequestError, SourceError } from '../base/errors.ts';
import { respondError, respondStatus } from './error-response.ts';

const root = mkdtempSync(join(tmpdir(), 'error-pages-'));
after(() => rmSync(root, { recursive: true }));
writeFileSync(join(root, 'down.html'), '<p>We are down</p>');

function siteWith(pages: Record<number, string>) {
  return fakeSite({
    documentRoot: fakeRoot(root, { '/down.html': 18, '/huge.html': 2_000_000, '/gone.html': 5 }),
    errorPages: new Map(Object.entries(pages).map(([status, page]) => [Number(status), page])),
  });
}

test('an error becomes its status, a page with the request id and nothing else, and one log line', () => {
  const request = new FakeRequest({ target: '/secret.php' });
  respondError(
    request,
    new SourceError('GW_ERR_SOURCE_CONNECT', 'Could not connect to unix:/run/secret.sock', {
      delivery: 'unsent',
    }),
  );
  assert.equal(request.exchange.status, 503);
  assert.equal(request.exchange.field('Retry-After'), '1');
  assert.equal(request.exchange.field('Content-Type'), 'text/html; charset=utf-8');
  assert.equal(request.exchange.field('X-Content-Type-Options'), 'nosniff');
  assert.equal(Number(request.exchange.field('Content-Length')), request.exchange.body.length);
  const page = request.exchange.body.toString();
  assert.match(page, /503 Service Unavailable[\s\S]*Request r1/);
  assert.doesNotMatch(page, /secret|sock/);
  assert.deepEqual(request.logged, ['warn Could not connect to unix:/run/secret.sock']);
  assert.equal(request.loggedFields[0]!.code, 'GW_ERR_SOURCE_CONNECT');
});

test('the source knows better when to come back', () => {
  const request = new FakeRequest();
  respondError(
    request,
    new SourceError('GW_ERR_SOURCE_EXITED', 'x', { delivery: 'unsent', retryAfterSeconds: 17 }),
  );
  assert.equal(request.exchange.field('Retry-After'), '17');
});

test('a method that is refused is told which are not (RFC 9110 15.5.6)', () => {
  const request = new FakeRequest();
  respondError(request, new HttpRequestError('GW_ERR_HTTP_METHOD', 'x'));
  assert.equal(request.exchange.status, 405);
  assert.equal(request.exchange.field('Allow'), 'GET, HEAD, POST, OPTIONS');
});

test('once the head was sent, an error cuts', () => {
  const request = new FakeRequest();
  request.exchange.respond(200, 'OK', []);
  respondError(request, new GatewayError('GW_ERR_INTERNAL', 'x'));
  assert.equal(request.exchange.wasCut, true);
  assert.equal(request.exchange.status, 200);
  assert.equal(request.logged.length, 1);
});

test('a client that has gone gets nothing', () => {
  const request = new FakeRequest();
  request.exchange.leave();
  respondError(request, new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'x'));
  assert.equal(request.exchange.headSent, false);
});

for (const [accept, html] of [
  [undefined, true],
  ['*/*', true],
  ['text/html,application/xml;q=0.9', true],
  ['Text/HTML', true],
  ['application/json', false],
  ['text/html;q=0, text/plain', false],
] as const) {
  test(`Accept: ${accept} gets ${html ? 'HTML' : 'plain text'}`, () => {
    const request = new FakeRequest({ fields: accept === undefined ? [] : ['accept', accept] });
    respondStatus(request, 404);
    assert.equal(request.exchange.field('Content-Type')?.startsWith('text/html'), html);
    assert.equal(
      request.exchange.body.toString().startsWith(html ? '<!doctype html>' : '404 Not Found\n'),
      true,
    );
  });
}

test('HEAD has the head of the page and no body', () => {
  const request = new FakeRequest({ method: 'HEAD' });
  respondStatus(request, 404);
  assert.ok(Number(request.exchange.field('Content-Length')) > 0);
  assert.equal(request.exchange.body.length, 0);
});

test('an error page may be elsewhere', () => {
  const request = new FakeRequest({ site: siteWith({ 404: 'https://help.test/' }) });
  respondStatus(request, 404);
  assert.equal(request.exchange.status, 302);
  assert.equal(request.exchange.field('Location'), 'https://help.test/');
});

test('or a path of the site, with the status kept', () => {
  const request = new FakeRequest({ site: siteWith({ 404: '/missing.php?x=1' }) });
  respondStatus(request, 404);
  assert.deepEqual(request.redirects, [
    { target: '/missing.php?x=1', keepMethod: false, errorPage: { status: 404, fields: [] } },
  ]);
});

test('or a file below the document root, with the status and its fields', async () => {
  const request = new FakeRequest({ site: siteWith({ 503: 'down.html' }) });
  respondStatus(request, 503, ['Retry-After', '5']);
  await request.exchange.whenEnded();
  assert.equal(request.exchange.status, 503);
  assert.equal(request.exchange.body.toString(), '<p>We are down</p>');
  assert.equal(request.exchange.field('Content-Type'), 'text/html; charset=utf-8');
  assert.equal(request.exchange.field('Retry-After'), '5');
});

for (const [page, reason] of [
  ['nowhere.html', 'not there'],
  ['huge.html', 'more than 1048576 bytes'],
  ['gone.html', 'is gone'],
] as const) {
  test(`a page that cannot be sent (${reason}) is said in the log, and ours is sent`, async () => {
    const request = new FakeRequest({ site: siteWith({ 500: page }) });
    respondStatus(request, 500);
    await request.exchange.whenEnded();
    assert.equal(request.exchange.status, 500);
    assert.match(request.exchange.body.toString(), /Request r1/);
    assert.match(
      request.logged[0]!,
      new RegExp(`warn Error page .*${page} for status 500 was not sent: .*${reason}`),
    );
  });
}

test("the rule's own pages come before the site's", () => {
  const request = new FakeRequest({ site: siteWith({ 404: '/site.php' }) });
  respondStatus(request, 404, [], new Map([[404, '/rule.php']]));
  assert.equal(request.redirects[0]!.target, '/rule.php');
});

test('an error page that fails itself is answered with our page of the first status', () => {
  const request = new FakeRequest({
    site: siteWith({ 404: '/missing.php' }),
    errorPage: { status: 503, fields: [] },
  });
  respondError(request, new HttpRequestError('GW_ERR_HTTP_NOT_FOUND', 'x'));
  assert.equal(request.exchange.status, 503);
  assert.deepEqual(request.redirects, []);
});
