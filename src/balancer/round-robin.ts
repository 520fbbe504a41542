/** Round robin: each source in turn, in proportion to the weights and spread out (a a b a, not a a a b). */
import type { Source } from '../source/source.ts';
import type { Balancer, WeightedSource } from './balancer.ts';

/** Smooth weighted round robin: everybody gains its weight, the richest is chosen and pays for the whole round. */
export function createRoundRobin(sources: readonly WeightedSource[]): Balancer {
  const credits = new Float64Array(sources.length);
  return {
    sources,
    pick(_clientAddress, isUsable): Source | undefined {
      let chosen = -1;
      let round = 0;
      for (let index = 0; index < sources.length; index++) {
        const { source, weight } = sources[index]!;
        // Who is out of service neither gains nor loses, so that it does not return with a debt or a fortune.
        if (!isUsable(source)) continue;
        const due = weight * source.share;
        round += due;
        credits[index]! += due;
        if (chosen === -1 || credits[index]! > credits[chosen]!) chosen = index;
      }
      if (chosen === -1) return undefined;
      credits[chosen]! -= round;
      return sources[chosen]!.source;
    },
  };
}
