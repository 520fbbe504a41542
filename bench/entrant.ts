/** One server on its way through the comparison. */
import { readMemory } from './process-tree.ts';
import type { ServerFigures } from './report.ts';
import { type Load, measureRound, type Round, summarize } from './round.ts';
import { type RunningServer, startServer } from './running-server.ts';
import type { BenchServer, SharedPlace } from './servers.ts';

/** Never throws: the first error takes the server out of the run and becomes its line in the table. */
export class Entrant {
  readonly #server: BenchServer;
  readonly #rounds: Record<Load, Round[]> = { small: [], stream: [] };
  #running: RunningServer | undefined;
  #version = '';
  #error: string | undefined;

  readonly #say: (progress: string) => void;

  constructor(server: BenchServer, say: (progress: string) => void) {
    this.#server = server;
    this.#say = say;
  }

  async start(place: SharedPlace): Promise<void> {
    await this.#guard(async () => {
      this.#running = await startServer(this.#server, place);
      this.#version = this.#running.version;
    });
  }

  async measure(load: Load, seconds: number, counts: boolean): Promise<void> {
    const running = this.#running;
    if (running === undefined || this.#error !== undefined) return;
    await this.#guard(async () => {
      const round = await measureRound(running, load, seconds);
      if (!counts) return;
      this.#rounds[load].push(round);
      const { cpuPerRequestUs, cpuPer100MbMs } = round;
      const cost =
        load === 'small'
          ? `${cpuPerRequestUs.toFixed(1)} µs/request`
          : `${cpuPer100MbMs.toFixed(0)} ms/100 MB`;
      this.#say(`  ${this.#server.name.padEnd(12)} ${cost}`);
    });
  }

  figures(): ServerFigures {
    const { small, stream } = this.#rounds;
    return {
      server: this.#server,
      version: this.#version,
      small: small.length > 0 ? summarize(small) : undefined,
      stream: stream.length > 0 ? summarize(stream) : undefined,
      peakBytes: this.#running && readMemory(this.#running.id).peakBytes,
      error: this.#error,
    };
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
  }

  async #guard(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#error = error instanceof Error ? error.message : String(error);
      this.#say(`  ${this.#server.name}: ${this.#error}`);
    }
  }
}
