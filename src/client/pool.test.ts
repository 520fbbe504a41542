import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { ask, bodyOf, type Outcome, PiecewiseBody, requestFor } from '../../test/support/ask.ts';
import { ManualClock, passUntil, turnsUntil } from '../../test/support/manual-clock.ts';
import { createRandom } from '../../test/support/random.ts';
import {
  type ScriptedApplication,
  type ScriptedApplicationOptions,
  startScriptedApplication,
} from '../../test/support/scripted-application.ts';
import { parseAddress } from '../base/address.ts';
import { type GatewayError, HttpRequestError, SourceError } from '../base/errors.ts';
import { endRequest, stdout } from '../testing/record-builder.ts';
import { RecordReader } from '../testing/record-reader.ts';
import { Pool, type PoolOptions } from './pool.ts';

let application: ScriptedApplication;

before(async () => {
  application = await startScriptedApplication();
});
after(() => application.close());

/** A limit that no test meets. */
const endless = 1_000_000_000;

function poolFor(address: string, options: Partial<PoolOptions> = {}): Pool {
  return new Pool({
    address: parseAddress(address),
    keepConnections: 4,
    connectTimeoutMs: 1_000,
    readTimeoutMs: 1_000,
    sendTimeoutMs: 1_000,
    totalTimeoutMs: 10_000,
    waitingMax: 3,
    waitingTimeoutMs: 500,
    idleTimeoutMs: 500,
    requestsPerConnectionMax: 500,
    connectionAgeMsMax: 60_000,
    multiplexedRequestsMax: 1,
    sharesReadBuffer: true,
    // It stands still: however busy the machine is, no limit is met.
    clock: new ManualClock(),
    random: Math.random,
    ...options,
  });
}

/** Gives `run` a pool over the scripted application (or one of its own), and checks that nothing is left of it. */
async function withPool(
  run: (pool: Pool, application: ScriptedApplication) => Promise<void>,
  options: Partial<PoolOptions> = {},
  own?: ScriptedApplicationOptions,
): Promise<void> {
  const target = own === undefined ? application : await startScriptedApplication(own);
  const pool = poolFor(target.address, options);
  try {
    await run(pool, target);
  } finally {
    await pool.close();
    assert.equal(pool.connections, 0);
    assert.equal(pool.active, 0);
    await target.whenAllClosed();
    if (own !== undefined) await target.close();
  }
}

