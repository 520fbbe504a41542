/**
 * Which of several sources do worse than their peers, from what each did since the last look. Pure.
 * Failures that are each too few, or too far apart, to take a source out by themselves show here, and so does one that
 * answers, but slowly.
 */

/** What a source did since the last look. */
export interface SourceStatistics {
  /** Requests that ended, well or not. */
  readonly requests: number;
  readonly failures: number;
  /** Milliseconds from the request to its end, on average. */
  readonly latencyMs: number;
}

export interface Outlier {
  readonly index: number;
  /** For people. */
  readonly reason: string;
}

/** Fewer say nothing. */
const requestsMin = 20;
const failureRateMin = 0.3;
/** As often as the peers, times so much. */
const failureRatio = 3;
const latencyRatio = 5;
/** Differences below this are nobody's business, in milliseconds. */
const latencyDifferenceMs = 100;

/** The worst first. */
export function findOutliers(statistics: readonly SourceStatistics[]): readonly Outlier[] {
  const found: (Outlier & { readonly badness: number })[] = [];
  for (const [index, own] of statistics.entries()) {
    const peers = statistics.filter((other, at) => at !== index && other.requests >= requestsMin);
    if (own.requests < requestsMin || peers.length === 0) continue;
    const rate = own.failures / own.requests;
    const peerRate = sum(peers, ({ failures }) => failures) / sum(peers, ({ requests }) => requests);
    const peerLatencyMs = median(peers.map(({ latencyMs }) => latencyMs));
    if (rate >= failureRateMin && rate > failureRatio * peerRate) {
      const reason = `${percent(rate)} of its requests failed, of its peers' ${percent(peerRate)}`;
      found.push({ index, reason, badness: 1 + rate });
    } else if (
      own.latencyMs > latencyRatio * peerLatencyMs &&
      own.latencyMs - peerLatencyMs > latencyDifferenceMs
    ) {
      const reason = `It took ${Math.round(own.latencyMs)} ms for a request, its peers ${Math.round(peerLatencyMs)} ms`;
      found.push({ index, reason, badness: 1 - peerLatencyMs / own.latencyMs });
    }
  }
  return found.sort((a, b) => b.badness - a.badness).map(({ index, reason }) => ({ index, reason }));
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function percent(rate: number): string {
  return `${Math.round(rate * 100)} %`;
}
