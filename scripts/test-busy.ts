/**
 * Runs the unit and integration tests beside busy loops, so that what hangs on an idle machine shows: a limit in real time, a
 * sleep in place of a condition. `npx tsx scripts/test-busy.ts [LOOPS] [unit|integration ...]`; eight loops and both without.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

const [first, ...others] = process.argv.slice(2);
const isCount = /^[1-9]\d*$/.test(first ?? '');
const loops = isCount ? Number(first) : 8;
const asked = isCount || first === undefined ? others : [first, ...others];
const suites = asked.length > 0 ? asked : ['unit', 'integration'];

/** The loops end by themselves, also when nobody is left to end them. */
const lifeSeconds = 3_600;
const busy = `const end = Date.now() + ${lifeSeconds}_000; while (Date.now() < end && process.ppid !== 1) {}`;

const children: ChildProcess[] = [];
for (let loop = 0; loop < loops; loop++) {
  children.push(spawn(process.execPath, ['-e', busy], { stdio: 'ignore' }));
}
const results: string[] = [];
let status = 0;
try {
  for (const suite of suites) {
    const start = performance.now();
    const run = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/test.ts', suite], {
      stdio: 'inherit',
    });
    const seconds = Math.round((performance.now() - start) / 1000);
    results.push(
      `${suite}: ${run.status === 0 ? 'passed' : 'FAILED'} beside ${loops} busy loops in ${seconds} s`,
    );
    status ||= run.status ?? 1;
  }
} finally {
  for (const child of children) child.kill('SIGKILL');
}
console.log(results.join('\n'));
process.exitCode = status;
