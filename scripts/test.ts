/**
 * Runs a suite with node's test runner: `unit` (beside the sources, and test/*.test.ts), `integration` (test/integration, and
 * test/faults and test/attacks at small counts), `faults` (test/faults at full counts, which writes docs/faults.md) or `attacks`
 * (test/attacks at full counts).
 * Further arguments narrow it to files whose path contains one of them: `npx tsx scripts/test.ts unit protocol`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const [suite, ...parts] = process.argv.slice(2);
const folders: Record<string, readonly string[]> = {
  unit: ['src', 'test'],
  integration: ['test/integration', 'test/faults', 'test/attacks'],
  faults: ['test/faults'],
  attacks: ['test/attacks'],
};
const chosen = folders[suite ?? ''];
if (chosen === undefined) {
  console.error(`Usage: tsx scripts/test.ts ${Object.keys(folders).join('|')} [PART-OF-PATH ...]`);
  process.exit(2);
}
const files = chosen
  .flatMap((folder) =>
    readdirSync(folder, { recursive: folder !== 'test', encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  .filter(
    (file) => file.endsWith('.test.ts') && (parts.length === 0 || parts.some((part) => file.includes(part))),
  )
  .sort();
if (files.length === 0) {
  console.error(`No test file matches ${parts.join(' ')}`);
  process.exit(1);
}
/** Milliseconds for a whole file: a bound for what hangs, far above what the slowest takes on a busy machine. */
const timeouts: Record<string, number> = {
  unit: 600_000,
  integration: 600_000,
  faults: 1_800_000,
  attacks: 1_800_000,
};
const run = spawnSync(
  process.execPath,
  ['--import', 'tsx', '--test', '--test-concurrency=2', `--test-timeout=${timeouts[suite!]}`, ...files],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      FAULTS: suite === 'faults' ? 'full' : '',
      ATTACKS: suite === 'attacks' ? 'full' : '',
    },
  },
);
process.exit(run.status ?? 1);
