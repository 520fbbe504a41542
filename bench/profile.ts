/**
 * Where Fastway's CPU time goes: runs it under load with node's profiler and prints the functions by self time.
 * `npx tsx bench/profile.ts [small|stream] [--seconds S] [--top N] [--keep FILE.cpuprofile]`
 */
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Load, measureRound } from './round.ts';
import { startServer } from './running-server.ts';
import { ours, type SharedPlace } from './servers.ts';
import { withSharedPlace } from './shared-place.ts';

/** The format of V8's profiler, as far as it is used here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '6' },
    top: { type: 'string', default: '45' },
    keep: { type: 'string' },
  },
});
const load: Load = positionals[0] === 'stream' ? 'stream' : 'small';
const repository = join(import.meta.dirname, '..');
await withSharedPlace(profile);

async function profile(place: SharedPlace): Promise<void> {
  const profiles = join(place.folder, 'profiles');
  const nodeOptions = ['--cpu-prof', `--cpu-prof-dir=${profiles}`, '--cpu-prof-interval=200'];
  const running = await startServer(ours({ name: 'profiled', nodeOptions }), place);
  try {
    const round = await measureRound(running, load, Number(values.seconds));
    console.log(
      `${load}: ${round.cpuPerRequestUs.toFixed(1)} µs/request, ${round.cpuPer100MbMs.toFixed(0)} ms/100 MB (profiler on)\n`,
    );
  } finally {
    // The profile is written when the process ends by itself.
    await running.stop();
  }
  const file = join(profiles, readdirSync(profiles)[0]!);
  if (values.keep !== undefined) copyFileSync(file, values.keep);
  printSelfTimes(JSON.parse(readFileSync(file, 'utf8')) as CpuProfile);
}

function printSelfTimes({ nodes, samples, timeDeltas }: CpuProfile): void {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let busy = 0;
  for (const [index, id] of samples.entries()) {
    const name = names.get(id)!;
    if (name === '(idle)') continue;
    busy += timeDeltas[index]!;
    times.set(name, (times.get(name) ?? 0) + timeDeltas[index]!);
  }
  const sorted = [...times].sort((a, b) => b[1] - a[1]).slice(0, Number(values.top));
  for (const [name, time] of sorted)
    console.log(`${((100 * time) / busy).toFixed(1).padStart(5)} %  ${name}`);
}

function nameOf(frame: CpuProfile['nodes'][number]['callFrame']): string {
  const name = frame.functionName || '(anonymous)';
  if (frame.url === '') return name;
  const file = frame.url.startsWith('file:') ? relative(repository, fileURLToPath(frame.url)) : frame.url;
  return `${name} ${file}:${frame.lineNumber + 1}`;
}
