import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartPolicy } from './restart-policy.ts';

const middle = () => 0.5;

test('each exit doubles the delay', () => {
  const policy = new RestartPolicy(middle);
  assert.equal(policy.delayMs(0), 0);
  const delays = [0, 1000, 2000, 3000, 4000].map((at) => {
    policy.exited(at);
    return policy.delayMs(at);
  });
  assert.deepEqual(delays, [100, 200, 400, 800, 1600]);
  assert.equal(policy.delayMs(4600), 1000);
  assert.equal(policy.isOpen(4000), false);
});

test('chance moves the delay by 20 %', () => {
  for (const [chance, delay] of [
    [0, 80],
    [1, 120],
  ] as const) {
    const policy = new RestartPolicy(() => chance);
    policy.exited(0);
    assert.equal(Math.round(policy.delayMs(0)), delay);
  }
});

test('the sixth exit in a minute opens the circuit for 30 s', () => {
  const policy = new RestartPolicy(middle);
  for (let i = 0; i < 6; i++) policy.exited(i);
  assert.equal(policy.isOpen(5), true);
  assert.equal(policy.delayMs(5), 30_000);
  assert.equal(policy.isOpen(30_005), false);
});

test('exits of more than a minute ago are forgotten', () => {
  const policy = new RestartPolicy(middle);
  for (let i = 0; i < 5; i++) policy.exited(i);
  policy.exited(70_000);
  assert.equal(policy.delayMs(70_000), 100);
  assert.equal(policy.isOpen(70_000), false);
});

test('what cannot be started is tried again after 30 s', () => {
  const policy = new RestartPolicy(middle);
  policy.refused(0);
  assert.equal(policy.isOpen(29_999), true);
  assert.equal(policy.isOpen(30_000), false);
});

test('a crash loop never exceeds 12 starts in a minute', () => {
  for (const chance of [0, 0.5, 1]) {
    const policy = new RestartPolicy(() => chance);
    const starts: number[] = [];
    for (let now = 0; now < 600_000; ) {
      starts.push(now);
      now += 1;
      policy.exited(now);
      now += Math.ceil(policy.delayMs(now));
    }
    for (const from of starts) {
      const inMinute = starts.filter((at) => at >= from && at < from + 60_000).length;
      assert.ok(inMinute <= 12, `${inMinute} starts in the minute from ${from}, chance ${chance}`);
    }
  }
});
