import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestFor } from '../../../test/support/ask.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { startScriptedApplication } from '../../../test/support/scripted-application.ts';
import { ScriptedSource } from '../../../test/support/scripted-source.ts';
import { parseAddress } from '../../base/address.ts';
import { systemClock } from '../../base/clock.ts';
import { CgiError, HttpRequestError, SourceError } from '../../base/errors.ts';
import { type Log, silentLog } from '../../base/log.ts';
import { createRemoteSource } from '../remote/remote.ts';
import { largeBytes, testSource } from '../source.contract.ts';
import { compareSources, SupervisedSource, type SupervisionOptions } from './supervised.ts';

function supervise(options: Partial<SupervisionOptions> = {}, name = 'php') {
  let now = 100_000;
  const lines: string[] = [];
  const log: Log = {
    ...silentLog,
    info: (message) => void lines.push(message),
    warn: (message, fields) => void lines.push(`${message}: ${fields?.reason}`),
  };
  const inner = new ScriptedSource(name);
  const source = new SupervisedSource(inner, {
    state: 'active',
    check: undefined,
    log,
    clock: { ...systemClock, now: () => now },
    ...options,
  });
  source.hasPeers = true;
  /** Requests of which so many fail, after `ms` each. */
  const serve = (requests: number, failures = 0, ms = 1) => {
    const start = now;
    for (let i = 0; i < requests; i++) {
      source.open(
        { variables: [], body: undefined },
        { stdout: () => true, stderr() {}, end() {}, error() {} },
      );
      now += ms;
      if (i < failures) inner.last.fail(new SourceError('GW_ERR_SOURCE_CLOSED', 'x', { delivery: 'maybe' }));
      else {
        inner.last.print('x');
        inner.last.end();
      }
    }
    now = start;
  };
  return { source, inner, lines, serve, pass: (ms: number) => (now += ms) };
}

test('an operator drains a source, takes it out, and brings it back to its share little by little', () => {
  const { source, lines, pass } = supervise();
  const seen = () => [source.isAvailable(), source.isUsable(), source.share];
  assert.deepEqual(seen(), [true, true, 1]);
  source.state = 'drain';
  assert.deepEqual(seen().slice(0, 2), [false, true]);
  source.state = 'maintenance';
  assert.deepEqual(seen().slice(0, 2), [false, false]);
  source.state = 'active';
  assert.deepEqual(seen(), [true, true, 0.1]);
  pass(10_000);
  assert.equal(source.share, 1);
  assert.deepEqual(lines, [
    'The source is set to drain',
    'The source is set to maintenance',
    'The source is set to active',
  ]);
  assert.match(supervise({ state: 'drain' }).source.describe(), / \(drain\)$/);
});

test('it is available only where the source below is', () => {
  const { source, inner } = supervise();
  inner.available = false;
  assert.equal(source.isAvailable(), false);
  assert.deepEqual(source.status, {
    name: 'php',
    address: 'tcp://192.0.2.1:9000',
    state: 'active',
    isAvailable: false,
    active: 0,
    share: 1,
    problem: undefined,
  });
});

test('who fails more than its peers is out for 5 s, then for 10; who does well is trusted again', () => {
  const [a, b, c] = [supervise({}, 'a'), supervise({}, 'b'), supervise({}, 'c')];
  const all = [a.source, b.source, c.source];
  const round = (failures: number) => {
    a.serve(40);
    b.serve(40, failures);
    c.serve(40);
    compareSources(all);
  };
  round(30);
  assert.deepEqual(
    all.map((source) => source.isAvailable()),
    [true, false, true],
  );
  assert.match(b.source.status.problem!, /75 % of its requests failed/);
  b.pass(5_000);
  assert.equal(b.source.isAvailable(), true);
  assert.equal(b.source.share, 0.1);
  round(30);
  b.pass(5_000);
  assert.equal(b.source.isAvailable(), false);
  b.pass(5_000);
  assert.equal(b.source.isAvailable(), true);
  round(0);
  round(30);
  b.pass(5_000);
  assert.equal(b.source.isAvailable(), true);
});

