/** Failover: the first source in order that is usable; back to the first as soon as it recovers. */
import type { Balancer, WeightedSource } from './balancer.ts';

/** Weights mean nothing here. */
export function createFailover(sources: readonly WeightedSource[]): Balancer {
  const pick: Balancer['pick'] = (_clientAddress, isUsable) => {
    for (const { source } of sources) {
      if (isUsable(source)) return source;
    }
    return undefined;
  };
  return { sources, pick, preview: pick };
}
