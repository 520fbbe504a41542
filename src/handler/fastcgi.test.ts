import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeRequest, type FakeRequestOptions, fakeRoot, fakeSite } from '../../test/support/fake-request.ts';
import { recordLog } from '../../test/support/local-source.ts';
import { ManualClock, nextTurn, passUntil, turnsUntil } from '../../test/support/manual-clock.ts';
import { type ScriptedExchange, ScriptedSource } from '../../test/support/scripted-source.ts';
import { type ApplicationRequest, serve } from '../app/index.ts';
import type { Balancer } from '../balancer/balancer.ts';
import { createFailover } from '../balancer/failover.ts';
import { parseAddress, printAddress } from '../base/address.ts';
import { systemClock } from '../base/clock.ts';
import {
  type Delivery,
  type ErrorCode,
  HttpRequestError,
  ProtocolError,
  SourceError,
} from '../base/errors.ts';
import { createRemoteSource } from '../source/remote/remote.ts';
import type { Source } from '../source/source.ts';
import { createFastcgiHandler, type FastcgiHandlerOptions } from './fastcgi.ts';
import { testHandler } from './handler.contract.ts';

const spoolDir = mkdtempSync(join(tmpdir(), 'fastcgi-handler-'));
after(() => rmSync(spoolDir, { recursive: true }));

/** In order, the first that may be used. */
function inOrder(sources: readonly Source[]): Balancer {
  return createFailover(sources.map((source) => ({ source, weight: 1 })));
}

function optionsFor(sources: readonly Source[]): FastcgiHandlerOptions {
  return {
    balancer: inOrder(sources),
    checkFile: true,
    guard: true,
    scriptAlias: undefined,
    errorHandler: true,
    passRequestHeaders: true,
    underscoreHeaders: [],
    xSendfile: false,
    sendfileRoots: [],
    accelRoots: {},
    env: new Map(),
    documentRoot: undefined,
    scriptRoot: undefined,
    clientOf: undefined,
    bufferRequest: true,
    bufferResponse: true,
    maxBodyBytes: 1_000_000,
    localRedirect: false,
    failurePattern: undefined,
    errorPages: new Map(),
    serverSoftware: 'fastway/test',
    clock,
    random: () => 0.5,
    spoolDir,
  };
}

const clock = new ManualClock();

type Script = (exchange: ScriptedExchange) => void;

/** Runs one request to its end, against sources that play these scripts. */
async function run(
  scripts: readonly Script[],
  request: FakeRequestOptions = {},
  options: Partial<FastcgiHandlerOptions> = {},
): Promise<{ request: FakeRequest; sources: ScriptedSource[] }> {
  const sources = scripts.map((script, i) => new ScriptedSource(`s${i}`, script));
  const routed = new FakeRequest({ target: '/a.php', ...request });
  createFastcgiHandler({ ...optionsFor(sources), ...options }).handle(routed);
  await passUntil(clock, routed.exchange.whenEnded());
  return { request: routed, sources };
}

/** A request whose application the test plays itself. */
function open(request: FakeRequestOptions = {}, options: Partial<FastcgiHandlerOptions> = {}) {
  const source = new ScriptedSource('php');
  const routed = new FakeRequest({ target: '/a.php', ...request });
  createFastcgiHandler({ ...optionsFor([source]), ...options }).handle(routed);
  return { request: routed, exchange: routed.exchange, source, application: source.last };
}

const hello: Script = (application) => {
  application.print('Content-Type: text/plain\r\n\r\nhello');
  application.end();
};

const failing =
  (delivery: Delivery, code: ErrorCode = 'GW_ERR_SOURCE_CLOSED'): Script =>
  (application) =>
    application.fail(new SourceError(code, `failed ${delivery}`, { delivery }));

/** Lets events come, and a little time pass. */
const turn = () => {
  clock.advance(2);
  return nextTurn();
};

test('a small answer passes', async () => {
  const { request, sources } = await run([hello]);
  assert.equal(request.exchange.status, 200);
  assert.deepEqual(request.exchange.fields, ['Content-Type', 'text/plain']);
  assert.equal(request.exchange.body.toString(), 'hello');
  assert.equal(request.exchange.wasCut, false);
  const { variables, body } = sources[0]!.last;
  assert.equal(variables.get('SCRIPT_FILENAME'), '/srv/www/a.php');
  assert.equal(variables.get('SCRIPT_NAME'), '/a.php');
  assert.equal(variables.get('REMOTE_ADDR'), '192.0.2.7');
  assert.equal(variables.get('SERVER_PORT'), '8080');
  assert.equal(variables.has('CONTENT_LENGTH'), false);
  assert.equal(body, undefined);
  assert.deepEqual(request.record, { source: 's0', tries: 1 });
  assert.deepEqual(request.logged, []);
});

