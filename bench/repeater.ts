/** The load generator of the bench's own (repeater.c): compiled, started, and told when to send. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { runProgram } from './process.ts';

export interface RepeatedRequest {
  /** Path of a unix socket, or `host:port`. */
  readonly address: string;
  readonly connections: 'kept' | 'new';
  /** At a time. */
  readonly parallel: number;
  readonly request: Uint8Array;
  readonly answerBytes: number;
}

/** Compiles it into `folder`. @throws {Error} when gcc is missing or fails */
export function compileRepeater(folder: string): string {
  const binary = join(folder, 'repeater');
  runProgram(['gcc', '-O2', '-o', binary, join(import.meta.dirname, 'repeater.c')]);
  return binary;
}

/** Runs on core 1, and costs nothing between its slices. */
export class Repeater {
  readonly #child: ChildProcess;
  #complaint = '';
  #answer: ((line: string) => void) | undefined;

  constructor(binary: string, { address, connections, parallel, request, answerBytes }: RepeatedRequest) {
    const parameters = [address, connections, String(parallel), String(request.length), String(answerBytes)];
    this.#child = spawn('taskset', ['-c', '1', binary, ...parameters], { stdio: 'pipe' });
    this.#child.stdin!.write(request);
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#complaint += chunk.toString();
    });
    this.#child.stdout!.on('data', (chunk: Buffer) => this.#answer?.(chunk.toString()));
    this.#child.once('close', () => this.#answer?.(''));
    this.#child.stdin!.on('error', () => {});
  }

  /** Sends for so long; returns how many requests were answered. @throws {Error} when one was not */
  async run(milliseconds: number): Promise<number> {
    const line = await new Promise<string>((resolve) => {
      this.#answer = resolve;
      if (this.#child.exitCode !== null) resolve('');
      else this.#child.stdin!.write(`${milliseconds}\n`);
    });
    this.#answer = undefined;
    if (line === '') throw new Error(this.#complaint.trim());
    return Number(line);
  }

  stop(): void {
    this.#child.kill();
  }
}

/** One slice on connections of its own. */
export async function runRepeater(
  binary: string,
  request: RepeatedRequest,
  milliseconds: number,
): Promise<number> {
  const repeater = new Repeater(binary, request);
  try {
    return await repeater.run(milliseconds);
  } finally {
    repeater.stop();
  }
}
