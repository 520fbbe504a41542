import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../../test/fuzz/record-parser.ts';
import { everyChunking } from '../../test/support/every-chunking.ts';
import { hex, record } from '../../test/support/record-builder.ts';
import { foreignVectors, type Heard, recordVectors } from '../../test/vectors/records.ts';
import { RecordParser } from './record-parser.ts';

/** What a parser passed on, the pieces of one stream joined up to its end. */
function listen(): { heard: Heard[]; parser: RecordParser } {
  const heard: Heard[] = [];
  const parser = new RecordParser({
    stream(type, requestId, bytes) {
      const last = heard.at(-1);
      const joins = last?.[0] === 'stream' && last[1] === type && last[2] === requestId && last[3] !== '';
      if (joins && bytes.length > 0) {
        heard[heard.length - 1] = ['stream', type, requestId, last[3] + bytes.toString('hex')];
      } else heard.push(['stream', type, requestId, bytes.toString('hex')]);
    },
    record: (type, requestId, content) => heard.push(['record', type, requestId, content.toString('hex')]),
  });
  return { heard, parser };
}

for (const vector of [...recordVectors, ...foreignVectors]) {
  test(`parses ${vector.name} (${vector.source}) in every chunking`, () => {
    everyChunking(hex(vector.encoded), (feed, name) => {
      const { heard, parser } = listen();
      feed((chunk) => parser.push(chunk));
      assert.deepEqual(heard, vector.heard, name);
      assert.equal(parser.isBetweenRecords, true, name);
    });
  });
}

test('parses all vectors one after the other in every chunking', () => {
  const all = [...recordVectors, ...foreignVectors];
  everyChunking(Buffer.concat(all.map(({ encoded }) => hex(encoded))), (feed, name) => {
    const { heard, parser } = listen();
    feed((chunk) => parser.push(chunk));
    const joined = listen();
    for (const { encoded } of all) joined.parser.push(hex(encoded));
    assert.deepEqual(heard, joined.heard, name);
  });
});

test('knows that a record is incomplete after each byte but the last', () => {
  const bytes = record(6, 1, Buffer.from('hello'), 3);
  for (let length = 1; length < bytes.length; length++) {
    const { parser } = listen();
    parser.push(bytes.subarray(0, length));
    assert.equal(parser.isBetweenRecords, false, `after ${length} bytes`);
  }
});

test('passes on content of a stream before the record is complete', () => {
  const { heard, parser } = listen();
  parser.push(record(6, 1, Buffer.alloc(65_535, 0x61)).subarray(0, 12));
  assert.deepEqual(heard, [['stream', 6, 1, '61616161']]);
});

test('parses the largest record with the most padding', () => {
  const { heard, parser } = listen();
  const bytes = record(99, 0, Buffer.alloc(65_535, 0x62), 255);
  assert.equal(bytes.length, 65_798);
  for (let at = 0; at < bytes.length; at += 1000) parser.push(bytes.subarray(at, at + 1000));
  assert.deepEqual(heard, [['record', 99, 0, '62'.repeat(65_535)]]);
});

test('refuses another version at its first byte', () => {
  everyChunking(Buffer.from('HTTP/1.1 200 OK\r\n'), (feed, name) => {
    const { heard, parser } = listen();
    assert.throws(
      () => feed((chunk) => parser.push(chunk)),
      { name: 'ProtocolError', code: 'GW_ERR_PROTOCOL_VERSION' },
      name,
    );
    assert.deepEqual(heard, []);
  });
  const { parser } = listen();
  assert.throws(() => parser.push(Buffer.from([2])), /Record version is 2, expected 1/);
});

test('any bytes parse or throw ProtocolError, and records agree with a plain reader', () => {
  fuzz(1, 300);
});