test('head and body may come in any pieces', async () => {
  const text = 'Status: 201 Made\r\nX-A: 1\r\n\r\nbody';
  for (let cut = 1; cut < text.length; cut++) {
    const { request } = await run([
      (application) => {
        application.print(text.slice(0, cut));
        application.print(text.slice(cut));
        application.end();
      },
    ]);
    assert.equal(request.exchange.status, 201);
    assert.equal(request.exchange.reason, 'Made');
    assert.equal(request.exchange.body.toString(), 'body');
  }
});

test('what is no script is 404, and no source is contacted', async () => {
  for (const [target, log] of [
    ['/none.php', 'debug There is no script /srv/www/none.php'],
    ['/a.jpg/x.php', 'debug /srv/www/a.jpg does not end in php, so it must not run'],
  ] as const) {
    const site = fakeSite({ documentRoot: fakeRoot('/srv/www', { '/a.jpg': 5 }) });
    const { request, sources } = await run([hello], { target, site });
    assert.equal(request.exchange.status, 404);
    assert.deepEqual(request.logged, [log]);
    assert.equal(sources[0]!.exchanges.length, 0);
  }
});

test('a directory gets its slash, keeping the query, then its index', async () => {
  const { request } = await run([hello], { target: '/sub?x=%20' });
  assert.equal(request.exchange.status, 301);
  assert.equal(request.exchange.field('Location'), '/sub/?x=%20');

  const routed = new FakeRequest({ target: '/sub/' });
  createFastcgiHandler(optionsFor([new ScriptedSource('php')])).handle(routed);
  assert.deepEqual(routed.indexes, ['index.php']);

  const site = fakeSite({ documentRoot: fakeRoot('/srv/www', { '/empty/x.txt': 5 }) });
  const without = await run([hello], { target: '/empty/', site });
  assert.equal(without.request.exchange.status, 403);
});

test('REQUEST_URI is what the client sent, without the authority of an absolute form', async () => {
  for (const [target, uri] of [
    ['/a.php/x%20y?q=%31', '/a.php/x%20y?q=%31'],
    ['http://site.test/a.php?q', '/a.php?q'],
  ] as const) {
    const { sources } = await run([hello], { target });
    assert.equal(sources[0]!.last.variables.get('REQUEST_URI'), uri);
  }
});

test('a body is received whole before a source is asked, with its exact length (T49, T50)', async () => {
  const source = new ScriptedSource('php', hello);
  const request = new FakeRequest({ target: '/a.php', method: 'POST', bodyLength: undefined });
  createFastcgiHandler(optionsFor([source])).handle(request);
  request.exchange.sendBody(Buffer.from('he'));
  assert.equal(source.exchanges.length, 0);
  request.exchange.sendBody(Buffer.from('llo'));
  request.exchange.endBody();
  await passUntil(clock, request.exchange.whenEnded());
  assert.equal(source.last.variables.get('CONTENT_LENGTH'), '5');
  assert.equal(Buffer.from(source.last.body!.bytes!).toString(), 'hello');
});

test('a client that cuts its upload or leaves has contacted nobody (F33)', async () => {
  for (const leave of [
    (request: FakeRequest) => request.exchange.leave(),
    (request: FakeRequest) => request.exchange.failBody(new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'cut')),
  ]) {
    const source = new ScriptedSource('php', hello);
    const request = new FakeRequest({ target: '/a.php', method: 'POST', bodyLength: 100_000 });
    createFastcgiHandler(optionsFor([source])).handle(request);
    request.exchange.sendBody(Buffer.alloc(90_000));
    leave(request);
    await turn();
    request.exchange.endBody();
    assert.equal(source.exchanges.length, 0);
    assert.equal(request.exchange.ended, true);
  }
});

test('bufferRequest off: the source is asked at once, and with a chunked body when that is whole', async () => {
  const source = new ScriptedSource('php');
  const request = new FakeRequest({ target: '/a.php', method: 'POST', bodyLength: 5 });
  createFastcgiHandler({ ...optionsFor([source]), bufferRequest: false }).handle(request);
  assert.equal(source.last.variables.get('CONTENT_LENGTH'), '5');
  assert.equal(source.last.body!.bytes, undefined);

  const chunked = new FakeRequest({ target: '/a.php', method: 'POST', bodyLength: undefined });
  createFastcgiHandler({ ...optionsFor([source]), bufferRequest: false }).handle(chunked);
  assert.equal(source.exchanges.length, 1);
  chunked.exchange.sendBody(Buffer.from('abc'));
  chunked.exchange.endBody();
  assert.equal(source.exchanges.length, 2);
  assert.equal(source.last.variables.get('CONTENT_LENGTH'), '3');
});

