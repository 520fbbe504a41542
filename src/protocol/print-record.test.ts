import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginRequest, endRequest, hex, pair, text } from '../../test/support/record-builder.ts';
import { printRecord } from './print-record.ts';

/** The content of a record that the builder made. */
const content = (bytes: Buffer) => bytes.subarray(8);

for (const [type, id, bytes, printed] of [
  [1, 1, content(beginRequest(1, 1)), 'BEGIN_REQUEST 1, Responder, KEEP_CONN'],
  [1, 7, content(beginRequest(9, 0)), 'BEGIN_REQUEST 7, 9'],
  [2, 1, Buffer.alloc(0), 'ABORT_REQUEST 1, give up'],
  [3, 1, content(endRequest(2, 938)), 'END_REQUEST 1, appStatus 938, OVERLOADED'],
  [3, 1, hex('00'), 'END_REQUEST 1, 1 bytes, malformed "\\x00"'],
  [4, 1, pair('A', 'b\n'), 'PARAMS 1, 5 bytes\n     A = b\\x0a'],
  [4, 1, pair('A', 'b').subarray(0, 3), 'PARAMS 1, 3 bytes, malformed ***'],
  [4, 1, Buffer.alloc(0), 'PARAMS 1, end'],
  [5, 1, Buffer.alloc(0), 'STDIN 1, end'],
  [6, 1, Buffer.from('Grüße\r\n\x1b[31m'), 'STDOUT 1, 14 bytes "Grüße\\x0d\\x0a\\x1b[31m"'],
  [8, 1, Buffer.alloc(200, 'x'), `DATA 1, 200 bytes "${'x'.repeat(120)}"...`],
  [10, 0, pair('FCGI_MPXS_CONNS', '0'), 'GET_VALUES_RESULT 0, 18 bytes\n     FCGI_MPXS_CONNS = 0'],
  [11, 0, hex('63 00000000000000'), 'UNKNOWN_TYPE 0, about type 99'],
  [99, 0, text('abc'), 'type 99 0, 3 bytes "abc"'],
] as const) {
  test(`prints ${printed.split('\n')[0]}`, () => {
    assert.equal(printRecord(type, id, bytes), printed);
  });
}

test('credentials are hidden, unless they are asked for', () => {
  const authorization = pair('HTTP_AUTHORIZATION', 'Basic dXNlcjpwYXNz');
  assert.equal(printRecord(4, 1, authorization), 'PARAMS 1, 38 bytes\n     HTTP_AUTHORIZATION = ***');
  assert.match(printRecord(4, 1, authorization, true), / = Basic dXNlcjpwYXNz$/);
  assert.equal(
    printRecord(4, 1, pair('A', 'b').subarray(0, 3), true),
    'PARAMS 1, 3 bytes, malformed "\\x01\\x01A"',
  );
  assert.match(printRecord(6, 1, Buffer.from('Set-Cookie: sid=abc\r\n\r\n')), /"Set-Cookie: \*\*\*\\x0d/);
  assert.match(printRecord(5, 1, Buffer.from('user=a&password=b')), /"user=a&password=\*\*\*"/);
});
