import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress, printAddress, toSocketOptions, unixPathBytesMax } from './address.ts';

const forms = [
  ['tcp://10.0.0.7:9000', { kind: 'tcp', host: '10.0.0.7', port: 9000 }, 'tcp://10.0.0.7:9000'],
  ['localhost:9000', { kind: 'tcp', host: 'localhost', port: 9000 }, 'tcp://localhost:9000'],
  [':9000', { kind: 'tcp', host: '127.0.0.1', port: 9000 }, 'tcp://127.0.0.1:9000'],
  ['tcp://[::1]:9000', { kind: 'tcp', host: '::1', port: 9000 }, 'tcp://[::1]:9000'],
  ['unix:/run/php.sock', { kind: 'unix', path: '/run/php.sock' }, 'unix:/run/php.sock'],
  ['unix:///run/php.sock', { kind: 'unix', path: '/run/php.sock' }, 'unix:/run/php.sock'],
  ['/run/php.sock', { kind: 'unix', path: '/run/php.sock' }, 'unix:/run/php.sock'],
  ['unix:@php', { kind: 'abstract', name: 'php' }, 'unix:@php'],
  ['@php', { kind: 'abstract', name: 'php' }, 'unix:@php'],
] as const;

for (const [text, address, printed] of forms) {
  test(`parseAddress reads ${text}`, () => {
    assert.deepEqual(parseAddress(text), address);
    assert.equal(printAddress(parseAddress(text)), printed);
    assert.deepEqual(parseAddress(printed), address);
  });
}

for (const [text, reason] of [
  ['', 'write tcp://host:port'],
  ['localhost', 'write tcp://host:port'],
  ['http://localhost:80', 'write tcp://host:port'],
  ['localhost:0', 'port 0 is not between 1 and 65535'],
  ['localhost:70000', 'port 70000 is not between 1 and 65535'],
  ['unix:', 'the path is empty'],
  ['@', 'the path is empty'],
  ['unix:/a\0b', 'it holds a NUL byte'],
  [`unix:/${'a'.repeat(unixPathBytesMax)}`, `the path has ${unixPathBytesMax + 1} bytes`],
  [`unix:/${'ä'.repeat(52)}`, 'the path has 105 bytes'],
] as const) {
  test(`parseAddress refuses ${JSON.stringify(text).slice(0, 40)}`, () => {
    assert.throws(
      () => parseAddress(text),
      (error: Error & { code: string }) => error.code === 'GW_ERR_ADDRESS' && error.message.includes(reason),
    );
  });
}

test('toSocketOptions gives what node:net takes, an abstract name with its leading NUL', () => {
  assert.deepEqual(toSocketOptions(parseAddress('tcp://[::1]:9000')), { host: '::1', port: 9000 });
  assert.deepEqual(toSocketOptions(parseAddress('/run/a')), { path: '/run/a' });
  assert.deepEqual(toSocketOptions(parseAddress('@a')), { path: '\0a' });
});
