import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalExchange } from './local-exchange.ts';
import { WaitingRequests } from './waiting-requests.ts';

const nobody = { stdout: () => true, stderr() {}, end() {}, error() {} };
const requestOf = (group?: string) =>
  new LocalExchange({ variables: [], body: undefined, group }, nobody, {
    lost() {},
    ended() {},
    explain: () => undefined,
  });

function wait() {
  let now = 1_000;
  const waiting = new WaitingRequests(() => now);
  const push = (count: number, group: string, isStarting = false) => {
    const all = Array.from({ length: count }, () => requestOf(group));
    const losers = all.map((exchange) => waiting.push(exchange, isStarting));
    return { all, losers: losers.filter((loser) => loser !== undefined) };
  };
  return { waiting, push, pass: (ms: number) => (now += ms) };
}

test('virtual servers take turns', () => {
  const { waiting, push } = wait();
  push(50, 'flood');
  push(2, 'shop');
  const turns = Array.from({ length: 5 }, () => waiting.shift()?.claim.group);
  assert.deepEqual(turns, ['flood', 'shop', 'flood', 'shop', 'flood']);
  assert.equal(waiting.size, 47);
});

test('100 wait while processes work, 1000 while one starts; who floods gives way', () => {
  const { waiting, push } = wait();
  assert.equal(push(1_000, 'flood', true).losers.length, 0);
  const [late] = push(1, 'flood', true).losers;
  assert.equal(late?.claim.group, 'flood');
  // A process works now: nobody of those that wait has to go for that.
  assert.equal(waiting.size, 1_000);
  const more = push(1, 'flood');
  assert.deepEqual(more.losers, more.all);
  const { losers } = push(1, 'shop');
  assert.deepEqual([losers.length, losers[0]!.claim.group], [1, 'flood']);
  for (let turn = 0; turn < 900; turn++) waiting.shift();
  assert.equal(waiting.size, 100);
  assert.equal(push(1, 'flood').losers.length, 1);
  waiting.shift();
  assert.equal(push(1, 'flood').losers.length, 0);
});

test('each knows how long it waited, and none waits longer than 5 s', () => {
  const { waiting, push, pass } = wait();
  const { all: early } = push(2, 'a');
  pass(3_000);
  const { all: late } = push(1, 'b');
  assert.equal(waiting.shift(), early[0]);
  assert.equal(early[0]!.waitedMs, 3_000);
  pass(1_999);
  assert.deepEqual(waiting.expire(), []);
  pass(1);
  assert.deepEqual(waiting.expire(), [early[1]]);
  assert.deepEqual(waiting.clear(), late);
  assert.equal(waiting.size, 0);
});

test('one that left has no turn', () => {
  const { waiting, push } = wait();
  const { all } = push(3, 'a');
  waiting.remove(all[1]!);
  assert.deepEqual([waiting.shift(), waiting.shift(), waiting.shift()], [all[0], all[2], undefined]);
});
