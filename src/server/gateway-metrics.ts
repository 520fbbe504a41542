/** Everything that one gateway counts and tells of itself, besides its sources. */
import type { Clock } from '../base/clock.ts';
import type { MetricFormat, MetricRegistry } from '../base/metrics.ts';
import { addProcessMetrics, EventLoopDelay } from './process-metrics.ts';
import { RequestMetrics } from './request-metrics.ts';

export interface GatewayMetricsOptions {
  /** Lines that all access logs dropped so far. */
  readonly countDroppedLines: () => number;
  /** Of Fastway. */
  readonly version: string;
  readonly clock: Clock;
}

export class GatewayMetrics {
  readonly requests: RequestMetrics;
  readonly #registry: MetricRegistry;
  readonly #eventLoopDelay: EventLoopDelay;
  #isClosed = false;

  constructor(registry: MetricRegistry, options: GatewayMetricsOptions) {
    const { countDroppedLines, version, clock } = options;
    this.#registry = registry;
    this.requests = new RequestMetrics(registry);
    registry.counter({
      name: 'fastway_access_log_dropped_lines_total',
      help: 'Lines of access logs that were dropped, as the disk was slower than the traffic',
      read: (values) => values.fill(countDroppedLines()),
    });
    this.#eventLoopDelay = new EventLoopDelay(registry, clock);
    addProcessMetrics(registry, version);
  }

  /** Samples what has to be sampled from now on; `print` does it by itself. */
  start(): void {
    if (!this.#isClosed) this.#eventLoopDelay.start();
  }

  print(format: MetricFormat): string {
    this.start();
    return this.#registry.print(format);
  }

  close(): void {
    this.#isClosed = true;
    this.#eventLoopDelay.close();
  }
}
