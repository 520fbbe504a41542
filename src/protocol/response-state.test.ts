import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endRequest, hex, record, stderr, stdout, text } from '../../test/support/record-builder.ts';
import { decodeBeginRequest, decodeEndRequest, decodeUnknownType, printRecordType } from './record.ts';
import { RecordParser } from './record-parser.ts';
import { ResponseState } from './response-state.ts';

/** What a web server hears when an application sends `records` for request 1. */
function hear(...records: Buffer[]): { heard: string[]; state: ResponseState } {
  const heard: string[] = [];
  const state = new ResponseState({
    stdout: (bytes) => heard.push(`stdout ${bytes.toString('latin1')}`),
    stderr: (bytes) => heard.push(`stderr ${bytes.toString('latin1')}`),
    endRequest: (protocolStatus, appStatus) => heard.push(`end ${protocolStatus} ${appStatus}`),
  });
  state.begin(1);
  const parser = new RecordParser(state);
  for (const bytes of records) parser.push(bytes);
  return { heard, state };
}

const nothing = Buffer.alloc(0);

test('STDOUT and STDERR in turn, then END_REQUEST', () => {
  const { heard, state } = hear(
    stdout('a'),
    stderr('x'),
    record(7, 1, nothing),
    stdout('b'),
    record(6, 1, nothing),
    endRequest(0, 3),
  );
  assert.deepEqual(heard, ['stdout a', 'stderr x', 'stdout b', 'end 0 3']);
  assert.equal(state.ended, true);
  assert.equal(state.surplus, undefined);
});

test('END_REQUEST without an end of STDOUT is an end, as PHP sends it (F25)', () => {
  assert.deepEqual(hear(stdout('a'), endRequest()).heard, ['stdout a', 'end 0 0']);
});

test('management records of id 0 are skipped, known or not (F20)', () => {
  const { heard, state } = hear(
    stdout('a'),
    record(11, 0, hex('63 00000000000000')),
    record(10, 0, nothing),
    record(99, 0, text('EVIL')),
    record(0, 0, nothing),
    endRequest(),
  );
  assert.deepEqual(heard, ['stdout a', 'end 0 0']);
  assert.equal(state.surplus, undefined);
});

test('records of another request are refused (F19, T74)', () => {
  for (const bytes of [stdout('EVIL', 7), stdout('EVIL', 0), endRequest(0, 0, 7), record(99, 7, nothing)]) {
    assert.throws(() => hear(stdout('a'), bytes), { code: 'GW_ERR_PROTOCOL_REQUEST_ID' });
  }
});

test('types that an application must not send are refused', () => {
  for (const type of [1, 2, 4, 5, 8, 9, 10, 11, 99, 255, 0]) {
    assert.throws(
      () => hear(record(type, 1, hex('0000000000000000'))),
      { code: 'GW_ERR_PROTOCOL_RECORD' },
      `${type}`,
    );
  }
});

test('END_REQUEST has 8 bytes', () => {
  for (const content of ['', '00000000', '000000000000000000']) {
    assert.throws(() => hear(record(3, 1, hex(content))), { code: 'GW_ERR_PROTOCOL_RECORD' });
  }
});

test('what follows an end is ignored and remembered (F26)', () => {
  const second = hear(endRequest(), stdout('second'), endRequest());
  assert.deepEqual(second.heard, ['end 0 0']);
  assert.equal(second.state.surplus, 'STDOUT after END_REQUEST');

  assert.equal(hear(endRequest(), endRequest()).state.surplus, 'END_REQUEST after END_REQUEST');
  assert.equal(hear(endRequest(), record(11, 0, nothing)).state.surplus, 'UNKNOWN_TYPE outside a request');
});

test('STDOUT goes on after an empty record: applications write one where they flush', () => {
  const { heard, state } = hear(stdout('a'), record(6, 1, nothing), stdout('b'), endRequest());
  assert.deepEqual(heard, ['stdout a', 'stdout b', 'end 0 0']);
  assert.equal(state.surplus, undefined);
});

test('one request after the other', () => {
  const { heard, state } = hear(stdout('a'), record(6, 1, nothing), endRequest());
  state.begin(1);
  assert.equal(state.ended, false);
  new RecordParser(state).push(Buffer.concat([stdout('b'), endRequest(0, 1)]));
  assert.deepEqual(heard, ['stdout a', 'end 0 0', 'stdout b', 'end 0 1']);
});

test('reads fixed contents', () => {
  assert.deepEqual(decodeBeginRequest(hex('0003 01 ffffffffff')), { role: 3, keepConn: true });
  assert.deepEqual(decodeBeginRequest(hex('0102 fe 0000000000')), { role: 0x102, keepConn: false });
  assert.deepEqual(decodeEndRequest(hex('ffffffff 03 2e6c69')), {
    appStatus: 4_294_967_295,
    protocolStatus: 3,
  });
  assert.equal(decodeUnknownType(hex('63 00000000000000')), 99);
  assert.deepEqual([3, 8, 10, 99].map(printRecordType), [
    'END_REQUEST',
    'DATA',
    'GET_VALUES_RESULT',
    'type 99',
  ]);
});
