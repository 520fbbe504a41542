/** The null application (responder.c): compiled, started, and what its answers must look like. */
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Program, runProgram, startProgram, waitUntil } from './process.ts';

export interface Responder {
  readonly socket: string;
  stop(): Promise<void>;
}

/** Body bytes of `/stream.php` without a query. */
export const streamBytes = 10_000_000;

/** Starts it on a unix socket in `folder`. @throws {Error} when gcc is missing or fails */
export async function startResponder(folder: string): Promise<Responder> {
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, 'responder');
  const socket = join(folder, 'application.sock');
  runProgram(['gcc', '-O2', '-o', binary, join(import.meta.dirname, 'responder.c')]);
  const program: Program = await startProgram([binary, socket], { core: 1 });
  await waitUntil(program, () => canConnect(socket), 5000);
  return { socket, stop: () => program.stop() };
}

/** Body of the small page after a request with so many body bytes. */
export function pageAfter(stdinBytes: number): string {
  return (
    `<!doctype html>\n<title>Null</title>\n<p>The application read ${stdinBytes} bytes and has nothing to say, ` +
    'which it says in about two hundred bytes.</p>\n'
  );
}

/** Byte `offset` of a stream's body: the alphabet, started again every 32 KiB. */
export function streamByteAt(offset: number): number {
  return 97 + ((offset % 32_768) % 26);
}

/** Somebody listens on a unix socket. */
export function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
