/** One of the measured servers, running: started in an own folder, asked for right answers, stopped. */
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { checkAnswers } from './answers.ts';
import { startProgram, waitUntil } from './process.ts';
import type { BenchServer, SharedPlace } from './servers.ts';

export interface RunningServer {
  readonly server: BenchServer;
  readonly version: string;
  /** Of the process whose tree is measured. */
  readonly id: number;
  /** As `http://127.0.0.1:40123`. */
  readonly origin: string;
  stop(): Promise<void>;
}

/** @throws {Error} when it is not installed, does not start or answers wrongly; nothing is left running then */
export async function startServer(
  server: BenchServer,
  place: SharedPlace,
  readyTimeoutMs = 10_000,
): Promise<RunningServer> {
  const version = server.version();
  const port = await findFreePort();
  const folder = join(place.folder, server.name);
  mkdirSync(folder, { recursive: true });
  const command = server.prepare({ ...place, folder, port });
  const program = await startProgram(command, { core: 0, cwd: folder });
  const origin = `http://127.0.0.1:${port}`;
  try {
    await waitUntil(program, () => canConnectTo(port), readyTimeoutMs);
    await checkAnswers(origin);
  } catch (error) {
    await program.stop();
    throw error;
  }
  return { server, version, id: program.id, origin, stop: () => program.stop() };
}

export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const listener = createServer();
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', () => {
      const address = listener.address();
      listener.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

export function canConnectTo(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
