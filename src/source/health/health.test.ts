import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from './health.ts';

test('three failures within 10 s take a source out, fewer or slower ones do not', () => {
  const health = new Health(() => 0.5);
  assert.equal(health.failed(0, 'failed'), false);
  assert.equal(health.failed(5_000, 'failed'), false);
  assert.equal(health.failed(10_001, 'failed'), false, 'the first one is forgotten');
  assert.equal(health.isAvailable(10_001), true);
  assert.equal(health.failed(10_002, 'failed'), true);
  assert.equal(health.isAvailable(10_002), false);
});

test('a success clears the count', () => {
  const health = new Health(() => 0.5);
  health.failed(0, 'failed');
  health.failed(1, 'failed');
  assert.equal(
    health.succeeded(() => 1),
    false,
    'it was in service all the time',
  );
  assert.equal(health.failed(2, 'failed'), false);
  assert.equal(health.isInService, true);
});

test('one failed connect is enough', () => {
  const health = new Health(() => 0.5);
  assert.equal(health.failed(0, 'unreachable'), true);
  assert.equal(health.isAvailable(0), false);
  assert.equal(health.delayMs(0), 1_000);
  assert.equal(health.isAvailable(999), false);
  assert.equal(health.isAvailable(1_000), true);
});

test('trials come after 1, 2, 4 ... 30 s', () => {
  const health = new Health(() => 0.5);
  let now = 0;
  health.failed(now, 'unreachable');
  for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
    assert.equal(health.delayMs(now), seconds * 1_000);
    now += seconds * 1_000;
    assert.equal(health.isAvailable(now), true);
    health.began(now);
    assert.equal(health.failed(now, 'unreachable'), false, 'it was out already');
  }
});

test('one trial at a time; its success brings the source back, with a short delay the next time', () => {
  const health = new Health(() => 0.5);
  health.failed(0, 'unreachable');
  health.began(1_000);
  assert.equal(health.isAvailable(1_000), false, 'a trial is under way');
  assert.equal(
    health.succeeded(() => 1_500),
    true,
  );
  assert.equal(health.isAvailable(1_000), true);
  assert.equal(health.isInService, true);
  health.failed(2_000, 'unreachable');
  assert.equal(health.delayMs(2_000), 1_000);
});

test('a trial that never ends is forgotten after 10 s', () => {
  const health = new Health(() => 0.5);
  health.failed(0, 'unreachable');
  health.began(1_000);
  assert.equal(health.isAvailable(10_999), false);
  assert.equal(health.isAvailable(11_000), true);
});

test('failures of requests that were under way when it went out change nothing', () => {
  const health = new Health(() => 0.5);
  health.failed(0, 'unreachable');
  health.failed(500, 'unreachable');
  health.failed(600, 'failed');
  assert.equal(health.delayMs(600), 400);
});

test('delays are a fifth shorter or longer, as chance will have it', () => {
  for (const [chance, delay] of [
    [0, 800],
    [1, 1_200],
  ] as const) {
    const health = new Health(() => chance);
    health.failed(0, 'unreachable');
    assert.equal(Math.round(health.delayMs(0)), delay);
  }
});

test('what we may not connect to is asked again after 30 s (F2)', () => {
  const health = new Health(() => 0.5);
  assert.equal(health.failed(0, 'forbidden'), true);
  assert.equal(health.delayMs(0), 30_000);
});

test('a source that came back gets its share little by little (F44)', () => {
  const health = new Health(() => 0.5);
  assert.equal(health.share(0), 1);
  health.failed(0, 'unreachable');
  health.succeeded(() => 1_000);
  assert.deepEqual(
    [1_000, 1_500, 3_500, 6_000, 10_999, 11_000].map((now) => Number(health.share(now).toFixed(2))),
    [0.1, 0.1, 0.25, 0.5, 1, 1],
  );
});

test('one that is overloaded gets less for a second, and stays in service (F21)', () => {
  const health = new Health(() => 0.5);
  health.overloaded(5_000);
  assert.equal(health.isInService, true);
  assert.deepEqual([health.share(5_999), health.share(6_000)], [0.1, 1]);
});
