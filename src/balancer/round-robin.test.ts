import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  everybody,
  everybodyBut,
  type NamedSource,
  namedSources,
  testBalancer,
} from './balancer.contract.ts';
import { createRoundRobin } from './round-robin.ts';

testBalancer(createRoundRobin);

test('spreads weights 5, 1, 1 smoothly, as in the literature', () => {
  const balancer = createRoundRobin(namedSources(5, 1, 1));
  const picks = Array.from({ length: 14 }, () => balancer.pick('', everybody)!.name).join('');
  assert.equal(picks, 'aabacaaaabacaa');
});

test('a source that was out of service comes back to its share, without catching up', () => {
  const balancer = createRoundRobin(namedSources(1, 1));
  for (let index = 0; index < 100; index++) balancer.pick('', everybodyBut('b'));
  const picks = Array.from({ length: 10 }, () => balancer.pick('', everybody)!.name);
  assert.equal(picks.filter((name) => name === 'b').length, 5);
});

test('a source that warms up gets that part of its share', () => {
  const sources = namedSources(1, 1);
  (sources[1]!.source as NamedSource).share = 0.25;
  const balancer = createRoundRobin(sources);
  const picks = Array.from({ length: 100 }, () => balancer.pick('', everybody)!.name);
  assert.equal(picks.filter((name) => name === 'b').length, 20);
});
