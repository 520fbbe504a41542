/** Hostile answers at random; `npm run fuzz:answers` is the long run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzAnswers } from '../support/answer-fuzz.ts';

const count = process.env.ATTACKS === 'full' ? 20_000 : 600;

test(`S12: ${count} hostile answers: none is mixed, none complete that nobody ended, nothing is left behind`, async () => {
  const { failures, answers, complete, cut, errors, descriptors, residentBytes } = await fuzzAnswers({
    count,
    seed: 12,
  });
  assert.deepEqual(failures, []);
  assert.equal(answers, count);
  // The answers were of all kinds.
  assert.ok(complete > count / 5 && cut > count / 50 && (errors[502] ?? 0) > count / 50);
  assert.ok(descriptors[1] <= descriptors[0], `descriptors: ${descriptors.join(' -> ')}`);
  const [, , peak] = residentBytes;
  assert.ok(peak < 400 * 2 ** 20, `${Math.round(peak / 2 ** 20)} MiB`);
});
