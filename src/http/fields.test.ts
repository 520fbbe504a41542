import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findField, findFields, hasToken, isFieldValue, isToken, joinFields, parseHost } from './fields.ts';

const fields = ['Accept', 'a', 'X-Foo', '1', 'COOKIE', 'c=d', 'x-foo', '2', '__proto__', 'x'];

test('fields are found in any letter case, in order', () => {
  assert.equal(findField(fields, 'x-foo'), '1');
  assert.equal(findField(fields, 'cookie'), 'c=d');
  assert.equal(findField(fields, 'constructor'), undefined);
  assert.equal(findField(fields, '__proto__'), 'x');
  assert.deepEqual(findFields(fields, 'x-foo'), ['1', '2']);
  assert.equal(joinFields(fields, 'x-foo'), '1, 2');
  assert.equal(joinFields(fields, 'x-bar'), undefined);
});

test('letter case is ASCII letter case', () => {
  assert.equal(findField(['\u212aey', 'kelvin'], 'key'), undefined);
  assert.equal(findField(['a[b', '1'], 'a{b'), undefined);
});

test('hasToken: members of lists, over several lines', () => {
  const list = ['Connection', 'TE, Close', 'connection', ' x '];
  assert.equal(hasToken(list, 'connection', 'close'), true);
  assert.equal(hasToken(list, 'connection', 'x'), true);
  assert.equal(hasToken(list, 'connection', 'clos'), false);
});

test('parseHost: names, addresses, ports', () => {
  assert.deepEqual(parseHost('Example.COM'), { host: 'example.com', port: undefined });
  assert.deepEqual(parseHost('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(parseHost('[::1]:80'), { host: '[::1]', port: 80 });
  assert.deepEqual(parseHost('[FE80::1]'), { host: '[fe80::1]', port: undefined });
  assert.deepEqual(parseHost('my_app:8080'), { host: 'my_app', port: 8080 });
  assert.deepEqual(parseHost('a~b'), { host: 'a~b', port: undefined });
  assert.deepEqual(parseHost('x:'), { host: 'x', port: undefined });
  assert.deepEqual(parseHost("b%C3%BCcher.test,!$&'()*+;="), {
    host: "b%c3%bccher.test,!$&'()*+;=",
    port: undefined,
  });
  for (const value of [
    '',
    'a b"<>/../x',
    ':80',
    'a%zz',
    'a:65536',
    'a:080000',
    'a:-1',
    '::1',
    '[::1',
    '[]',
    '[1::2::3]',
    '[1:2:3]',
    '[fe80::1%25eth0]',
    '[v1.a]',
    'user@a',
    'a/b',
    'a\n',
    'b\xfccher.example',
  ]) {
    assert.equal(parseHost(value), undefined, value);
  }
});

test('isToken and isFieldValue, for each byte', () => {
  const tokenBytes = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (let byte = 0; byte < 256; byte++) {
    const c = String.fromCharCode(byte);
    assert.equal(isToken(`a${c}`), tokenBytes.includes(c), `token byte ${byte}`);
    assert.equal(isFieldValue(`a${c}`), byte === 9 || (byte >= 0x20 && byte !== 0x7f), `value byte ${byte}`);
  }
  assert.equal(isToken(''), false);
  assert.equal(isToken('a\u0100'), false);
  assert.equal(isFieldValue(''), true);
});
