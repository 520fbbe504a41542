/**
 * `npm run test:apps [NAME ...]`: installs applications from Debian's packages (as root; for a machine that is there for tests),
 * uses each behind Fastway and behind the web server that its package is made for, and writes docs/applications.md. With names
 * only their sections of that page are written anew.
 */
import { spawnSync } from 'node:child_process';
import { writePage } from './page.ts';
import { applicationNames, loadApplication, type Trial, tryApplication } from './try.ts';

const names = process.argv.length > 2 ? process.argv.slice(2) : applicationNames;
const unknown = names.filter((name) => !applicationNames.includes(name));
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(', ')}. There are ${applicationNames.join(', ')}`);
  process.exit(2);
}

let failed = 0;
for (const name of names) {
  const { title, packages, debconf = [] } = await loadApplication(name);
  if (debconf.length > 0) run(['debconf-set-selections'], `${debconf.join('\n')}\n`);
  run(['sh', 'scripts/install-test-servers.sh', ...packages]);
  let trial: Trial;
  try {
    trial = await tryApplication(name);
  } catch (error) {
    console.error(`${title}: could not be set up: ${error instanceof Error ? error.stack : error}`);
    failed++;
    continue;
  }
  console.log(
    `${title} ${trial.version}: ${trial.requests} requests, ${trial.faults.length === 0 ? `as ${trial.peer}` : 'NOT as it should be'}`,
  );
  for (const fault of trial.faults.slice(0, 20)) console.log(`  ${fault}`);
  if (trial.faults.length > 20) console.log(`  and ${trial.faults.length - 20} more`);
  for (const complaint of trial.complaints) console.log(`  log: ${complaint}`);
  if (trial.faults.length > 0) failed++;
  writePage(name, title, packages, trial);
}
process.exit(failed === 0 ? 0 : 1);

function run([command, ...args]: readonly string[], input = ''): void {
  const { status } = spawnSync(command!, args, { input, stdio: ['pipe', 'inherit', 'inherit'] });
  if (status !== 0) process.exit(1);
}