/** Over an application that keeps connections, and answers under the id that `idFor` says; `seen`: the ids of each connection. */
async function withEcho(
  run: (pool: Pool, seen: readonly number[][]) => Promise<void>,
  options: Partial<PoolOptions> = {},
  idFor: (id: number) => number = (id) => id,
): Promise<void> {
  const seen: number[][] = [];
  const server = createServer((socket) => {
    const ids: number[] = [];
    seen.push(ids);
    const reader = new RecordReader();
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      for (const { type, requestId, content } of reader.push(chunk)) {
        if (type === 1) ids.push(requestId);
        if (type !== 5 || content.length > 0) continue;
        const id = idFor(requestId);
        socket.write(Buffer.concat([stdout(`${head}Hello`, id), stdout('', id), endRequest(0, 0, id)]));
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const pool = poolFor(`127.0.0.1:${(server.address() as AddressInfo).port}`, options);
  try {
    await run(pool, seen);
  } finally {
    await pool.close();
    server.close();
  }
}

const play = (pool: Pool, scenario: string, body?: PiecewiseBody, method?: string) =>
  ask(pool, requestFor(scenario, body, method));

const head = 'Content-Type: text/plain\r\n\r\n';

test('answers: what each legal way of answering gives', async (t) => {
  const expected: Record<string, Partial<Outcome>> = {
    page: { stdout: `${head}Hello`, appStatus: 0, stderr: '' },
    'no-stdout-end': { stdout: `${head}Hello`, appStatus: 0 },
    'exit-status': { stdout: `${head}Hello`, appStatus: 3 },
    'end-only': { stdout: '', appStatus: 0 },
    'stderr-only': { stdout: '', stderr: 'PHP Fatal error: out of luck\n', appStatus: 255 },
    'stderr-between': { stdout: `${head}Hello`, stderr: 'one\ntwo\n', appStatus: 0 },
    'stderr-flood': { stdout: `${head}after the flood`, stderrBytes: 5_000_000, appStatus: 0 },
    'unknown-type-0-in-body': { stdout: `${head}hello`, appStatus: 0 },
    'management-99-in-body': { stdout: `${head}hello`, appStatus: 0 },
    'odd-records': { stdout: `${head}${'x'.repeat(65_535)}!`, appStatus: 0 },
    'byte-by-byte': { stdout: `${head}Hello`, appStatus: 0 },
    'second-answer': { stdout: `${head}first`, appStatus: 0 },
    'second-end': { stdout: `${head}first`, appStatus: 0 },
    'garbage-after-end': { stdout: `${head}first`, appStatus: 0 },
    'stdout-after-its-end': { stdout: `${head}aLATE`, appStatus: 0 },
    'waits-for-close': { stdout: `${head}Hello`, appStatus: 0 },
    'drip&ms=2&count=5': { stdout: `${head}.....`, appStatus: 0 },
  };
  for (const keepConnections of [0, 4]) {
    for (const [scenario, wanted] of Object.entries(expected)) {
      await t.test(`${scenario}, keeping ${keepConnections}`, () =>
        withPool(
          async (pool) => {
            const outcome = await play(pool, scenario);
            assert.equal(outcome.error, undefined);
            for (const [name, value] of Object.entries(wanted)) {
              assert.equal(outcome[name as keyof Outcome], value, name);
            }
            // The next request has an answer of its own, whatever the connection went through (G1).
            const next = await play(pool, 'page');
            assert.equal(next.stdout, `${head}Hello`);
          },
          { keepConnections },
        ),
      );
    }
  }
});

test('faults: what each gives, and no connection is used again', async (t) => {
  const closed = { code: 'GW_ERR_SOURCE_CLOSED', delivery: 'maybe' };
  const expected: Record<string, [{ code: string; delivery?: string }, RegExp]> = {
    'eof-without-end': [
      closed,
      /closed the connection after \d+ bytes, before END_REQUEST\. A worker that ended/,
    ],
    'short-record': [closed, /after 544 bytes, in the middle of a record, before END_REQUEST\./],
    'short-header': [closed, /in the middle of a record/],
    'short-padding': [closed, /in the middle of a record/],
    'close-without-a-byte': [
      closed,
      /without an answer\. A worker that ended or was killed is in its own log/,
    ],
    overloaded: [{ code: 'GW_ERR_SOURCE_OVERLOADED', delivery: 'rejected' }, /overloaded$/],
    'cant-mpx': [{ code: 'GW_ERR_SOURCE_OVERLOADED', delivery: 'rejected' }, /one request per connection$/],
    'unknown-role': [{ code: 'GW_ERR_PROTOCOL_STATUS' }, /UNKNOWN_ROLE$/],
    'unknown-status': [{ code: 'GW_ERR_PROTOCOL_STATUS' }, /protocol status 9, expected 0 to 3$/],
    'short-end': [{ code: 'GW_ERR_PROTOCOL_RECORD' }, /END_REQUEST has 4 content bytes, expected 8/],
    'version-2': [{ code: 'GW_ERR_PROTOCOL_VERSION' }, /Record version is 2, expected 1/],
    'plain-http': [
      { code: 'GW_ERR_PROTOCOL_VERSION' },
      /begin with "HTTP\/1\.1" are HTTP and not FastCGI\. "address" must be that of a FastCGI server/,
    ],
    'wrong-id': [
      { code: 'GW_ERR_PROTOCOL_REQUEST_ID' },
      /came for request 30583, but this connection carries request 1/,
    ],
    'wrong-id-in-body': [{ code: 'GW_ERR_PROTOCOL_REQUEST_ID' }, /STDOUT came for request 30583/],
    'type-99-in-body': [{ code: 'GW_ERR_PROTOCOL_RECORD' }, /type 99/],
  };
  for (const [scenario, [fields, message]] of Object.entries(expected)) {
    await t.test(scenario, () =>
      withPool(async (pool) => {
        const outcome = await play(pool, scenario);
        assert.ok(outcome.error !== undefined, 'it fails');
        for (const [name, value] of Object.entries(fields)) {
          assert.equal(outcome.error[name as 'code'], value, name);
        }
        assert.match(outcome.error.message, message);
        assert.doesNotMatch(outcome.stdout, /EVIL/);
        assert.equal(pool.connections, 0);
      }),
    );
  }
});

test('an OVERLOADED application says when to come back', () =>
  withPool(async (pool) => {
    const { error } = await play(pool, 'overloaded');
    assert.ok(error instanceof SourceError);
    assert.equal(error.retryAfterSeconds, 1);
  }));

test('a reset is an error with its code, over TCP', () =>
  withPool(
    async (pool) => {
      const { error } = await play(pool, 'reset');
      assert.equal(error?.code, 'GW_ERR_SOURCE_CLOSED');
      assert.match(error!.message, /broke the connection \(ECONNRESET\) without an answer/);
    },
    {},
    { tcp: true },
  ));

test('a kept connection carries the next request; its limit of requests ends it', () =>
  withPool(
    async (pool, { requests }) => {
      for (let i = 0; i < 5; i++) await play(pool, 'page');
      assert.deepEqual(
        requests.map(({ number }) => number),
        [1, 2, 3, 1, 2],
      );
      assert.ok(requests.every(({ keepConn }) => keepConn));
    },
    { requestsPerConnectionMax: 3 },
    {},
  ));

test('without kept connections KEEP_CONN is not asked, and our side closes at the end (F37)', () =>
  withPool(
    async (pool, target) => {
      await play(pool, 'waits-for-close');
      assert.equal(pool.connections, 0);
      await target.whenAllClosed();
      await play(pool, 'page');
      assert.deepEqual(
        target.requests.map(({ keepConn, number }) => [keepConn, number]),
        [
          [false, 1],
          [false, 1],
        ],
      );
    },
    { keepConnections: 0 },
    {},
  ));

test('bytes after END_REQUEST, in the same piece or later, cost the connection (G1, T76)', async (t) => {
  for (const scenario of ['second-answer', 'second-end', 'garbage-after-end', 'late-bytes']) {
    await t.test(scenario, () =>
      withPool(async (pool) => {
        assert.match((await play(pool, scenario)).stdout, /first$/);
        if (scenario === 'late-bytes') {
          // A whole second answer comes while the next request waits for its own: that one is sent again elsewhere.
          const next = await play(pool, 'slow&ms=50');
          assert.equal(next.error, undefined);
          assert.doesNotMatch(next.stdout, /second/);
        }
        const { stdout, error } = await play(pool, 'page');
        // A late byte may meet the next request: an error then, never its bytes as our answer.
        if (error === undefined) assert.equal(stdout, `${head}Hello`);
      }),
    );
  }
});

test('bytes before a request was sent are no answer (T76)', () =>
  withPool(
    async (pool) => {
      const { stdout, error } = await play(pool, 'page');
      assert.equal(stdout, '');
      assert.equal(error?.code, 'GW_ERR_PROTOCOL_VERSION');
    },
    {},
    { banner: Buffer.from('220 hello\r\n') },
  ));

test('a kept connection that is closed under a request: GET is sent again on a fresh one, once (F9)', () =>
  withPool(
    async (pool, { requests }) => {
      assert.equal((await play(pool, 'once')).stdout, `${head}first`);
      assert.equal((await play(pool, 'once')).stdout, `${head}first`);
      assert.deepEqual(
        requests.map(({ number }) => number),
        [1, 2, 1],
      );
    },
    { idleTimeoutMs: 60_000 },
    {},
  ));

test('an exchange tells whether it may have run twice (F9)', () =>
  withPool(
    async (pool) => {
      const wasRepeated = () =>
        new Promise<boolean>((resolve, reject) => {
          const request = { ...requestFor('once'), mayRunTwice: true };
          const exchange = pool.open(request, {
            stdout: () => true,
            stderr() {},
            end: () => resolve(exchange.wasRepeated),
            error: reject,
          });
        });
      assert.deepEqual([await wasRepeated(), await wasRepeated()], [false, true]);
    },
    { idleTimeoutMs: 60_000 },
    {},
  ));

test('a kept connection that is closed under a request: POST is not sent again (G3)', () =>
  withPool(
    async (pool, { requests }) => {
      await play(pool, 'page');
      await play(pool, 'page');
      const { error } = await ask(pool, requestFor('once', bodyOf(Buffer.from('buy')), 'POST'));
      assert.equal(error?.code, 'GW_ERR_SOURCE_CLOSED');
      assert.equal((error as SourceError).delivery, 'maybe');
      assert.equal(requests.length, 3);
    },
    {},
    {},
  ));

test('S1: a listener that throws loses its own request, and nothing else', () =>
  withPool(async (pool) => {
    const throws = () => {
      throw new Error('of the listener');
    };
    for (const method of ['stdout', 'stderr', 'end'] as const) {
      const error = await new Promise<GatewayError>((resolve) => {
        const listener = { stdout: () => true, stderr() {}, end() {}, error: resolve };
        pool.open(requestFor('stderr-between'), { ...listener, [method]: throws });
      });
      assert.equal(error.code, 'GW_ERR_INTERNAL', method);
      assert.match((await play(pool, 'page')).stdout, /Hello/);
    }
  }));

test('G1: a connection is kept only if its own request asked for it, whatever was found out meanwhile', () =>
  withPool(
    async (pool, { requests }) => {
      const first = play(pool, 'slow&ms=50');
      await turnsUntil(() => requests.length > 0);
      pool.limit({
        keepConnections: 4,
        capacity: undefined,
        connectionsMax: undefined,
        multiplexedRequestsMax: 1,
      });
      await first;
      assert.equal(pool.idle, 0);
      await play(pool, 'page');
      assert.deepEqual(
        requests.map(({ keepConn, number }) => [keepConn, number]),
        [
          [false, 1],
          [true, 1],
        ],
      );
    },
    { keepConnections: 0 },
    {},
  ));

test('the first request of a connection has id 1, and each has its own there (G1)', () =>
  withEcho(async (pool, seen) => {
    for (let i = 0; i < 3; i++) await play(pool, 'page');
    await Promise.all([play(pool, 'page'), play(pool, 'page')]);
    assert.deepEqual(seen, [[1, 2, 3, 4], [1]]);
  }));

test('an application that knows no id but 1 loses kept connections, and no answer', () => {
  const lines: string[] = [];
  return withEcho(
    async (pool, seen) => {
      for (const method of ['GET', 'GET', 'POST', 'GET', 'GET']) {
        const { stdout, error } = await play(pool, 'page', undefined, method);
        assert.deepEqual([stdout, error], [`${head}Hello`, undefined]);
      }
      assert.equal(pool.idle, 0);
      // The second was asked on the kept connection, and then on one of its own.
      assert.deepEqual(seen, [[1, 2], [1], [1], [1], [1]]);
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /answers under the id of another request .* set keepConnections to 0$/);
    },
    { dropped: (line) => lines.push(line) },
    () => 1,
  );
});

test('a POST goes on a kept connection only after the application has shown that it keeps them', () =>
  withPool(
    async (pool, { requests }) => {
      const post = () => ask(pool, requestFor('page', bodyOf(Buffer.from('buy')), 'POST'));
      await post();
      await post();
      await play(pool, 'page');
      await post();
      assert.deepEqual(
        requests.map(({ number }) => number),
        [1, 1, 2, 3],
      );
    },
    {},
    {},
  ));

test('a POST that a closed kept connection did not take at all is sent on a fresh one (F9)', () =>
  withPool(
    async (pool, target) => {
      for (const body of [bodyOf(Buffer.from('buy')), new PiecewiseBody(Buffer.from('buy'), 3)]) {
        await play(pool, 'page');
        await play(pool, 'page');
        assert.equal(pool.idle, 1);
        // In this very tick, so that the pool cannot know yet.
        target.closeConnections();
        const { stdout } = await ask(pool, requestFor('page', body, 'POST'));
        assert.equal(stdout, `${head}Hello`);
        assert.equal(target.requests.at(-1)!.stdin.toString(), 'buy');
        assert.equal(target.requests.at(-1)!.number, 1);
      }
    },
    {},
    {},
  ));

test('a connection that closes while idle is not used again', () =>
  withPool(
    async (pool, { requests }) => {
      await play(pool, 'close-when-idle');
      await turnsUntil(() => pool.connections === 0);
      const { stdout } = await ask(pool, requestFor('page', bodyOf(Buffer.from('x')), 'POST'));
      assert.equal(stdout, `${head}Hello`);
      assert.equal(requests.length, 2);
    },
    {},
    {},
  ));

test('an idle connection is closed after its time', async () => {
  const clock = new ManualClock();
  await withPool(
    async (pool) => {
      await play(pool, 'page');
      assert.equal(pool.idle, 1);
      clock.advance(20);
      assert.equal(pool.idle, 1);
      clock.advance(31);
      assert.equal(pool.idle, 0);
    },
    { idleTimeoutMs: 30, clock },
  );
});

test('an application that closes each connection at once is an error', () =>
  withPool(
    async (pool) => {
      const { error } = await play(pool, 'page');
      assert.equal(error?.code, 'GW_ERR_SOURCE_CLOSED');
    },
    {},
    { closesAtOnce: true },
  ));

test('silence, before or after the first byte, ends with the read timeout', async () => {
  const clock = new ManualClock();
  await withPool(
    async (pool, { requests }) => {
      const silent = play(pool, 'silence');
      await turnsUntil(() => requests.length === 1);
      const silence = await passUntil(clock, silent);
      assert.equal(silence.error?.code, 'GW_ERR_SOURCE_READ_TIMEOUT');
      assert.match(
        silence.error!.message,
        /sent nothing for 60 ms \(0 bytes before\)\. .* raise readTimeoutMs/,
      );
      let heard = '';
      const half = new Promise<GatewayError>((resolve, reject) => {
        pool.open(requestFor('no-end'), {
          stdout(chunk) {
            heard += chunk.toString('latin1');
            return true;
          },
          stderr() {},
          end: reject,
          error: resolve,
        });
      });
      await turnsUntil(() => heard === `${head}half`);
      assert.equal((await passUntil(clock, half)).code, 'GW_ERR_SOURCE_READ_TIMEOUT');
      // Each byte gives new time. Several that come together give no more than one.
      let isMoving = false;
      const appStatus = await new Promise<number>((resolve, reject) => {
        pool.open(requestFor('drip&ms=1&count=6'), {
          stdout() {
            if (isMoving) return true;
            isMoving = true;
            setImmediate(() => {
              isMoving = false;
              clock.advance(40);
            });
            return true;
          },
          stderr() {},
          end: resolve,
          error: reject,
        });
      });
      assert.equal(appStatus, 0);
    },
    { readTimeoutMs: 60, connectTimeoutMs: endless, totalTimeoutMs: endless, clock },
    {},
  );
});

test('a drip ends with the total limit, unless the answer streams; our own pauses do not count (F16)', () => {
  const clock = new ManualClock();
  return withPool(
    async (pool, { requests }) => {
      const endlessly = play(pool, 'drip&ms=1&count=100000');
      await turnsUntil(() => requests.length === 1);
      const drip = await passUntil(clock, endlessly);
      assert.equal(drip.error?.code, 'GW_ERR_SOURCE_TOTAL_TIMEOUT');
      assert.match(
        drip.error!.message,
        /took longer than 150 ms for one request \(\d+ bytes came\)\. .* raise totalTimeoutMs/,
      );
      const streamed = new Promise<string>((resolve) => {
        const exchange = pool.open(requestFor('drip&ms=1&count=30'), {
          stdout: () => true,
          stderr() {},
          end: () => resolve('end'),
          error: ({ code }) => resolve(code),
        });
        exchange.liftTotalLimit();
      });
      assert.equal(await passUntil(clock, streamed), 'end');
    },
    { totalTimeoutMs: 150, connectTimeoutMs: endless, readTimeoutMs: endless, clock },
    {},
  );
});

test('an application that never reads ends with the send timeout (F31)', () => {
  const clock = new ManualClock();
  return withPool(
    async (pool) => {
      const body = new PiecewiseBody(Buffer.alloc(4_000_000), 65_536);
      const { error } = await passUntil(clock, play(pool, 'never-reading', body, 'POST'));
      assert.equal(error?.code, 'GW_ERR_SOURCE_SEND_TIMEOUT');
      assert.ok(body.sent < 1_500_000, `${body.sent} bytes were read from the body`);
      assert.ok(body.closed);
    },
    {
      sendTimeoutMs: 60,
      connectTimeoutMs: endless,
      readTimeoutMs: endless,
      totalTimeoutMs: endless,
      clock,
    },
  );
});

test('bodies arrive byte for byte: in memory, in pieces, empty, of the sizes where records split', async () => {
  for (const size of [0, 1, 65_535, 65_536, 66_000, 300_000]) {
    const content = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255));
    const bodies = [bodyOf(content), new PiecewiseBody(content, 65_536), new PiecewiseBody(content, 999)];
    for (const body of bodies.slice(0, size > 100_000 ? 2 : 3)) {
      await withPool(
        async (pool, { requests }) => {
          const { appStatus } = await ask(pool, requestFor('page', body, 'POST'));
          assert.equal(appStatus, 0);
          assert.ok(requests[0]!.stdin.equals(content), `${size} bytes`);
          assert.equal(requests[0]!.stdinEnded, true);
          await ask(pool, requestFor('page'));
          assert.equal(requests[1]!.number, 2, 'the connection was kept');
        },
        {},
        {},
      );
    }
  }
});

