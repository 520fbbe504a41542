/**
 * What is counted of sources: how the tries at each went, and how it is when somebody looks.
 * Time spent waiting for a place is apart from the application's own: a source that is too small and an application that
 * is too slow look the same to a client. Nothing here asks an application, so all of it is told while none has a worker
 * left.
 */
import { errorFacts } from '../base/error-facts.ts';
import { errorCodes } from '../base/errors.ts';
import { durationBounds, type Histogram, type MetricRegistry, type Series } from '../base/metrics.ts';
import { type SupervisedSource, sourceStates } from './health/supervised.ts';
import type { TryMeter, TryOutcome } from './source.ts';

/** Codes that speak of a source; others (a client that sent half a body) end a try as `other`. */
const sourceCodes = errorCodes.filter((code) => errorFacts[code].counted === 'requests and tries');
const outcomes: readonly string[] = ['complete', 'aborted', 'other', ...sourceCodes];
const outcomeIndexes: ReadonlyMap<string, number> = new Map(
  outcomes.map((outcome, index) => [outcome, index]),
);
const otherOutcome = outcomes.indexOf('other');

/** Seconds; nobody waits much longer than 5 s. */
const waitingBounds: readonly number[] = [0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What is counted of the tries at all sources, and what each is asked when the page is printed. */
export class SourceMetrics {
  readonly #registry: MetricRegistry;
  readonly #families: TryFamilies;
  readonly #gauges: SourceGauges;

  constructor(registry: MetricRegistry) {
    this.#registry = registry;
    this.#families = addTryFamilies(registry);
    this.#gauges = new SourceGauges(registry);
  }

  /** Another source of a name that was there goes on counting where it ended. */
  meterOf(name: string): TryMeter {
    return new SourceMeter(this.#families, this.#registry.declare('source', name));
  }

  /** From now on the page tells of this source, in place of one with the same name. */
  show(source: SupervisedSource): void {
    this.#gauges.show(this.#registry.declare('source', source.name), source);
  }

  /** It is about to end: the page no longer tells how it is; what it has counted stays. */
  hide(source: SupervisedSource): void {
    this.#gauges.hide(source);
  }
}

interface TryFamilies {
  readonly ended: Series;
  readonly waiting: Histogram;
  readonly application: Histogram;
  readonly again: Series;
  readonly failures: Series;
}

/** Names of sources come from configurations. */
const labels = { source: 'declared' } as const;

function addTryFamilies(registry: MetricRegistry): TryFamilies {
  return {
    ended: registry.counter({
      name: 'fastway_source_requests_total',
      help: 'Requests that a source was given, each try by its outcome: complete, aborted by the client, or an error code',
      labels: { ...labels, outcome: outcomes },
    }),
    waiting: registry.histogram(
      {
        name: 'fastway_source_waiting_seconds',
        help: 'How long requests waited for a place at the source, aborted ones left out',
        labels,
      },
      waitingBounds,
    ),
    application: registry.histogram(
      {
        name: 'fastway_source_application_seconds',
        help: 'From a place at the source to the end of the answer, complete answers only',
        labels,
      },
      durationBounds,
    ),
    again: registry.counter({
      name: 'fastway_source_further_tries_total',
      help: 'Requests that the source was given after another try had failed',
      labels,
    }),
    failures: registry.counter({
      name: 'fastway_source_app_status_failures_total',
      help: 'Requests that the application ended with an appStatus other than 0',
      labels,
    }),
  };
}

class SourceMeter implements TryMeter {
  readonly #families: TryFamilies;
  readonly #index: number;

  constructor(families: TryFamilies, index: number) {
    this.#families = families;
    this.#index = index;
  }

  ended(outcome: TryOutcome, durationMs: number, waitedMs: number): void {
    const { ended, waiting, application } = this.#families;
    const outcomeIndex = outcome === 'complete' ? 0 : (outcomeIndexes.get(outcome) ?? otherOutcome);
    ended.add(this.#index * outcomes.length + outcomeIndex, 1);
    // How long the client had patience says nothing of the source.
    if (outcome === 'aborted') return;
    const hadPlace = outcome === 'complete' || errorFacts[outcome].hadPlace;
    waiting.observe(this.#index, (hadPlace ? waitedMs : durationMs) / 1000);
    if (outcome === 'complete') application.observe(this.#index, (durationMs - waitedMs) / 1000);
  }

  triedAgain(): void {
    this.#families.again.add(this.#index, 1);
  }

  saidFailure(): void {
    this.#families.failures.add(this.#index, 1);
  }
}

/** How the sources are when somebody looks. */
class SourceGauges {
  /** With the number of its name; of two with one name the later is the one that balancers ask. */
  readonly #shown = new Map<SupervisedSource, number>();
  readonly #hidden: ((source: SupervisedSource, index: number) => void)[] = [];

  constructor(registry: MetricRegistry) {
    const gauge = (name: string, help: string, read: (source: SupervisedSource) => number | undefined) =>
      registry.gauge({ name, help, labels, read: (values) => this.#read(values, read) });
    gauge(
      'fastway_source_requests_active',
      'Requests that the source works on now',
      (source) => source.active - (source.facts?.waiting ?? 0),
    );
    gauge(
      'fastway_source_requests_waiting',
      'Requests that wait now for a place at the source',
      ({ facts }) => facts?.waiting,
    );
    gauge(
      'fastway_source_capacity',
      'Most requests that the source works on at a time; left out while no limit is known',
      ({ facts }) => facts?.capacity,
    );
    this.#addStates(registry);
    gauge('fastway_source_available', '1 while balancers may choose the source, else 0', (source) =>
      Number(source.isAvailable()),
    );
    gauge(
      'fastway_source_share_ratio',
      'Part of its weight that the source gets now, less than 1 while it warms up or is overloaded',
      ({ share }) => share,
    );
    gauge(
      'fastway_source_connections',
      'Open connections to the application, idle ones included',
      ({ facts }) => facts?.connections,
    );
    gauge(
      'fastway_source_idle_connections',
      'Open connections to the application that wait for a request',
      ({ facts }) => facts?.idleConnections,
    );
    gauge(
      'fastway_interpreter_processes',
      'Interpreters of ours that run, their children not counted',
      ({ facts }) => facts?.interpreter?.processes,
    );
    this.#addCounter(
      registry,
      'fastway_interpreter_starts_total',
      'Interpreters that were started and answered',
      ({ facts }) => facts?.interpreter?.starts,
    );
    this.#addCounter(
      registry,
      'fastway_interpreter_unexpected_ends_total',
      'Interpreters that ended without having been told to, and not in order',
      ({ facts }) => facts?.interpreter?.unexpectedEnds,
    );
  }

  show(index: number, source: SupervisedSource): void {
    this.#shown.set(source, index);
  }

  hide(source: SupervisedSource): void {
    const index = this.#shown.get(source);
    if (index === undefined) return;
    for (const hidden of this.#hidden) hidden(source, index);
    this.#shown.delete(source);
  }

  /** Left out for a source that tells nothing of the kind. */
  #read(values: Float64Array, read: (source: SupervisedSource) => number | undefined): void {
    values.fill(Number.NaN);
    for (const [source, index] of this.#shown) values[index] = read(source) ?? Number.NaN;
  }

  /** Of all sources that ever had the name: a counter does not fall. */
  #addCounter(
    registry: MetricRegistry,
    name: string,
    help: string,
    read: (source: SupervisedSource) => number | undefined,
  ): void {
    const ended = new Map<number, number>();
    this.#hidden.push((source, index) => {
      const count = read(source);
      if (count !== undefined) ended.set(index, (ended.get(index) ?? 0) + count);
    });
    registry.counter({
      name,
      help,
      labels,
      read: (values) => {
        values.fill(Number.NaN);
        for (const [index, count] of ended) values[index] = count;
        for (const [source, index] of this.#shown) {
          const count = read(source);
          if (count !== undefined) values[index] = (values[index]! || 0) + count;
        }
      },
    });
  }

  #addStates(registry: MetricRegistry): void {
    registry.gauge({
      name: 'fastway_source_state',
      help: '1 for the state that an operator gave the source, 0 for the others',
      labels: { ...labels, state: sourceStates },
      read: (values) => {
        values.fill(Number.NaN);
        for (const [source, index] of this.#shown) {
          for (const [offset, state] of sourceStates.entries())
            values[index * sourceStates.length + offset] = Number(source.state === state);
        }
      },
    });
  }
}
