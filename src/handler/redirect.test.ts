import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeRequest } from '../../test/support/fake-request.ts';
import { createErrorHandler } from './error.ts';
import { createRedirectHandler } from './redirect.ts';

function redirect(
  to: string,
  target: string,
  captures: readonly string[] = [],
  internal = false,
): FakeRequest {
  const request = Object.assign(new FakeRequest({ target }), { captures });
  createRedirectHandler({ to, status: 308, internal }).handle(request);
  return request;
}

const location = (to: string, target: string, captures?: readonly string[]) =>
  redirect(to, target, captures).exchange.field('Location');

test('an external redirect has its status, a Location and no body', () => {
  const { exchange } = redirect('https://new.test/x', '/old');
  assert.deepEqual(
    [exchange.status, exchange.field('Location'), exchange.ended],
    [308, 'https://new.test/x', true],
  );
  assert.equal(exchange.field('Content-Length'), '0');
});

test('the query is kept, unless the target has its own', () => {
  assert.equal(location('/new', '/old?a=1&b'), '/new?a=1&b');
  assert.equal(location('/new?x', '/old?a=1'), '/new?x');
  assert.equal(location('/new#part', '/old?a=1'), '/new?a=1#part');
  assert.equal(location('/new', '/old'), '/new');
});

test('captures are encoded again, so that they stay in the path', () => {
  const captures = ['/blog/a b?c\r\nX: y', 'a b?c\r\nX: y', ''];
  assert.equal(location('/new/$1/$2-$3', '/', captures), '/new/a%20b%3Fc%0D%0AX:%20y/-');
  assert.equal(location('/$$1', '/', captures), '/$1');
});

test('a capture cannot name another host', () => {
  assert.equal(location('$1', '/', ['', '//evil.test']), '/evil.test');
  assert.equal(location('/$1', '/', ['', '/evil.test']), '/evil.test');
  assert.equal(location('//cdn.test/$1', '/', ['', 'x']), '//cdn.test/x');
});

test('an internal redirect runs the rules again and keeps the method', () => {
  const { redirects, exchange } = redirect('/index.php', '/page?a=1', [], true);
  assert.deepEqual(redirects, [{ target: '/index.php?a=1', keepMethod: true }]);
  assert.equal(exchange.headSent, false);
});

test('explain', () => {
  const request = new FakeRequest({ target: '/a' });
  const explain = (internal: boolean) =>
    createRedirectHandler({ to: '/b', status: 302, internal }).explain(request);
  assert.deepEqual(explain(false), { action: 'redirect', status: 302, to: '/b' });
  assert.deepEqual(explain(true), { action: 'rewrite', to: '/b' });
});

test('the error handler answers with the page of its status, and logs nothing', () => {
  const request = new FakeRequest();
  const handler = createErrorHandler(403);
  handler.handle(request);
  assert.deepEqual([request.exchange.status, request.logged], [403, []]);
  assert.deepEqual(handler.explain(request), {
    action: 'error',
    status: 403,
    reason: 'The rule says 403 Forbidden',
  });
});
