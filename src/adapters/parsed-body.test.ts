import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../base/errors.ts';
import { encodeParsedBody } from './parsed-body.ts';

/** The text that is sent again, or the reason why none is. */
function encode(from: object, type: string, announced?: number, fields: readonly string[] = []): string {
  const encoded = encodeParsedBody(from, ['Content-Type', type, ...fields], announced);
  if (!(encoded instanceof GatewayError)) return Buffer.from(encoded).toString('latin1');
  return /since (.*): mount/.exec(encoded.message)![1]!;
}

const json = 'application/json';
const form = 'application/x-www-form-urlencoded; charset=UTF-8';

test('bytes are sent as they are, whatever their type; rawBody wins', () => {
  assert.equal(encode({ body: Buffer.from('a\xff', 'latin1') }, 'image/png'), 'a\xff');
  assert.equal(encode({ rawBody: Buffer.from('{ "a": 1.0 }'), body: { a: 1 } }, json, 12), '{ "a": 1.0 }');
  assert.equal(encode({ rawBody: Buffer.from('--x'), body: {} }, 'multipart/form-data; boundary=x'), '--x');
});

test('a text is sent as it is, when it has the length that came', () => {
  assert.equal(encode({ body: '\u00e9' }, 'text/plain', 2), '\xc3\xa9');
  assert.equal(encode({ body: '\u00e9' }, 'text/plain'), '\xc3\xa9');
  // 0xE9 alone is no UTF-8, and became U+FFFD.
  assert.equal(encode({ body: '\ufffd' }, 'text/plain', 1), 'its text does not have the bytes that came');
  assert.equal(
    encode({ body: '\u00e9' }, 'text/plain; charset="ISO-8859-1"', 1),
    'its charset was iso-8859-1',
  );
});

test('a text under a JSON type may be a source or a value: only the length tells', () => {
  assert.equal(encode({ body: '{"a":1}' }, json, 7), '{"a":1}');
  assert.match(encode({ body: '123' }, json, 5), /does not have the bytes/);
  assert.match(encode({ body: '123' }, json), /does not have the bytes/);
  assert.equal(encode({ rawBody: '"123"', body: '123' }, json), '"123"');
});

test('JSON is printed anew', () => {
  assert.equal(
    encode({ body: { a: [1, '\u00e9', null] } }, 'application/ld+json'),
    '{"a":[1,"\xc3\xa9",null]}',
  );
  assert.equal(encode({ body: null }, json), 'null');
  assert.equal(encode({}, json), 'nothing is left that is application/json');
  assert.match(encode({ body: { a: 1n } }, json), /BigInt/);
});

test('a form is printed anew, nested names with brackets', () => {
  const printed = (body: object) => decodeURIComponent(encode({ body }, form));
  assert.equal(printed({ a: '1', b: ['x', 'y'], c: { d: { e: 'z' } } }), 'a=1&b[0]=x&b[1]=y&c[d][e]=z');
  assert.equal(printed({ 'list[]': ['x', 'y'], 'map[key]': 'z' }), 'list[]=x&list[]=y&map[key]=z');
  assert.equal(encode({ body: { text: 'a=b&c +\r\n\u00e9' } }, form), 'text=a%3Db%26c+%2B%0D%0A%C3%A9');
  assert.equal(printed({}), '');
  const loop: Record<string, unknown> = {};
  loop.loop = loop;
  assert.match(encode({ body: loop }, form), /RangeError/);
});

test('everything else is refused', () => {
  const multipart = 'multipart/form-data; boundary=x';
  assert.equal(encode({ body: { a: '1' } }, multipart), 'nothing is left that is multipart/form-data');
  assert.equal(encode({ body: { a: '1' } }, ''), 'nothing is left that is of no type');
  const gzip = ['content-encoding', 'GZIP'];
  assert.equal(encode({ body: Buffer.from('a') }, json, 1, gzip), 'its Content-Encoding was gzip');
});
