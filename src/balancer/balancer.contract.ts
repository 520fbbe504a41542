/** What every balancer promises; each implementation's test runs this suite. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Source, SourceExchange } from '../source/source.ts';
import type { BalancerFactory, WeightedSource } from './balancer.ts';

/** A source of which only the name and the number of requests matter. */
export class NamedSource implements Source {
  readonly holdMs: number = 0;
  readonly name: string;
  readonly address: string = 'tcp://127.0.0.1:9000';
  active = 0;
  share = 1;

  constructor(name: string) {
    this.name = name;
  }

  isUsable(): boolean {
    return true;
  }

  isAvailable(): boolean {
    return true;
  }

  open(): SourceExchange {
    throw new Error('A balancer opens nothing');
  }

  describe(): string {
    return this.name;
  }

  async close(): Promise<void> {}
}

/** `a`, `b` ... with these weights. */
export function namedSources(...weights: number[]): WeightedSource[] {
  return weights.map((weight, index) => ({ source: new NamedSource('abcdefgh'[index]!), weight }));
}

export const everybody = (): boolean => true;
export const everybodyBut =
  (...names: string[]) =>
  (source: Source): boolean =>
    !names.includes(source.name);

/** 256 clients of one network. */
export const clients: readonly string[] = Array.from({ length: 256 }, (_, index) => `10.1.2.${index}`);

export function testBalancer(create: BalancerFactory): void {
  test('shows its sources', () => {
    const sources = namedSources(1, 2);
    assert.equal(create(sources).sources, sources);
  });

  test('picks the only source', () => {
    const balancer = create(namedSources(1));
    assert.equal(balancer.pick('::1', everybody)?.name, 'a');
    assert.equal(balancer.pick('', everybody)?.name, 'a');
  });

  test('picks nobody when nobody is usable, and somebody again later', () => {
    const balancer = create(namedSources(1, 1, 1));
    assert.equal(
      balancer.pick('10.0.0.1', () => false),
      undefined,
    );
    assert.ok(balancer.pick('10.0.0.1', everybody));
  });

  test('a preview names what is picked next, and takes no turn', () => {
    const balancer = create(namedSources(3, 2, 1));
    const undisturbed = create(namedSources(3, 2, 1));
    for (const client of clients) {
      const isUsable = client.endsWith('7') ? everybodyBut('a') : everybody;
      const previews = [1, 2, 3].map(() => balancer.preview(client, isUsable)?.name);
      assert.equal(
        balancer.preview(client, () => false),
        undefined,
      );
      const picked = balancer.pick(client, isUsable)?.name;
      assert.deepEqual(previews, [picked, picked, picked]);
      assert.equal(picked, undisturbed.pick(client, isUsable)?.name);
    }
  });

  test('never picks an unusable source', () => {
    const balancer = create(namedSources(5, 1, 1));
    for (const client of clients) {
      assert.notEqual(balancer.pick(client, everybodyBut('a'))?.name, 'a');
      assert.equal(balancer.pick(client, everybodyBut('a', 'b'))?.name, 'c');
    }
  });
}
