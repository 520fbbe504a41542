/**
 * Runs the tests that depend on the version of Node under each that we support: the one that runs this, and the newest of the
 * lines below, which npm brings. Prints one summary; exit status 0 only when everything passed everywhere.
 *
 *     npx tsx scripts/test-nodes.ts [--node PATH ...] [PART-OF-PATH ...]
 *
 * Parts narrow both suites, as in scripts/test.ts. With `--node` these binaries are taken in place of the lines.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeOfLine } from './cached-packages.ts';

const lines = ['24', '26'];
/** What of the integration tests hangs on node:http, node:net, processes and signals. */
const integration = ['front', 'lifecycle', 'fetch', 'adapters', 'attacks'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { node: { type: 'string', multiple: true } },
});
const nodes = values.node?.map((path) => resolve(path)) ?? [process.execPath, ...lines.map(nodeOfLine)];

interface Run {
  readonly version: string;
  readonly suite: string;
  readonly status: number | null;
  readonly seconds: number;
}

const runs: Run[] = [];
for (const node of nodes) {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  const suites = [
    ['unit', positionals],
    ['integration', positionals.length > 0 ? positionals : integration],
  ] as const;
  for (const [suite, parts] of suites) {
    console.log(`\n${version}: ${suite} ${parts.join(' ')}`);
    const started = performance.now();
    // The tests start what they start with `process.execPath`.
    const { status } = spawnSync(node, ['--import', 'tsx', 'scripts/test.ts', suite, ...parts], {
      stdio: 'inherit',
    });
    runs.push({ version, suite, status, seconds: Math.round((performance.now() - started) / 1_000) });
  }
}

console.log('');
for (const { version, suite, status, seconds } of runs) {
  console.log(
    `${status === 0 ? 'passed' : 'FAILED'}  ${version.padEnd(10)} ${suite.padEnd(12)} ${seconds} s`,
  );
}
process.exit(runs.every(({ status }) => status === 0) ? 0 : 1);
