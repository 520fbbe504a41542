import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginRequest, hex, pair, record, stdin } from '../../test/support/record-builder.ts';
import { recordVectors } from '../../test/vectors/records.ts';
import {
  encodeAbortRequest,
  encodeBeginRequest,
  encodeEndOfStream,
  encodeEndRequest,
  encodeGetValues,
  encodeGetValuesResult,
  encodeParams,
  encodeRecord,
  encodeRequest,
  encodeRequestHead,
  encodeRequestWithoutBody,
  encodeStream,
  encodeUnknownType,
  printHeader,
} from './record-encoder.ts';

const bytesOf = (byteString: string) => Buffer.from(byteString, 'latin1');
const nothing = Buffer.alloc(0);

test('encodes each record of the vectors', () => {
  const end = (type: number) => encodeEndOfStream(type, 1);
  const encoded: Record<string, Buffer> = {
    'BEGIN_REQUEST, Responder, KEEP_CONN': encodeBeginRequest({ requestId: 1, role: 1, keepConn: true }),
    'BEGIN_REQUEST, Authorizer, request 65535': encodeBeginRequest({
      requestId: 65_535,
      role: 2,
      keepConn: false,
    }),
    'BEGIN_REQUEST, Filter': encodeBeginRequest({ requestId: 1, role: 3, keepConn: false }),
    ABORT_REQUEST: encodeAbortRequest(1),
    'END_REQUEST, exit status 938': encodeEndRequest(1, 938, 0),
    'END_REQUEST, OVERLOADED': encodeEndRequest(1, 0, 2),
    'PARAMS: SERVER_PORT = 80, and the end of PARAMS': Buffer.concat([
      bytesOf(encodeParams(1, ['SERVER_PORT', '80'])),
      end(4),
    ]),
    'STDIN and its end': Buffer.concat([encodeStream(5, 1, Buffer.from('hello')), end(5)]),
    'STDOUT with 3 bytes of padding': encodeRecord(6, 1, Buffer.from('hello'), 3),
    STDERR: encodeStream(7, 1, Buffer.from('oops')),
    'DATA of a Filter': encodeStream(8, 1, Buffer.from('\r\n')),
    'GET_VALUES: FCGI_MAX_CONNS': encodeGetValues(['FCGI_MAX_CONNS']),
    'GET_VALUES_RESULT: FCGI_MPXS_CONNS = 0': encodeGetValuesResult(['FCGI_MPXS_CONNS', '0']),
    'UNKNOWN_TYPE about type 99': encodeUnknownType(99),
  };
  assert.deepEqual(Object.keys(encoded).sort(), recordVectors.map(({ name }) => name).sort());
  for (const { name, encoded: expected } of recordVectors) {
    assert.deepEqual(encoded[name], hex(expected), name);
  }
});

const start = { requestId: 1, role: 1, keepConn: true };
const endOfParams = record(4, 1, nothing);
const endOfStdin = record(5, 1, nothing);

test('a small request is BEGIN_REQUEST, PARAMS, their end, STDIN, its end', () => {
  const head = Buffer.concat([
    beginRequest(1, 1),
    record(4, 1, Buffer.concat([pair('A', 'b'), pair('QUERY_STRING', '')])),
    endOfParams,
  ]);
  const variables = ['A', 'b', 'QUERY_STRING', ''];
  assert.deepEqual(bytesOf(encodeRequestHead(start, variables)), head);
  assert.deepEqual(bytesOf(encodeRequestWithoutBody(start, variables)), Buffer.concat([head, endOfStdin]));
  assert.deepEqual(
    encodeRequest(start, variables, Buffer.from('body')),
    Buffer.concat([head, stdin('body'), endOfStdin]),
  );
  assert.deepEqual(encodeRequest(start, variables, nothing), Buffer.concat([head, endOfStdin]));
});

test('a request without variables has the end of PARAMS only', () => {
  assert.deepEqual(
    bytesOf(encodeRequestHead({ ...start, keepConn: false }, [])),
    Buffer.concat([beginRequest(1, 0), endOfParams]),
  );
});

