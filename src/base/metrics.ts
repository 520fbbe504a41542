/**
 * Counters, gauges and histograms, printed for Prometheus (text format 0.0.4) and as OpenMetrics 1.0.
 * Pure: numbers in, text out. A family is made with all the values that its labels may ever have, but for names from a
 * configuration, which are declared: so no request can add a series (T106), and counting is one addition to an array of
 * numbers.
 */

/**
 * Label name -> the values that it may have. Each combination is a series; the last label changes fastest. `declared`,
 * for the first label only: the values of `MetricRegistry.declare`, with all that are declared later; so a series keeps its
 * number.
 */
export type MetricLabels = Readonly<Record<string, readonly string[] | 'declared'>>;

export interface MetricDescription {
  /** Lower case with the base unit at its end, as `fastway_source_waiting_seconds`; a counter's ends with `_total`. */
  readonly name: string;
  /** One sentence, without a full stop. */
  readonly help: string;
  readonly labels?: MetricLabels;
  /** Sets the values right before they are printed, where they are kept elsewhere; NaN leaves a series out. */
  readonly read?: (values: Float64Array) => void;
}

export type MetricFormat = 'text' | 'openmetrics';

/** What a page in each format is called in Content-Type. */
export const metricMediaTypes: Readonly<Record<MetricFormat, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** Bounds for how long requests take, in seconds: from a file out of the cache to a slow report. */
export const durationBounds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** All families of one page, in the order in which they were made. */
export class MetricRegistry {
  readonly #families = new Map<string, Family>();
  readonly #declared = new Map<string, string[]>();

  /**
   * Gives each family whose first label is `declared` and has this name the series of another value; one that is there keeps its
   * counts. For names from a configuration, never for what a request says (T106).
   * @returns the value's number among those of the label
   */
  declare(label: string, value: string): number {
    const values = this.#declaredOf(label);
    const index = values.indexOf(value);
    if (index >= 0) return index;
    values.push(value);
    for (const family of this.#families.values()) family.grow();
    return values.length - 1;
  }

  /**
   * @returns the counts: add to them
   * @throws {RangeError} for a name that is taken or malformed, and for `declared` values of a label that is not the first
   */
  counter(description: MetricDescription): Series {
    if (!description.name.endsWith('_total'))
      throw new RangeError(`Counter ${description.name} must end with _total`);
    return this.#addSimple('counter', description);
  }

  /** @throws {RangeError} as `counter` */
  gauge(description: MetricDescription): Series {
    return this.#addSimple('gauge', description);
  }

  /**
   * @param bounds upper bounds of the buckets, rising; what is above the last counts in `+Inf`
   * @throws {RangeError} as `counter`, and for bounds that do not rise
   */
  histogram(description: Omit<MetricDescription, 'read'>, bounds: readonly number[]): Histogram {
    if (bounds.length === 0 || bounds.some((bound, index) => index > 0 && bound <= bounds[index - 1]!))
      throw new RangeError(`Bounds of histogram ${description.name} must rise`);
    const histogram = new Histogram(bounds);
    this.#add('histogram', description, histogram, (series, format) =>
      printHistogram(description.name, series, histogram, format),
    );
    return histogram;
  }

  print(format: MetricFormat): string {
    let text = '';
    for (const [name, { type, help, print }] of this.#families) {
      const samples = print(format);
      if (samples === '') continue;
      // OpenMetrics has the suffix at the sample, not in the family's name.
      const family = format === 'openmetrics' && type === 'counter' ? name.slice(0, -'_total'.length) : name;
      const told = format === 'openmetrics' ? escapeLabel(help) : escapeHelp(help);
      text += `# HELP ${family} ${told}\n# TYPE ${family} ${type}\n${samples}`;
    }
    return format === 'openmetrics' ? `${text}# EOF\n` : text;
  }

