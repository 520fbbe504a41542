import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fuzz } from '../../test/fuzz/target.ts';
import { createRandom } from '../../test/support/random.ts';
import type { ErrorCode, HttpRequestError } from '../base/errors.ts';
import { encodePath, extensionOf, findExtensionEnd, isWithin, parseTarget } from './target.ts';

const refuses = (raw: string, code: ErrorCode, style?: 'posix' | 'win32') =>
  assert.throws(
    () => parseTarget(raw, style),
    (error: HttpRequestError) => error.name === 'HttpRequestError' && error.code === code,
    raw,
  );

test('origin form: path and query apart, the query untouched', () => {
  assert.deepEqual(parseTarget('/a/b.php?x=%20&y=/../?'), {
    path: '/a/b.php',
    encodedSlash: -1,
    query: 'x=%20&y=/../?',
    hasQuery: true,
    authority: undefined,
  });
  assert.equal(parseTarget('/a?').hasQuery, true);
  assert.equal(parseTarget('/a').hasQuery, false);
});

test('decodes once, byte by byte', () => {
  const cases = [
    ['/x%20y/%C3%A4', '/x y/\xc3\xa4'],
    ['/%FF', '/\xff'],
    ['/a%3fb%23c', '/a?b#c'],
    ['/%252e%252e/', '/%2e%2e/'],
    ['/100%25', '/100%'],
    ['/..%5c..%5cx', '/..\\..\\x'],
    ['/a\\b', '/a\\b'],
    ['/\xe4', '/\xe4'],
    ['/a%2Eb', '/a.b'],
  ] as const;
  for (const [raw, path] of cases) {
    assert.equal(parseTarget(raw).path, path, raw);
  }
});

