/**
 * Reads a page of metrics by the formats' specifications, from the reader's side, and fails where it breaks them:
 * Prometheus' text format 0.0.4, and OpenMetrics 1.0. Shares nothing with what prints them.
 */
import assert from 'node:assert/strict';
import type { MetricFormat } from '../../src/base/metrics.ts';

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Names of its labels, `le` left out. */
  readonly labels: readonly string[];
  readonly samples: readonly Sample[];
}

/** The families of a page, in their order. @throws {AssertionError} the page breaks the format, or a rule of good naming */
export function checkExposition(page: string, format: MetricFormat): readonly Family[] {
  assert.ok(page.endsWith('\n'), 'the last line has no end');
  const lines = page.split('\n').slice(0, -1);
  if (format === 'openmetrics') assert.equal(lines.pop(), '# EOF');
  const families: (Family & { samples: Sample[]; labels: string[] })[] = [];
  for (const line of lines) {
    const help = /^# HELP ([a-z_][a-z0-9_]*) (.+)$/.exec(line);
    const type = /^# TYPE ([a-z_][a-z0-9_]*) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) {
      assert.ok(!families.some(({ name }) => name === help[1]), `${help[1]} comes twice`);
      families.push({ name: help[1]!, help: help[2]!, type: '', labels: [], samples: [] });
    } else if (type !== null) {
      const family = families.at(-1)!;
      assert.equal(family.name, type[1], 'TYPE follows HELP');
      assert.deepEqual(family.samples, [], 'TYPE comes before samples');
      families[families.length - 1] = { ...family, type: type[2]! };
    } else {
      const family = families.at(-1);
      assert.ok(family !== undefined, `a sample before any family: ${line}`);
      family.samples.push(readSample(line));
    }
  }
  for (const family of families) {
    checkFamily(family, format);
    family.labels.push(...[...family.samples[0]!.labels.keys()].filter((name) => name !== 'le'));
  }
  return families;
}

/** The value of one series; undefined when it is not there. */
export function findValue(
  families: readonly Family[],
  sampleName: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = Object.entries(labels);
  return families
    .flatMap(({ samples }) => samples)
    .find(
      (sample) =>
        sample.name === sampleName && wanted.every(([name, value]) => sample.labels.get(name) === value),
    )?.value;
}

/** `name{label="value",...} number`; in a value `\\`, `\"` and `\n` are escapes, and nothing else is. */
function readSample(line: string): Sample {
  const match = /^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\[\\"n])*",?)*)\})? (\S+)$/.exec(line);
  assert.ok(match !== null, `no sample: ${line}`);
  const labels = new Map<string, string>();
  for (const [, name, written] of (match[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) {
    assert.ok(!labels.has(name!), `${name} comes twice: ${line}`);
    labels.set(
      name!,
      written!.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c)),
    );
  }
  const value = match[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[3]);
  assert.ok(!Number.isNaN(value), `no number: ${line}`);
  return { name: match[1]!, labels, value };
}

function checkFamily({ name, type, samples }: Family, format: MetricFormat): void {
  assert.notEqual(type, '', `${name} has no TYPE`);
  assert.ok(samples.length > 0, `${name} has no sample`);
  const series = samples.map(({ name: sample, labels }) => JSON.stringify([sample, ...labels]));
  assert.equal(new Set(series).size, series.length, `${name} has a series twice`);
  if (type === 'histogram') checkHistogram(name, samples, format);
  else {
    const suffix = type === 'counter' && format === 'openmetrics' ? '_total' : '';
    for (const sample of samples) assert.equal(sample.name, name + suffix);
    if (type === 'counter') {
      assert.match(samples[0]!.name, /_total$/);
      for (const { value } of samples) assert.ok(value >= 0 && Number.isFinite(value), `${name} is ${value}`);
    } else assert.ok(!/_(total|count|sum|bucket)$/.test(name), `${name} is named as another type`);
  }
}

/** Buckets rise to `+Inf`, which equals the count; each series has them, a sum and a count. */
function checkHistogram(name: string, samples: readonly Sample[], format: MetricFormat): void {
  assert.match(name, /_(seconds|bytes)$/);
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = JSON.stringify([...sample.labels].filter(([label]) => label !== 'le'));
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const group of groups.values()) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => labels.get('le')!);
    assert.equal(bounds.at(-1), '+Inf');
    if (format === 'openmetrics') for (const bound of bounds.slice(0, -1)) assert.match(bound, /\./);
    for (const [index, { value }] of buckets.entries()) {
      if (index === 0) continue;
      assert.ok(value >= buckets[index - 1]!.value, `${name} is not cumulated`);
      if (bounds[index] !== '+Inf') assert.ok(Number(bounds[index]) > Number(bounds[index - 1]));
    }
    const count = group.find((sample) => sample.name === `${name}_count`);
    assert.equal(count?.value, buckets.at(-1)!.value);
    assert.ok(group.some((sample) => sample.name === `${name}_sum`));
    assert.equal(group.length, buckets.length + 2);
  }
}
