/** Many requests on one connection: nothing is mixed, one request's trouble is its own, and memory is bounded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, bodyOf, type Outcome, PiecewiseBody } from '../../test/support/ask.ts';
import { ManualClock, passUntil, turnsUntil as until } from '../../test/support/manual-clock.ts';
import {
  type ApplicationConnection,
  type MultiplexedRequest,
  type MultiplexingApplication,
  type MultiplexingOptions,
  startMultiplexingApplication,
} from '../../test/support/multiplexing-application.ts';
import { createRandom } from '../../test/support/random.ts';
import { endRequest, record, text } from '../../test/support/record-builder.ts';
import { parseAddress } from '../base/address.ts';
import { HttpRequestError, type SourceError } from '../base/errors.ts';
import type { RequestBody } from '../http/message.ts';
import { createPool, type PoolSettings } from './create-pool.ts';
import type { Pool } from './pool.ts';
import type { ClientExchange, ClientListener, ClientRequest } from './request.ts';

interface Scene {
  readonly pool: Pool;
  readonly application: MultiplexingApplication;
  /** The pool's: nothing times out while it stands still. */
  readonly clock: ManualClock;
}

/** Gives `run` a pool that multiplexes and an application, and checks that nothing is left of them. */
async function withScene(
  run: (scene: Scene) => Promise<void>,
  application: MultiplexingOptions = {},
  settings: Partial<PoolSettings> = {},
): Promise<void> {
  const started = await startMultiplexingApplication({
    ...application,
    heard: (request) => (request.name === 'warm' ? request.answer('') : application.heard?.(request)),
  });
  const clock = new ManualClock();
  const pool = createPool({
    address: parseAddress(started.address),
    multiplexedRequestsMax: 1_000,
    clock,
    ...settings,
  });
  try {
    // It shows that it keeps connections.
    for (let i = 0; i < 2; i++) await ask(pool, named('warm'));
    started.forget();
    await run({ pool, application: started, clock });
  } finally {
    await started.close();
    await pool.close();
    assert.deepEqual([pool.connections, pool.active], [0, 0]);
  }
}

function named(
  name: string,
  body?: RequestBody,
  method = body === undefined ? 'GET' : 'POST',
): ClientRequest {
  return { variables: ['REQUEST_METHOD', method, 'NAME', name], body };
}

/** A listener that takes nothing until `release`. */
class Reader implements ClientListener {
  bytes = 0;
  takes = false;
  outcome: Error | number | undefined;
  readonly ended: Promise<void>;
  #ended!: () => void;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  stdout(chunk: Buffer): boolean {
    this.bytes += chunk.length;
    return this.takes;
  }

  stderr(): void {}

  end(appStatus: number): void {
    this.outcome = appStatus;
    this.#ended();
  }

  error(error: Error): void {
    this.outcome = error;
    this.#ended();
  }
}

/** Answers requests that wait in any order, in pieces of any size. */
function answerAtRandom(random: () => number): (request: MultiplexedRequest) => void {
  const open: { request: MultiplexedRequest; pieces: string[] }[] = [];
  let isRunning = false;
  const step = () => {
    for (let i = 0; i < 20 && open.length > 0; i++) {
      const index = Math.floor(random() * open.length);
      const { request, pieces } = open[index]!;
      const piece = request.aborted && random() < 0.5 ? undefined : pieces.shift();
      if (piece === undefined) {
        open.splice(index, 1);
        request.end(0, request.name.length);
      } else if (random() < 0.1) request.stderr(request.name);
      else request.stdout(piece, Math.floor(random() * 256));
    }
    isRunning = open.length > 0;
    if (isRunning) setImmediate(step);
  };
  return (request) => {
    const pieces = Array.from({ length: Math.floor(random() * 8) }, () => `<${request.name}>`);
    open.push({ request, pieces: [`Got: ${request.stdin.toString('latin1')}`, ...pieces] });
    if (!isRunning) {
      isRunning = true;
      setImmediate(step);
    }
  };
}

