import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from './health.ts';

test('three failures within 10 s take a source out, fewer or slower ones do not', () => {
  const health = new Health();
  assert.equal(health.failed(0, false), false);
  assert.equal(health.failed(5_000, false), false);
  assert.equal(health.failed(10_001, false), false, 'the first one is forgotten');
  assert.equal(health.isAvailable(10_001), true);
  assert.equal(health.failed(10_002, false), true);
  assert.equal(health.isAvailable(10_002), false);
});

test('a success clears the count', () => {
  const health = new Health();
  health.failed(0, false);
  health.failed(1, false);
  assert.equal(health.succeeded(), false, 'it was in service all the time');
  assert.equal(health.failed(2, false), false);
  assert.equal(health.isInService, true);
});

test('one failed connect is enough', () => {
  const health = new Health();
  assert.equal(health.failed(0, true), true);
  assert.equal(health.isAvailable(0), false);
  assert.equal(health.delayMs(0), 1_000);
  assert.equal(health.isAvailable(999), false);
  assert.equal(health.isAvailable(1_000), true);
});

test('trials come after 1, 2, 4 ... 30 s', () => {
  const health = new Health();
  let now = 0;
  health.failed(now, true);
  for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
    assert.equal(health.delayMs(now), seconds * 1_000);
    now += seconds * 1_000;
    assert.equal(health.isAvailable(now), true);
    health.began(now);
    assert.equal(health.failed(now, true), false, 'it was out already');
  }
});

test('one trial at a time; its success brings the source back, with a short delay the next time', () => {
  const health = new Health();
  health.failed(0, true);
  health.began(1_000);
  assert.equal(health.isAvailable(1_000), false, 'a trial is under way');
  assert.equal(health.succeeded(), true);
  assert.equal(health.isAvailable(1_000), true);
  assert.equal(health.isInService, true);
  health.failed(2_000, true);
  assert.equal(health.delayMs(2_000), 1_000);
});

test('a trial that never ends is forgotten after 10 s', () => {
  const health = new Health();
  health.failed(0, true);
  health.began(1_000);
  assert.equal(health.isAvailable(10_999), false);
  assert.equal(health.isAvailable(11_000), true);
});

test('failures of requests that were under way when it went out change nothing', () => {
  const health = new Health();
  health.failed(0, true);
  health.failed(500, true);
  health.failed(600, false);
  assert.equal(health.delayMs(600), 400);
});