test('removes dot segments and empty segments, also encoded ones', () => {
  const cases = [
    ['/', '/'],
    ['//', '/'],
    ['//evil/share', '/evil/share'],
    ['/a//b///c', '/a/b/c'],
    ['/a/', '/a/'],
    ['/a//', '/a/'],
    ['/a/.', '/a/'],
    ['/a/..', '/'],
    ['/a/b/..', '/a/'],
    ['/a/./b/../c', '/a/c'],
    ['/a/%2e%2e/b', '/b'],
    ['/a/.%2E/b', '/b'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a/...', '/a/...'],
    ['/..a/b..', '/..a/b..'],
  ] as const;
  for (const [raw, path] of cases) assert.equal(parseTarget(raw).path, path, raw);
});

test('refuses what leads above the root, control bytes, broken escapes and the fragment', () => {
  for (const raw of [
    '/..',
    '/../../x',
    '/%2e%2e/x',
    '/.%2e/',
    '/a/..//../etc',
    '/%00',
    '/avatar.jpg%00.php',
    '/%0a',
    '/%1F',
    '/%7f',
    '/a b',
    '/a\tb',
    '/a\x7f',
    '/a?b c',
    '/a?\0',
    '/%',
    '/%1',
    '/%zz',
    '/%u0041',
    '/a#/../x',
    '/a?b#c',
    '/\u0130',
    '',
    'a',
    'example.com:443',
    'ftp://a/',
    'http://',
    'http:///x',
    'http://user@a/',
    'http://a:99999/',
    'http://a b/',
    '**',
  ]) {
    refuses(raw, 'GW_ERR_HTTP_TARGET');
  }
});

test('an encoded slash never becomes one, and is told of (T26)', () => {
  const read = (raw: string) => [parseTarget(raw).path, parseTarget(raw).encodedSlash];
  assert.deepEqual(read('/a%2f..%2fadmin'), ['/a%2F..%2Fadmin', 2]);
  assert.deepEqual(read('/x/%2e%2e/a%2Fb/..'), ['/', -1]);
  assert.deepEqual(read('/x/../b/%2e%2f'), ['/b/.%2F', 4]);
  assert.deepEqual(read('/a%252fb'), ['/a%2fb', -1]);
  assert.deepEqual(read('/a%252Fb/%2f'), ['/a%2Fb/%2F', 2]);
  refuses('/a%2f%00', 'GW_ERR_HTTP_TARGET');
  assert.equal(parseTarget('/a?b=%2f').query, 'b=%2f');
});

test('on Windows a backslash is refused, raw and encoded', () => {
  refuses('/a\\b', 'GW_ERR_HTTP_TARGET', 'win32');
  refuses('/admin%5csecret', 'GW_ERR_HTTP_TARGET', 'win32');
  assert.equal(parseTarget('/a?x=\\', 'win32').query, 'x=\\');
});

test('absolute and asterisk form', () => {
  assert.deepEqual(parseTarget('HTTP://A.example:8080/x/../y?z'), {
    path: '/y',
    encodedSlash: -1,
    query: 'z',
    hasQuery: true,
    authority: 'A.example:8080',
  });
  assert.deepEqual(parseTarget('https://[::1]?q'), {
    path: '/',
    encodedSlash: -1,
    query: 'q',
    hasQuery: true,
    authority: '[::1]',
  });
  assert.equal(parseTarget('*').path, '*');
});

test('encodePath: what comes back through parseTarget is the same path', () => {
  assert.equal(encodePath('/a b/\xe4?#%"<>'), '/a%20b/%E4%3F%23%25%22%3C%3E');
  assert.equal(encodePath('/plain/a.php'), '/plain/a.php');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0x20, max: 0xff })), (bytes) => {
      const name = String.fromCharCode(...bytes.filter((b) => b !== 0x2f && b !== 0x7f));
      const path = `/x${name}`;
      assert.equal(parseTarget(encodePath(path)).path, path);
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('every spelling of a path is the same path (T29)', () => {
  const random = createRandom(7);
  for (let round = 0; round < 10_000; round++) {
    let raw = '';
    for (const c of '/admin/x.php') {
      if (c === '/') raw += ['/', '//', '/./', '/%2e/', '/q/../', '/q/%2e%2e/'][Math.floor(random() * 6)];
      else if (random() < 0.5) raw += c;
      else {
        const hex = c.charCodeAt(0).toString(16);
        raw += `%${random() < 0.5 ? hex : hex.toUpperCase()}`;
      }
    }
    assert.equal(parseTarget(raw).path, '/admin/x.php', raw);
  }
});

test('isWithin: whole segments', () => {
  assert.equal(isWithin('/static', '/static'), true);
  assert.equal(isWithin('/static/x', '/static'), true);
  assert.equal(isWithin('/staticx', '/static'), false);
  assert.equal(isWithin('/static../x', '/static'), false);
  assert.equal(isWithin('/st', '/static'), false);
  assert.equal(isWithin('/x', ''), true);
});

test('extensions: ASCII letter case, at the end of a segment', () => {
  assert.equal(extensionOf('a.PHP'), 'php');
  assert.equal(extensionOf('a'), '');
  assert.equal(extensionOf('a.'), '');
  assert.equal(extensionOf('a.\u212a'), '\u212a'); // the Kelvin sign, which toLowerCase makes a k
  const php = new Set(['php']);
  const cases = [
    ['/a.php', 6],
    ['/a.PhP/b/c', 6],
    ['/x/a.php/b.php', 8],
    ['/a.b/c.php/d', 10],
    ['/test.php.bak', -1],
    ['/x.php.jpg/y', -1],
    ['/php', -1],
    ['/a.phpx', -1],
    ['/a.php%20', -1],
    ['/', -1],
    ['/a.php/', 6],
    ['/\u023a\u023a\u023a\u023ashell.php.txt.php', 22],
    ['/\u023a\u023a.php.txt/x', -1],
  ] as const;
  for (const [path, end] of cases) assert.equal(findExtensionEnd(path, php), end, path);
});

test('any bytes are a canonical path or the layer’s own error', () => fuzz(1, 5_000));
