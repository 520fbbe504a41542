import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeExchange } from '../../test/support/fake-exchange.ts';
import { fakeRoot } from '../../test/support/fake-request.ts';
import { compileWritten } from '../../test/support/match.ts';
import type { MatchInput } from '../config/types.ts';
import { parseTarget } from '../http/target.ts';
import type { MatchResult } from './rule.ts';

const documentRoot = fakeRoot('/srv', { '/index.php': 1, '/sub/a.txt': 1, '/maintenance.on': 1 });

interface Asked {
  readonly method?: string;
  readonly fields?: readonly string[];
  readonly from?: string;
}

function ask(config: MatchInput | undefined, target: string, asked: Asked = {}): MatchResult | undefined {
  const exchange = new FakeExchange({ target, fields: asked.fields ?? [] });
  return compileWritten(config)({
    exchange,
    method: asked.method ?? 'GET',
    target: parseTarget(target),
    authority: undefined,
    clientAddress: asked.from ?? '192.0.2.1',
    site: { documentRoot, directoryIndex: ['index.php'] },
    pin: (root) => root.pin(),
  });
}

const matches = (config: MatchInput | undefined, target: string, asked?: Asked) =>
  ask(config, target, asked) !== undefined;

test('no match matches everything', () => {
  assert.deepEqual(ask(undefined, '/x'), {
    directory: '',
    captures: [],
    extensions: undefined,
    isWholePath: false,
    nearest: '',
  });
});

test('T28: a directory holds whole segments', () => {
  assert.equal(ask({ directory: '/static' }, '/static/a.css')?.directory, '/static');
  assert.equal(ask({ directory: '/static/' }, '/static')?.directory, '/static');
  for (const path of ['/staticx', '/static../x', '/', '/a/static/b'])
    assert.ok(!matches({ directory: '/static' }, path));
  assert.equal(ask({ directory: '/' }, '/anything')?.directory, '');
});

test('T29: every spelling of a path has the same verdict', () => {
  for (const path of [
    '/admin/x',
    '/%61dmin/x',
    '//admin//x',
    '/./admin/x',
    '/b/../admin/x',
    '/%2e/admin/x',
  ]) {
    assert.ok(matches({ directory: '/admin' }, path), path);
  }
});

test('T21: an extension ends a segment', () => {
  const php = { extensions: ['php'] };
  assert.deepEqual(ask(php, '/a.php')?.extensions, ['php']);
  for (const path of ['/a.php/info', '/a.PHP', '/x.y/a.php/b']) assert.ok(matches(php, path), path);
  for (const path of ['/a.php.bak', '/x.php.jpg', '/php', '/a.phpx', '/'])
    assert.ok(!matches(php, path), path);
});

test('an exact path, a method', () => {
  assert.ok(matches({ path: '/a b' }, '/a%20b?q'));
  assert.ok(!matches({ path: '/a' }, '/a/'));
  assert.ok(matches({ method: ['GET', 'POST'] }, '/', { method: 'POST' }));
  assert.ok(!matches({ method: ['GET'] }, '/', { method: 'get' }));
});

test('a regular expression over the decoded path gives captures, also empty ones', () => {
  assert.deepEqual(ask({ request: '^/blog/(\\d+)(/x)?$' }, '/blog/%37')?.captures, ['/blog/7', '7', '']);
  assert.ok(!matches({ request: 'secret' }, '/?secret'));
});

test('exists: the file or directory itself, or a name in its directory or the root', () => {
  assert.ok(matches({ exists: true }, '/index.php'));
  assert.ok(matches({ exists: true }, '/sub/'));
  assert.ok(!matches({ exists: true }, '/none'));
  assert.ok(matches({ exists: ['none', 'a.txt'] }, '/sub/'));
  assert.ok(matches({ exists: ['a.txt'] }, '/sub/other'));
  assert.ok(!matches({ exists: ['a.txt'] }, '/'));
  assert.ok(matches({ exists: ['/none', '/index.php'] }, '/sub/other'));
  assert.ok(!matches({ exists: ['/a.txt'] }, '/sub/other'));
  const forbidden = compileWritten({ exists: true });
  const input = {
    exchange: new FakeExchange(),
    method: 'GET',
    target: parseTarget('/x'),
    authority: undefined,
    clientAddress: '',
    site: { documentRoot, directoryIndex: [] },
    pin: () => ({ ...documentRoot, find: () => 'forbidden' as const }),
  };
  assert.ok(forbidden(input) !== undefined);
});

test('header values: equal, by expression, or there at all', () => {
  const fields = ['X-Mode', 'fast', 'x-mode', 'safe', 'Accept', 'text/html'];
  assert.ok(matches({ header: { 'x-mode': 'fast, safe' } }, '/', { fields }));
  assert.ok(!matches({ header: { 'x-mode': 'fast' } }, '/', { fields }));
  assert.ok(matches({ header: { accept: { regex: 'html' } } }, '/', { fields }));
  assert.ok(matches({ header: { accept: true, 'x-mode': true } }, '/', { fields }));
  assert.ok(!matches({ header: { accept: true, cookie: true } }, '/', { fields }));
});

test('query parameters are decoded', () => {
  assert.ok(matches({ query: { 'a b': 'c&d' } }, '/?x=1&a+b=c%26d'));
  assert.ok(matches({ query: { a: true } }, '/?a'));
  assert.ok(matches({ query: { a: { regex: '^2' } } }, '/?a=1&a=2'));
  assert.ok(!matches({ query: { a: '1' } }, '/?b=1'));
  assert.ok(!matches({ query: { a: true } }, '/'));
  assert.ok(!matches({ query: { a: '%' } }, '/?a=%25x'));
});

test('addresses of the client', () => {
  const inner = { from: ['10.0.0.0/8', '::1'] };
  assert.ok(matches(inner, '/', { from: '10.1.1.1' }));
  assert.ok(matches(inner, '/', { from: '::1' }));
  assert.ok(!matches(inner, '/'));
});

test('all, any and not, and several keys in one', () => {
  const admin: MatchInput = { all: [{ directory: '/admin' }, { not: { from: ['10.0.0.0/8'] } }] };
  assert.ok(matches(admin, '/admin'));
  assert.ok(!matches(admin, '/admin', { from: '10.0.0.1' }));
  assert.ok(!matches(admin, '/'));
  const either: MatchInput = { any: [{ path: '/a' }, { directory: '/b' }] };
  assert.equal(ask(either, '/b/c')?.directory, '/b');
  assert.ok(!matches(either, '/c'));
  assert.ok(!matches({ directory: '/a', method: ['POST'] }, '/a'));
});

test('what several parts say is put together, the first to say it is heard', () => {
  const config: MatchInput = {
    extensions: ['php'],
    all: [{ directory: '/a' }, { request: '(b)' }, { directory: '/a/b' }, { extensions: ['x', 'php'] }],
  };
  assert.deepEqual(ask(config, '/a/b/c.php'), {
    directory: '/a',
    captures: ['b', 'b'],
    extensions: ['php'],
    isWholePath: false,
    nearest: '',
  });
});
