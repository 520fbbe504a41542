import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricRegistry } from '../base/metrics.ts';
import type { TryOutcome } from './source.ts';
import { SourceMetrics } from './source-metrics.ts';

/** What is not 0 after one try at the second of two sources: sample without the common part -> value. */
function countOne(outcome: TryOutcome, durationMs: number, waitedMs: number): Record<string, number> {
  const registry = new MetricRegistry();
  new SourceMetrics(registry, ['other', 'php']).meterOf('php').ended(outcome, durationMs, waitedMs);
  const lines = registry.print('text').match(/^fastway_source_.* (?!0$)\S+$/gm) ?? [];
  const samples = lines.map((line) => /^fastway_source_(\S+) (\S+)$/.exec(line)!);
  return Object.fromEntries(
    samples
      .map(([, sample, value]) => [sample!.replace('source="php"', '').replace(/\{,?\}/, ''), Number(value)])
      .filter(([sample]) => !String(sample).includes('_bucket')),
  );
}

test('a complete answer: its waiting and its work, apart', () => {
  assert.deepEqual(countOne('complete', 700, 200), {
    'requests_total{,outcome="complete"}': 1,
    waiting_seconds_sum: 0.2,
    waiting_seconds_count: 1,
    application_seconds_sum: 0.5,
    application_seconds_count: 1,
  });
});

test('a failure has waited, and its time is not that of an answer', () => {
  assert.deepEqual(countOne('GW_ERR_SOURCE_CLOSED', 700, 200), {
    'requests_total{,outcome="GW_ERR_SOURCE_CLOSED"}': 1,
    waiting_seconds_sum: 0.2,
    waiting_seconds_count: 1,
  });
});

test('who got no place has waited all the time', () => {
  assert.deepEqual(countOne('GW_ERR_SOURCE_OVERLOADED', 5000, 0), {
    'requests_total{,outcome="GW_ERR_SOURCE_OVERLOADED"}': 1,
    waiting_seconds_sum: 5,
    waiting_seconds_count: 1,
  });
});

test('an aborted try is counted and not timed; what is no fault of a source is "other"', () => {
  assert.deepEqual(countOne('aborted', 700, 200), { 'requests_total{,outcome="aborted"}': 1 });
  assert.equal(countOne('GW_ERR_HTTP_BODY_CUT', 1, 0)['requests_total{,outcome="other"}'], 1);
});

test('a source that is not configured has no meter', () => {
  assert.throws(
    () => new SourceMetrics(new MetricRegistry(), ['php']).meterOf('shop'),
    /No source is called shop/,
  );
});
