/** Round robin: each source in turn, in proportion to the weights and spread out (a a b a, not a a a b). */
import type { Source } from '../source/source.ts';
import type { Balancer, WeightedSource } from './balancer.ts';

/** Smooth weighted round robin: everybody gains its weight, the richest is chosen and pays for the whole round. */
export function createRoundRobin(sources: readonly WeightedSource[]): Balancer {
  const credits = new Float64Array(sources.length);
  const choose = (isUsable: (source: Source) => boolean, takesTurn: boolean): Source | undefined => {
    let chosen = -1;
    let richest = 0;
    let round = 0;
    for (let index = 0; index < sources.length; index++) {
      const { source, weight } = sources[index]!;
      // A source that is out of service neither gains nor loses turns, so that it comes back with neither a debt nor a credit.
      if (!isUsable(source)) continue;
      const due = weight * source.share;
      const credit = credits[index]! + due;
      round += due;
      if (takesTurn) credits[index] = credit;
      if (chosen !== -1 && credit <= richest) continue;
      chosen = index;
      richest = credit;
    }
    if (takesTurn && chosen !== -1) credits[chosen]! -= round;
    return sources[chosen]?.source;
  };
  return {
    sources,
    pick: (_clientAddress, isUsable) => choose(isUsable, true),
    preview: (_clientAddress, isUsable) => choose(isUsable, false),
  };
}