test('thousands of requests with and without bodies, some given up: each gets its own answer', async () => {
  const seed = 4_711;
  const random = createRandom(seed);
  await withScene(
    async ({ pool, application }) => {
      let asked = 0;
      let aborted = 0;
      const check = (name: string, sent: string, { stdout, stderr, appStatus }: Outcome) => {
        const [, got, rest] = /^(?:Got: ([^<]*))?((?:<\w+>)*)$/.exec(stdout) ?? [];
        assert.notEqual(rest, undefined, `seed ${seed}: ${stdout.slice(0, 200)}`);
        if (got !== undefined) assert.equal(got, sent);
        assert.equal(rest!.replaceAll(`<${name}>`, ''), '', `seed ${seed}`);
        assert.equal(stderr.replaceAll(name, ''), '', `seed ${seed}`);
        assert.equal(appStatus, name.length);
      };
      const client = async () => {
        while (asked < 3_000) {
          const name = `n${asked++}`;
          const sent = random() < 0.5 ? '' : name.repeat(1 + Math.floor(random() * 200));
          const bytes = text(sent);
          const body =
            sent === '' ? undefined : random() < 0.5 ? bodyOf(bytes) : new PiecewiseBody(bytes, 97, true);
          if (random() < 0.2) {
            aborted++;
            let mixed = '';
            const exchange = pool.open(named(name, body), {
              stdout: (chunk) => {
                mixed += chunk.toString('latin1').replaceAll(`<${name}>`, '').replace(`Got: ${sent}`, '');
                return true;
              },
              stderr() {},
              end() {},
              error: (error) => assert.fail(error),
            });
            for (let turns = random() * 5; turns > 0; turns--)
              await new Promise((resolve) => setImmediate(resolve));
            exchange.abort();
            assert.equal(mixed, '', `seed ${seed}`);
          } else {
            const outcome = await ask(pool, named(name, body));
            assert.equal(outcome.error, undefined);
            check(name, sent, outcome);
          }
        }
      };
      await Promise.all(Array.from({ length: 64 }, client));
      assert.ok(aborted > 500);
      // 500 requests on each, and a few at the same time.
      assert.ok(application.connections.length < 20, `${application.connections.length} connections`);
    },
    { heard: answerAtRandom(random) },
  );
});

test('the requests of one turn leave in one write', () =>
  withScene(
    async ({ pool, application }) => {
      await ask(pool, named('first'));
      const outcomes = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(pool, named(`n${i}`))));
      assert.deepEqual(
        outcomes.map(({ stdout }) => stdout),
        outcomes.map((_, i) => `n${i}`),
      );
      assert.equal(application.connections.length, 1);
      assert.deepEqual(application.connections[0]!.begins, [1, 40]);
    },
    { heard: (request) => request.answer(request.name) },
  ));

test('a reader that stalls makes nobody else wait; what it misses is held and comes later', () =>
  withScene(async ({ pool, application }) => {
    const slow = new Reader();
    const exchange = pool.open(named('slow'), slow);
    const request = await application.request('slow');
    request.stdout('x'.repeat(1_000));
    await until(() => slow.bytes === 1_000);
    // 60 KiB at a time, so that each read is of this request.
    for (let i = 0; i < 10; i++) request.stdout('y'.repeat(60_000));
    request.end(0, 7);
    for (let i = 0; i < 100; i++) {
      const other = ask(pool, named(`n${i}`));
      (await application.request(`n${i}`)).answer('quick');
      assert.equal((await other).stdout, 'quick');
    }
    assert.equal(slow.bytes, 1_000, 'nothing more before it asks for more');
    assert.equal(slow.outcome, undefined);
    exchange.resume();
    assert.equal(slow.bytes, 61_000, 'one piece, after which it says no again');
    slow.takes = true;
    exchange.resume();
    await slow.ended;
    assert.deepEqual([slow.bytes, slow.outcome], [601_000, 7]);
    assert.equal(application.connections.length, 1);
  }));

