/**
 * `npm run bench:compare -- OTHER`: what a small request costs this checkout beside another one of the project, as one
 * before a change: both are built, run at once, and are loaded in turn in many short slices.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { compareSlices, openSlices, type SliceLoad } from './log-cost.ts';
import { compileRepeater } from './repeater.ts';
import { startResponder } from './responder.ts';
import { type RunningServer, startServer } from './running-server.ts';
import { ours } from './servers.ts';

const other = process.argv[2];
if (other === undefined) {
  console.error('Usage: npm run bench:compare -- FOLDER (another checkout, built) [SECONDS]');
  process.exit(2);
}
const seconds = Number(process.argv[3] ?? 45);
const folder = mkdtempSync(join(tmpdir(), 'fastway-compare-'));
const running: RunningServer[] = [];
const loads: SliceLoad[] = [];
chmodSync(folder, 0o755);
const documentRoot = join(folder, 'root');
mkdirSync(documentRoot);
for (const name of ['index.php', 'stream.php']) writeFileSync(join(documentRoot, name), '');
const responder = await startResponder(join(folder, 'application'));
try {
  const place = { folder, documentRoot, socket: responder.socket };
  const binary = compileRepeater(folder);
  for (const [name, root] of [
    ['this', join(import.meta.dirname, '..')],
    ['other', resolve(other)],
  ] as const) {
    const server = ours({ name, cli: join(root, 'dist', 'cli.js'), requestsPerConnectionMax: 1_000_000_000 });
    const started = await startServer(server, place);
    running.push(started);
    loads.push(await openSlices(started, binary, '127.0.0.1'));
  }
  for (const load of [...loads, ...loads]) await load.run(2_000);
  const { first, second, difference, error, blocks } = await compareSlices(
    loads[0]!,
    loads[1]!,
    seconds * 1000,
  );
  const percent = (value: number) => `${((value / second) * 100).toFixed(1)} %`;
  console.log(
    `this ${first.toFixed(2)} µs, other ${second.toFixed(2)} µs: ${difference.toFixed(2)} µs (${percent(difference)}), ` +
      `standard error ${error.toFixed(2)} µs (${percent(error)}), ${blocks} blocks`,
  );
} finally {
  for (const load of loads) load.stop();
  for (const server of running) await server.stop();
  await responder.stop();
  rmSync(folder, { recursive: true, force: true });
}