test('a body above the limit is 413, and nobody is contacted (T48)', async () => {
  const { request, sources } = await run([hello], { method: 'POST', bodyLength: 1_000_001 });
  assert.equal(request.exchange.status, 413);
  assert.equal(request.exchange.bodyReads, 0);
  assert.equal(sources[0]!.exchanges.length, 0);
});

test('a bad head is 502, the application is stopped, and no other source is asked (F28, T59)', async () => {
  for (const head of ['X-A: b\rX-B: c\r\n\r\n', 'Status: 99\r\n\r\n', 'X A: b\n\n']) {
    const { request, sources } = await run([(application) => void application.print(head), hello]);
    assert.equal(request.exchange.status, 502);
    assert.equal(sources[0]!.last.aborted, true);
    assert.equal(sources[1]!.exchanges.length, 0);
    assert.equal(request.logged.length, 1);
  }
});

test('a head that says wrongly how it is framed is used without that, and the log says so', async () => {
  for (const field of ['Content-Length: +2', 'Transfer-Encoding: chunked']) {
    const { request } = await run([
      (application) => {
        application.print(`${field}\nX-A: b\n\nhello`);
        application.end();
      },
    ]);
    assert.equal(request.exchange.status, 200);
    assert.equal(request.exchange.body.toString(), 'hello');
    assert.equal(request.exchange.field('X-A'), 'b');
    assert.equal(request.exchange.field('Transfer-Encoding'), undefined);
    assert.equal(request.logged.length, 1);
    assert.match(request.logged[0]!, /^warn Response head line 1 is .*: "/);
  }
});

test('an end without a head is 502, after one more try when the method allows it (F17)', async () => {
  const nothing: Script = (application) => application.end();
  const get = await run([nothing, hello]);
  assert.equal(get.request.exchange.status, 200);
  assert.equal(get.request.record.tries, 2);
  const post = await run([nothing, hello], { method: 'POST' });
  assert.equal(post.request.exchange.status, 502);
  assert.equal(post.sources[1]!.exchanges.length, 0);
});

/** More than is held back. */
const large = 'x'.repeat(20_000);

test('EOF before the end of a large answer cuts it (F11), and is said once', async () => {
  const { request, sources } = await run([
    (application) => {
      application.print(`Content-Type: text/plain\n\n${large}`);
      failing('maybe')(application);
    },
    hello,
  ]);
  assert.equal(request.exchange.status, 200);
  assert.equal(request.exchange.wasCut, true);
  assert.equal(sources[1]!.exchanges.length, 0);
  assert.deepEqual(request.logged, ['error failed maybe']);
});

const breakingOff: Script = (application) => {
  application.print('Content-Type: text/plain\n\npart');
  setImmediate(() => application.print('of it'));
  setImmediate(() => setImmediate(() => failing('maybe')(application)));
};

test('EOF in a small answer, in a later tick: nothing was sent, so it is another try or a 502 (F12)', async () => {
  const get = await run([breakingOff, hello]);
  assert.equal(get.request.exchange.body.toString(), 'hello');
  assert.deepEqual(get.request.record, { source: 's1', tries: 2 });
  const post = await run([breakingOff, hello], { method: 'POST' });
  assert.equal(post.request.exchange.status, 502);
  assert.equal(post.sources[1]!.exchanges.length, 0);
  assert.doesNotMatch(post.request.exchange.body.toString(), /part/);
});

test('a small answer is held for a moment only, and an answer of events not at all', async () => {
  const { request, application } = open();
  application.print('Content-Type: text/html\n\nfirst');
  assert.equal(request.exchange.headSent, false);
  while (!request.exchange.headSent) await turn();
  assert.equal(request.exchange.body.toString(), 'first');
  failing('maybe')(application);
  assert.equal(request.exchange.wasCut, true);
  for (const head of ['Content-Type: text/event-stream', 'X-Accel-Buffering: no\nContent-Type: text/html']) {
    const events = open();
    events.application.print(`${head}\n\nfirst`);
    assert.equal(events.request.exchange.body.toString(), 'first', head);
  }
});

test('a body shorter than its Content-Length cuts, or is 502 (F13); a longer one is cut off (T61)', async () => {
  for (const body of ['hello', large]) {
    const short = await run([
      (application) => {
        application.print(`Content-Length: ${body.length + 5}\n\n${body}`);
        application.end();
      },
      hello,
    ]);
    assert.equal(short.request.exchange.wasCut, body === large);
    assert.equal(short.request.exchange.status, body === large ? 200 : 502);
    assert.equal(short.request.failures[0]!.code, 'GW_ERR_CGI_BODY_LENGTH');
    assert.match(short.request.failures[0]!.message, /ended 5 bytes before its Content-Length of \d+$/);
  }

  for (const isAtOnce of [true, false]) {
    const long = open();
    long.application.print('Content-Length: 5\n\nhel');
    long.application.print('loEVIL!');
    long.application.print('more');
    if (isAtOnce) long.application.end();
    else while (!long.exchange.ended) await turn();
    assert.equal(long.exchange.body.toString(), 'hello');
    assert.deepEqual([long.exchange.ended, long.exchange.wasCut], [true, false]);
    long.application.print('more');
    long.application.end();
    assert.equal(long.application.aborted, false);
    assert.deepEqual(long.request.logged, [
      'warn Response is longer than its Content-Length of 5; the rest was cut off',
    ]);
  }
});

test('what is printed behind an answer without end is given up, and only then (F59)', async () => {
  const { request, application, exchange } = open({ method: 'HEAD' });
  application.print('Content-Type: text/event-stream\n\n');
  while (!exchange.ended) await turn();
  assert.deepEqual([application.isUnlimited, request.works.size], [false, 1]);
  const piece = Buffer.alloc(1024 * 1024, 'x');
  for (let i = 0; i < 64; i++) assert.equal(application.print(piece), true);
  assert.equal(application.aborted, false);
  application.print(piece);
  assert.deepEqual([application.aborted, request.works.size], [true, 0]);
  assert.deepEqual(request.logged, [
    'debug The application prints a body for HEAD, which was dropped',
    'warn The application printed 68157440 bytes that nobody gets; its request was given up',
  ]);
});

test('what fails behind the end of an answer is logged, and tried nowhere (F59)', async () => {
  const source = new ScriptedSource('one');
  const other = new ScriptedSource('other');
  const request = new FakeRequest({ target: '/a.php' });
  createFastcgiHandler(optionsFor([source, other])).handle(request);
  source.last.print(`Content-Length: ${large.length}\n\n${large}`);
  while (!request.exchange.ended) await turn();
  failing('unsent')(source.last);
  assert.deepEqual([request.exchange.wasCut, other.exchanges.length, request.works.size], [false, 0, 0]);
  assert.deepEqual(request.logged, ['error failed unsent; the client has its answer']);
});

test('a client that waits is not waited for by an application that has said all (F36, F59)', async () => {
  const { application, exchange } = open({}, { bufferResponse: false });
  exchange.window = 1000;
  assert.equal(application.print(`Content-Length: ${large.length}\n\n${large}`), true);
  while (!exchange.ended) await turn();
  assert.equal(application.print('more'), true);
  assert.deepEqual([application.isUnlimited, application.aborted], [false, false]);
});

test('a streamed body is read to its end before the answer is over for the client (F59)', async () => {
  const streamed = { method: 'POST', bodyLength: 6 };
  for (const ends of ['read', 'given up', 'broken', 'at END_REQUEST'] as const) {
    const { application, exchange, request } = open(streamed, { bufferRequest: false });
    const reader = application.body!.read({
      data: () => true,
      end() {},
      error: (error) => application.fail(error),
    });
    exchange.sendBody(Buffer.from('abc'));
    application.print(`Content-Length: ${large.length}\n\n${large}`);
    await turn();
    assert.deepEqual([exchange.body.length, exchange.ended], [large.length, false], ends);
    if (ends === 'read') {
      exchange.sendBody(Buffer.from('def'));
      exchange.endBody();
      assert.deepEqual([exchange.ended, request.works.size], [true, 1]);
    } else if (ends === 'given up') reader.close();
    else if (ends === 'broken') exchange.failBody(new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'cut'));
    else application.end();
    assert.deepEqual([exchange.ended, exchange.wasCut], [true, ends === 'broken'], ends);
    application.end();
    assert.equal(request.works.size, 0);
  }
});

