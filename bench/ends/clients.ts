/** The client: createClient and createPool of fastway/client, and fastcgi-client, each in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { pageAfter, startResponder, streamBytes } from '../responder.ts';
import { versionOf } from './applications.ts';
import { type Contestant, type ContestOptions, runContest, type Slice, type Standing } from './contest.ts';

/** Requests at a time, and what is asked for. */
const loads = {
  'page ×1': { load: 'page', parallel: 1 },
  'page ×32': { load: 'page', parallel: 32 },
  'post ×32': { load: 'post', parallel: 32 },
  'file ×4': { load: 'file', parallel: 4 },
} as const;

export type ClientLoad = keyof typeof loads;

interface ClientProgram {
  readonly name: string;
  readonly title: string;
  readonly packageName: string;
  readonly connections: 'kept' | 'new';
}

const client = { name: 'client', title: 'fastway/client, createClient', packageName: 'fastway' };
const pool = { name: 'pool', title: 'fastway/client, createPool', packageName: 'fastway' };
const programs: readonly ClientProgram[] = [
  { ...client, connections: 'kept' },
  { ...pool, connections: 'kept' },
  { ...client, connections: 'new' },
  { ...pool, connections: 'new' },
  { name: 'fastcgi-client', title: 'fastcgi-client', packageName: 'fastcgi-client', connections: 'new' },
];

/** @throws {Error} when one cannot be started, or a request fails */
export async function compareClients(
  folder: string,
  options: ContestOptions,
): Promise<readonly Standing<ClientLoad>[]> {
  const responder = await startResponder(join(folder, 'responder'));
  const running: RunningClient[] = [];
  try {
    for (const program of programs) running.push(await RunningClient.start(program, responder.socket));
    return await runContest(running, Object.keys(loads) as ClientLoad[], options);
  } finally {
    for (const client of running) client.stop();
    await responder.stop();
  }
}

type Answer = { readonly error: string } | (Slice & { readonly bytes: number });

class RunningClient implements Contestant<ClientLoad> {
  readonly title: string;
  readonly version: string;
  readonly connections: 'kept' | 'new';
  readonly #child: ChildProcess;
  /** What it said before it ended. */
  #complaint = '';

  private constructor({ title, packageName, connections }: ClientProgram, child: ChildProcess) {
    this.title = title;
    this.version = versionOf(packageName);
    this.connections = connections;
    this.#child = child;
  }

  static async start(program: ClientProgram, path: string): Promise<RunningClient> {
    const script = join(import.meta.dirname, 'programs', 'run-client.mjs');
    const command = [process.execPath, '--no-deprecation', script, program.name, path, program.connections];
    const child = spawn('taskset', ['-c', '0', ...command], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const running = new RunningClient(program, child);
    child.stderr!.on('data', (chunk: Buffer) => {
      running.#complaint = (running.#complaint + chunk.toString()).slice(-2000);
    });
    await running.#hear();
    return running;
  }

  async measure(name: ClientLoad, milliseconds: number): Promise<Slice> {
    const { load, parallel } = loads[name];
    if (!this.#child.connected) throw new Error(`its process has ended: ${this.#complaint.trim()}`);
    this.#child.send({ load, parallel, ms: milliseconds });
    const answer = (await this.#hear()) as Answer;
    if ('error' in answer) throw new Error(answer.error);
    const expected = load === 'file' ? streamBytes : pageAfter(load === 'post' ? 4096 : 0).length;
    if (answer.bytes < expected) throw new Error(`it got ${answer.bytes} bytes of ${expected}`);
    return answer;
  }

  stop(): void {
    this.#child.kill();
  }

  #hear(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`its process ended: ${this.#complaint.trim()}`));
      this.#child.once('exit', ended);
      this.#child.once('message', (message) => {
        this.#child.removeListener('exit', ended);
        resolve(message);
      });
    });
  }
}
