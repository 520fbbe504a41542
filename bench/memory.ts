/** Memory while 1 GiB goes down and 1 GiB comes up, once with a length and once chunked. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { readMemory } from './process-tree.ts';
import { pageAfter } from './responder.ts';
import type { RunningServer } from './running-server.ts';

export interface MemoryResult {
  readonly transfer: string;
  readonly idleBytes: number;
  readonly peakBytes: number;
  readonly seconds: number;
}

const transferBytes = 2 ** 30;

/** Samples the resident memory of the process tree every 50 ms. @throws {Error} when an answer is wrong */
export async function measureMemory(running: RunningServer): Promise<readonly MemoryResult[]> {
  const { origin } = running;
  const transfers: readonly (readonly [string, () => Promise<void>])[] = [
    ['1 GiB down', () => download(`${origin}/stream.php?${transferBytes}`)],
    ['1 GiB up, Content-Length', () => upload(`${origin}/index.php`, true)],
    ['1 GiB up, chunked', () => upload(`${origin}/index.php`, false)],
  ];
  const idleBytes = readMemory(running.id).residentBytes;
  const results: MemoryResult[] = [];
  for (const [transfer, run] of transfers) {
    let peakBytes = 0;
    const sample = setInterval(() => {
      peakBytes = Math.max(peakBytes, readMemory(running.id).residentBytes);
    }, 50);
    const start = performance.now();
    try {
      await run();
    } finally {
      clearInterval(sample);
    }
    results.push({ transfer, idleBytes, peakBytes, seconds: (performance.now() - start) / 1000 });
  }
  return results;
}

async function download(url: string): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { agent: false }, resolve).once('error', reject).end();
  });
  let received = 0;
  for await (const chunk of response) received += (chunk as Buffer).length;
  if (response.statusCode !== 200 || received !== transferBytes) {
    throw new Error(`${url} answered ${response.statusCode} with ${received} of ${transferBytes} bytes`);
  }
}

async function upload(url: string, withLength: boolean): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = withLength ? { 'Content-Length': transferBytes } : { 'Transfer-Encoding': 'chunked' };
    const sent = request(url, { method: 'POST', headers, agent: false }, resolve).once('error', reject);
    writeZeros(sent, transferBytes);
  });
  let text = '';
  for await (const chunk of response) text += String(chunk);
  if (response.statusCode !== 200 || text !== pageAfter(transferBytes)) {
    throw new Error(`${url} answered ${response.statusCode}: ${text.slice(0, 300)}`);
  }
}

/** Writes as fast as the server takes it. */
function writeZeros(to: ClientRequest, length: number): void {
  const piece = Buffer.alloc(65_536);
  let left = length;
  const fill = () => {
    while (left > 0) {
      const size = Math.min(left, piece.length);
      left -= size;
      if (!to.write(size === piece.length ? piece : piece.subarray(0, size))) {
        to.once('drain', fill);
        return;
      }
    }
    to.end();
  };
  fill();
}
