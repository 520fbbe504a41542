/** A short run of every fuzz module, with fixed seeds; `npm run fuzz` is the long one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzModules } from './support/fuzz-modules.ts';

test('the parsers and the configuration loader have a fuzz module', () => {
  assert.deepEqual(
    fuzzModules().map(({ name }) => name),
    ['config', 'name-value', 'record-parser', 'response-head', 'target'],
  );
});

for (const { name, load } of fuzzModules()) {
  test(`fuzz: ${name}`, async () => {
    const { fuzz, shortRounds = 300 } = await load();
    for (const seed of [1, 2, 3]) await fuzz(seed, shortRounds);
  });
}
