/**
 * What one client connection of node:http means to the exchanges on it: who the peer is, and whose turn it is.
 * node:http dispatches pipelined requests as fast as it parses them. Here one is answered at a time: the next begins when the
 * answer before it has left, and nothing begins behind an answer that ends the connection (RFC 9112 9.3.2, 9.6).
 * Made once per socket and kept on it, so that a request reads no socket getter and adds no socket listener.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { Pipelines } from './node-pipelines.ts';

/** An exchange that has not ended, as its connection sees it. */
export interface ConnectedExchange {
  /** Everything that the client sends of it is here. */
  readonly isReceived: boolean;
  /** The rest of its body will not come, since the client broke the framing. */
  bodyBroken(): void;
  connectionClosed(): void;
}

const connectionKey: unique symbol = Symbol('fastway.connection');

interface TaggedSocket extends Socket {
  [connectionKey]?: Connection;
  encrypted?: boolean;
  /** The response that node:http sends now; what comes behind it waits. */
  _httpMessage?: ServerResponse | null;
}

/** A connection with so many requests waiting is not read; with fewer it is, to notice that the client leaves. */
const readWhileWaiting = 8;

export class Connection {
  readonly secure: boolean;
  /** IPv4-mapped IPv6 as IPv4, no zone; empty on a unix socket, and for a peer that left before anybody asked. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** False: a TCP peer that has gone already, so that nobody can say who it was. It must not be taken for a unix peer. */
  readonly hasPeer: boolean;
  readonly #socket: TaggedSocket;
  #live: ConnectedExchange | undefined;
  /** Exchanges that began here, so far. */
  requests = 0;
  /** An answered request, of which the client still sends the body. */
  #unread: IncomingMessage | undefined;
  #pipelines: Pipelines | undefined;
  /** Requests that wait for the answers before theirs, and the one of them that came last. */
  #waiting = 0;
  #lastWaiting: IncomingMessage | undefined;
  #isClosing = false;
  #isBroken = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.secure = (socket as TaggedSocket).encrypted === true;
    this.remoteAddress = plainAddress(socket.remoteAddress);
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = plainAddress(socket.localAddress);
    this.localPort = socket.localPort ?? 0;
    // A unix socket has no addresses at all; a TCP socket keeps its own when the peer's is gone.
    this.hasPeer = this.remoteAddress !== '' || (this.localAddress === '' && !socket.destroyed);
    socket.once('close', () => {
      this.endTurns();
      this.#live?.connectionClosed();
    });
  }

  /** Nothing that still comes is answered. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** The client broke the framing: a body that is not here already will not come. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Requests that wait for the answers before theirs. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Begins when everything before has been answered; never, when an answer before ends the connection. */
  wait(req: IncomingMessage, res: ServerResponse, begin: () => void, pipelines: Pipelines): void {
    this.#pipelines = pipelines;
    this.#lastWaiting = req;
    this.#waiting += 1;
    if (this.#waiting === readWhileWaiting) this.#socket.pause();
    // node:http gives a response its socket when the one before has left. It is still at work then.
    res.once('socket', () => process.nextTick(() => this.#begin(res, begin)));
    pipelines.added(this);
  }

  /**
   * The parser has given up on what came last: nothing more of this connection is a request, and what is due is answered.
   * @param refuse answers what came last, after all that is due; not called when that is part of a dispatched request
   */
  broke(refuse: () => void): void {
    if (this.#isClosing || this.#isBroken) return;
    this.#isBroken = true;
    if (this.#waiting > 0 && !this.#lastWaiting!.complete) return;
    if (this.#waiting === 0 && this.#live?.isReceived === false) this.#live.bodyBroken();
    else if (this.#unread?.complete === false) this.#socket.destroySoon();
    else this.#whenAnswered(refuse);
  }

  /** The answer that is given now ends the connection: what waits behind it is dropped, and so is what still comes. */
  endTurns(): void {
    this.#isClosing = true;
    const dropped = this.#waiting;
    this.#waiting = 0;
    this.#lastWaiting = undefined;
    if (dropped > 0) this.#pipelines!.removed(this, dropped);
  }

  destroy(): void {
    this.endTurns();
    this.#socket.destroy();
  }

  /** The exchange hears when the connection closes, until it has ended. */
  began(exchange: ConnectedExchange): void {
    this.#live = exchange;
    this.requests += 1;
  }

  ended(exchange: ConnectedExchange): void {
    if (this.#live === exchange) this.#live = undefined;
  }

  /** An answered request, of which the client still sends the body. */
  leftUnread(req: IncomingMessage): void {
    this.#unread = req;
  }

  /**
   * Closes after what is being sent, and lets the client send on for a while: one that is reset while it sends may lose the
   * answer (RFC 9112 9.6). Nothing of that is parsed.
   */
  linger(lingerMs: number, clock: Clock): void {
    const socket = this.#socket;
    this.endTurns();
    detachParser(socket, () => {});
    // node:http calls it when the answer has left.
    socket.destroySoon = () => socket.end();
    clock.setTimer(() => socket.destroy(), lingerMs).unref();
  }

  #begin(res: ServerResponse, begin: () => void): void {
    if (this.#isClosing || res.destroyed || !this.#socket.writable) return;
    this.#waiting -= 1;
    this.#pipelines!.removed(this, 1);
    if (this.#waiting === 0) {
      this.#lastWaiting = undefined;
      this.#socket.resume();
    }
    begin();
  }

  #whenAnswered(then: () => void): void {
    const before = this.#socket._httpMessage;
    if (this.#isClosing) return;
    if (before === null || before === undefined) then();
    else before.once('finish', () => this.#whenAnswered(then));
  }
}

/** The connection of a socket, made when it is first asked for: at best when the connection is accepted. */
export function connectionOf(socket: Socket): Connection {
  const tagged = socket as TaggedSocket;
  tagged[connectionKey] ??= new Connection(socket);
  return tagged[connectionKey];
}

/** Gives what comes on a socket of node:http to somebody else: its parser lets go of it. */
export function detachParser(socket: Socket, take: (chunk: Buffer) => void): void {
  const parsing = socket.listeners('data') as ((chunk: Buffer) => void)[];
  socket.on('data', take);
  for (const listener of parsing) socket.removeListener('data', listener);
  socket.resume();
}

/** An address without brackets and zone, IPv4-mapped IPv6 as IPv4; empty for none. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
