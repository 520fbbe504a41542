import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../../test/fuzz/name-value.ts';
import { everyChunking } from '../../test/support/every-chunking.ts';
import { hex, pair, text } from '../../test/support/record-builder.ts';
import { decodePairs, encodePairs, NameValueParser, pairLength } from './name-value.ts';

const bytesOf = (byteString: string) => Buffer.from(byteString, 'latin1');

test('encodes the examples of FastCGI 3.4 and of other implementations', () => {
  const examples: [string[], string][] = [
    [['SERVER_PORT', '80'], '0b 02 5345525645525f504f5254 3830'],
    [['foo', ''], '03 00 666f6f'],
    [['', ''], '00 00'],
    [['', 'v'], '00 01 76'],
    [['a', 'x'.repeat(127)], `01 7f 61 ${'78'.repeat(127)}`],
    [['a', 'x'.repeat(128)], `01 80000080 61 ${'78'.repeat(128)}`],
    [['n'.repeat(128), 'b'], `80000080 01 ${'6e'.repeat(128)} 62`],
    [['a', 'x'.repeat(16_383)], `01 80003fff 61 ${'78'.repeat(16_383)}`],
    [['a', '\xff\x00'], '01 02 61 ff00'],
  ];
  for (const [pairs, encoded] of examples) {
    assert.deepEqual(bytesOf(encodePairs(pairs)), hex(encoded));
    assert.deepEqual(decodePairs(hex(encoded)), pairs);
    assert.equal(pairLength(pairs[0]!, pairs[1]!), hex(encoded).length);
  }
});

test('decodes long lengths for short bytes, as some web servers send them', () => {
  assert.deepEqual(decodePairs(pair('A', 'b', true)), ['A', 'b']);
});

test('decodes pairs in every chunking', () => {
  const pairs = ['A', '1', '', '', 'LONG', 'y'.repeat(130), 'Z', ''];
  const bytes = Buffer.concat([pair('A', '1'), pair('', ''), pair('LONG', 'y'.repeat(130)), pair('Z', '')]);
  everyChunking(bytes, (feed, name) => {
    const heard: string[] = [];
    const parser = new NameValueParser((key, value) => heard.push(key, value));
    feed((chunk) => parser.push(chunk));
    parser.end();
    assert.deepEqual(heard, pairs, name);
  });
});

test('refuses to encode a pair above 65000 bytes, and names the variable', () => {
  assert.equal(encodePairs(['A', 'x'.repeat(64_999)]).length, 65_005);
  assert.throws(() => encodePairs(['HTTP_COOKIE', 'x'.repeat(65_000)]), {
    name: 'ProtocolError',
    code: 'GW_ERR_PROTOCOL_PAIR_TOO_LARGE',
    message: 'Variable "HTTP_COOKIE" has 65011 bytes with its name, and a FastCGI application takes 65000',
  });
});

test('refuses a length above the limit before its bytes come (CVE-2025-23016)', () => {
  const parser = new NameValueParser(() => assert.fail('no pair is whole'), 1000);
  assert.throws(() => parser.push(hex('ffffffff ffffffff')), {
    code: 'GW_ERR_PROTOCOL_NAME_VALUE',
    message: 'A name-value pair has 2147483647 + 2147483647 bytes, and 1000 are allowed',
  });
  assert.throws(() => decodePairs(hex('7f 01 61')), { code: 'GW_ERR_PROTOCOL_NAME_VALUE' });
});

test('refuses pairs that end inside a pair', () => {
  for (const cut of ['01', '0102', '0101 61', '80000001', '01 800000']) {
    const parser = new NameValueParser(() => assert.fail('no pair is whole'));
    parser.push(hex(cut));
    assert.throws(() => parser.end(), { code: 'GW_ERR_PROTOCOL_NAME_VALUE' }, cut);
  }
});

test('a large pair that comes byte by byte costs linear work', () => {
  const value = 'v'.repeat(300_000);
  const bytes = pair('BIG', value);
  const heard: string[] = [];
  const parser = new NameValueParser((name, found) => heard.push(name, found));
  for (let at = 0; at < bytes.length; at++) parser.push(bytes.subarray(at, at + 1));
  parser.end();
  assert.deepEqual(heard, ['BIG', value]);
});

test('keeps nothing of what it was given', () => {
  const heard: string[] = [];
  const parser = new NameValueParser((name, value) => heard.push(name, value));
  const first = text('\x04\x03NA');
  parser.push(first);
  first.fill(0);
  parser.push(text('MEabc'));
  assert.deepEqual(heard, ['NAME', 'abc']);
});

test('any pairs survive, and any bytes parse or throw ProtocolError', () => {
  fuzz(1, 200);
});
