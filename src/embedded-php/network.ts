/**
 * Connections for an interpreter that cannot give way to the event loop: a call is answered at once, or stands still until it
 * can be. Another thread holds the sockets.
 */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import {
  type Endpoint,
  type NetworkEvent,
  type NetworkOrder,
  type NetworkThreadData,
  waitingBytesMax,
} from './network-messages.ts';

/** A connection at one time; what the other thread has said changes it. */
export interface Connection {
  readonly id: number;
  /** `failed`: `code` says why; that of a system error. */
  state: 'connecting' | 'open' | 'failed' | 'closed';
  code: string | undefined;
  local: Endpoint | undefined;
  /** Views of their own memory. */
  readonly received: Uint8Array[];
  /** The peer sends no more. */
  hasEnded: boolean;
  /** Read, and the other thread has not heard of it. */
  untoldBytes: number;
  /** Written, and not yet with the kernel. */
  unsentBytes: number;
}

export type Target =
  | { readonly addresses: readonly string[]; readonly port: number }
  | { readonly path: string };

/** A script's own limit of open files; a native PHP has 1024 for all. */
export const connectionsMax = 256;
/** How long the event loop stands still before `whileWaiting` is called. */
const sliceMs = 250;
const resolveMs = 30_000;

/** Runs from the sources and from the package: the same ending as this file. */
const isSource = import.meta.url.endsWith('.ts');
const threadProgram = new URL(isSource ? './network-thread.ts' : './network-thread.js', import.meta.url);
/** In Node 20 a thread does not have the loader that its process was started with. */
const sourceProgram = `import('tsx/esm/api').then(({ register }) => { register(); return import('${threadProgram}'); })`;

export interface NetworkOptions {
  /** Called before a call stands still. */
  readonly beforeWaiting: () => void;
  /** Called about four times a second while a call stands still. */
  readonly whileWaiting: () => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class Network {
  readonly #port: MessagePort;
  readonly #signal: Int32Array<SharedArrayBuffer>;
  readonly #options: NetworkOptions;
  readonly #connections = new Map<number, Connection>();
  #lastId = 0;
  #resolved: Extract<NetworkEvent, { type: 'resolved' }> | undefined;

  private constructor(port: MessagePort, signal: Int32Array<SharedArrayBuffer>, options: NetworkOptions) {
    this.#port = port;
    this.#signal = signal;
    this.#options = options;
  }

  /** Starts the other thread, which may need this one's event loop until it runs. */
  static async start(options: NetworkOptions): Promise<Network> {
    const { port1, port2 } = new MessageChannel();
    const signal = new Int32Array(new SharedArrayBuffer(4));
    const workerData: NetworkThreadData = { port: port2, signal };
    const threadOptions = { workerData, transferList: [port2], eval: isSource };
    const thread = new Worker(isSource ? sourceProgram : threadProgram, threadOptions);
    await once(thread, 'message');
    thread.unref();
    port1.unref();
    return new Network(port1, signal, options);
  }

  /** Addresses of a host as the machine resolves it. Empty: there is none, or nobody answered. */
  resolve(host: string): string[] {
    this.#resolved = undefined;
    this.#order({ type: 'resolve', host });
    const resolved = () => this.#resolved;
    this.waitUntil(() => resolved() !== undefined, resolveMs);
    return [...(resolved()?.addresses ?? [])];
  }

  /** Begins to connect; undefined: as many as may be are open. */
  connect(target: Target): Connection | undefined {
    if (this.#connections.size >= connectionsMax) return undefined;
    const id = ++this.#lastId;
    const connection: Connection = {
      id,
      state: 'connecting',
      code: undefined,
      local: undefined,
      received: [],
      hasEnded: false,
      untoldBytes: 0,
      unsentBytes: 0,
    };
    this.#connections.set(id, connection);
    this.#order({ type: 'connect', id, ...target });
    return connection;
  }

  /** Copies up to so many bytes; 0: nothing is there. `isPeek`: they stay. */
  read(connection: Connection, into: Uint8Array, isPeek: boolean): number {
    const { id, received } = connection;
    let copied = 0;
    for (let at = 0; at < received.length && copied < into.length; at++) {
      const piece = received[at]!;
      const part = piece.subarray(0, into.length - copied);
      into.set(part, copied);
      copied += part.length;
      if (isPeek) continue;
      if (part.length < piece.length) received[at] = piece.subarray(part.length);
      else received.splice(at--, 1);
    }
    if (isPeek) return copied;
    connection.untoldBytes += copied;
    if (connection.untoldBytes >= waitingBytesMax / 4) {
      this.#order({ type: 'taken', id, bytes: connection.untoldBytes });
      connection.untoldBytes = 0;
    }
    return copied;
  }

  canWrite(connection: Connection): boolean {
    return connection.state === 'open' && connection.unsentBytes < waitingBytesMax;
  }

  /** @param bytes copied */
  write(connection: Connection, bytes: Uint8Array): void {
    connection.unsentBytes += bytes.length;
    this.#order({ type: 'write', id: connection.id, bytes: bytes.slice() });
  }

  /** Nothing will be written any more. */
  end({ id }: Connection): void {
    this.#order({ type: 'end', id });
  }

  close(connection: Connection): void {
    if (!this.#connections.delete(connection.id)) return;
    connection.state = 'closed';
    connection.hasEnded = true;
    connection.received.length = 0;
    this.#order({ type: 'close', id: connection.id });
  }

  closeAll(): void {
    for (const connection of this.#connections.values()) this.close(connection);
  }

  /** Hears what has happened. */
  look(): void {
    for (;;) {
      const message = receiveMessageOnPort(this.#port) as { readonly message: NetworkEvent } | undefined;
      if (message === undefined) return;
      this.#hear(message.message);
    }
  }

  /** Stands still until it is so, or so many milliseconds have passed; returns which. */
  waitUntil(isSo: () => boolean, ms: number): boolean {
    const { now: clock, beforeWaiting, whileWaiting } = this.#options;
    const end = clock() + ms;
    let toldMs: number | undefined;
    for (;;) {
      const seen = Atomics.load(this.#signal, 0);
      this.look();
      if (isSo()) return true;
      const now = clock();
      if (now >= end) return false;
      if (toldMs === undefined) {
        toldMs = now;
        beforeWaiting();
      } else if (now - toldMs >= sliceMs) {
        toldMs = now;
        whileWaiting();
      }
      Atomics.wait(this.#signal, 0, seen, Math.min(end - now, sliceMs));
    }
  }

  #hear(event: NetworkEvent): void {
    if (event.type === 'resolved') {
      this.#resolved = event;
      return;
    }
    const connection = this.#connections.get(event.id);
    if (connection === undefined) return;
    switch (event.type) {
      case 'open':
        connection.state = 'open';
        connection.local = event.local;
        break;
      case 'data':
        connection.received.push(event.bytes);
        break;
      case 'written':
        connection.unsentBytes -= event.bytes;
        break;
      case 'ended':
        connection.hasEnded = true;
        break;
      case 'failed':
        connection.state = 'failed';
        connection.code = event.code;
    }
  }

  #order(order: NetworkOrder): void {
    this.#port.postMessage(order);
  }
}
