/** A balancer: pure choice among sources. Health is the source's business, retry the handler's. */
import type { Source } from '../source/source.ts';

export interface WeightedSource {
  readonly source: Source;
  /** Share of the requests relative to the others; 1 or more. */
  readonly weight: number;
}

export interface Balancer {
  readonly sources: readonly WeightedSource[];
  /**
   * Chooses among the sources that `isUsable` allows; undefined when it allows none.
   * @param clientAddress the client's address after `realIp`, for policies that keep a client at its source
   */
  pick(clientAddress: string, isUsable: (source: Source) => boolean): Source | undefined;
  /** What `pick` would return now. Takes no turn: nothing is changed. */
  preview(clientAddress: string, isUsable: (source: Source) => boolean): Source | undefined;
}

/** Makes a policy's balancer; `sources` is never empty. */
export type BalancerFactory = (sources: readonly WeightedSource[]) => Balancer;
