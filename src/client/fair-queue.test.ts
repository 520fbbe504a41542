import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from './fair-queue.ts';

const drain = (queue: FairQueue<string>) => {
  const order: string[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) order.push(item);
  return order.join(' ');
};

test('turns alternate between groups, and within one the first comes first', () => {
  const queue = new FairQueue<string>(10);
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2'])
    assert.equal(queue.push(item, item[0]!), undefined);
  assert.equal(queue.size, 6);
  assert.equal(drain(queue), 'a1 b1 c1 a2 c2 a3');
  assert.equal(queue.size, 0);
});

test('who comes back after its turn waits behind the others', () => {
  const queue = new FairQueue<string>(10);
  for (const item of ['a1', 'b1', 'b2']) queue.push(item, item[0]!);
  assert.equal(queue.shift(), 'a1');
  queue.push('a2', 'a');
  assert.equal(drain(queue), 'b1 a2 b2');
});

test('a full queue refuses its own, but takes from a group with less: the last of the largest goes', () => {
  const queue = new FairQueue<string>(4);
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.push(item, 'a');
  assert.equal(queue.push('a5', 'a'), 'a5');
  assert.equal(queue.push('b1', 'b'), 'a4');
  assert.equal(queue.push('c1', 'c'), 'a3');
  assert.equal(queue.push('b2', 'b'), 'b2');
  assert.equal(queue.size, 4);
  assert.equal(drain(queue), 'a1 b1 c1 a2');
});

test('a smaller maximum throws nobody out, and still lets a group with less in, for one of the largest', () => {
  const queue = new FairQueue<string>(4);
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.push(item, 'a');
  queue.max = 2;
  assert.equal(queue.push('a5', 'a'), 'a5');
  assert.equal(queue.push('b1', 'b'), 'a4');
  assert.equal(queue.size, 4);
  for (const item of ['a1', 'b1', 'a2']) assert.equal(queue.shift(), item);
  assert.equal(queue.push('a5', 'a'), undefined);
});

test('one that leaves is removed, and an empty group has no turn', () => {
  const queue = new FairQueue<string>(4);
  for (const item of ['a1', 'b1', 'b2']) queue.push(item, item[0]!);
  assert.equal(queue.remove('a1'), true);
  assert.equal(queue.remove('a1'), false);
  assert.equal(queue.size, 2);
  assert.deepEqual(queue.items(), ['b1', 'b2']);
  assert.deepEqual(queue.clear(), ['b1', 'b2']);
  assert.equal(queue.shift(), undefined);
});