test('a reader that is a mebibyte behind loses its answer, and the application is told', () =>
  withScene(async ({ pool, application }) => {
    const slow = new Reader();
    pool.open(named('slow'), slow);
    const request = await application.request('slow');
    let isOver = false;
    const over = slow.ended
      .then(() => request.whenAborted())
      .then(() => {
        isOver = true;
      });
    await until(() => {
      if (!isOver) request.stdout('x'.repeat(50_000));
      return isOver;
    });
    await over;
    const error = slow.outcome as SourceError;
    assert.equal(error.code, 'GW_ERR_SOURCE_READER_BEHIND');
    assert.match(error.message, /is 1\d{6} bytes behind, and other requests share the connection$/);
    assert.ok(slow.bytes <= 65_536);
    request.stdout('too late');
    request.end();
    const other = ask(pool, named('other'));
    (await application.request('other')).answer('here');
    assert.equal((await other).stdout, 'here');
    assert.equal(application.connections.length, 1);
  }));

test('a request that is given up before it was written is never sent', () =>
  withScene(
    async ({ pool, application }) => {
      const listener = new Reader();
      const exchanges = ['a', 'b', 'c'].map((name) => pool.open(named(name), listener));
      exchanges[1]!.abort();
      assert.equal(pool.active, 2);
      await (await application.request('c')).answer('');
      assert.equal(application.count, 2);
      assert.deepEqual(application.connections[0]!.begins, [2]);
    },
    { heard: (request) => request.name === 'a' && request.answer('') },
  ));

test('a request that is given up is told with ABORT_REQUEST, and what still comes for it is for nobody', () =>
  withScene(async ({ pool, application }) => {
    const given = new Reader();
    const exchange = pool.open(named('given', new PiecewiseBody(Buffer.alloc(1_000), 10, true)), given);
    const kept = ask(pool, named('kept'));
    const [connection] = await Promise.all([application.request('kept')]).then(() => application.connections);
    await until(() => [...connection!.requests.values()].some(({ name }) => name === 'given'));
    exchange.abort();
    exchange.abort();
    const request = [...connection!.requests.values()].find(({ name }) => name === 'given')!;
    await request.whenAborted();
    assert.equal(request.stdinEnded, false, 'STDIN has no end (F34)');
    request.stdout('late');
    request.end();
    (await application.request('kept')).answer('here');
    assert.equal((await kept).stdout, 'here');
    assert.deepEqual([given.bytes, given.outcome], [0, undefined]);
    assert.equal(connection!.types.filter((type) => type === 2).length, 1);
  }));

test('an application that does not end what was given up gets no more on that connection (F35)', () =>
  withScene(async ({ pool, application, clock }) => {
    const exchange = pool.open(named('given'), new Reader());
    const kept = ask(pool, named('kept'));
    await application.request('given');
    exchange.abort();
    await (await application.request('given')).whenAborted();
    const before = application.connections.length;
    await until(() => {
      clock.advance(20);
      const probe = pool.open(named('probe'), new Reader());
      const isFresh = application.connections.length > before;
      probe.abort();
      return isFresh;
    });
    (await application.request('kept')).answer('here');
    assert.equal((await kept).stdout, 'here', 'those that it has are not disturbed');
  }));

test('silence ends one request, and leaves the others alone (F10)', () =>
  withScene(
    async ({ pool, application, clock }) => {
      const silent = ask(pool, named('silent'));
      const talking = new Reader();
      talking.takes = true;
      pool.open(named('talking'), talking);
      const talker = await application.request('talking');
      await application.request('silent');
      for (let said = 1; said <= 5; said++) {
        talker.stdout('.');
        await until(() => talking.bytes === said);
        clock.advance(100);
      }
      const { error } = await silent;
      assert.equal(error?.code, 'GW_ERR_SOURCE_READ_TIMEOUT');
      assert.match(error!.message, /sent nothing for 300 ms \(0 bytes before\)/);
      await (await application.request('silent')).whenAborted();
      talker.end(0, 5);
      await talking.ended;
      assert.equal(talking.outcome, 5);
    },
    {},
    { readTimeoutMs: 300 },
  ));

test('a drip meets the total limit, unless its answer streams (F16)', () =>
  withScene(
    async ({ pool, application, clock }) => {
      const dripping = new Reader();
      dripping.takes = true;
      const streaming = new Reader();
      streaming.takes = true;
      pool.open(named('dripping'), dripping);
      pool.open(named('streaming'), streaming).liftTotalLimit();
      const requests = [await application.request('dripping'), await application.request('streaming')];
      await until(() => {
        if (dripping.outcome === undefined) for (const request of requests) request.stdout('.');
        clock.advance(20);
        return dripping.outcome !== undefined;
      });
      assert.equal((dripping.outcome as SourceError).code, 'GW_ERR_SOURCE_TOTAL_TIMEOUT');
      requests[1]!.end();
      await streaming.ended;
      assert.equal(streaming.outcome, 0);
    },
    {},
    { totalTimeoutMs: 400 },
  ));

