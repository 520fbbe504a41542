/** One measurement of one server: load by wrk, and the CPU time that its process tree took meanwhile. */
import { readCpuSeconds } from './process-tree.ts';
import type { RunningServer } from './running-server.ts';
import { runLoad } from './wrk.ts';

export type Load = 'small' | 'stream';

export interface Round {
  readonly requestsPerSecond: number;
  /** CPU of the server per request, in microseconds. */
  readonly cpuPerRequestUs: number;
  /** CPU of the server per 100 MB of body, in milliseconds; of a stream. */
  readonly cpuPer100MbMs: number;
  readonly p99Ms: number;
}

const loads: Readonly<Record<Load, { readonly path: string; readonly connections: number }>> = {
  small: { path: '/index.php', connections: 32 },
  stream: { path: '/stream.php', connections: 4 },
};

/** @throws {Error} when a request fails */
export async function measureRound(running: RunningServer, load: Load, seconds: number): Promise<Round> {
  const { path, connections } = loads[load];
  const before = readCpuSeconds(running.id);
  const result = await runLoad(running.origin + path, { connections, seconds });
  const cpuSeconds = readCpuSeconds(running.id) - before;
  return {
    requestsPerSecond: result.requests / result.seconds,
    cpuPerRequestUs: (cpuSeconds / result.requests) * 1e6,
    // By received bytes rather than by requests: the answers under way at the end were paid for too.
    cpuPer100MbMs: (cpuSeconds / result.bytes) * 1e8 * 1e3,
    p99Ms: result.p99Ms,
  };
}

/** The median of each figure. */
export function summarize(rounds: readonly Round[]): Round {
  return {
    requestsPerSecond: median(rounds.map((round) => round.requestsPerSecond)),
    cpuPerRequestUs: median(rounds.map((round) => round.cpuPerRequestUs)),
    cpuPer100MbMs: median(rounds.map((round) => round.cpuPer100MbMs)),
    p99Ms: median(rounds.map((round) => round.p99Ms)),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
