import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everyChunking } from '../../test/support/every-chunking.ts';
import { createRandom } from '../../test/support/random.ts';
import { endRequest, hex, record, stderr, stdout, text } from '../../test/support/record-builder.ts';
import { Demultiplexer } from './demultiplexer.ts';
import { RecordParser } from './record-parser.ts';

const nothing = Buffer.alloc(0);

/** Hears several requests; joins pieces that follow each other, since where they are cut means nothing. */
function listen(ids: readonly number[]): {
  heard: Map<number, string>;
  demultiplexer: Demultiplexer;
  parser: RecordParser;
} {
  const heard = new Map<number, string>();
  const demultiplexer = new Demultiplexer();
  for (const id of ids) {
    let stream = '';
    const say = (name: string, what: string) => {
      const before = heard.get(id) ?? '';
      heard.set(id, stream === name ? before + what : `${before} ${name} ${what}`);
      stream = name;
    };
    demultiplexer.begin(id, {
      stdout: (bytes) => say('out', bytes.toString('latin1')),
      stderr: (bytes) => say('err', bytes.toString('latin1')),
      endRequest: (protocolStatus, appStatus) => say('end', `${protocolStatus} ${appStatus}`),
    });
  }
  return { heard, demultiplexer, parser: new RecordParser(demultiplexer) };
}

test('each record goes to the request of its id, whatever the chunking', () => {
  const bytes = Buffer.concat([
    stdout('a', 1),
    stdout('x', 65_535),
    stderr('e', 1),
    record(6, 1, nothing),
    record(11, 0, hex('63 00000000000000')),
    stdout('y', 65_535),
    endRequest(0, 3, 1),
    stdout('z', 65_535),
    endRequest(1, 0, 65_535),
  ]);
  everyChunking(bytes, (feed, name) => {
    const { heard, demultiplexer, parser } = listen([1, 65_535]);
    feed((chunk) => parser.push(chunk));
    assert.deepEqual(
      [...heard],
      [
        [1, ' out a err e end 0 3'],
        [65_535, ' out xyz end 1 0'],
      ],
      name,
    );
    assert.equal(demultiplexer.surplus, undefined);
    assert.deepEqual([demultiplexer.isOpen(1), demultiplexer.isOpen(65_535)], [false, false]);
  });
});

const late = [stdout('EVIL', 1), endRequest(0, 0, 1), stderr('EVIL', 1), record(6, 1, nothing)];

test('what comes for a request that has ended shows that ids are mixed up, and is an error (F26)', () => {
  for (const bytes of late) {
    const { heard, parser } = listen([1, 2]);
    parser.push(endRequest(0, 0, 1));
    assert.throws(() => parser.push(bytes), { code: 'GW_ERR_PROTOCOL_REQUEST_ID' });
    assert.deepEqual([...heard], [[1, ' end 0 0']]);
  }
});

test('what comes for one that was given up and has ended is for nobody, and is remembered (F35)', () => {
  for (const bytes of late) {
    const { heard, demultiplexer, parser } = listen([1, 2]);
    demultiplexer.giveUp(1);
    parser.push(endRequest(0, 0, 1));
    assert.equal(demultiplexer.surplus, undefined);
    parser.push(Buffer.concat([bytes, stdout('b', 2)]));
    assert.match(demultiplexer.surplus!, /^(STDOUT|STDERR|END_REQUEST) for request 1, which was given up/);
    assert.equal(heard.get(2), ' out b');
  }
});

test('STDOUT goes on after an empty record (FastCGI 3.3 calls that its end)', () => {
  const { heard, demultiplexer, parser } = listen([1, 2]);
  parser.push(
    Buffer.concat([stdout('a'), record(6, 1, nothing), stdout('b'), record(6, 1, nothing), endRequest()]),
  );
  assert.equal(heard.get(1), ' out ab end 0 0');
  assert.deepEqual([demultiplexer.surplus, demultiplexer.endsStdout], [undefined, true]);
});

