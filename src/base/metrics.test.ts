import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricRegistry } from './metrics.ts';

test('a counter without labels, and one with a series for each combination', () => {
  const registry = new MetricRegistry();
  const plain = registry.counter({ name: 'a_total', help: 'Things' });
  const labelled = registry.counter({
    name: 'b_total',
    help: 'Others',
    labels: { x: ['1', '2'], y: ['p', 'q', 'r'] },
  });
  plain.add(0, 3);
  labelled.add(1 * 3 + 2, 1);
  assert.equal(
    registry.print('text'),
    [
      '# HELP a_total Things',
      '# TYPE a_total counter',
      'a_total 3',
      '# HELP b_total Others',
      '# TYPE b_total counter',
      'b_total{x="1",y="p"} 0',
      'b_total{x="1",y="q"} 0',
      'b_total{x="1",y="r"} 0',
      'b_total{x="2",y="p"} 0',
      'b_total{x="2",y="q"} 0',
      'b_total{x="2",y="r"} 1',
      '',
    ].join('\n'),
  );
});

test('OpenMetrics: a counter family without the suffix, bounds as floats, an end', () => {
  const registry = new MetricRegistry();
  registry.counter({ name: 'a_total', help: 'Things' });
  registry.histogram({ name: 'b_seconds', help: 'Times' }, [0.5, 1]);
  assert.equal(
    registry.print('openmetrics'),
    [
      '# HELP a Things',
      '# TYPE a counter',
      'a_total 0',
      '# HELP b_seconds Times',
      '# TYPE b_seconds histogram',
      'b_seconds_bucket{le="0.5"} 0',
      'b_seconds_bucket{le="1.0"} 0',
      'b_seconds_bucket{le="+Inf"} 0',
      'b_seconds_sum 0',
      'b_seconds_count 0',
      '# EOF',
      '',
    ].join('\n'),
  );
});

test('a histogram: a value on a bound is in its bucket, buckets add up, series are apart', () => {
  const registry = new MetricRegistry();
  const histogram = registry.histogram(
    { name: 'a_seconds', help: 'Times', labels: { x: ['one', 'two'] } },
    [0.1, 1, 10],
  );
  for (const value of [0, 0.1, 0.1000001, 1, 9.5, 10, 11]) histogram.observe(0, value);
  assert.deepEqual(histogram.countsOf(0), [2, 2, 2, 1]);
  assert.deepEqual(histogram.countsOf(1), [0, 0, 0, 0]);
  histogram.observe(1, 0.25);
  assert.equal(histogram.sumOf(1), 0.25);
  const lines = registry.print('text').split('\n');
  assert.deepEqual(lines.slice(2, 6), [
    'a_seconds_bucket{x="one",le="0.1"} 2',
    'a_seconds_bucket{x="one",le="1"} 4',
    'a_seconds_bucket{x="one",le="10"} 6',
    'a_seconds_bucket{x="one",le="+Inf"} 7',
  ]);
  assert.equal(lines[7], 'a_seconds_count{x="one"} 7');
  assert.equal(lines[12], 'a_seconds_sum{x="two"} 0.25');
});

test('values are read right before they are printed; NaN leaves a series out, and then a family', () => {
  const registry = new MetricRegistry();
  let reading = [1, Number.NaN];
  registry.gauge({
    name: 'a',
    help: 'Now',
    labels: { x: ['one', 'two'] },
    read: (values) => values.set(reading),
  });
  assert.equal(registry.print('text').split('\n').slice(2).join('\n'), 'a{x="one"} 1\n');
  reading = [Number.NaN, Number.POSITIVE_INFINITY];
  assert.equal(registry.print('text').split('\n').slice(2).join('\n'), 'a{x="two"} +Inf\n');
  reading = [Number.NaN, Number.NaN];
  assert.equal(registry.print('text'), '');
});

test('a label without values has no series', () => {
  const registry = new MetricRegistry();
  registry.counter({ name: 'a_total', help: 'Things', labels: { x: [] } });
  registry.histogram({ name: 'b_seconds', help: 'Times', labels: { x: [] } }, [1]);
  assert.equal(registry.print('text'), '');
});

test('labels and help are escaped, so that no name from a configuration forges a line', () => {
  const registry = new MetricRegistry();
  registry.gauge({ name: 'a', help: 'One\\two\nthree', labels: { x: ['q"\\\n} 1\nb 2', 'zürich'] } });
  assert.equal(
    registry.print('text'),
    '# HELP a One\\\\two\\nthree\n# TYPE a gauge\na{x="q\\"\\\\\\n} 1\\nb 2"} 0\na{x="zürich"} 0\n',
  );
});

test('a family grows by what is declared, and keeps what it has counted', () => {
  const registry = new MetricRegistry();
  assert.equal(registry.declare('x', 'one'), 0);
  const counter = registry.counter({
    name: 'a_total',
    help: 'Things',
    labels: { x: 'declared', y: ['p', 'q'] },
  });
  const histogram = registry.histogram({ name: 'b_seconds', help: 'Times', labels: { x: 'declared' } }, [1]);
  registry.gauge({
    name: 'c',
    help: 'Now',
    labels: { x: 'declared' },
    read: (values) => {
      for (let index = 0; index < values.length; index++) values[index] = index + 5;
    },
  });
  const other = registry.counter({ name: 'd_total', help: 'Others', labels: { z: 'declared' } });
  counter.add(1, 7);
  histogram.observe(0, 0.5);
  assert.equal(registry.declare('x', 'two'), 1);
  assert.equal(registry.declare('x', 'one'), 0);
  counter.add(2, 1);
  histogram.observe(1, 3);
  assert.deepEqual([...counter.values], [0, 7, 1, 0]);
  assert.deepEqual([histogram.countsOf(0), histogram.countsOf(1), histogram.sumOf(1)], [[1, 0], [0, 1], 3]);
  assert.equal(other.values.length, 0);
  const lines = registry.print('text').split('\n');
  assert.deepEqual(
    lines.filter((line) => /^(a_total|c)\{/.test(line)),
    [
      'a_total{x="one",y="p"} 0',
      'a_total{x="one",y="q"} 7',
      'a_total{x="two",y="p"} 1',
      'a_total{x="two",y="q"} 0',
      'c{x="one"} 5',
      'c{x="two"} 6',
    ],
  );
  assert.ok(lines.includes('b_seconds_count{x="two"} 1'));
});

test('what is taken or malformed is refused', () => {
  const registry = new MetricRegistry();
  registry.gauge({ name: 'a', help: '' });
  assert.throws(() => registry.gauge({ name: 'a', help: '' }), /Metric a is there already/);
  assert.throws(() => registry.histogram({ name: 'a', help: '' }, [1]), /is there already/);
  assert.throws(() => registry.counter({ name: 'b', help: '' }), /Counter b must end with _total/);
  assert.throws(() => registry.gauge({ name: 'B', help: '' }), /Metric name B is malformed/);
  assert.throws(() => registry.gauge({ name: 'b', help: '', labels: { le: ['1'] } }), /Label le of metric b/);
  assert.throws(
    () => registry.gauge({ name: 'b', help: '', labels: { x: ['1'], y: 'declared' } }),
    /Label y of metric b must be the first/,
  );
  assert.throws(() => registry.histogram({ name: 'b', help: '' }, [1, 1]), /Bounds of histogram b must rise/);
  assert.throws(() => registry.histogram({ name: 'b', help: '' }, []), /must rise/);
});
