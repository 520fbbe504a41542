import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everybody, everybodyBut, namedSources, testBalancer } from './balancer.contract.ts';
import { createFailover } from './failover.ts';

testBalancer(createFailover);

test('takes the first usable one in order, and returns to the first', () => {
  const balancer = createFailover(namedSources(1, 9, 9));
  assert.equal(balancer.pick('', everybody)?.name, 'a');
  assert.equal(balancer.pick('', everybodyBut('a'))?.name, 'b');
  assert.equal(balancer.pick('', everybodyBut('a', 'b'))?.name, 'c');
  assert.equal(balancer.pick('', everybody)?.name, 'a');
});
