/** A fast HTTP client that keeps its connection, tells a cut answer from a whole one, and leaves wherever it is told to. */
import { connect, type Socket } from 'node:net';
import { parseResponses, type RawResponse } from '../support/raw-client.ts';

/** Where the client leaves: after so many bytes of its request, or of the answer. */
export interface Leave {
  readonly afterSent?: number;
  readonly afterReceived?: number;
}

export interface PlainAnswer extends RawResponse {
  /** The connection broke before the answer was whole. */
  readonly isCut: boolean;
  /** It broke by a reset: what says so to a client of an answer without length and chunks. */
  readonly wasReset: boolean;
}

export class PlainClient {
  readonly #port: number;
  #socket: Socket | undefined;
  #text = '';
  #changed: (() => void) | undefined;
  #wasReset = false;

  constructor(origin: string) {
    this.#port = Number(new URL(origin).port);
  }

  /** Sends a request (latin1) and reads its answer; undefined when it left as told. Fails after a minute of silence. */
  async request(text: string, leave: Leave = {}): Promise<PlainAnswer | undefined> {
    const socket = this.#open();
    const toEnd = text.startsWith('GET') && text.includes(' HTTP/1.0\r\n');
    this.#text = '';
    if (leave.afterSent !== undefined) {
      socket.write(text.slice(0, leave.afterSent), 'latin1');
      await new Promise((resolve) => setImmediate(resolve));
      this.close();
      return undefined;
    }
    socket.write(text, 'latin1');
    for (;;) {
      if (leave.afterReceived !== undefined && this.#text.length >= leave.afterReceived) {
        this.close();
        return undefined;
      }
      const [answer] = this.#text === '' ? [] : parseResponses(this.#text);
      if (answer?.complete === true && !toEnd) {
        if (answer.fields.get('connection')?.[0] === 'close') this.close();
        return { ...answer, isCut: false, wasReset: false };
      }
      if (this.#socket !== socket) {
        const wasReset = this.#wasReset;
        const none = { status: 0, head: '', fields: new Map(), body: '', complete: false };
        return { ...(answer ?? none), isCut: answer?.complete !== true || wasReset, wasReset };
      }
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    this.#socket = socket;
    this.#wasReset = false;
    const lost = () => {
      if (this.#socket === socket) this.#socket = undefined;
      this.#changed?.();
    };
    socket.setTimeout(60_000, () => socket.destroy());
    socket.on('data', (chunk) => {
      if (this.#socket !== socket) return;
      this.#text += (chunk as Buffer).toString('latin1');
      this.#changed?.();
    });
    socket.on('error', () => {
      if (this.#socket === socket) this.#wasReset = true;
    });
    socket.on('close', lost);
    return socket;
  }
}