test('PARAMS above 65535 bytes are cut on pair borders, and no record is larger than its length field', () => {
  const variables = Array.from({ length: 40 }, (_, i) => [`HTTP_X_${i}`, 'v'.repeat(3000)]).flat();
  const bytes = bytesOf(encodeParams(1, variables));
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16BE(at + 4);
    assert.deepEqual(bytes.subarray(at, at + 4), hex('01 04 0001'));
    found.push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  assert.equal(found.length, 2);
  const pairs: Buffer[] = [];
  for (let i = 0; i < variables.length; i += 2) pairs.push(pair(variables[i]!, variables[i + 1]!));
  assert.deepEqual(Buffer.concat(found), Buffer.concat(pairs));
  const fitting = Math.floor(65_535 / pairs[39]!.length);
  assert.deepEqual(found[0], Buffer.concat(pairs.slice(0, fitting)), 'the first record ends with a pair');
});

test('PARAMS fill a record to its last byte before the next one', () => {
  // Two pairs of 4 + 1 bytes of lengths and a name of one byte: 65 535 content bytes, then one more.
  const full = ['A', 'x'.repeat(64_000), 'B', 'y'.repeat(65_535 - 64_006 - 6)];
  assert.equal(encodeParams(1, full).length, 8 + 65_535);
  assert.equal(encodeParams(1, [...full.slice(0, 3), `${full[3]}y`]).length, 16 + 65_536);
});

test('a body of 65535, 65536 and 66000 bytes is cut into records and arrives whole', () => {
  for (const [length, records] of [
    [65_535, 1],
    [65_536, 2],
    [66_000, 2],
  ] as const) {
    const body = Buffer.alloc(length, 'abcdefg');
    const expected =
      records === 1
        ? [record(5, 1, body)]
        : [record(5, 1, body.subarray(0, 65_535)), record(5, 1, body.subarray(65_535))];
    assert.deepEqual(encodeStream(5, 1, body), Buffer.concat(expected));
    assert.deepEqual(
      encodeRequest(start, [], body),
      Buffer.concat([beginRequest(1, 1), endOfParams, ...expected, endOfStdin]),
    );
  }
});

test('no bytes of a stream are no record: an empty one would end it', () => {
  assert.equal(encodeStream(6, 1, nothing).length, 0);
});

test('a length that does not fit is refused, never cut (T11)', () => {
  assert.throws(() => encodeRecord(5, 1, Buffer.alloc(65_536)), RangeError);
  assert.throws(() => encodeRecord(5, 1, nothing, 256), RangeError);
  assert.throws(() => encodeRecord(5, 65_536, nothing), RangeError);
  assert.throws(() => printHeader(5, 1, 65_536), RangeError);
  assert.throws(() => printHeader(5, -1, 0), RangeError);
});

test('a body that looks like records cannot begin a request (T11)', () => {
  const forged = beginRequest(1, 0);
  const body = Buffer.concat(
    Array.from({ length: 99_000 / 8 }, (_, i) => forged.subarray((i % 2) * 8, (i % 2) * 8 + 8)),
  );
  const bytes = encodeRequest(start, ['A', 'b'], body);
  const types: number[] = [];
  for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt16BE(at + 4) + bytes[at + 6]!)
    types.push(bytes[at + 1]!);
  assert.deepEqual(types, [1, 4, 4, 5, 5, 5]);
});

test('reserved bytes and padding are zero, whatever memory held before (T12)', () => {
  for (let i = 0; i < 200; i++) {
    Buffer.allocUnsafe(4000).fill(0xff);
    const bytes = encodeRecord(6, 1, Buffer.from('abc'), 5);
    assert.equal(bytes[7], 0);
    assert.deepEqual(bytes.subarray(11), Buffer.alloc(5));
    assert.deepEqual(encodeEndRequest(1, 0, 0).subarray(13), Buffer.alloc(3));
    assert.deepEqual(encodeBeginRequest(start).subarray(11), Buffer.alloc(5));
  }
});
