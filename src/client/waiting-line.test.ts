import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WaitingLine } from './waiting-line.ts';

class Guest {
  readonly group: string;
  waitsSince = 0;
  waitedMs = 0;

  constructor(group: string) {
    this.group = group;
  }

  waited(ms: number): void {
    this.waitedMs += ms;
  }
}

function wait(max?: number) {
  let now = 1_000;
  const line = new WaitingLine<Guest>({ now: () => now, max });
  const push = (count: number, group: string) => {
    const all = Array.from({ length: count }, () => new Guest(group));
    const losers = all.map((guest) => line.push(guest, { group }));
    return { all, losers: losers.filter((loser) => loser !== undefined) };
  };
  return { line, push, pass: (ms: number) => (now += ms) };
}

test('virtual servers take turns', () => {
  const { line, push } = wait();
  push(50, 'flood');
  push(2, 'shop');
  const turns = Array.from({ length: 5 }, () => line.shift()?.group);
  assert.deepEqual(turns, ['flood', 'shop', 'flood', 'shop', 'flood']);
  assert.equal(line.size, 47);
});

test('1000 wait, one bound for all; who floods gives way', () => {
  const { line, push } = wait(1_000);
  assert.equal(push(1_000, 'flood').losers.length, 0);
  const more = push(1, 'flood');
  assert.deepEqual(more.losers, more.all);
  const { losers } = push(1, 'shop');
  assert.deepEqual([losers.length, losers[0]!.group], [1, 'flood']);
  line.shift();
  assert.equal(push(1, 'flood').losers.length, 0);
});

test('what was waited before there could be a place does not count', () => {
  const { line, push, pass } = wait();
  const { all } = push(1, 'a');
  pass(60_000);
  line.countFromNow();
  assert.deepEqual(line.expire(), []);
  pass(4_999);
  assert.deepEqual(line.expire(), []);
  pass(1);
  assert.deepEqual(line.expire(), all);
});

test('each knows how long it waited, and none waits longer than 5 s', () => {
  const { line, push, pass } = wait();
  const { all: early } = push(2, 'a');
  pass(3_000);
  const { all: late } = push(1, 'b');
  assert.equal(line.shift(), early[0]);
  assert.equal(early[0]!.waitedMs, 3_000);
  pass(1_999);
  assert.deepEqual(line.expire(), []);
  pass(1);
  assert.deepEqual(line.expire(), [early[1]]);
  assert.deepEqual(line.clear(), late);
  assert.equal(line.size, 0);
});

test('one that left has no turn', () => {
  const { line, push } = wait();
  const { all } = push(3, 'a');
  assert.equal(line.remove(all[1]!), true);
  assert.equal(line.remove(all[1]!), false);
  assert.deepEqual([line.shift(), line.shift(), line.shift()], [all[0], all[2], undefined]);
});
