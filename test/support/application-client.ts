/** An application of ours on a unix socket, and a web server of test code alone that asks it. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  type ApplicationHandler,
  type ApplicationServer,
  type ServeOptions,
  serve,
} from '../../src/app/index.ts';
import { beginRequest, params, stdin } from './record-builder.ts';

export async function startApplication(
  t: TestContext,
  handler: ApplicationHandler,
  options: ServeOptions = {},
): Promise<{ readonly path: string; readonly server: ApplicationServer }> {
  const directory = await mkdtemp(join(tmpdir(), 'fastway-app-'));
  const path = join(directory, 'app.sock');
  const server = await serve(handler, { ...options, listen: `unix:${path}` });
  t.after(async () => {
    await server.close();
    await rm(directory, { recursive: true });
  });
  return { path, server };
}

/** Sends bytes and returns what came until the application closed. */
export function exchange(path: string, ...pieces: Uint8Array[]): Promise<Buffer> {
  const socket = connect(path);
  for (const piece of pieces) socket.write(piece);
  return readAll(socket);
}

export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < length) bytes = Buffer.concat([bytes, (await once(socket, 'data'))[0] as Buffer]);
  return bytes;
}

export interface ApplicationAnswer {
  /** Lines of the head, without the blank one. */
  readonly head: readonly string[];
  readonly body: string;
  readonly stderr: string;
  /** Undefined: the answer was cut, no END_REQUEST came. */
  readonly appStatus: number | undefined;
}

/** One request of the role Responder with its whole body, and the answer taken apart; strings are byte strings. */
export async function askApplication(
  path: string,
  variables: Readonly<Record<string, string>>,
  body = '',
): Promise<ApplicationAnswer> {
  const bodyRecord = body === '' ? Buffer.alloc(0) : stdin(body);
  return readAnswer(await exchange(path, beginRequest(), params(variables), bodyRecord, stdin('')));
}

export function readAnswer(bytes: Buffer): ApplicationAnswer {
  let output = '';
  let stderr = '';
  let appStatus: number | undefined;
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16BE(at + 4);
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (bytes[at + 1] === 6) output += content.toString('latin1');
    else if (bytes[at + 1] === 7) stderr += content.toString('latin1');
    else if (bytes[at + 1] === 3) appStatus = content.readUInt32BE(0);
    at += 8 + length + bytes[at + 6]!;
  }
  const end = output.indexOf('\r\n\r\n');
  return { head: output.slice(0, end).split('\r\n'), body: output.slice(end + 4), stderr, appStatus };
}