test('a disowned answer is a failure, counted once; an aborted request is nothing', () => {
  const { source, inner } = supervise();
  const reason = new SourceError('GW_ERR_SOURCE_STDERR', 'x', { delivery: 'maybe' });
  const open = (end: () => void = () => {}) =>
    source.open({ variables: [], body: undefined }, { stdout: () => true, stderr() {}, end, error() {} });
  const early = open();
  early.disown(reason);
  early.disown(reason);
  assert.equal(inner.last.disowned, reason);
  assert.equal(inner.last.aborted, true);
  const late = open(() => late.disown(reason));
  inner.last.end();
  assert.equal(inner.last.disowned, reason);
  open().abort();
  open();
  inner.last.end();
  assert.deepEqual(source.takeStatistics(), { requests: 3, failures: 2, latencyMs: 0 });
});

test('what is no fault of the source is counted neither way: a client that breaks off its body takes nobody out', () => {
  const { source, inner } = supervise();
  const open = () =>
    source.open(
      { variables: [], body: undefined },
      { stdout: () => true, stderr() {}, end() {}, error() {} },
    );
  open();
  inner.last.fail(new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'x'));
  open();
  inner.last.fail(new SourceError('GW_ERR_SOURCE_DESCRIPTORS', 'x', { delivery: 'unsent' }));
  open().disown(new CgiError('GW_ERR_CGI_SENDFILE', 'x'));
  assert.deepEqual(source.takeStatistics(), { requests: 0, failures: 0, latencyMs: 0 });
});

test('other health checks begin anew when it runs; the same ones go on with what they found', () => {
  const clock = new ManualClock();
  const check = { path: '/', everyMs: 1_000, timeoutMs: 500, expectStatus: 200, up: 1, down: 1 };
  const { source, inner } = supervise({ check, clock });
  source.tune({ state: 'active', check: { ...check, path: '/before-the-start' } });
  assert.equal(inner.exchanges.length, 0);
  source.tune({ state: 'active', check });
  source.start();
  inner.last.fail(new SourceError('GW_ERR_SOURCE_CLOSED', 'x', { delivery: 'maybe' }));
  assert.equal(source.isAvailable(), false);
  source.tune({ state: 'active', check: { ...check } });
  assert.deepEqual([source.isAvailable(), inner.exchanges.length], [false, 1]);
  source.tune({ state: 'active', check: { ...check, path: '/ping' } });
  assert.equal(source.isAvailable(), true);
  assert.equal(inner.last.variables.get('REQUEST_URI'), '/ping');
  source.tune({ state: 'active' });
  assert.deepEqual([inner.last.isOver, clock.armed], [true, 0]);
});

test('never more than half of the peers are suspended', () => {
  const peers = ['a', 'b', 'c', 'd', 'e'].map((name) => supervise({}, name));
  for (const [index, { serve }] of peers.entries()) serve(100, index < 3 ? 0 : 100);
  peers[0]!.source.state = 'drain';
  compareSources(peers.map(({ source }) => source));
  const suspended = peers.filter(({ source }) => source.isSuspended).length;
  assert.equal(suspended, 1);
});

test('a slow one is an outlier too', () => {
  const [a, b] = [supervise({}, 'a'), supervise({}, 'b')];
  a.serve(30, 0, 5);
  b.serve(30, 0, 900);
  compareSources([a.source, b.source]);
  assert.deepEqual([a.source.isAvailable(), b.source.isAvailable()], [true, false]);
  assert.deepEqual(b.lines, [
    'The source does worse than its peers and is out of service for a while: It took 900 ms for a request, its peers 5 ms',
  ]);
});

testSource('a supervised source', async () => {
  const application = await startScriptedApplication();
  const inner = createRemoteSource({
    name: 'php',
    address: parseAddress(application.address),
    log: silentLog,
    clock: systemClock,
    random: Math.random,
  });
  const source = new SupervisedSource(inner, {
    state: 'active',
    check: undefined,
    log: silentLog,
    clock: systemClock,
  });
  // Its exchanges are watched then.
  source.hasPeers = true;
  return {
    source,
    page: requestFor('page'),
    large: requestFor(`large&bytes=${largeBytes}`),
    silent: requestFor('silence'),
    broken: requestFor('close-without-a-byte'),
    stop: () => application.close(),
  };
});
