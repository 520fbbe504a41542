/** Failover: the first source in order that is usable; back to the first as soon as it recovers. */
import type { Source } from '../source/source.ts';
import type { Balancer, WeightedSource } from './balancer.ts';

/** Weights mean nothing here. */
export function createFailover(sources: readonly WeightedSource[]): Balancer {
  return {
    sources,
    pick(_clientAddress, isUsable): Source | undefined {
      for (const { source } of sources) {
        if (isUsable(source)) return source;
      }
      return undefined;
    },
  };
}