test('HEAD, 204 and 304 have no body, and are read to their end (T65)', async () => {
  for (const [method, head, status] of [
    ['HEAD', 'Content-Length: 100\n\n', 200],
    ['GET', 'Status: 204\n\n', 204],
    ['GET', 'Status: 304\nContent-Length: 7\n\n', 304],
  ] as const) {
    const { request, sources } = await run(
      [
        (application) => {
          application.print(`${head}some body`);
          application.end();
        },
      ],
      { method },
    );
    assert.equal(request.exchange.status, status);
    assert.equal(request.exchange.body.length, 0);
    assert.equal(request.exchange.wasCut, false);
    assert.equal(sources[0]!.last.aborted, false);
    assert.deepEqual(request.logged, [
      method === 'HEAD'
        ? 'debug The application prints a body for HEAD, which was dropped'
        : `warn Response has a body, and may have none with status ${status}; it was dropped`,
    ]);
  }
});

test('an answer whose application ends with a bad status is delivered and logged (F24)', async () => {
  const { request } = await run([
    (application) => {
      application.print('X-A: 1\n\nok');
      application.end(255);
    },
  ]);
  assert.equal(request.exchange.body.toString(), 'ok');
  assert.deepEqual(request.logged, ['warn Application ended with status 255']);
  assert.deepEqual(request.record, { source: 's0', tries: 1, appStatus: 255 });
});

