/**
 * The long fuzz run: `npm run fuzz -- [--seconds 20] [--seed N] [PART-OF-NAME ...]`.
 * Each module has a process of its own, so that a hang is found too; prints seeds, so that every failure can be repeated.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { fuzzModules } from '../test/support/fuzz-modules.ts';

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    /** Runs this module here; for the processes that this program starts. */
    module: { type: 'string' },
  },
  allowPositionals: true,
});
const seconds = Number(values.seconds);
const seed = Number(values.seed ?? Date.now() % 1_000_000_007);
if (!(seconds > 0) || !Number.isSafeInteger(seed)) {
  console.error('Usage: npm run fuzz -- [--seconds SECONDS] [--seed NUMBER] [PART-OF-NAME ...]');
  process.exit(2);
}

if (values.module !== undefined) await runModule(values.module);
else runAll();

async function runModule(name: string): Promise<void> {
  const module = await fuzzModules()
    .find((candidate) => candidate.name === name)!
    .load();
  const start = performance.now();
  const roundsAtOnce = 200;
  let rounds = 0;
  for (let next = seed; performance.now() - start < seconds * 1000; next++) {
    try {
      await module.fuzz(next, roundsAtOnce);
    } catch (error) {
      console.error(`${name}: seed ${next}, ${roundsAtOnce} rounds`);
      throw error;
    }
    rounds += roundsAtOnce;
  }
  const speed = Math.round((rounds / (performance.now() - start)) * 1000);
  console.log(`${name}: ${rounds} rounds from seed ${seed}, ${speed}/s, nothing found`);
}

function runAll(): void {
  const chosen = fuzzModules().filter(
    ({ name }) => positionals.length === 0 || positionals.some((part) => name.includes(part)),
  );
  if (chosen.length === 0) {
    console.error(`No fuzz module matches ${positionals.join(' ')}`);
    process.exit(2);
  }
  const hangSeconds = 30;
  for (const { name } of chosen) {
    const options = ['--module', name, '--seconds', String(seconds), '--seed', String(seed)];
    const run = spawnSync(process.execPath, ['--import', 'tsx', process.argv[1]!, ...options], {
      stdio: 'inherit',
      timeout: (seconds + hangSeconds) * 1000,
      killSignal: 'SIGKILL',
    });
    if (run.signal !== null) console.error(`${name}: hangs or was killed; seeds from ${seed}`);
    if (run.status !== 0) process.exitCode = 1;
  }
}
