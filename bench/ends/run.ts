/**
 * `npm run bench:ends`: what a request costs at the two ends of FastCGI that programs embed, beside what else npm has for it:
 * the application side beside node-fastcgi and libfcgi, the client beside fastcgi-client; and what multiplexing saves between
 * the gateway and an application. Writes docs/performance-ends.md.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compareApplications, versionOf } from './applications.ts';
import { compareClients } from './clients.ts';
import type { ContestOptions, Standing } from './contest.ts';
import { compareConnections } from './multiplexing.ts';
import { printEndsReport } from './report.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, milliseconds: { type: 'string', default: '250' } },
});
const rounds = Number(values.rounds);
const milliseconds = Number(values.milliseconds);
// Progress goes to stderr; stdout is the report.
const options: ContestOptions = { rounds, milliseconds, say: (text) => console.error(text) };

const folder = mkdtempSync(join(tmpdir(), 'fastway-bench-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
try {
  chmodSync(folder, 0o755);
  const applications = await compareApplications(folder, options);
  const clients = await compareClients(folder, options);
  const connections = await compareConnections(folder, options);
  const text = printEndsReport({
    command: `npm run bench:ends -- --rounds ${rounds} --milliseconds ${milliseconds}`,
    date: new Date(),
    rounds,
    milliseconds,
    applications,
    clients,
    connections,
  });
  console.log(text);
  writeFileSync(join(import.meta.dirname, '..', '..', 'docs', 'performance-ends.md'), text);
  if ([applications, clients, connections].some(hasFailed)) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** One of ours. What others cannot do is said in the table. */
function hasFailed(standings: readonly Standing<string>[]): boolean {
  return standings.some(
    ({ contestant, requestsPerCpuSecond }) =>
      contestant.version === versionOf('fastway') &&
      [...requestsPerCpuSecond.values()].some((value) => value instanceof Error),
  );
}