test('an appStatus is that of the answer, not of a try before it', async () => {
  const { request } = await run([(application) => application.end(3), hello]);
  assert.equal(request.exchange.status, 200);
  assert.deepEqual([request.record.tries, request.record.appStatus], [2, undefined]);
});

test('unsent and rejected take the next source, whatever the method, at most twice (F1, F21)', async () => {
  for (const delivery of ['unsent', 'rejected'] as const) {
    const fail = failing(delivery, 'GW_ERR_SOURCE_CONNECT');
    const third = await run([fail, fail, hello], { method: 'POST' });
    assert.equal(third.request.exchange.status, 200);
    assert.deepEqual(third.request.record, { source: 's2', tries: 3 });
    assert.deepEqual(third.request.logged, [
      `info failed ${delivery}; trying s1`,
      `info failed ${delivery}; trying s2`,
    ]);
    const none = await run([fail, fail, fail, hello], { method: 'POST' });
    assert.equal(none.request.exchange.status, 503);
    assert.equal(none.request.exchange.field('Retry-After'), '1');
    assert.equal(none.sources[3]!.exchanges.length, 0);
  }
});

test('a single source that cannot be reached is asked once', async () => {
  const { request, sources } = await run([failing('unsent', 'GW_ERR_SOURCE_CONNECT')]);
  assert.equal(request.exchange.status, 503);
  assert.equal(sources[0]!.exchanges.length, 1);
});

test('maybe is tried once more for an idempotent method only (F8, G3)', async () => {
  const fail = failing('maybe');
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
    const { request, sources } = await run([fail, fail, hello], { method });
    assert.equal(request.exchange.status, 502, method);
    assert.deepEqual(
      sources.map(({ exchanges }) => exchanges.length),
      [1, 1, 0],
    );
  }
  for (const method of ['POST', 'PATCH', 'PROPFIND']) {
    const { sources } = await run([fail, hello], { method });
    assert.equal(sources[1]!.exchanges.length, 0, method);
  }
  const protocol: Script = (application) =>
    application.fail(new ProtocolError('GW_ERR_PROTOCOL_VERSION', 'Record version is 2, expected 1'));
  assert.equal((await run([protocol, hello])).request.exchange.status, 200, 'F18');
});

test('a worker that died takes nothing with it: a single source is asked again, once (F42)', async () => {
  let requests = 0;
  const once: Script = (application) => (requests++ === 0 ? failing('maybe') : hello)(application);
  const { request } = await run([once]);
  assert.equal(request.exchange.status, 200);
  assert.equal(requests, 2);
});

test('a worker that died before it read a byte: a single source is asked again, whatever the method', async () => {
  let asked = 0;
  const recovering: Script = (application) => (asked++ < 2 ? failing('unsent') : hello)(application);
  const { request } = await run([recovering], { method: 'POST' });
  assert.equal(request.exchange.status, 200);
  const lost = await run([failing('unsent')], { method: 'POST' });
  assert.equal(lost.request.exchange.status, 502);
  assert.equal(lost.sources[0]!.exchanges.length, 3);
});

test('a source that restarts: the request waits, asks again, and is answered; a client that leaves waits no more', async () => {
  const source = new ScriptedSource('php', (application) => {
    if (source.exchanges.length > 3) hello(application);
    else {
      const gone = { delivery: 'unsent', isTransient: true } as const;
      application.fail(new SourceError('GW_ERR_SOURCE_CONNECT', 'refused', gone));
    }
  });
  source.holdMs = 60_000;
  const handler = createFastcgiHandler(optionsFor([source]));
  const waiting = new FakeRequest({ target: '/a.php', method: 'POST' });
  handler.handle(waiting);
  await passUntil(clock, waiting.exchange.whenEnded());
  assert.equal(waiting.exchange.body.toString(), 'hello');
  assert.deepEqual(waiting.record, { source: 'php', tries: 4 });

  source.exchanges.length = 0;
  const leaving = new FakeRequest({ target: '/a.php' });
  handler.handle(leaving);
  while (source.exchanges.length < 2) await turn();
  leaving.exchange.leave();
  const { length } = source.exchanges;
  clock.advance(60_000);
  assert.equal(source.exchanges.length, length);
});

test('answers of events, and bodies that stream, have no total limit', async () => {
  const plain = open();
  plain.application.print('Content-Type: text/html\n\nfirst');
  assert.equal(plain.application.isUnlimited, false);
  const events = open();
  events.application.print('Content-Type: text/event-stream\n\nfirst');
  assert.equal(events.application.isUnlimited, true);
  const streamed = open({ method: 'POST', bodyLength: 5 }, { bufferRequest: false });
  assert.equal(streamed.application.isUnlimited, true);
});

