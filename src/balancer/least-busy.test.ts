import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everybody, type NamedSource, namedSources, testBalancer } from './balancer.contract.ts';
import { createLeastBusy } from './least-busy.ts';

testBalancer(createLeastBusy);

test('takes the one with the fewest requests for its weight', () => {
  const sources = namedSources(1, 4, 1);
  const balancer = createLeastBusy(sources);
  const load = (...active: number[]) => {
    for (const [index, value] of active.entries()) (sources[index]!.source as NamedSource).active = value;
  };
  load(1, 3, 2);
  assert.equal(balancer.pick('', everybody)?.name, 'b');
  load(1, 8, 2);
  assert.equal(balancer.pick('', everybody)?.name, 'a');
});

test('equals take turns', () => {
  const balancer = createLeastBusy(namedSources(1, 1, 1));
  const picks = Array.from({ length: 6 }, () => balancer.pick('', everybody)!.name).join('');
  assert.equal(picks, 'abcabc');
});

test('a source that warms up is busy with less', () => {
  const sources = namedSources(1, 1);
  const [old, returning] = sources.map(({ source }) => source as NamedSource);
  returning!.share = 0.1;
  const balancer = createLeastBusy(sources);
  old!.active = 5;
  assert.equal(balancer.pick('', everybody)!.name, 'a');
  old!.active = 12;
  assert.equal(balancer.pick('', everybody)!.name, 'b');
});
