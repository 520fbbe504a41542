/**
 * `npm run bench:compare -- OTHER`: what a small request costs this checkout beside another one of the project, as one
 * before a change: both are built, run at once, and are loaded in turn in many short slices. Both are started several times,
 * because V8 compiles the same code better or worse from start to start.
 */
import { join, resolve } from 'node:path';
import { compileRepeater } from './repeater.ts';
import { type RunningServer, startServer } from './running-server.ts';
import { ours, type SharedPlace } from './servers.ts';
import { withSharedPlace } from './shared-place.ts';
import { compareSlices, openSlices, type SliceCosts, type SliceLoad } from './slices.ts';
import { meanWithError } from './statistics.ts';

const starts = 8;
const other = process.argv[2];
if (other === undefined) {
  console.error('Usage: npm run bench:compare -- FOLDER (another checkout, built) [SECONDS]');
  process.exit(2);
}
const seconds = Number(process.argv[3] ?? 80);
const checkouts = [
  { name: 'this', root: join(import.meta.dirname, '..') },
  { name: 'other', root: resolve(other) },
] as const;
await withSharedPlace(async (place) => {
  const binary = compileRepeater(place.folder);
  const percents: number[] = [];
  for (let start = 0; start < starts; start++) {
    // Who starts second finds the machine as the first has left it.
    const { first, second, difference } = await compareOnce(place, binary, start % 2 === 1);
    percents.push((difference / second) * 100);
    console.log(
      `this ${first.toFixed(2)} µs, other ${second.toFixed(2)} µs: ${percents.at(-1)!.toFixed(1)} %`,
    );
  }
  const { mean, error } = meanWithError(percents);
  console.log(`Mean of ${starts} starts: ${mean.toFixed(1)} %, standard error ${error.toFixed(1)} %`);
});

/** `this` beside `other`, both freshly started. */
async function compareOnce(place: SharedPlace, binary: string, isTurned: boolean): Promise<SliceCosts> {
  const running: RunningServer[] = [];
  const loads = new Map<string, SliceLoad>();
  try {
    for (const { name, root } of isTurned ? checkouts.toReversed() : checkouts) {
      const server = ours({
        name,
        cli: join(root, 'dist', 'cli.js'),
        requestsPerConnectionMax: 1_000_000_000,
      });
      const started = await startServer(server, place);
      running.push(started);
      loads.set(name, await openSlices(started, binary, '127.0.0.1'));
    }
    for (const load of [...loads.values(), ...loads.values()]) await load.run(2_000);
    return await compareSlices(loads.get('this')!, loads.get('other')!, (seconds / starts) * 1000);
  } finally {
    for (const load of loads.values()) load.stop();
    for (const server of running) await server.stop();
  }
}
