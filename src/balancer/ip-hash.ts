/**
 * IP hash: a client stays at its source. Weighted rendezvous hashing: each source draws a number for the client, and
 * the best draw wins. A source out of service moves only its own clients, and they come back with it.
 */
import type { Source } from '../source/source.ts';
import type { Balancer, WeightedSource } from './balancer.ts';

export function createIpHash(sources: readonly WeightedSource[]): Balancer {
  const seeds = sources.map(({ source }) => hash(fnvBasis, source.name));
  const pick: Balancer['pick'] = (clientAddress, isUsable) => {
    let chosen: Source | undefined;
    let best = Number.NEGATIVE_INFINITY;
    for (let index = 0; index < sources.length; index++) {
      const { source, weight } = sources[index]!;
      // Between 0 and 1, both excluded; -weight / ln(draw) gives each source its share by weight.
      const draw = (mix(hash(seeds[index]!, clientAddress)) + 0.5) / 0x1_0000_0000;
      const score = (-weight * source.share) / Math.log(draw);
      if (score > best && isUsable(source)) {
        best = score;
        chosen = source;
      }
    }
    return chosen;
  };
  return { sources, pick, preview: pick };
}

const fnvBasis = 0x811c9dc5;

/** FNV-1a, 32 bits. */
function hash(seed: number, text: string): number {
  let value = seed;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value;
}

/** Spreads a last differing byte over all bits (the finalizer of MurmurHash3), which FNV does not. */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