  #addSimple(type: 'counter' | 'gauge', description: MetricDescription): Series {
    const { name, read } = description;
    const counts = new Series();
    this.#add(type, description, counts, (series) => {
      read?.(counts.values);
      let text = '';
      for (const [index, inner] of series.entries()) {
        const value = counts.values[index]!;
        if (!Number.isNaN(value)) text += `${name}${braced(inner)} ${printNumber(value)}\n`;
      }
      return text;
    });
    return counts;
  }

  #add(
    type: Family['type'],
    { name, help, labels = {} }: MetricDescription,
    counts: { grow(seriesCount: number): void },
    print: (series: readonly string[], format: MetricFormat) => string,
  ): void {
    if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new RangeError(`Metric name ${name} is malformed`);
    if (this.#families.has(name)) throw new RangeError(`Metric ${name} is there already`);
    for (const [index, label] of Object.keys(labels).entries()) {
      if (!/^[a-z][a-z_]*$/.test(label) || label === 'le')
        throw new RangeError(`Label ${label} of metric ${name} is malformed`);
      if (labels[label] === 'declared' && index > 0)
        throw new RangeError(
          `Label ${label} of metric ${name} must be the first, as its values are declared`,
        );
    }
    let series: readonly string[] = [];
    const grow = () => {
      series = this.#printSeries(labels);
      counts.grow(series.length);
    };
    grow();
    this.#families.set(name, { type, help, grow, print: (format) => print(series, format) });
  }

  /** The labels of each series as they stand between the braces. */
  #printSeries(labels: MetricLabels): readonly string[] {
    let series = [''];
    for (const [name, values] of Object.entries(labels)) {
      const known = values === 'declared' ? this.#declaredOf(name) : values;
      series = series.flatMap((before) =>
        known.map((value) => `${before}${before === '' ? '' : ','}${name}="${escapeLabel(value)}"`),
      );
    }
    return series;
  }

  #declaredOf(label: string): string[] {
    const values = this.#declared.get(label) ?? [];
    this.#declared.set(label, values);
    return values;
  }
}

interface Family {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Makes room for values that were declared since. */
  readonly grow: () => void;
  /** The lines of its samples; empty for none. */
  readonly print: (format: MetricFormat) => string;
}

/** Numbers, one for each series of a family. */
export class Series {
  /** Replaced when the family grows: do not keep it. */
  values: Float64Array = new Float64Array(0);

  add(series: number, amount: number): void {
    this.values[series]! += amount;
  }

  grow(seriesCount: number): void {
    this.values = extend(this.values, seriesCount);
  }
}

/** How often values fell into each bucket, and their sum, for each series. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly #bounds: Float64Array;
  /** Of each series: a count for each bound, one for what is above the last, and the sum. */
  #values: Float64Array = new Float64Array(0);
  readonly #width: number;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#bounds = Float64Array.from(bounds);
    this.#width = bounds.length + 2;
  }

  grow(seriesCount: number): void {
    this.#values = extend(this.#values, seriesCount * this.#width);
  }

  /** @param value one that equals a bound is in that bound's bucket */
  observe(series: number, value: number): void {
    const bounds = this.#bounds;
    const start = series * this.#width;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.#values[start + bucket]! += 1;
    this.#values[start + bounds.length + 1]! += value;
  }

  /** Counts of the buckets, the one above the last bound included; not cumulated. */
  countsOf(series: number): readonly number[] {
    const start = series * this.#width;
    return [...this.#values.subarray(start, start + this.#width - 1)];
  }

  sumOf(series: number): number {
    return this.#values[(series + 1) * this.#width - 1]!;
  }
}

function printHistogram(
  name: string,
  series: readonly string[],
  histogram: Histogram,
  format: MetricFormat,
): string {
  let text = '';
  for (const [index, inner] of series.entries()) {
    const before = inner === '' ? '' : `${inner},`;
    let count = 0;
    for (const [bucket, inBucket] of histogram.countsOf(index).entries()) {
      count += inBucket;
      text += `${name}_bucket{${before}le="${printBound(histogram.bounds[bucket], format)}"} ${count}\n`;
    }
    text += `${name}_sum${braced(inner)} ${printNumber(histogram.sumOf(index))}\n`;
    text += `${name}_count${braced(inner)} ${count}\n`;
  }
  return text;
}

/** What is there stays in its place. */
function extend(values: Float64Array, length: number): Float64Array {
  const extended = new Float64Array(length);
  extended.set(values);
  return extended;
}

function braced(inner: string): string {
  return inner === '' ? '' : `{${inner}}`;
}

/** OpenMetrics wants a bound to look like a float. */
function printBound(bound: number | undefined, format: MetricFormat): string {
  if (bound === undefined) return '+Inf';
  return format === 'openmetrics' && Number.isInteger(bound) ? `${bound}.0` : String(bound);
}

function printNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escapeLabel(value: string): string {
  return escapeHelp(value).replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
