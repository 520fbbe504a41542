/**
 * A plain HTTP client for tests, from the browser's side: nothing followed, decoded, retried or kept.
 * Each request has its own connection, unless it is given an agent.
 */
import { createHash } from 'node:crypto';
import {
  type Agent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import type { Readable } from 'node:stream';

export interface Answer {
  readonly status: number;
  readonly reason: string;
  /** Lower-case names; repeated ones joined as node:http does, `set-cookie` as a list. */
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly text: string;
}

export interface Request {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** A stream is sent chunked, unless the headers have a Content-Length. */
  readonly body?: string | Uint8Array | Readable;
  readonly agent?: Agent;
  readonly timeoutMs?: number;
  /** Its client leaves. */
  readonly signal?: AbortSignal;
}

/** Sends one request and collects the whole answer. Rejects when the answer is cut. */
export async function fetchAnswer(base: string, path: string, request: Request = {}): Promise<Answer> {
  const response = await openAnswer(base, path, request);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  return {
    status: response.statusCode!,
    reason: response.statusMessage!,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    body,
    text: body.toString('utf8'),
  };
}

/** Sends one request and gives the answer's head as soon as it is there; the caller reads or destroys the rest. */
export function openAnswer(base: string, path: string, request: Request = {}): Promise<IncomingMessage> {
  const { method = 'GET', headers = {}, body, agent = false, timeoutMs = 60_000, signal } = request;
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ host: hostname, port, path, method, headers, agent, signal });
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    outgoing.setTimeout(timeoutMs, () =>
      outgoing.destroy(new Error(`${method} ${path}: nothing came for ${timeoutMs} ms`)),
    );
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
      outgoing.end(body);
    } else {
      body.on('error', reject);
      body.pipe(outgoing);
    }
  });
}

/** Counts and hashes a body without keeping it. */
export async function measureBody(body: AsyncIterable<Buffer>): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