test('a large body waits for a slow reader', () =>
  withPool(async (pool) => {
    // A piece is more than a socket takes at once.
    const body = new PiecewiseBody(Buffer.alloc(3_000_000, 'b'), 1_000_000);
    const outcome = await play(pool, 'answer-while-reading', body, 'POST');
    assert.equal(outcome.stdout, `${head}early 3000000`);
    assert.ok(body.waits > 0);
  }));

test('an answer that ends before STDIN stops the body, and costs the connection (F29)', () =>
  withPool(async (pool) => {
    const body = new PiecewiseBody(Buffer.alloc(50_000_000), 65_536);
    const outcome = await play(pool, 'end-before-stdin', body, 'POST');
    assert.equal(outcome.stdout, `${head}early`);
    assert.equal(outcome.appStatus, 0);
    assert.ok(body.closed);
    assert.equal(pool.connections, 0);
  }));

test('an answer is read although the application closed without reading STDIN (F30)', async () => {
  for (const tcp of [false, true]) {
    await withPool(
      async (pool) => {
        const body = new PiecewiseBody(Buffer.alloc(8_000_000), 65_536);
        const outcome = await play(pool, 'answer-without-reading', body, 'POST');
        assert.equal(outcome.error, undefined);
        assert.equal(outcome.stdout, `${head}early`);
        assert.ok(body.closed);
      },
      {},
      { tcp },
    );
  }
});

