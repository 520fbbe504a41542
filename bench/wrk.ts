/** Load by wrk, and the counts that it gives. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Received, heads included. */
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failedStatus: number;
  readonly failedSocket: number;
  readonly timeouts: number;
}

/** One wrk thread with kept connections on core 1. @throws {Error} when wrk fails or any request does */
export async function runLoad(
  url: string,
  options: { readonly connections: number; readonly seconds: number },
): Promise<LoadResult> {
  const script = join(import.meta.dirname, 'report.lua');
  const text = await new Promise<string>((resolve, reject) => {
    const child = spawn(
      'taskset',
      ['-c', '1', 'wrk', '-t1', `-c${options.connections}`, `-d${options.seconds}s`, '-s', script, url],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (status) =>
      status === 0 ? resolve(output) : reject(new Error(`wrk ended with status ${status}`)),
    );
  });
  const result = JSON.parse(text.trim().split('\n').at(-1)!) as LoadResult;
  const { failedStatus, failedSocket, timeouts } = result;
  if (result.requests === 0 || failedStatus + failedSocket + timeouts > 0) {
    throw new Error(
      `of ${result.requests} requests ${failedStatus} had a wrong status, ${failedSocket} a broken connection, ${timeouts} no answer in 2 s`,
    );
  }
  return result;
}
