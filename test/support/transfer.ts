/** Big bodies through a running gateway, and what they cost it in memory. */
import assert from 'node:assert/strict';
import type { GatewayProcess } from './gateway-process.ts';
import { fetchAnswer, measureBody, openAnswer } from './http-client.ts';
import { patternDigest, patternStream } from './pattern.ts';
import { peakResidentBytes, resetPeakResidentBytes, residentBytes } from './process-facts.ts';

/** Where bodies go, and the process whose memory is looked at. */
export type TransferPlace = Pick<GatewayProcess, 'origin' | 'pid'>;

export interface Transfer {
  readonly seconds: number;
  /** Highest resident memory of the process during the transfer, less what it had before, in bytes. */
  readonly memoryAboveIdle: number;
}

/** Sends a body and has the application count and hash it. */
export function upload(
  place: TransferPlace,
  path: string,
  bytes: number,
  chunked = false,
): Promise<Transfer> {
  return measure(place, async () => {
    const answer = await fetchAnswer(place.origin, path, {
      method: 'PUT',
      headers: {
        'Content-Type': 'application/octet-stream',
        ...(chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': bytes }),
      },
      body: patternStream(bytes),
      timeoutMs: 300_000,
    });
    assert.equal(answer.status, 200, answer.text.slice(0, 500));
    assert.deepEqual(JSON.parse(answer.text), { bytes, sha256: patternDigest(bytes) });
  });
}

/** Reads a body, counts and hashes it. `pauseMs`: after each 4 MiB the reader rests so long. */
export function download(place: TransferPlace, path: string, bytes: number, pauseMs = 0): Promise<Transfer> {
  return measure(place, async () => {
    const answer = await openAnswer(place.origin, path, { timeoutMs: 300_000 });
    assert.equal(answer.statusCode, 200);
    const measured = await measureBody(pauseMs === 0 ? answer : restful(answer, pauseMs));
    assert.deepEqual(measured, { bytes, sha256: patternDigest(bytes) });
  });
}

async function measure(place: TransferPlace, transfer: () => Promise<void>): Promise<Transfer> {
  const idle = residentBytes(place.pid);
  resetPeakResidentBytes(place.pid);
  const start = performance.now();
  await transfer();
  return {
    seconds: (performance.now() - start) / 1000,
    memoryAboveIdle: peakResidentBytes(place.pid) - idle,
  };
}

async function* restful(body: AsyncIterable<Buffer>, pauseMs: number): AsyncGenerator<Buffer> {
  let sinceRest = 0;
  for await (const chunk of body) {
    yield chunk;
    sinceRest += chunk.length;
    if (sinceRest < 4 * 1024 * 1024) continue;
    sinceRest = 0;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