test('a timeout, exhausted descriptors and an unknown role are not tried again (F6, F10, F23)', async () => {
  for (const [fail, status] of [
    [failing('maybe', 'GW_ERR_SOURCE_READ_TIMEOUT'), 504],
    [failing('unsent', 'GW_ERR_SOURCE_DESCRIPTORS'), 503],
    [(application) => application.fail(new ProtocolError('GW_ERR_PROTOCOL_STATUS', 'x')), 502],
  ] as readonly [Script, number][]) {
    const { request, sources } = await run([fail, hello]);
    assert.equal(request.exchange.status, status);
    assert.equal(sources[1]!.exchanges.length, 0);
  }
});

test('a streamed body is sent to another source only if nobody has read it', async () => {
  const readIt: Script = (application) => {
    application.body!.read({ data: () => true, end() {}, error() {} });
    failing('unsent')(application);
  };
  const post = { method: 'POST', bodyLength: 5 };
  const read = await run([readIt, hello], post, { bufferRequest: false });
  assert.equal(read.request.exchange.status, 502);
  const unread = await run([failing('unsent'), hello], post, { bufferRequest: false });
  assert.equal(unread.request.exchange.status, 200);
});

test('a body in a spool file is sent whole to the second source too', async () => {
  const received: Buffer[] = [];
  const readAll: (then: Script) => Script = (then) => (application) => {
    const pieces: Uint8Array[] = [];
    application.body!.read({
      data: (chunk) => pieces.push(chunk) > 0,
      end: () => {
        received.push(Buffer.concat(pieces));
        then(application);
      },
      error: assert.fail,
    });
  };
  const sources = [failing('rejected'), hello].map((then, i) => new ScriptedSource(`s${i}`, readAll(then)));
  const request = new FakeRequest({ target: '/a.php', method: 'POST', bodyLength: 200_000 });
  createFastcgiHandler(optionsFor(sources)).handle(request);
  const sent = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, i) => i % 251));
  for (let i = 0; i < 4; i++) request.exchange.sendBody(sent.subarray(i * 50_000, (i + 1) * 50_000));
  request.exchange.endBody();
  await passUntil(clock, request.exchange.whenEnded());
  assert.equal(request.exchange.status, 200);
  assert.equal(received.length, 2);
  for (const body of received) assert.ok(body.equals(sent));
});

test('sources out of service are passed over, and tried all the same when there is no other (F43)', async () => {
  const sources = [new ScriptedSource('a', hello), new ScriptedSource('b', hello)];
  sources[0]!.available = false;
  const first = new FakeRequest({ target: '/a.php' });
  const handler = createFastcgiHandler(optionsFor(sources));
  handler.handle(first);
  await passUntil(clock, first.exchange.whenEnded());
  assert.equal(first.record.source, 'b');
  sources[1]!.available = false;
  const second = new FakeRequest({ target: '/a.php' });
  handler.handle(second);
  await passUntil(clock, second.exchange.whenEnded());
  assert.equal(second.record.source, 'a');
  assert.equal(second.exchange.status, 200);
});

test('the client leaves: the application is told', () => {
  const before = open();
  before.exchange.leave();
  assert.equal(before.application.aborted, true);
  const during = open();
  during.application.print('X-A: 1\n\npart');
  during.exchange.leave();
  assert.equal(during.application.aborted, true);
  assert.deepEqual(during.request.failures, []);
});

test('a slow client does not hold the application: it ends while the client still reads (F36)', async () => {
  const { exchange, application } = open();
  exchange.window = 1000;
  assert.equal(application.print('Content-Type: text/plain\n\n'), true);
  const chunk = Buffer.alloc(100_000, 'x');
  let pauses = 0;
  for (let i = 0; i < 10; i++) {
    if (application.print(chunk)) continue;
    // Once, for a moment: then the client counts as slow.
    pauses++;
    while (application.resumed < pauses) await turn();
  }
  assert.equal(pauses, 1);
  application.end();
  assert.equal(exchange.ended, false);
  await turnsUntil(() => {
    exchange.take(100_000);
    return exchange.ended;
  });
  assert.equal(exchange.body.length, 1_000_000);
  assert.equal(exchange.wasCut, false);
});

test('events, X-Accel-Buffering: no and bufferResponse off only know backpressure', () => {
  for (const [head, options] of [
    ['Content-Type: text/event-stream; charset=utf-8', {}],
    ['X-Accel-Buffering: no', {}],
    ['X-A: 1', { bufferResponse: false }],
  ] as const) {
    const { exchange, application } = open({}, options);
    exchange.window = 5;
    application.print(`${head}\n\n`);
    assert.equal(application.print('data: 1\n\n'), false);
    assert.equal(exchange.body.toString(), 'data: 1\n\n', 'forwarded at once');
    exchange.take(100);
    assert.equal(application.resumed, 1);
    assert.equal(application.print('data: 2\n\n'), true);
    application.end();
    assert.equal(exchange.ended, true);
  }
});