test('an application that reads nothing ends with the send timeout, for all of its requests (F31)', () =>
  withScene(
    async ({ pool, application, clock }) => {
      application.connections[0]!.socket.pause();
      const large = named('large', bodyOf(Buffer.alloc(4_000_000)));
      const outcomes = await passUntil(
        clock,
        Promise.all([ask(pool, large), ask(pool, named('small', bodyOf(Buffer.alloc(10))))]),
      );
      assert.deepEqual(
        outcomes.map(({ error }) => error?.code),
        ['GW_ERR_SOURCE_SEND_TIMEOUT', 'GW_ERR_SOURCE_SEND_TIMEOUT'],
      );
    },
    {},
    { sendTimeoutMs: 300, readTimeoutMs: 1_000_000 },
  ));

test('a connection that is lost: what may run twice is sent again once, the rest fails (F8, F9, G3)', () => {
  let broken: ApplicationConnection | undefined;
  return withScene(
    async ({ pool, application }) => {
      assert.equal((await ask(pool, named('first'))).stdout, 'first');
      const gets = ['a', 'b'].map((name) => ask(pool, named(name)));
      const post = ask(pool, named('post', bodyOf(Buffer.from('x'))));
      const outcomes = await Promise.all([...gets, post]);
      assert.deepEqual(
        outcomes.map(({ stdout, error }) => error?.code ?? stdout),
        ['a', 'b', 'GW_ERR_SOURCE_CLOSED'],
      );
      assert.equal((outcomes[2]!.error as SourceError).delivery, 'maybe');
      assert.equal(
        application.connections.length,
        3,
        'each of the two on one of its own, until that is known to stay',
      );
    },
    {
      heard: (request) => {
        const { connection, name } = request;
        broken ??= connection;
        // The first connection breaks with three requests that nobody has answered.
        if (name === 'first' || connection !== broken) request.answer(name);
        else if (connection.requests.size === 3) connection.socket.destroy();
      },
    },
  );
});

test('CANT_MPX_CONN: each request has a connection from then on (F22)', () =>
  withScene(
    async ({ pool, application }) => {
      const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => ask(pool, named(`n${i}`))));
      assert.deepEqual(
        outcomes.map(({ stdout, error }) => error?.message ?? stdout),
        outcomes.map((_, i) => `n${i}`),
      );
      for (const { types } of application.connections.slice(1)) {
        assert.equal(types.filter((type) => type === 1).length, 1);
      }
      assert.equal((await ask(pool, named('later'))).stdout, 'later');
    },
    {
      heard: (request) => {
        if (request.connection.requests.size > 1) request.end(1);
        else request.answer(request.name);
      },
    },
  ));

test('OVERLOADED and UNKNOWN_ROLE are the fault of one request', () =>
  withScene(
    async ({ pool, application }) => {
      const names = ['2', '3', '0'];
      const outcomes = await Promise.all(names.map((name) => ask(pool, named(name))));
      assert.deepEqual(
        outcomes.map(({ error }) => error?.code),
        ['GW_ERR_SOURCE_OVERLOADED', 'GW_ERR_PROTOCOL_STATUS', undefined],
      );
      assert.equal(application.connections.length, 1);
    },
    { heard: (request) => request.end(Number(request.name)) },
  ));

test('a record for nobody ends the connection, and nobody gets it (F19)', () =>
  withScene(async ({ pool, application }) => {
    const posts = ['a', 'b'].map((name) => ask(pool, named(name, bodyOf(Buffer.from('x')))));
    const request = await application.request('a');
    await application.request('b');
    request.stdout('mine');
    request.connection.socket.write(record(6, 0x7777, text('EVIL')));
    const outcomes = await Promise.all(posts);
    assert.deepEqual(
      outcomes.map(({ error, stdout }) => [error?.code, stdout]),
      [
        ['GW_ERR_PROTOCOL_REQUEST_ID', 'mine'],
        ['GW_ERR_PROTOCOL_REQUEST_ID', ''],
      ],
    );
  }));

