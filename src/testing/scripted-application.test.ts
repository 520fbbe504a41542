import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { beginRequest, hex, params, record, text } from './record-builder.ts';
import { type ReadRecord, RecordReader } from './record-reader.ts';
import { startScriptedApplication } from './scripted-application.ts';

/** Sends bytes and gives what comes until the application closes. */
async function exchange(address: string, ...bytes: readonly Buffer[]): Promise<ReadRecord[]> {
  const socket = connect(address.slice('unix:'.length));
  const reader = new RecordReader();
  const records: ReadRecord[] = [];
  socket.on('data', (chunk) => records.push(...reader.push(chunk as Buffer)));
  socket.on('error', () => {});
  socket.write(Buffer.concat(bytes));
  await once(socket, 'close');
  return records;
}

const end = (id: number) => record(5, id, Buffer.alloc(0));

test('answers with the id of the request, whatever is played', async (t) => {
  const application = await startScriptedApplication();
  t.after(() => application.close());
  for (const id of [1, 3, 65_535]) {
    const ask = (play: string) =>
      exchange(
        application.address,
        beginRequest(1, 0, id),
        params({ QUERY_STRING: `play=${play}` }, id),
        end(id),
      );
    for (const play of ['page', 'byte-by-byte', 'padded', 'large&bytes=100000']) {
      const records = await ask(play);
      assert.ok(
        records.every(({ requestId }) => requestId === id),
        play,
      );
      assert.equal(records.at(-1)?.type, 3);
    }
    const wrong = await ask('wrong-id-in-body');
    assert.deepEqual([...new Set(wrong.map(({ requestId }) => requestId))], [id, 0x7777]);
  }
});

test('keeps what it got', async (t) => {
  const application = await startScriptedApplication();
  t.after(() => application.close());
  await exchange(
    application.address,
    beginRequest(3, 0, 9),
    params({ A: 'x'.repeat(200), B: '' }, 9),
    record(5, 9, text('one'), 5),
    record(5, 9, text('two')),
    end(9),
  );
  const [request] = application.requests;
  assert.equal(request?.id, 9);
  assert.equal(request.role, 3);
  assert.deepEqual(
    [...request.variables],
    [
      ['A', 'x'.repeat(200)],
      ['B', ''],
    ],
  );
  assert.equal(request.stdin.toString(), 'onetwo');
  assert.equal(request.stdinEnded, true);
});

test('drops who breaks FastCGI, and lives on', async (t) => {
  const application = await startScriptedApplication();
  t.after(() => application.close());
  for (const broken of [
    [record(1, 1, hex('00'))],
    [beginRequest(), record(4, 1, hex('ffffffff 01 41')), record(4, 1, Buffer.alloc(0))],
  ]) {
    assert.deepEqual(await exchange(application.address, ...broken), []);
  }
  const records = await exchange(application.address, beginRequest(), params({}), end(1));
  assert.equal(records.at(-1)?.type, 3);
});
