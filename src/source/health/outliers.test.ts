import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findOutliers, type SourceStatistics } from './outliers.ts';

const did = (requests: number, failures = 0, latencyMs = 10): SourceStatistics => ({
  requests,
  failures,
  latencyMs,
});
const indexes = (...statistics: SourceStatistics[]) => findOutliers(statistics).map(({ index }) => index);

test('more failures than its peers', () => {
  assert.deepEqual(findOutliers([did(100), did(40, 20), did(100, 1)]), [
    { index: 1, reason: "50 % of its requests failed, of its peers' 1 %" },
  ]);
});

test('what fails everywhere is nobody’s fault, and few failures are none', () => {
  assert.deepEqual(indexes(did(100, 60), did(100, 50), did(100, 40)), []);
  assert.deepEqual(indexes(did(100), did(100, 20)), []);
});

test('slower than its peers, by a factor and by a time that matters', () => {
  assert.deepEqual(findOutliers([did(50, 0, 30), did(50, 0, 400), did(50, 0, 40)]), [
    { index: 1, reason: 'It took 400 ms for a request, its peers 35 ms' },
  ]);
  assert.deepEqual(indexes(did(50, 0, 1), did(50, 0, 90)), []);
  assert.deepEqual(indexes(did(50, 0, 300), did(50, 0, 900)), []);
});

test('few requests say nothing, and one source has no peers', () => {
  assert.deepEqual(indexes(did(19, 19), did(100)), []);
  assert.deepEqual(indexes(did(100, 90), did(19)), []);
  assert.deepEqual(indexes(did(100, 90, 9_000)), []);
});

test('the worst first', () => {
  assert.deepEqual(indexes(did(100, 40), did(100, 90), did(1000), did(1000, 0, 9_000)), [1, 0, 3]);
});