test('a body that fails closes the connection without an end of STDIN (F34)', () =>
  withPool(
    async (pool, target) => {
      const body = new PiecewiseBody(Buffer.alloc(200_000), 65_536);
      body.failure = new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'The client left');
      const { error } = await play(pool, 'page', body, 'POST');
      assert.equal(error?.code, 'GW_ERR_HTTP_BODY_CUT');
      await target.whenAllClosed();
      assert.equal(target.requests[0]!.stdinEnded, false);
    },
    {},
    {},
  ));

test('a listener that pauses stops the application; resume goes on; nothing is lost', () => {
  const clock = new ManualClock();
  return withPool(
    async (pool) => {
      const bytes = 20_000_000;
      const received = await new Promise<number>((resolve, reject) => {
        let count = 0;
        let paused = false;
        const exchange = pool.open(requestFor(`large&bytes=${bytes}`), {
          stdout(chunk) {
            count += chunk.length;
            assert.equal(
              chunk.every((byte) => byte > 9),
              true,
            );
            if (paused) return false;
            paused = true;
            // Longer than the read timeout: the application is not to blame while we are not reading.
            setImmediate(() => {
              clock.advance(1_000);
              paused = false;
              exchange.resume();
            });
            return false;
          },
          stderr() {},
          end: () => resolve(count),
          error: reject,
        });
      });
      assert.equal(received, bytes + `Content-Length: ${bytes}\r\n${head}`.length);
    },
    { readTimeoutMs: 200, clock },
  );
});

