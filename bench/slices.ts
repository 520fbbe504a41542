/**
 * Two loads beside each other in many short slices, for a difference that is smaller than the machine's moods. With the CPU
 * time of all threads, garbage collection included.
 */
import { connect } from 'node:net';
import { readCpuUs } from './process-tree.ts';
import { Repeater } from './repeater.ts';
import type { RunningServer } from './running-server.ts';
import { interquartileMean } from './statistics.ts';

const sliceMs = 100;

/** Small requests to one virtual server of a running gateway. */
export interface SliceLoad {
  /** The CPU time that they took, all threads of the gateway counted. */
  run(milliseconds: number): Promise<{ readonly cpuUs: number; readonly requests: number }>;
  stop(): void;
}

/** @param parallel requests at a time, each on a connection of its own */
export async function openSlices(
  running: RunningServer,
  binary: string,
  host: string,
  parallel = 32,
): Promise<SliceLoad> {
  const { port } = new URL(running.origin);
  const request = requestAs(host);
  const repeater = new Repeater(binary, {
    address: `${host}:${port}`,
    connections: 'kept',
    parallel,
    request,
    answerBytes: await countAnswer(host, Number(port), request),
  });
  return {
    async run(milliseconds) {
      const before = readCpuUs(running.id);
      const requests = await repeater.run(milliseconds);
      return { cpuUs: readCpuUs(running.id) - before, requests };
    },
    stop: () => repeater.stop(),
  };
}

/**
 * CPU per request of two loads, in microseconds: interquartile means over all blocks of four slices, because now and then
 * something else on the machine makes one slice cost a tenth more.
 */
export interface SliceCosts {
  /** `second` and the difference. */
  readonly first: number;
  readonly second: number;
  readonly difference: number;
  /** Standard error of the difference. */
  readonly error: number;
  readonly blocks: number;
}

/** In the order A B B A, B A A B, ... so that a steady drift cancels out. */
export async function compareSlices(a: SliceLoad, b: SliceLoad, milliseconds: number): Promise<SliceCosts> {
  const costs: number[] = [];
  const differences: number[] = [];
  const end = performance.now() + milliseconds;
  for (let block = 0; performance.now() < end; block++) {
    const sums = new Map([a, b].map((load) => [load, { cpuUs: 0, requests: 0 }]));
    const [outer, inner] = block % 2 === 0 ? [a, b] : [b, a];
    for (const load of [outer, inner, inner, outer]) {
      const { cpuUs, requests } = await load.run(sliceMs);
      const sum = sums.get(load)!;
      sum.cpuUs += cpuUs;
      sum.requests += requests;
    }
    const perRequest = (load: SliceLoad) => sums.get(load)!.cpuUs / sums.get(load)!.requests;
    costs.push(perRequest(b));
    differences.push(perRequest(a) - perRequest(b));
  }
  const second = interquartileMean(costs).mean;
  const { mean: difference, error } = interquartileMean(differences);
  return { first: second + difference, second, difference, error, blocks: differences.length };
}

/** As a browser asks: what a line of the log quotes has its usual length. */
function requestAs(host: string): Buffer {
  return Buffer.from(
    [
      'GET /index.php?page=12 HTTP/1.1',
      `Host: ${host}`,
      'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      'Accept-Language: en-US,en;q=0.5',
      'Accept-Encoding: gzip, deflate, br',
      'Referer: https://site.test/',
      '\r\n',
    ].join('\r\n'),
  );
}

/** Bytes of the answer with its head. */
export function countAnswer(host: string, port: number, request: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, host, () => socket.write(request));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      const length = /content-length: (\d+)\r\n/i.exec(answer)?.[1];
      const total = answer.indexOf('\r\n\r\n') + 4 + Number(length);
      if (length === undefined || answer.length < total) return;
      socket.destroy();
      resolve(total);
    });
  });
}