test('END_REQUEST before the end of STDOUT is an error while others are open, whatever it says', () => {
  for (const bytes of [stdout('a'), Buffer.concat([stdout('a'), record(6, 1, nothing), stdout('b')])]) {
    for (const status of [0, 1, 2, 3]) {
      const { heard, parser } = listen([1, 2]);
      parser.push(bytes);
      assert.throws(() => parser.push(endRequest(status)), { code: 'GW_ERR_PROTOCOL_RECORD' });
      assert.doesNotMatch(heard.get(1)!, /end/);
    }
  }
});

test('who is alone, has said nothing, or was given up needs no end of STDOUT', () => {
  const alone = listen([1]);
  alone.parser.push(Buffer.concat([stdout('a'), endRequest()]));
  assert.deepEqual([alone.heard.get(1), alone.demultiplexer.endsStdout], [' out a end 0 0', false]);

  const silent = listen([1, 2]);
  silent.parser.push(endRequest(1));
  assert.deepEqual([silent.heard.get(1), silent.demultiplexer.endsStdout], [' end 1 0', true]);

  const left = listen([1, 2]);
  left.parser.push(stdout('a'));
  left.demultiplexer.giveUp(1);
  left.parser.push(endRequest());
  assert.deepEqual([left.heard.get(1), left.demultiplexer.endsStdout], [' out a end 0 0', true]);
});

test('a record for a request that this connection never carried is an error (F19)', () => {
  for (const bytes of [stdout('EVIL', 7), endRequest(0, 0, 7), stdout('EVIL', 0), record(99, 7, text('x'))]) {
    const { parser, heard } = listen([1]);
    assert.throws(() => parser.push(bytes), { code: 'GW_ERR_PROTOCOL_REQUEST_ID' });
    assert.equal(heard.size, 0);
  }
});

test('what only a web server may send is an error', () => {
  for (const type of [1, 2, 4, 5, 8, 99]) {
    assert.throws(() => listen([1]).parser.push(record(type, 1, text('12345678'))), {
      code: 'GW_ERR_PROTOCOL_RECORD',
    });
  }
});

test('an id is used again after its request has ended', () => {
  const { heard, demultiplexer, parser } = listen([1]);
  parser.push(Buffer.concat([stdout('a'), endRequest()]));
  let again = '';
  demultiplexer.begin(1, {
    stdout: (bytes) => {
      again += bytes.toString('latin1');
    },
    stderr() {},
    endRequest() {
      again += ' end';
    },
  });
  assert.equal(demultiplexer.isOpen(1), true);
  parser.push(Buffer.concat([stdout('b'), endRequest()]));
  assert.equal(heard.get(1), ' out a end 0 0');
  assert.equal(again, 'b end');
});

test('thousands of answers, interleaved at random: no byte goes astray', () => {
  const seed = 20_261_127;
  const random = createRandom(seed);
  const pick = (limit: number) => Math.floor(random() * limit);
  const ids = Array.from({ length: 4_000 }, (_, index) => index + 1);
  const { heard, parser } = listen(ids);
  const left = new Map(ids.map((id) => [id, 1 + pick(6)]));
  const expected = new Map(ids.map((id) => [id, '']));
  const open = [...ids];
  let batch: Buffer[] = [];
  while (open.length > 0) {
    const index = pick(Math.min(open.length, 200));
    const id = open[index]!;
    const pieces = left.get(id)! - 1;
    left.set(id, pieces);
    const piece = `<${id}.${pieces}>`.repeat(1 + pick(20));
    expected.set(id, expected.get(id)! + piece);
    batch.push(record(6, id, text(piece), pick(256)));
    if (pieces === 0) {
      batch.push(record(6, id, nothing), endRequest(0, id, id));
      open.splice(index, 1);
    }
    if (batch.length < 50 && open.length > 0) continue;
    const bytes = Buffer.concat(batch);
    const cut = pick(bytes.length);
    parser.push(bytes.subarray(0, cut));
    parser.push(bytes.subarray(cut));
    batch = [];
  }
  for (const id of ids) assert.equal(heard.get(id), ` out ${expected.get(id)} end 0 ${id}`, `seed ${seed}`);
});