test('what comes after END_REQUEST shows that ids are mixed up: no answer of the connection is complete (F26)', () =>
  withScene(async ({ pool, application }) => {
    const [first, other] = ['first', 'other'].map((name) => ask(pool, named(name, bodyOf(Buffer.from('x')))));
    const request = await application.request('first');
    (await application.request('other')).stdout('o');
    request.answer('here');
    assert.equal((await first!).stdout, 'here');
    request.stdout('EVIL');
    const { stdout, error } = await other!;
    assert.deepEqual([stdout, error?.code], ['o', 'GW_ERR_PROTOCOL_REQUEST_ID']);
    const next = ask(pool, named('next'));
    const later = await application.request('next');
    assert.notEqual(later.connection, request.connection);
    later.answer('fresh');
    assert.equal((await next).stdout, 'fresh');
  }));

test('an END_REQUEST counts when all that came with it was read and does not speak against it', () =>
  withScene(async ({ pool, application }) => {
    const asked = ask(pool, named('asked', bodyOf(Buffer.from('x'))));
    const request = await application.request('asked');
    request.stdout('half');
    await until(() => pool.active === 1);
    const ofAnother = [record(6, request.id, text('')), endRequest(0, 0, request.id)];
    request.connection.socket.write(Buffer.concat([...ofAnother, record(6, request.id, text('rest'))]));
    const { error, stdout } = await asked;
    assert.deepEqual([stdout, error?.code], ['half', 'GW_ERR_PROTOCOL_REQUEST_ID']);
  }));

test('END_REQUEST before the end of STDOUT: an error among others, and who is alone shares no more', () =>
  withScene(async ({ pool, application }) => {
    const posts = ['a', 'b'].map((name) => ask(pool, named(name, bodyOf(Buffer.from('x')))));
    const request = await application.request('a');
    await application.request('b');
    request.stdout('half');
    request.endWithoutStdout();
    for (const { error } of await Promise.all(posts)) assert.equal(error?.code, 'GW_ERR_PROTOCOL_RECORD');

    const alone = ask(pool, named('alone'));
    const single = await application.request('alone');
    single.stdout('whole');
    single.endWithoutStdout();
    assert.equal((await alone).stdout, 'whole');
    const before = application.connections.length;
    const two = ['c', 'd'].map((name) => ask(pool, named(name)));
    const connections = new Set([
      (await application.request('c')).connection,
      (await application.request('d')).connection,
    ]);
    assert.equal(connections.size, 2);
    assert.equal(application.connections.length, before + 1);
    for (const name of ['c', 'd']) (await application.request(name)).answer(name);
    assert.deepEqual(
      (await Promise.all(two)).map(({ stdout }) => stdout),
      ['c', 'd'],
    );
  }));

test('a body that fails ends its request alone', () =>
  withScene(async ({ pool, application }) => {
    const body = new PiecewiseBody(Buffer.alloc(1_000), 100);
    body.failure = new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'The client left');
    const other = ask(pool, named('other'));
    assert.equal((await ask(pool, named('cut', body))).error?.code, 'GW_ERR_HTTP_BODY_CUT');
    (await application.request('other')).answer('here');
    assert.equal((await other).stdout, 'here');
    const { types } = application.connections[0]!;
    assert.equal(types.filter((type) => type === 2).length, 1);
  }));

test('bodies of many requests take turns', () =>
  withScene(
    async ({ pool, application }) => {
      const content = Buffer.alloc(600_000, 'abcdefg');
      const bodies = Array.from({ length: 8 }, () => new PiecewiseBody(content, 20_000, true));
      const outcomes = await Promise.all(bodies.map((body, i) => ask(pool, named(`n${i}`, body))));
      assert.deepEqual(
        outcomes.map(({ stdout }) => stdout),
        outcomes.map(() => '600000 true'),
      );
      assert.equal(application.connections.length, 1);
    },
    {
      heard: (request) =>
        request.answer(`${request.stdin.length} ${request.stdin.equals(Buffer.alloc(600_000, 'abcdefg'))}`),
    },
  ));

