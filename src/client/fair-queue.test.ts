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
    assert.equal(queue.push(item, { group: item[0]! }), undefined);
  assert.equal(queue.size, 6);
  assert.equal(drain(queue), 'a1 b1 c1 a2 c2 a3');
  assert.equal(queue.size, 0);
});

test('who comes back after its turn waits behind the others', () => {
  const queue = new FairQueue<string>(10);
  for (const item of ['a1', 'b1', 'b2']) queue.push(item, { group: item[0]! });
  assert.equal(queue.shift(), 'a1');
  queue.push('a2', { group: 'a' });
  assert.equal(drain(queue), 'b1 a2 b2');
});

test('a full queue refuses its own, but takes from a group with less: the last of the largest goes', () => {
  const queue = new FairQueue<string>(4);
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.push(item, { group: 'a' });
  assert.equal(queue.push('a5', { group: 'a' }), 'a5');
  assert.equal(queue.push('b1', { group: 'b' }), 'a4');
  assert.equal(queue.push('c1', { group: 'c' }), 'a3');
  assert.equal(queue.push('b2', { group: 'b' }), 'b2');
  assert.equal(queue.size, 4);
  assert.equal(drain(queue), 'a1 b1 c1 a2');
});

test('a smaller maximum throws nobody out, and still lets a group with less in, for one of the largest', () => {
  const queue = new FairQueue<string>(4);
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.push(item, { group: 'a' });
  queue.max = 2;
  assert.equal(queue.push('a5', { group: 'a' }), 'a5');
  assert.equal(queue.push('b1', { group: 'b' }), 'a4');
  assert.equal(queue.size, 4);
  for (const item of ['a1', 'b1', 'a2']) assert.equal(queue.shift(), item);
  assert.equal(queue.push('a5', { group: 'a' }), undefined);
});

test('one that leaves is removed, and an empty group has no turn', () => {
  const queue = new FairQueue<string>(4);
  for (const item of ['a1', 'b1', 'b2']) queue.push(item, { group: item[0]! });
  assert.equal(queue.remove('a1'), true);
  assert.equal(queue.remove('a1'), false);
  assert.equal(queue.size, 2);
  assert.deepEqual(queue.items(), ['b1', 'b2']);
  assert.deepEqual(queue.clear(), ['b1', 'b2']);
  assert.equal(queue.shift(), undefined);
});

/** `a1` is the first of client a. */
const byClient = (queue: FairQueue<string>, ...items: readonly string[]) =>
  items.map((item) => queue.push(item, { group: 'site', client: `192.0.2.${item.charCodeAt(0)}` }));

test('within a group the turns alternate between clients', () => {
  const queue = new FairQueue<string>(10);
  byClient(queue, 'a1', 'a2', 'a3', 'b1', 'c1', 'c2');
  queue.push('other', { group: 'shop', client: '192.0.2.97' });
  assert.equal(drain(queue), 'a1 other b1 c1 a2 c2 a3');
});

test('a full queue takes from the client that has most: its newest goes', () => {
  const queue = new FairQueue<string>(4);
  byClient(queue, 'a1', 'a2', 'a3', 'a4');
  assert.deepEqual(byClient(queue, 'a5', 'b1', 'c1', 'b2', 'd1'), ['a5', 'a4', 'a3', 'b2', 'a2']);
  // All have one: there is nobody to take from.
  assert.deepEqual(byClient(queue, 'e1', 'a2'), ['e1', 'a2']);
  assert.equal(queue.size, 4);
  assert.equal(queue.remove('b1'), true);
  assert.equal(drain(queue), 'a1 c1 d1');
  assert.equal(queue.size, 0);
});

test('of another group it is the client with most whose newest goes', () => {
  const queue = new FairQueue<string>(4);
  byClient(queue, 'a1', 'b1', 'a2', 'a3');
  assert.equal(queue.push('s1', { group: 'shop', client: '192.0.2.1' }), 'a3');
  assert.equal(drain(queue), 'a1 s1 b1 a2');
});

test('addresses of one IPv6 network are one client', () => {
  const queue = new FairQueue<string>(3);
  for (const [index, client] of ['2001:db8::1', '2001:db8::2', '2001:db8:0:0:9::3'].entries())
    queue.push(`a${index}`, { client });
  assert.equal(queue.push('b', { client: '2001:db8:0:1::1' }), 'a2');
  assert.equal(queue.push('a', { client: '2001:db8::4' }), 'a');
});
