/**
 * What one client connection of node:http means to the exchanges on it.
 * Made once per socket and kept on it, so that a request reads no socket getter and adds no socket listener.
 */
import type { Socket } from 'node:net';

/** An exchange that wants to hear when its connection closes. */
export interface ConnectedExchange {
  connectionClosed(): void;
}

const connectionKey: unique symbol = Symbol('fastway.connection');

interface TaggedSocket extends Socket {
  [connectionKey]?: Connection;
  encrypted?: boolean;
}

export class Connection {
  readonly secure: boolean;
  /** IPv4-mapped IPv6 as IPv4, no zone; empty on a unix socket. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** The exchange that has not ended. */
  #live: ConnectedExchange | undefined;
  /** Others, while a client pipelines. */
  readonly #others = new Set<ConnectedExchange>();

  constructor(socket: Socket) {
    this.secure = (socket as TaggedSocket).encrypted === true;
    this.remoteAddress = plainAddress(socket.remoteAddress);
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = plainAddress(socket.localAddress);
    this.localPort = socket.localPort ?? 0;
    socket.once('close', () => {
      const live = [this.#live, ...this.#others];
      for (const exchange of live) exchange?.connectionClosed();
    });
  }

  /** The exchange hears when the connection closes, until it has ended. */
  began(exchange: ConnectedExchange): void {
    if (this.#live === undefined) this.#live = exchange;
    else this.#others.add(exchange);
  }

  ended(exchange: ConnectedExchange): void {
    if (this.#live === exchange) this.#live = undefined;
    else this.#others.delete(exchange);
  }
}

/** The connection of a socket, made at its first request. */
export function connectionOf(socket: Socket): Connection {
  const tagged = socket as TaggedSocket;
  tagged[connectionKey] ??= new Connection(socket);
  return tagged[connectionKey];
}

/** An address without brackets and zone, IPv4-mapped IPv6 as IPv4; empty for none. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
