/**
 * Hostile FastCGI answers against the whole gateway: `npm run fuzz:answers -- [COUNT] [SEED]`. `GATEWAY_NODE=/path/to/node` runs the
 * gateway on that program. Prints figures as JSON; the exit code is 1 when something is wrong.
 */
import { fuzzAnswers } from '../test/support/answer-fuzz.ts';

const [count = 200_000, seed = 1] = process.argv.slice(2).map(Number);
if (!(Number.isSafeInteger(count) && count > 0) || !Number.isSafeInteger(seed)) {
  console.error('Usage: npm run fuzz:answers -- [COUNT] [SEED]');
  process.exit(2);
}
const start = performance.now();
const report = await fuzzAnswers({
  count,
  seed,
  progress: (done) => {
    if (done % 10_000 === 0) console.error(`${done} of ${count}`);
  },
});
const { failures, residentBytes, ...figures } = report;
const mebibytes = residentBytes.map((bytes) => Math.round(bytes / 2 ** 20));
const seconds = Math.round((performance.now() - start) / 1_000);
console.log(JSON.stringify({ seed, ...figures, residentMiB: mebibytes, seconds, failures: failures.length }));
for (const failure of failures) console.error(failure);
process.exit(failures.length > 0 ? 1 : 0);
