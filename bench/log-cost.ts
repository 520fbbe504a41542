/**
 * What the access log adds to a request: two virtual servers of one process, one with a log, so that both run the same compiled
 * code in the same memory.
 */
import { compileRepeater } from './repeater.ts';
import { startServer } from './running-server.ts';
import { ours, type SharedPlace, silentHost } from './servers.ts';
import { compareSlices, openSlices, type SliceCosts, type SliceLoad } from './slices.ts';
import { mean, meanWithError } from './statistics.ts';

/** CPU per small request, in microseconds: means over several starts. */
export interface LogCost {
  readonly withLogUs: number;
  readonly withoutLogUs: number;
  readonly differenceUs: number;
  /** Standard error of the difference. */
  readonly errorUs: number;
  readonly starts: number;
  /** Blocks of four slices in each start. */
  readonly blocks: number;
}

/** V8 compiles the same code better or worse from start to start. */
const starts = 6;
const loggedHost = '127.0.0.1';
const warmUpMs = 2_000;
const measureMs = 9_000;

/** Takes about a minute and a half. @throws {Error} when a request fails */
export async function measureLogCost(place: SharedPlace, say: (progress: string) => void): Promise<LogCost> {
  const binary = compileRepeater(place.folder);
  const costs: SliceCosts[] = [];
  for (let start = 1; start <= starts; start++) {
    say(`log: start ${start} of ${starts}`);
    costs.push(await measureOnce(place, binary));
  }
  const { mean: differenceUs, error: errorUs } = meanWithError(costs.map(({ difference }) => difference));
  const withoutLogUs = mean(costs.map(({ second }) => second));
  return {
    withLogUs: withoutLogUs + differenceUs,
    withoutLogUs,
    differenceUs,
    errorUs,
    starts,
    blocks: costs[0]!.blocks,
  };
}

/** First with a log, then without. */
async function measureOnce(place: SharedPlace, binary: string): Promise<SliceCosts> {
  const running = await startServer(ours({ name: 'log', requestsPerConnectionMax: 1_000_000_000 }), place);
  const loads: SliceLoad[] = [];
  try {
    for (const host of [loggedHost, silentHost]) loads.push(await openSlices(running, binary, host));
    const [logged, silent] = loads as [SliceLoad, SliceLoad];
    await logged.run(warmUpMs / 2);
    await silent.run(warmUpMs);
    await logged.run(warmUpMs / 2);
    return await compareSlices(logged, silent, measureMs);
  } finally {
    for (const load of loads) load.stop();
    await running.stop();
  }
}