test('while paused, little is read', () => {
  const clock = new ManualClock();
  return withPool(
    async (pool) => {
      let count = 0;
      const exchange = pool.open(requestFor('large&bytes=50000000'), {
        stdout(chunk) {
          count += chunk.length;
          return false;
        },
        stderr() {},
        end: () => assert.fail('it ended'),
        error: (error) => assert.fail(error),
      });
      await turnsUntil(() => count > 0);
      for (let turn = 0; turn < 100; turn++) {
        clock.advance(10);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(count <= 131_072, `${count} bytes`);
      exchange.abort();
    },
    { readTimeoutMs: 60, clock },
  );
});

test('large answers keep their bytes although buffers are shared and handed over', () =>
  withPool(async (pool) => {
    const pieces = await Promise.all(
      Array.from({ length: 6 }, (_, i) => ask(pool, requestFor(`large&length=no&bytes=${1_000_000 + i}`))),
    );
    const pattern = '0123456789abcdef'.repeat(2048);
    pieces.forEach(({ stdout, appStatus }, i) => {
      assert.equal(appStatus, 0);
      const body = stdout.slice(head.length);
      assert.equal(body.length, 1_000_000 + i);
      for (let at = 0; at < body.length; at += 32_768) {
        assert.ok(pattern.startsWith(body.slice(at, at + 32_768)), `piece at ${at}`);
      }
    });
  }));

for (const { name, sendNow, isOverwritten } of [
  {
    name: 'a listener that has done with the chunks of a read gives their memory back',
    sendNow: () => true,
    isOverwritten: true,
  },
  {
    name: 'a listener that has not, or does not say, keeps them',
    sendNow: () => false,
    isOverwritten: false,
  },
  { name: 'a listener that says nothing of it keeps them', sendNow: undefined, isOverwritten: false },
]) {
  test(name, () =>
    withPool(async (pool) => {
      const bytes = 1_000_000;
      const chunks: Buffer[] = [];
      let told = '';
      await new Promise<void>((resolve, reject) => {
        pool.open(requestFor(`large&length=no&bytes=${bytes}`), {
          stdout(chunk) {
            chunks.push(chunk);
            told += chunk.toString('latin1');
            return true;
          },
          stderr() {},
          ...(sendNow && { sendNow }),
          end: () => resolve(),
          error: reject,
        });
      });
      assert.equal(told, head + '0123456789abcdef'.repeat(bytes / 16));
      assert.equal(Buffer.concat(chunks).toString('latin1') !== told, isOverwritten);
      const large = chunks.filter(({ length }) => length > 20_000);
      const memory = new Set(large.map(({ buffer }) => buffer)).size;
      assert.ok(large.length > 10, `${large.length} large chunks`);
      // The first large read is copied out of the shared buffer.
      if (isOverwritten) assert.ok(memory <= 2, `${memory} buffers`);
    }),
  );
}

test('abort closes the connection, and the listener hears no more', () =>
  withPool(
    async (pool, target) => {
      for (const scenario of ['silence', 'no-end', 'large&bytes=2000000000']) {
        let heard = false;
        const exchange = pool.open(requestFor(scenario), {
          stdout: () => {
            heard = true;
            return true;
          },
          stderr() {},
          end: () => assert.fail('end'),
          error: () => assert.fail('error'),
        });
        assert.equal(pool.active, 1);
        if (scenario !== 'silence') await turnsUntil(() => heard);
        exchange.abort();
        exchange.abort();
        exchange.resume();
        assert.equal(pool.active, 0);
        assert.equal(pool.connections, 0);
      }
      await target.whenAllClosed();
    },
    {},
    {},
  ));

test('a listener that aborts inside a call hears nothing more', () =>
  withPool(async (pool) => {
    for (const scenario of ['second-answer', 'garbage-after-end', 'wrong-id-in-body', 'type-99-in-body']) {
      await new Promise<void>((resolve) => {
        const exchange = pool.open(requestFor(scenario), {
          stdout() {
            exchange.abort();
            setImmediate(resolve);
            return true;
          },
          stderr() {},
          end: () => assert.fail('end'),
          error: (error) => assert.fail(error),
        });
      });
      assert.equal(pool.connections, 0);
    }
  }));

test('answers never reach another request, although others are aborted at any moment (T77)', () =>
  withPool(
    async (pool) => {
      const random = createRandom(7);
      const one = (nonce: number) =>
        new Promise<void>((resolve, reject) => {
          let answer = '';
          const isDoomed = random() < 0.3;
          const exchange = pool.open(
            { variables: ['QUERY_STRING', 'play=echo', 'NONCE', `<${nonce}>`], body: undefined },
            {
              stdout(chunk) {
                answer += chunk.toString('latin1');
                return true;
              },
              stderr() {},
              end() {
                assert.ok(answer.includes(`"NONCE":"<${nonce}>"`), `${nonce} got ${answer}`);
                resolve();
              },
              error: reject,
            },
          );
          if (!isDoomed) return;
          let turns = Math.floor(random() * 30);
          const step = () => {
            if (turns-- > 0) setImmediate(step);
            else {
              exchange.abort();
              resolve();
            }
          };
          step();
        });
      for (let round = 0; round < 20; round++) {
        await Promise.all(Array.from({ length: 20 }, (_, i) => one(round * 100 + i)));
      }
    },
    { waitingMax: 100, capacity: 6 },
    {},
  ));

test('capacity: more requests wait in order, and none is lost', () =>
  withPool(
    async (pool, target) => {
      const order: number[] = [];
      const all = Array.from({ length: 5 }, async (_, i) => {
        const outcome = await play(pool, `slow&ms=10&n=${i}`);
        order.push(i);
        return outcome;
      });
      assert.equal(pool.active, 5);
      assert.equal(pool.waiting, 3);
      for (const { appStatus } of await Promise.all(all)) assert.equal(appStatus, 0);
      assert.deepEqual(order, [0, 1, 2, 3, 4]);
      assert.equal(target.accepted, 2);
    },
    { capacity: 2 },
    {},
  ));

test('the waiting line has an end, in number and in time', () => {
  const clock = new ManualClock();
  return withPool(
    async (pool) => {
      const silent = {
        stdout: () => true,
        stderr() {},
        end() {},
        error: (error: Error) => assert.fail(error),
      };
      const first = pool.open(requestFor('silence'), silent);
      const waiting = [1, 2, 3].map(() => play(pool, 'page'));
      const refused = await play(pool, 'page');
      assert.equal(refused.error?.code, 'GW_ERR_SOURCE_OVERLOADED');
      assert.match(
        refused.error!.message,
        /works on 1 request, as many as its limit allows, and 3 requests wait already\. Give it more workers/,
      );
      clock.advance(49);
      assert.equal(pool.waiting, 3);
      clock.advance(50);
      const late = await Promise.all(waiting);
      for (const { error } of late) {
        assert.ok(error instanceof SourceError);
        assert.equal(error.code, 'GW_ERR_SOURCE_OVERLOADED');
        assert.equal(error.delivery, 'unsent');
        assert.equal(error.retryAfterSeconds, 1);
      }
      first.abort();
    },
    { capacity: 1, waitingTimeoutMs: 50, clock },
  );
});

test('an aborted request leaves the line, and its place goes to the next', () =>
  withPool(
    async (pool) => {
      const silent = { stdout: () => true, stderr() {}, end() {}, error() {} };
      const running = pool.open(requestFor('silence'), silent);
      const waiting = pool.open(requestFor('silence'), silent);
      const last = play(pool, 'page');
      waiting.abort();
      assert.equal(pool.active, 2);
      running.abort();
      assert.equal((await last).stdout, `${head}Hello`);
    },
    { capacity: 1 },
  ));

test('an application with one worker is not starved by kept connections', () => {
  const clock = new ManualClock();
  return withPool(
    async (pool) => {
      const all = Promise.all(Array.from({ length: 4 }, () => play(pool, 'page')));
      const outcomes = await passUntil(clock, all);
      for (const { error } of outcomes) assert.equal(error, undefined);
    },
    { idleTimeoutMs: endless, readTimeoutMs: endless, totalTimeoutMs: endless, clock },
    { workers: 1 },
  );
});

test('a full queue of connections is tried again, within the connect timeout (F3)', async () => {
  const clock = new ManualClock();
  const limits = { readTimeoutMs: endless, totalTimeoutMs: endless, clock };
  await withPool(
    async (pool) => {
      const outcomes = await passUntil(
        clock,
        Promise.all(Array.from({ length: 20 }, () => play(pool, 'page'))),
      );
      for (const { error } of outcomes) assert.equal(error, undefined);
    },
    { ...limits, connectTimeoutMs: endless },
    { backlog: 1 },
  );
  await withPool(
    async (pool) => {
      const outcomes = await passUntil(
        clock,
        Promise.all(Array.from({ length: 20 }, () => play(pool, 'page'))),
      );
      const codes = new Set(outcomes.map(({ error }) => error?.code));
      assert.deepEqual([...codes], [undefined, 'GW_ERR_SOURCE_OVERLOADED']);
    },
    // Each delay is longer than the limit.
    { ...limits, random: () => 1_000, connectTimeoutMs: 40 },
    { backlog: 1 },
  );
});

test('connect faults are one sentence with the way out', async () => {
  const failures: [string, RegExp][] = [
    [
      'unix:/nowhere/php.sock',
      /^Could not connect to unix:\/nowhere\/php.sock: there is no such socket\. Is the app/,
    ],
    ['unix:/etc/passwd', /^Could not connect to unix:\/etc\/passwd: /],
    [
      'tcp://127.0.0.1:1',
      /^Could not connect to tcp:\/\/127.0.0.1:1: connection refused\. Nothing listens there/,
    ],
    [
      'unix:@fastway-nobody-is-here',
      /^Could not connect to unix:@fastway-nobody-is-here: connection refused/,
    ],
  ];
  for (const [address, message] of failures) {
    const pool = poolFor(address);
    const { error } = await play(pool, 'page');
    assert.ok(error instanceof SourceError);
    assert.equal(error.code, 'GW_ERR_SOURCE_CONNECT');
    assert.equal(error.delivery, 'unsent');
    assert.match(error.message, message);
    await pool.close();
  }
});

test('a pair that is too large is refused before connecting (T10)', () =>
  withPool(
    async (pool, target) => {
      const outcome = await ask(pool, { variables: ['HTTP_COOKIE', 'x'.repeat(70_000)], body: undefined });
      assert.equal(outcome.error?.code, 'GW_ERR_PROTOCOL_PAIR_TOO_LARGE');
      assert.equal(target.accepted, 0);
    },
    {},
    {},
  ));

test('many and large variables arrive whole', () =>
  withPool(
    async (pool, { requests }) => {
      const variables = Array.from({ length: 40 }, (_, i) => [`HTTP_X_${i}`, `${i}`.repeat(1500)]).flat();
      const { appStatus } = await ask(pool, { variables, body: undefined });
      assert.equal(appStatus, 0);
      assert.deepEqual([...requests[0]!.variables].flat(), variables);
    },
    {},
    {},
  ));

test('close: waiting requests are refused, those under way end, later ones are refused', async () => {
  const pool = poolFor(application.address, { capacity: 1 });
  const running = play(pool, 'slow&ms=30');
  const waiting = play(pool, 'page');
  const closed = pool.close();
  assert.equal((await waiting).error?.code, 'GW_ERR_SOURCE_STOPPED');
  assert.equal((await play(pool, 'page')).error?.code, 'GW_ERR_SOURCE_STOPPED');
  assert.equal((await running).appStatus, 0);
  await closed;
  await pool.close();
  assert.equal(pool.connections, 0);
});

test('the outcome tells of each end, and not of aborted requests', async () => {
  const outcomes: (string | undefined)[] = [];
  await withPool(
    async (pool) => {
      await play(pool, 'page');
      await play(pool, 'version-2');
      pool.open(requestFor('silence'), { stdout: () => true, stderr() {}, end() {}, error() {} }).abort();
    },
    { outcome: (error) => outcomes.push(error?.code) },
  );
  assert.deepEqual(outcomes, [undefined, 'GW_ERR_PROTOCOL_VERSION']);
});

test('a trace sees every record in both directions', async () => {
  const records: string[] = [];
  await withPool(
    async (pool) => {
      await ask(pool, requestFor('page', new PiecewiseBody(Buffer.from('body'), 10), 'POST'));
    },
    {
      trace: (direction, type, id, content) => records.push(`${direction} ${type}/${id} ${content.length}`),
    },
  );
  const variables = 'REQUEST_METHODPOSTQUERY_STRINGplay=page'.length + 4;
  assert.deepEqual(records, [
    'sent 1/1 8',
    `sent 4/1 ${variables}`,
    'sent 4/1 0',
    'sent 5/1 4',
    'sent 5/1 0',
    `received 6/1 ${head.length + 5}`,
    'received 6/1 0',
    'received 3/1 8',
  ]);
});