test("errorHandler off: the application's error page is replaced, what else it says stays", async () => {
  const site = fakeSite({ errorPages: new Map([[404, '/missing.html']]) });
  const denied: Script = (application) => {
    application.print(
      'Status: 401\nWWW-Authenticate: Basic\nContent-Type: text/plain\nContent-Length: 6\n\nsecret',
    );
    application.end();
  };
  const replaced = await run([denied], {}, { errorHandler: false });
  assert.equal(replaced.request.exchange.status, 401);
  assert.equal(replaced.request.exchange.field('WWW-Authenticate'), 'Basic');
  assert.doesNotMatch(replaced.request.exchange.body.toString(), /secret/);
  assert.equal((await run([denied])).request.exchange.body.toString(), 'secret');

  const { request, application, exchange } = open({ site }, { errorHandler: false });
  application.print('Status: 404\n\nsecret');
  assert.deepEqual(request.redirects, [
    { target: '/missing.html', keepMethod: false, errorPage: { status: 404, fields: [] } },
  ]);
  assert.equal(application.print('more'), true);
  application.end();
  assert.equal(exchange.ended, false, 'the exchange is somebody else’s now');
});

test('while an error page is made, the answer carries its status', async () => {
  const { request } = await run([hello], { errorPage: { status: 503, fields: ['Retry-After', '7'] } });
  assert.equal(request.exchange.status, 503);
  assert.equal(request.exchange.field('Retry-After'), '7');
  assert.equal(request.exchange.body.toString(), 'hello');
});

test('a local redirect is the client’s affair unless the option is on (T67)', async () => {
  const redirect: Script = (application) => {
    application.print('Location: /other.php?x=1\n\n');
    application.end();
  };
  const { request } = await run([redirect]);
  assert.equal(request.exchange.status, 302);
  assert.equal(request.exchange.field('Location'), '/other.php?x=1');
  const local = open({}, { localRedirect: true });
  redirect(local.application);
  assert.deepEqual(local.request.redirects, [{ target: '/other.php?x=1', keepMethod: false }]);
  assert.equal(local.exchange.headSent, false);
});

test('error output is logged with the request, line by line', async () => {
  const { request } = await run([
    (application) => {
      application.complain('PHP Warning: one\nPHP Wa');
      application.print('X-A: 1\n\n');
      application.complain('rning: two');
      application.end();
    },
  ]);
  assert.deepEqual(request.logged, ['warn PHP Warning: one', 'warn PHP Warning: two']);
  assert.deepEqual(request.loggedFields[0], { request: 'r1', source: 's0' });
});

test('error output that means failure: another source, else 502; once the answer began it is only told', async () => {
  const broken: Script = (application) => {
    application.complain('PHP Warning:  mysqli_connect(): gone away in /srv/db.php on line 3\n');
    application.print('Content-Type: text/html\n\n<p>Please come back later');
    application.end();
  };
  const options = { failurePattern: /gone away/ };
  const saved = await run([broken, hello], {}, options);
  assert.equal(saved.request.exchange.body.toString(), 'hello');
  assert.equal(saved.sources[0]!.last.disowned?.code, 'GW_ERR_SOURCE_STDERR');
  assert.equal(saved.sources[1]!.last.disowned, undefined);
  const lost = await run([broken], { method: 'POST' }, options);
  assert.equal(lost.request.exchange.status, 502);
  assert.equal(lost.request.failures[0]!.code, 'GW_ERR_SOURCE_STDERR');
  const late: Script = (application) => {
    application.print(`Content-Type: text/html\n\n${large}`);
    application.complain('PHP Fatal error:  x');
    application.complain('\ngone away in /srv/db.php on line 3');
    application.end();
  };
  const begun = await run([late], {}, options);
  assert.deepEqual([begun.request.exchange.status, begun.request.exchange.body.toString()], [200, large]);
});

