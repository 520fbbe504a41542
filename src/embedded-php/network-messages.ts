/** What the thread of the interpreter and the thread of its connections say to each other. */
import type { MessagePort } from 'node:worker_threads';

/** To the thread of the connections. `id`: the interpreter's number of a connection. */
export type NetworkOrder =
  | { readonly type: 'resolve'; readonly host: string }
  /** Takes the first of the addresses that accepts. */
  | {
      readonly type: 'connect';
      readonly id: number;
      readonly addresses: readonly string[];
      readonly port: number;
    }
  | { readonly type: 'connect'; readonly id: number; readonly path: string }
  | { readonly type: 'write'; readonly id: number; readonly bytes: Uint8Array }
  /** The interpreter has taken so many bytes. */
  | { readonly type: 'taken'; readonly id: number; readonly bytes: number }
  /** Nothing will be written any more. */
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'close'; readonly id: number };

/** To the interpreter. `code`: of a system error, as `ECONNREFUSED`. */
export type NetworkEvent =
  | { readonly type: 'resolved'; readonly addresses: readonly string[] }
  | { readonly type: 'open'; readonly id: number; readonly local: Endpoint }
  | { readonly type: 'data'; readonly id: number; readonly bytes: Uint8Array }
  /** So many bytes have left. */
  | { readonly type: 'written'; readonly id: number; readonly bytes: number }
  | { readonly type: 'ended'; readonly id: number }
  | { readonly type: 'failed'; readonly id: number; readonly code: string };

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Given to the thread of the connections. */
export interface NetworkThreadData {
  readonly port: MessagePort;
  /** One number, which grows with each event. */
  readonly signal: Int32Array<SharedArrayBuffer>;
}

/** Bytes of one connection that wait in each direction at most. */
export const waitingBytesMax = 262_144;
