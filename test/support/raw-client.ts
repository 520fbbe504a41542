/** An HTTP client without manners: sends any bytes, in any pieces, and reads what comes back as it is. */
import { connect, type Socket } from 'node:net';

export interface RawResponse {
  readonly status: number;
  /** Status line and fields, without the blank line. */
  readonly head: string;
  /** Lower-case name -> values in order. */
  readonly fields: ReadonlyMap<string, readonly string[]>;
  /** Decoded if chunked. */
  readonly body: string;
  /** All bytes that the framing promised have come. */
  readonly complete: boolean;
}

export interface RawExchange {
  /** All received bytes, latin1. */
  readonly text: string;
  readonly responses: readonly RawResponse[];
  /** The server closed or reset the connection. */
  readonly closed: boolean;
}

export interface RawOptions {
  /** Later pieces, sent in order, `pauseMs` apart. */
  readonly later?: readonly string[];
  readonly pauseMs?: number;
  /** Sends the later pieces when this holds for what has come (at once). */
  readonly laterWhen?: (text: string) => boolean;
  /** Ends the wait before the server's close. */
  readonly until?: (text: string) => boolean;
  /** Methods of the requests sent, for the framing of their answers: `HEAD` has no body. */
  readonly methods?: readonly string[];
}

/** What hangs is ended: longer than a busy machine takes for anything here. */
const hangMs = 60_000;

/** Sends latin1 text and collects what comes until the server closes or `until` holds. Rejects when neither happens. */
export async function exchangeRaw(
  port: number,
  bytes: string,
  options: RawOptions = {},
): Promise<RawExchange> {
  const { later = [], pauseMs = 20, laterWhen, until, methods } = options;
  const socket = connect({ host: '127.0.0.1', port });
  let text = '';
  let closed = false;
  let isReady = () => {};
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
    if (laterWhen === undefined) resolve();
  });
  const finished = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`The server does not close: ${JSON.stringify(text.slice(-2_000))}`));
    }, hangMs);
    const finish = () => {
      clearTimeout(timer);
      isReady();
      resolve();
    };
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (laterWhen?.(text) === true) isReady();
      if (until?.(text)) finish();
    });
    socket.on('error', () => {});
    socket.on('end', () => {
      closed = true;
    });
    socket.on('close', () => {
      closed = true;
      finish();
    });
  });
  socket.write(bytes, 'latin1');
  await Promise.all([finished, ready.then(() => sendLater(socket, later, pauseMs))]);
  socket.destroy();
  return { text, responses: parseResponses(text, methods), closed };
}

async function sendLater(socket: Socket, pieces: readonly string[], pauseMs: number): Promise<void> {
  for (const piece of pieces) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    if (socket.destroyed) return;
    socket.write(piece, 'latin1');
  }
}

/** Splits what a server sent into responses (RFC 9112 section 6.3), 1xx ones included. */
export function parseResponses(text: string, methods: readonly string[] = []): RawResponse[] {
  const responses: RawResponse[] = [];
  let final = 0;
  for (let at = 0; at < text.length; ) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    const head = text.slice(at, headEnd === -1 ? undefined : headEnd);
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? Number.NaN);
    const fields = parseFields(head);
    const start = headEnd === -1 ? text.length : headEnd + 4;
    const bodyless = status < 200 || status === 204 || status === 304 || methods[final] === 'HEAD';
    if (status >= 200) final++;
    const { body, end, complete } = bodyless
      ? { body: '', end: start, complete: headEnd !== -1 }
      : parseBody(text, start, fields);
    responses.push({ status, head, fields, body, complete: complete && headEnd !== -1 });
    at = end;
  }
  return responses;
}

function parseFields(head: string): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    fields.set(name, [...(fields.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  return fields;
}

function parseBody(
  text: string,
  start: number,
  fields: Map<string, string[]>,
): { body: string; end: number; complete: boolean } {
  if (fields.get('transfer-encoding')?.[0] === 'chunked') return parseChunks(text, start);
  const length = fields.get('content-length')?.[0];
  if (length === undefined) return { body: text.slice(start), end: text.length, complete: true };
  const end = start + Number(length);
  return { body: text.slice(start, end), end: Math.min(end, text.length), complete: end <= text.length };
}

function parseChunks(text: string, start: number): { body: string; end: number; complete: boolean } {
  let body = '';
  for (let at = start; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return { body, end: text.length, complete: false };
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    const chunk = text.slice(lineEnd + 2, lineEnd + 2 + size);
    body += chunk;
    at = lineEnd + 2 + size + 2;
    if (at > text.length || Number.isNaN(size)) return { body, end: text.length, complete: false };
    if (size === 0) return { body, end: at, complete: true };
  }
}
