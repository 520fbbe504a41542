/** Least busy: the source with the fewest requests under way for its weight; equals take turns. */
import type { Source } from '../source/source.ts';
import type { Balancer, WeightedSource } from './balancer.ts';

export function createLeastBusy(sources: readonly WeightedSource[]): Balancer {
  let start = 0;
  const choose = (isUsable: (source: Source) => boolean): number => {
    let chosen = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let step = 0; step < sources.length; step++) {
      const index = (start + step) % sources.length;
      const { source, weight } = sources[index]!;
      // A source without requests is not yet the least busy one, if it can take less than its part.
      const load = (source.active + (1 - source.share)) / (weight * source.share);
      if (load < least && isUsable(source)) {
        least = load;
        chosen = index;
      }
    }
    return chosen;
  };
  return {
    sources,
    pick(_clientAddress, isUsable): Source | undefined {
      const chosen = choose(isUsable);
      if (chosen !== -1) start = (chosen + 1) % sources.length;
      return sources[chosen]?.source;
    },
    preview: (_clientAddress, isUsable) => sources[choose(isUsable)]?.source,
  };
}
