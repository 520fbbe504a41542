import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ScriptedSource } from '../../test/support/scripted-source.ts';
import { silentLog } from '../base/log.ts';
import { MetricRegistry } from '../base/metrics.ts';
import { SupervisedSource } from './health/supervised.ts';
import type { TryOutcome } from './source.ts';
import { SourceMetrics } from './source-metrics.ts';

/** What is not 0 after one try at the second of two sources: sample without the common part -> value. */
function countOne(outcome: TryOutcome, durationMs: number, waitedMs: number): Record<string, number> {
  const registry = new MetricRegistry();
  const metrics = new SourceMetrics(registry);
  metrics.meterOf('other');
  metrics.meterOf('php').ended(outcome, durationMs, waitedMs);
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

test('another source of a name goes on counting, and is the one of which is told; what is gone is left out', () => {
  const registry = new MetricRegistry();
  const metrics = new SourceMetrics(registry);
  const supervised = (name: string, starts: number, share: number) => {
    const source = Object.assign(new ScriptedSource(name), {
      share,
      facts: {
        waiting: 0,
        capacity: undefined,
        connections: 0,
        idleConnections: 0,
        interpreter: { processes: 1, starts, unexpectedEnds: 0 },
      },
    });
    return new SupervisedSource(source, {
      state: 'active',
      check: undefined,
      log: silentLog,
      clock: new ManualClock(),
    });
  };
  const told = (family: string) =>
    registry
      .print('text')
      .split('\n')
      .filter((line) => line.startsWith(`${family}{`))
      .map((line) => line.slice(family.length));
  const before = supervised('php', 3, 1);
  metrics.meterOf('php').ended('complete', 10, 0);
  metrics.show(before);
  const after = supervised('php', 2, 0.5);
  metrics.show(after);
  metrics.meterOf('php').ended('complete', 10, 0);
  metrics.meterOf('shop');
  assert.deepEqual(told('fastway_interpreter_starts_total'), ['{source="php"} 5']);
  assert.deepEqual(told('fastway_source_share_ratio'), ['{source="php"} 0.5']);
  metrics.hide(before);
  metrics.hide(before);
  assert.deepEqual(told('fastway_interpreter_starts_total'), ['{source="php"} 5']);
  metrics.hide(after);
  assert.deepEqual(told('fastway_interpreter_starts_total'), ['{source="php"} 5']);
  assert.deepEqual(told('fastway_source_share_ratio'), []);
  assert.deepEqual(told('fastway_source_application_seconds_count'), [
    '{source="php"} 2',
    '{source="shop"} 0',
  ]);
});