test('error output that means failure counts against the source: out after three, back by a trial', async (t) => {
  /** Said before the head, and as the last word without a line's end, which is read at the end of the answer. */
  const complaints = ['gone away\n', 'gone away'];
  for (const complaint of complaints) {
    let isWell = false;
    let now = 1_000;
    const asked = { first: 0, second: 0 };
    const start = async (name: keyof typeof asked, answer: (request: ApplicationRequest) => void) => {
      const application = await serve(
        (request) => {
          asked[name]++;
          answer(request);
          request.write('Content-Type: text/plain\n\n');
          request.write(name);
        },
        { listen: `unix:@fastway-handler-test-${process.pid}-${name}-${complaints.indexOf(complaint)}` },
      );
      const { log, lines } = recordLog();
      const source = createRemoteSource({
        name,
        address: parseAddress(printAddress(application.address!)),
        profile: 'php-fpm',
        log,
        clock: { ...systemClock, now: () => now },
        random: () => 0.5,
      });
      t.after(async () => {
        await source.close();
        await application.close();
      });
      return { source, lines };
    };
    const first = await start('first', (request) => {
      if (!isWell) request.writeError(complaint);
    });
    const second = await start('second', () => {});
    const handler = createFastcgiHandler({
      ...optionsFor([first.source, second.source]),
      failurePattern: /gone away/,
    });
    const answer = async () => {
      const request = new FakeRequest({ target: '/a.php' });
      handler.handle(request);
      await passUntil(clock, request.exchange.whenEnded());
      return request.exchange.body.toString();
    };

    for (let failures = 1; failures <= 3; failures++) {
      assert.equal(first.source.isAvailable(), true, `after ${failures - 1} failures`);
      assert.equal(await answer(), 'second');
    }
    assert.equal(first.source.isAvailable(), false);
    assert.equal(await answer(), 'second');
    assert.deepEqual(asked, { first: 3, second: 4 });

    now += 1_000;
    assert.equal(await answer(), 'second', 'the trial fails');
    now += 1_999;
    assert.equal(first.source.isAvailable(), false);
    now += 1;
    isWell = true;
    assert.equal(await answer(), 'first');
    assert.equal(first.source.isAvailable(), true);
    assert.deepEqual(
      first.lines.map(({ message }) => message),
      ['The source is out of service', 'The source is back in service'],
    );
    assert.match(String(first.lines[0]!.fields.reason), /matches failurePattern: gone away$/);
    assert.deepEqual(second.lines, []);
  }
});

test('php does not find the script: the log says which one, under which root, and what to check, once', async () => {
  for (const complaint of ['Primary script unknown', '']) {
    const { request } = await run(
      [
        (application) => {
          if (complaint !== '') application.complain(complaint);
          application.print('Status: 404 Not Found\r\nContent-type: text/html\r\n\r\nFile not found.\n');
          application.end();
        },
      ],
      {},
      { scriptRoot: '/app' },
    );
    assert.equal(request.exchange.status, 404);
    const said = request.logged.filter((line) => line.startsWith('error'));
    assert.equal(said.length, 1);
    assert.match(
      said[0]!,
      /s0 was asked for \/app\/a\.php under the root \/app .*here it is \/srv\/www\/a\.php.*scriptRoot/,
    );
  }
});

test('a source that throws is our fault and costs one answer', async () => {
  const source = new ScriptedSource('php');
  source.open = () => {
    throw new TypeError('oops');
  };
  const request = new FakeRequest({ target: '/a.php' });
  createFastcgiHandler(optionsFor([source])).handle(request);
  assert.equal(request.exchange.status, 500);
  assert.equal(request.failures[0]!.code, 'GW_ERR_INTERNAL');
});

test('explain says what handle would do, and asks nobody', () => {
  const source = new ScriptedSource('php', hello);
  const handler = createFastcgiHandler({ ...optionsFor([source]), env: new Map([['APP_ENV', 'test']]) });
  const explained = handler.explain(new FakeRequest({ target: '/a.php/info' }));
  assert.ok(explained.action === 'run');
  assert.equal(explained.script, '/srv/www/a.php');
  assert.equal(explained.source, 'php (tcp://192.0.2.1:9000)');
  const variable = (name: string) => explained.variables.find((candidate) => candidate.name === name);
  assert.deepEqual(variable('APP_ENV'), { name: 'APP_ENV', value: 'test', origin: 'configuration' });
  assert.equal(variable('PATH_INFO')!.value, '/info');
  assert.deepEqual(handler.explain(new FakeRequest({ target: '/sub' })), {
    action: 'redirect',
    status: 301,
    to: '/sub/',
  });
  assert.deepEqual(handler.explain(new FakeRequest({ target: '/sub/' })), {
    action: 'index',
    name: 'index.php',
  });
  assert.deepEqual(handler.explain(new FakeRequest({ target: '/none.php' })), {
    action: 'error',
    status: 404,
    reason: 'There is no script /srv/www/none.php',
  });
  assert.equal(source.exchanges.length, 0);
});

for (const bufferResponse of [true, false]) {
  testHandler(bufferResponse ? 'fastcgi' : 'fastcgi, without a response buffer', () => {
    const source = new ScriptedSource('php', hello);
    return {
      handler: createFastcgiHandler({ ...optionsFor([source]), bufferResponse }),
      answered: { target: '/a.php?q=1', fields: ['Host', 'site.test', 'X-Own', 'its value'] },
      refused: { target: '/none.php' },
      asked: () => source.exchanges.length,
      variables: () => source.last.variables,
      pass: () => clock.advance(1),
    };
  });
}
