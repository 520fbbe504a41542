/**
 * `npm run bench:instructions [-- OTHER]`: how many instructions of user space a small request takes in this checkout, and in
 * another built one. Counted by callgrind, so that neither the machine's other work nor its clock changes the figure; what
 * the kernel does is not in it. One request at a time: with more, how many are served in one turn of the event loop would
 * hang on how busy the machine is. What V8's compiler chooses remains: each figure is the mean of several starts.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runProgram } from './process.ts';
import { compileRepeater } from './repeater.ts';
import { startServer } from './running-server.ts';
import { type BenchServer, ours, type SharedPlace } from './servers.ts';
import { withSharedPlace } from './shared-place.ts';
import { openSlices, type SliceLoad } from './slices.ts';
import { meanWithError } from './statistics.ts';

/** Until V8 has compiled what it will compile. */
const warmRequests = 40_000;
const countedRequests = 4_000;
const sliceMs = 1_000;
/** A server starts some thirty times slower there. */
const readyTimeoutMs = 120_000;

const other = process.argv[2];
const starts = Number(process.argv[3] ?? 6);
const checkouts = [
  { name: 'this', root: join(import.meta.dirname, '..'), counts: [] as number[] },
  ...(other === undefined ? [] : [{ name: 'other', root: resolve(other), counts: [] as number[] }]),
];

await withSharedPlace(async (place) => {
  const binary = compileRepeater(place.folder);
  for (let start = 0; start < starts; start++) {
    for (const { name, root, counts } of checkouts) {
      counts.push(await countOnce(place, binary, root));
      console.log(`${name}: ${Math.round(counts.at(-1)!)}`);
    }
  }
  const [first, second] = checkouts.map(({ name, counts }) => {
    const { mean, error } = meanWithError(counts);
    console.log(
      `${name}: ${Math.round(mean)} instructions per request (mean of ${starts} starts, standard error ${Math.round(error)})`,
    );
    return mean;
  });
  if (second !== undefined) console.log(`this beside other: ${(first! / second).toFixed(3)} x`);
});

async function countOnce(place: SharedPlace, binary: string, root: string): Promise<number> {
  const counts = join(place.folder, 'callgrind');
  const running = await startServer(
    underCallgrind(join(root, 'dist', 'cli.js'), counts),
    place,
    readyTimeoutMs,
  );
  let load: SliceLoad | undefined;
  try {
    load = await openSlices(running, binary, '127.0.0.1', 1);
    await runRequests(load, warmRequests);
    const control = (...options: string[]) =>
      runProgram(['callgrind_control', ...options, String(running.id)]);
    control('--instr=on');
    const requests = await runRequests(load, countedRequests);
    control('--dump');
    return readCount(place.folder) / requests;
  } finally {
    load?.stop();
    await running.stop();
    for (const file of listCounts(place.folder)) rmSync(file);
  }
}

function underCallgrind(cli: string, counts: string): BenchServer {
  const server = ours({
    name: 'counted',
    cli,
    // Threads of V8 that wait for each other in a loop would be counted, too.
    nodeOptions: ['--single-threaded', '--hash-seed=1', '--random-seed=1'],
    requestsPerConnectionMax: 1_000_000_000,
  });
  return {
    ...server,
    prepare: (place) => [
      'valgrind',
      '--quiet',
      '--tool=callgrind',
      '--instr-atstart=no',
      `--callgrind-out-file=${counts}.%p`,
      ...server.prepare(place),
    ],
  };
}

async function runRequests(load: SliceLoad, count: number): Promise<number> {
  let requests = 0;
  while (requests < count) requests += (await load.run(sliceMs)).requests;
  return requests;
}

function readCount(folder: string): number {
  const counts = listCounts(folder).map((file) => /^totals: (\d+)$/m.exec(readFileSync(file, 'latin1'))?.[1]);
  return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
}

function listCounts(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith('callgrind.'))
    .map((name) => join(folder, name));
}
