import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeRequest } from '../../test/support/fake-request.ts';
import { createErrorHandler } from './error.ts';
import { testHandler } from './handler.contract.ts';
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

test('the query is added, unless the target says otherwise', () => {
  assert.equal(location('/new', '/old?a=1&b'), '/new?a=1&b');
  assert.equal(location('/new?x', '/old?a=1'), '/new?x&a=1');
  assert.equal(location('/new?x', '/old'), '/new?x');
  assert.equal(location('/new?x?', '/old?a=1'), '/new?x');
  assert.equal(location('/new?', '/old?a=1'), '/new');
  assert.equal(location('/new?#part', '/old?a=1'), '/new#part');
  assert.equal(location('/new?$query&x=1', '/old?a=1'), '/new?a=1&x=1');
  assert.equal(location('/new?x=1&$query', '/old'), '/new?x=1');
  assert.equal(location('/new?$query', '/old'), '/new');
  assert.equal(location('/new#part', '/old?a=1'), '/new?a=1#part');
  assert.equal(location('/new', '/old'), '/new');
});

test('captures are encoded again, so that they stay in the path', () => {
  const captures = ['/blog/a b?c\r\nX: y', 'a b?c\r\nX: y', ''];
  assert.equal(location('/new/$1/$2-$3', '/', captures), '/new/a%20b%3Fc%0D%0AX:%20y/-');
  assert.equal(location('/$$1', '/', captures), '/$1');
});

test('each variable is encoded for the part of the URL in which it stands', () => {
  const captures = ['', 'AT&T=a+b;c#d?e%f/\xe9 \xe4'];
  const encoded = 'AT%26T%3Da%2Bb%3Bc%23d%3Fe%25f/%E9%20%E4';
  assert.equal(location('/index.php?p=$1', '/', captures), `/index.php?p=${encoded}`);
  assert.equal(location(`/index.php?p=$\{1}x#$1`, '/', captures), `/index.php?p=${encoded}x#${encoded}`);
  assert.equal(location('/$1', '/', captures), '/AT&T=a+b;c%23d%3Fe%25f/%E9%20%E4');
  assert.equal(location('https://$host$path', '/a%20b?c=d'), 'https://site.test/a%20b?c=d');
  assert.equal(location('/login?to=$path%3F$query', '/a%26b?c=d'), '/login?to=/a%26b%3Fc=d');
  assert.equal(location('/x/$query', '/?a=1%20/../b'), '/x/a=1%2520/../b');
});

test('`$0` is what the expression found, and the path without one', () => {
  assert.equal(location('/new$0', '/old/a%3Fb', ['/old']), '/new/old');
  assert.equal(location('/new$0', '/old/a%3Fb'), '/new/old/a%3Fb');
});

test('an encoded slash stays encoded, in a path and in a query', () => {
  assert.equal(location('/new$path?title=$0', '/wiki/AC%2fDC'), '/new/wiki/AC%2FDC?title=/wiki/AC%2FDC');
});

test('a capture stays within a host name', () => {
  assert.equal(location('https://$1.test/', '/', ['', 'evil.com/']), 'https://evil.com%2f.test/');
  assert.equal(location('//$1.test/', '/', ['', 'a@evil.com:1']), '//a%40evil.com%3a1.test/');
  assert.equal(location('https://$1.test/', '/', ['', '/evil.com/']), 'https://%2fevil.com%2f.test/');
  assert.equal(location('https://a.test$1', '/', ['', '/b c']), 'https://a.test/b%20c');
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

testHandler('redirect', () => ({
  handler: createRedirectHandler({ to: 'https://new.test/x', status: 308, internal: false }),
  answered: { target: '/old?a=1' },
}));

testHandler('error', () => ({
  handler: createErrorHandler(410),
  answered: { target: '/gone' },
  refused: { target: '/gone' },
}));
