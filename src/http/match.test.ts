import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMatch } from '../../test/support/match.ts';
import type { MatchInput } from '../config/types.ts';
import { asksForAddress, everything, mentionedExtensions, printMatch, takesAll, takesPath } from './match.ts';

const written: readonly (readonly [title: string, match: MatchInput, printed?: MatchInput])[] = [
  ['one key', { directory: '/a' }],
  ['the root', { directory: '/' }],
  [
    'all keys',
    {
      method: ['GET'],
      path: '/a',
      directory: '/b',
      extensions: ['php'],
      request: '^/a[/]\\\\/b\\/?$',
      from: ['10.0.0.0/8', 'unix'],
      header: { accept: { regex: 'a/b' }, cookie: true, 'x-a': 'b' },
      query: { a: 'b' },
      exists: 'request',
      any: [{ path: '/a' }, { path: '/b', extensions: ['php'] }],
      not: { exists: ['a', '/b'] },
    },
    {
      method: ['GET'],
      path: '/a',
      directory: '/b',
      extensions: ['php'],
      request: '^/a[/]\\\\/b/?$',
      from: ['10.0.0.0/8', 'unix'],
      header: { accept: { regex: 'a/b' }, cookie: true, 'x-a': 'b' },
      query: { a: 'b' },
      exists: 'request',
      any: [{ path: '/a' }, { path: '/b', extensions: ['php'] }],
      not: { exists: ['a', '/b'] },
    },
  ],
  ['lists of one', { extensions: 'php', method: 'get' }, { method: ['GET'], extensions: ['php'] }],
  [
    'lists in lists',
    { all: [{ all: [{ directory: '/a' }] }, { any: [{ any: [{ path: '/b' }, { path: '/c' }] }] }] },
    { directory: '/a', any: [{ path: '/b' }, { path: '/c' }] },
  ],
  [
    'a key twice',
    { directory: '/a', all: [{ directory: '/b' }, { directory: '/c', not: { exists: true } }] },
  ],
  ['what is found by two expressions', { request: 'a', exists: 'request', all: [{ request: 'b' }] }],
  [
    'a part of a path that no expression names',
    { path: '/a', exists: 'request' },
    { path: '/a', exists: true },
  ],
];

for (const [title, match, printed = match] of written) {
  test(`a match is printed as people write it, and is the same when it is read again: ${title}`, () => {
    const parsed = parseMatch(match);
    assert.deepEqual(printMatch(parsed), printed);
    assert.deepEqual(parseMatch(printMatch(parsed) as MatchInput), parsed);
  });
}

test('everything is not printed', () => assert.equal(printMatch(everything), undefined));

test('extensions that are mentioned, however deep, but not those that are excepted (T31)', () => {
  const mentioned = (match: MatchInput) => mentionedExtensions(parseMatch(match));
  assert.deepEqual(mentioned({ all: [{ any: [{ extensions: ['pl', 'py'] }, { path: '/a.cgi' }] }] }), [
    'pl',
    'py',
    'cgi',
  ]);
  assert.deepEqual(mentioned({ not: { extensions: ['pl'], not: { extensions: 'py' } } }), ['py']);
  for (const request of ['\\.(pl|PY)$', '\\.(?:pl|py)(/|$)', '\\.(pl|py)(?=/|$)', '\\.(pl|py)(?:/|$)'])
    assert.deepEqual(mentioned({ request }), ['pl', 'py'], request);
  assert.deepEqual(mentioned({ request: '^/a$' }), []);
});

test('what takes every request', () => {
  const takes = (match: MatchInput) => takesAll(parseMatch(match));
  assert.ok(takesAll(everything));
  assert.ok(takes({ any: [{ path: '/a' }, { directory: '/' }] }));
  assert.ok(!takes({ directory: '/', path: '/a' }));
  assert.ok(!takes({ not: { directory: '/' } }));
});

test('what asks for addresses, but not for a client without one (S17)', () => {
  const asks = (match: MatchInput) => asksForAddress(parseMatch(match));
  assert.ok(asks({ any: [{ path: '/a' }, { not: { from: '10.0.0.0/8' } }] }));
  assert.ok(!asks({ from: ['10.0.0.0/8', 'unix'] }));
  assert.ok(!asks({ path: '/a' }));
});

test('what a match says of a path alone', () => {
  const takes = (match: MatchInput, path: string) => takesPath(parseMatch(match), path);
  assert.ok(takes({ extensions: 'pl', from: '10.0.0.0/8' }, '/a.pl'));
  assert.ok(!takes({ extensions: 'pl', directory: '/b' }, '/a.pl'));
  assert.ok(!takes({ method: 'GET' }, '/a.pl'));
  assert.ok(takes({ extensions: 'pl', not: { directory: '/b' } }, '/a.pl'));
  assert.ok(!takes({ extensions: 'pl', not: { directory: '/b' } }, '/b/a.pl'));
});
