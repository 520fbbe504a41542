import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  clients,
  everybody,
  everybodyBut,
  type NamedSource,
  namedSources,
  testBalancer,
} from './balancer.contract.ts';
import { createIpHash } from './ip-hash.ts';

testBalancer(createIpHash);

test('a client stays at its source, and clients spread over all', () => {
  const balancer = createIpHash(namedSources(1, 1, 1, 1));
  const counts = new Map<string, number>();
  for (const client of clients) {
    const { name } = balancer.pick(client, everybody)!;
    assert.equal(balancer.pick(client, everybody)!.name, name);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  // 64 each on average; 256 draws stay well within these bounds.
  for (const name of 'abcd')
    assert.ok(counts.get(name)! > 35 && counts.get(name)! < 95, `${name} ${counts.get(name)}`);
});

test('a source out of service moves only its own clients, and they come back', () => {
  const balancer = createIpHash(namedSources(1, 2, 1));
  for (const client of clients) {
    const home = balancer.pick(client, everybody)!.name;
    const away = balancer.pick(client, everybodyBut('b'))!.name;
    if (home !== 'b') assert.equal(away, home);
    else assert.notEqual(away, 'b');
    assert.equal(balancer.pick(client, everybody)!.name, home);
  }
});

test('weights are shares', () => {
  const balancer = createIpHash(namedSources(3, 1));
  const heavy = clients.filter((client) => balancer.pick(client, everybody)!.name === 'a').length;
  assert.ok(heavy > 165 && heavy < 220, `${heavy} of 256, expected about 192`);
});

test('to a source that warms up its own clients come back little by little, and nobody else moves', () => {
  const sources = namedSources(1, 1, 1);
  const returning = sources[1]!.source as NamedSource;
  const balancer = createIpHash(sources);
  const homes = () => clients.map((client) => balancer.pick(client, everybody)!.name);
  const before = homes();
  let last = 0;
  for (const share of [0.1, 0.4, 0.7, 1]) {
    returning.share = share;
    const now = homes();
    for (const [index, home] of now.entries()) if (home === 'b') assert.equal(before[index], 'b');
    const count = now.filter((home) => home === 'b').length;
    assert.ok(count >= last, `${count} clients at ${share}`);
    last = count;
  }
  assert.deepEqual(homes(), before);
});