test('an answer before the body was sent: the rest stays here, and the connection goes on (F29)', () =>
  withScene(
    async ({ pool, application }) => {
      const body = new PiecewiseBody(Buffer.alloc(100_000), 1_000);
      assert.equal((await ask(pool, named('early', body))).stdout, 'early');
      assert.equal(body.closed, true);
      assert.ok(body.sent < 100_000);
      assert.equal((await ask(pool, named('next'))).stdout, 'next');
      assert.equal(application.connections.length, 1);
    },
    { hearsEarly: true, heard: (request) => request.answer(request.name) },
  ));

test('capacity holds for all connections together, and one connection has its own limit', () =>
  withScene(
    async ({ pool, application }) => {
      const outcomes = Array.from({ length: 9 }, (_, i) => ask(pool, named(`n${i}`)));
      await application.request('n5');
      assert.deepEqual([pool.active, pool.waiting], [9, 3]);
      assert.deepEqual(
        application.connections.map(({ requests }) => requests.size),
        [4, 2],
      );
      for (let i = 0; i < 9; i++) (await application.request(`n${i}`)).answer(`n${i}`);
      assert.deepEqual(
        (await Promise.all(outcomes)).map(({ stdout }) => stdout),
        outcomes.map((_, i) => `n${i}`),
      );
    },
    {},
    { capacity: 6, multiplexedRequestsMax: 4 },
  ));

test('a connection ends after so many requests, after so long, and when it is idle', () =>
  withScene(
    async ({ pool, application, clock }) => {
      // The first has carried two already.
      for (let i = 0; i < 8; i++) assert.equal((await ask(pool, named(`n${i}`))).stdout, `n${i}`);
      assert.equal(application.connections.length, 4);
      clock.advance(1_000);
      assert.equal(pool.connections, 1);
      clock.advance(61_000);
      assert.equal(pool.connections, 0);
    },
    { heard: (request) => request.answer(request.name) },
    { requestsPerConnectionMax: 3, idleTimeoutMs: 1_000_000, connectTimeoutMs: 1_000_000 },
  ));

test('a request that must not share has a connection of its own', () =>
  withScene(async ({ pool, application }) => {
    const alone = { ...named('alone'), ownConnection: true };
    const open: ClientExchange[] = [];
    const reader = new Reader();
    open.push(pool.open(alone, reader), pool.open(named('a'), reader), pool.open(named('b'), reader));
    const [a, b] = await Promise.all([application.request('a'), application.request('b')]);
    assert.deepEqual(
      open.map(({ isShared }) => isShared),
      [false, true, true],
    );
    assert.equal(a.connection, b.connection);
    assert.notEqual((await application.request('alone')).connection, a.connection);
    for (const exchange of open) exchange.abort();
  }));

test('nobody listens: each request is told, unsent', async () => {
  const pool = createPool({ address: parseAddress('unix:/nowhere/at/all'), multiplexedRequestsMax: 10 });
  const outcomes = await Promise.all(['a', 'b'].map((name) => ask(pool, named(name))));
  for (const { error } of outcomes) {
    assert.equal(error?.code, 'GW_ERR_SOURCE_CONNECT');
    assert.equal((error as SourceError).delivery, 'unsent');
  }
  await pool.close();
  assert.equal(pool.connections, 0);
});

test('an application that says it multiplexes, and closes after each answer, gets one request on each connection', async () => {
  const application = await startMultiplexingApplication({
    heard: (request) => {
      request.answer(request.name);
      request.connection.socket.end();
    },
  });
  const pool = createPool({ address: parseAddress(application.address), multiplexedRequestsMax: 10 });
  for (let round = 0; round < 3; round++) {
    const names = Array.from({ length: 20 }, (_, i) => `n${round}-${i}`);
    const outcomes = await Promise.all(names.map((name) => ask(pool, named(name, bodyOf(text('x'))))));
    assert.deepEqual(
      outcomes.map(({ error, stdout }) => error?.message ?? stdout),
      names,
    );
  }
  assert.equal(application.connections.length, 60);
  await pool.close();
  await application.close();
});
