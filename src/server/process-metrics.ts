/**
 * How this process is: memory, descriptors, processor time, and how long its event loop makes others wait.
 * `process_*` are the names that every Prometheus client has for these.
 */
import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../base/clock.ts';
import type { Histogram, MetricRegistry } from '../base/metrics.ts';
import { countDescriptors, readDescriptorLimit } from './descriptors.ts';

/** Adds what is asked of the system when the page is printed. @param version of Fastway */
export function addProcessMetrics(registry: MetricRegistry, version: string): void {
  const startSeconds = performance.timeOrigin / 1000;
  registry.gauge({
    name: 'fastway_build_info',
    help: 'Always 1; the versions are in the labels',
    labels: { version: [version], node: [process.version] },
    read: (values) => values.fill(1),
  });
  registry.gauge({
    name: 'process_start_time_seconds',
    help: 'When the process was started, in seconds since the epoch',
    read: (values) => values.fill(startSeconds),
  });
  registry.counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of the process, without its children',
    read: (values) => {
      const { user, system } = process.cpuUsage();
      values[0] = (user + system) / 1e6;
    },
  });
  registry.gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory of the process, without its children',
    read: (values) => values.fill(process.memoryUsage.rss()),
  });
  registry.gauge({
    name: 'process_open_fds',
    help: 'File descriptors that are open; left out where the system does not tell',
    read: (values) => values.fill(countDescriptors() ?? Number.NaN),
  });
  registry.gauge({
    name: 'process_max_fds',
    help: 'File descriptors that may be open; left out where the system does not tell',
    read: (values) => values.fill(readDescriptorLimit() ?? Number.NaN),
  });
}

/** Seconds. */
const delayBounds: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Rarely enough to cost nothing, often enough that a blocked event loop is caught. */
const sampleEveryMs = 100;

/**
 * How much later than due a timer comes: what an event that arrives at any moment meets.
 * Samples of one histogram, so that several readers do not disturb each other as with a maximum since the last look.
 */
export class EventLoopDelay {
  readonly #histogram: Histogram;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #sampledAt = 0;

  constructor(registry: MetricRegistry, clock: Clock) {
    this.#clock = clock;
    this.#histogram = registry.histogram(
      {
        name: 'fastway_event_loop_delay_seconds',
        help: 'How much later than due a timer comes, sampled ten times a second',
      },
      delayBounds,
    );
  }

  /** Samples from now on. May be called twice. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#sampledAt = this.#clock.now();
    this.#timer = this.#clock.setRepeating(() => this.#sample(), sampleEveryMs);
    this.#timer.unref();
  }

  close(): void {
    this.#clock.clearTimer(this.#timer);
  }

  #sample(): void {
    const now = this.#clock.now();
    // A timer may come a fraction of a millisecond too early.
    this.#histogram.observe(0, Math.max(0, now - this.#sampledAt - sampleEveryMs) / 1000);
    this.#sampledAt = now;
  }
}
