/** Rounds of load on several programs in turn, so that a change of the machine's mood meets all of them. */
import { median } from '../round.ts';

/** A program under load. */
export interface Contestant<Load extends string> {
  readonly title: string;
  readonly version: string;
  /** One connection for many requests, one after the other or at a time, or one for each. */
  readonly connections: 'kept' | 'multiplexed' | 'new';
  /** @throws {Error} when a request fails */
  measure(load: Load, milliseconds: number): Promise<Slice>;
}

/** What one slice of load cost the program. */
export interface Slice {
  readonly requests: number;
  /** Requests among them that got no answer, by a fault of the program. */
  readonly lost: number;
  readonly cpuUs: number;
}

/** The row of a program. */
export interface Standing<Load extends string> {
  readonly contestant: Contestant<Load>;
  /** The median of all rounds, or what went wrong. */
  readonly requestsPerCpuSecond: Map<Load, number | Error>;
  /** Of all rounds. */
  requests: number;
  lost: number;
}

export interface ContestOptions {
  readonly rounds: number;
  readonly milliseconds: number;
  readonly say: (progress: string) => void;
}

/** Long enough for the just-in-time compilers, in milliseconds. */
const warmUpMs = 1000;

/** A program that fails at a load is left out of the further rounds of it. */
export async function runContest<Load extends string>(
  contestants: readonly Contestant<Load>[],
  loads: readonly Load[],
  options: ContestOptions,
): Promise<readonly Standing<Load>[]> {
  const standings = contestants.map(
    (contestant): Standing<Load> => ({ contestant, requestsPerCpuSecond: new Map(), requests: 0, lost: 0 }),
  );
  for (const load of loads) await runLoad(standings, load, options);
  return standings;
}

async function runLoad<Load extends string>(
  standings: readonly Standing<Load>[],
  load: Load,
  { rounds, milliseconds, say }: ContestOptions,
): Promise<void> {
  const samples = new Map(standings.map((standing): [Standing<Load>, number[]] => [standing, []]));
  for (let round = 0; round <= rounds; round++) {
    say(`${load}: ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`);
    for (const [standing, values] of samples) {
      try {
        const slice = await standing.contestant.measure(load, round === 0 ? warmUpMs : milliseconds);
        standing.requests += slice.requests;
        standing.lost += slice.lost;
        if (round > 0) values.push((slice.requests / slice.cpuUs) * 1e6);
      } catch (error) {
        standing.requestsPerCpuSecond.set(load, error as Error);
        samples.delete(standing);
      }
    }
  }
  for (const [{ requestsPerCpuSecond }, values] of samples) requestsPerCpuSecond.set(load, median(values));
  for (const { contestant, requestsPerCpuSecond } of standings) {
    const value = requestsPerCpuSecond.get(load)!;
    say(
      `  ${contestant.title} (${contestant.connections}): ${typeof value === 'number' ? value.toFixed(0) : value.message}`,
    );
  }
}
