/**
 * What is counted of sources: how the tries at each went, and how it is when somebody looks.
 * Time spent waiting for a place is apart from the application's own: a source that is too small and an application that
 * is too slow look the same to a client. Nothing here asks an application, so all of it is told while none has a worker
 * left.
 */
import { errorFacts } from '../base/error-facts.ts';
import { errorCodes } from '../base/errors.ts';
import { durationBounds, type Histogram, type MetricRegistry } from '../base/metrics.ts';
import type { SourceFacts, TryMeter, TryOutcome } from './source.ts';
import { type SourceState, type SupervisedSource, sourceStates } from './supervised.ts';

/** Codes that speak of a source; others (a client that sent half a body) end a try as `other`. */
const sourceCodes = errorCodes.filter((code) => errorFacts[code].counted === 'requests and tries');
const outcomes: readonly string[] = ['complete', 'aborted', 'other', ...sourceCodes];
const outcomeIndexes: ReadonlyMap<string, number> = new Map(
  outcomes.map((outcome, index) => [outcome, index]),
);
const otherOutcome = outcomes.indexOf('other');

/** Seconds; nobody waits much longer than 5 s. */
const waitingBounds: readonly number[] = [0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts the tries at all sources. Made before them, as each is given its meter. */
export class SourceMetrics {
  readonly #names: readonly string[];
  readonly #families: TryFamilies;

  constructor(registry: MetricRegistry, names: readonly string[]) {
    this.#names = names;
    this.#families = addTryFamilies(registry, names);
  }

  /** @throws {RangeError} no source has that name */
  meterOf(name: string): TryMeter {
    const index = this.#names.indexOf(name);
    if (index < 0) throw new RangeError(`No source is called ${name}`);
    return new SourceMeter(this.#families, index);
  }
}

interface TryFamilies {
  readonly ended: Float64Array;
  readonly waiting: Histogram;
  readonly application: Histogram;
  readonly again: Float64Array;
  readonly failures: Float64Array;
}

function addTryFamilies(registry: MetricRegistry, names: readonly string[]): TryFamilies {
  const labels = { source: names };
  return {
    ended: registry.counter({
      name: 'fastway_source_requests_total',
      help: 'Requests that a source was given, each try by its outcome: complete, aborted by the client, or an error code',
      labels: { source: names, outcome: outcomes },
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
    ended[this.#index * outcomes.length + outcomeIndex]! += 1;
    // How long the client had patience says nothing of the source.
    if (outcome === 'aborted') return;
    const hadPlace = outcome === 'complete' || errorFacts[outcome].hadPlace;
    waiting.observe(this.#index, (hadPlace ? waitedMs : durationMs) / 1000);
    if (outcome === 'complete') application.observe(this.#index, (durationMs - waitedMs) / 1000);
  }

  triedAgain(): void {
    this.#families.again[this.#index]! += 1;
  }

  saidFailure(): void {
    this.#families.failures[this.#index]! += 1;
  }
}

/** Adds what sources are asked when the page is printed. */
export function addSourceGauges(registry: MetricRegistry, sources: readonly SupervisedSource[]): void {
  const names = sources.map(({ name }) => name);
  const describe = (name: string, help: string, read: (source: SupervisedSource) => number) => ({
    name,
    help,
    labels: { source: names },
    read: (values: Float64Array) => {
      for (const [index, source] of sources.entries()) values[index] = read(source);
    },
  });
  /** Left out for a source that tells nothing of the kind. */
  const ask = (tell: (facts: SourceFacts) => number | undefined) => (source: SupervisedSource) =>
    (source.facts === undefined ? undefined : tell(source.facts)) ?? Number.NaN;

  registry.gauge(
    describe(
      'fastway_source_requests_active',
      'Requests that the source works on now',
      (source) => source.active - (source.facts?.waiting ?? 0),
    ),
  );
  registry.gauge(
    describe(
      'fastway_source_requests_waiting',
      'Requests that wait now for a place at the source',
      ask(({ waiting }) => waiting),
    ),
  );
  registry.gauge(
    describe(
      'fastway_source_capacity',
      'Most requests that the source works on at a time; left out while no limit is known',
      ask(({ capacity }) => capacity),
    ),
  );
  addStates(registry, sources);
  registry.gauge(
    describe('fastway_source_available', '1 while balancers may choose the source, else 0', (source) =>
      Number(source.isAvailable()),
    ),
  );
  registry.gauge(
    describe(
      'fastway_source_share_ratio',
      'Part of its weight that the source gets now, less than 1 while it warms up or is overloaded',
      (source) => source.share,
    ),
  );
  registry.gauge(
    describe(
      'fastway_source_connections',
      'Open connections to the application, idle ones included',
      ask(({ connections }) => connections),
    ),
  );
  registry.gauge(
    describe(
      'fastway_source_idle_connections',
      'Open connections to the application that wait for a request',
      ask(({ idleConnections }) => idleConnections),
    ),
  );
  registry.gauge(
    describe(
      'fastway_interpreter_processes',
      'Interpreters of ours that run, their children not counted',
      ask(({ interpreter }) => interpreter?.processes),
    ),
  );
  registry.counter(
    describe(
      'fastway_interpreter_starts_total',
      'Interpreters that were started and answered',
      ask(({ interpreter }) => interpreter?.starts),
    ),
  );
  registry.counter(
    describe(
      'fastway_interpreter_unexpected_ends_total',
      'Interpreters that ended without having been told to, and not in order',
      ask(({ interpreter }) => interpreter?.unexpectedEnds),
    ),
  );
}

function addStates(registry: MetricRegistry, sources: readonly SupervisedSource[]): void {
  const states: readonly SourceState[] = sourceStates;
  registry.gauge({
    name: 'fastway_source_state',
    help: '1 for the state that an operator gave the source, 0 for the others',
    labels: { source: sources.map(({ name }) => name), state: states },
    read: (values) => {
      for (const [index, source] of sources.entries()) {
        for (const [offset, state] of states.entries())
          values[index * states.length + offset] = Number(source.state === state);
      }
    },
  });
}
