import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count } from './counts.ts';
import { fuzzHttp } from './http-fuzzer.ts';

/** `npm run fuzz:http` runs it longer, and with other seeds. */
test('S1: mutated HTTP on kept, pipelined and half-closed connections', async () => {
  const report = await fuzzHttp(count(20_000, 1500), 1);
  assert.deepEqual(report.faults, []);
  // The check is worth something only if much of it reaches the application.
  assert.ok(report.applied > report.requests / 10, `${report.applied} of ${report.requests}`);
  assert.ok(report.descriptorsAfter <= report.descriptorsBefore + 2);
});
