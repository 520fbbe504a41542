/**
 * A FastCGI request as node:http's IncomingMessage, and the connection of the client that it tells of.
 * Express replaces the prototypes of requests and responses, so everything of ours is an own property or works through the
 * socket that node:http asks.
 */
import { EventEmitter } from 'node:events';
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { CgiRequestHead } from '../cgi/index.ts';
import type { BodyReader } from '../http/message.ts';
import { readHttpBody } from './http-body.ts';
import type { ApplicationRequest } from './request.ts';

/**
 * What `req.socket` tells: the client's connection to the web server. It carries no bytes of its own.
 * Its timeouts are the web server's business, so setting one has no effect.
 */
export class ClientSocket extends EventEmitter {
  readonly encrypted: boolean;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly remoteFamily: string | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly readable = true;
  readonly writableLength = 0;
  writable = true;
  destroyed = false;
  readonly #gone: () => void;
  /** Asks the request body for more; node:http's IncomingMessage calls `resume` for it. */
  body: BodyReader | undefined;

  /** @param gone the application gave the connection up: `destroy` was called */
  constructor(head: CgiRequestHead, gone: () => void) {
    super();
    this.encrypted = head.secure;
    this.remoteAddress = head.remoteAddress || undefined;
    this.remotePort = head.remotePort || undefined;
    this.remoteFamily =
      head.remoteAddress === '' ? undefined : head.remoteAddress.includes(':') ? 'IPv6' : 'IPv4';
    this.localAddress = head.localAddress || undefined;
    this.localPort = head.localPort || undefined;
    this.#gone = gone;
  }

  resume(): this {
    this.body?.resume();
    return this;
  }

  /** Cuts the answer, unless it is complete. */
  destroy(): this {
    if (this.destroyed) return this;
    this.close();
    this.#gone();
    return this;
  }

  /** The client is gone, as node:http would tell it. */
  close(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.writable = false;
    this.emit('close', false);
  }

  address(): object {
    return { address: this.localAddress, port: this.localPort, family: this.remoteFamily };
  }

  pause(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  cork(): void {}

  uncork(): void {}
}

/** node:http's way to give a request its fields; `headers` and `headersDistinct` are made from them when they are read. */
interface TakesHeaderLines {
  _addHeaderLines(fields: readonly string[], count: number): void;
}

export class HttpRequest extends IncomingMessage {
  /** The FastCGI variables, as the web server sent them: byte strings. */
  readonly variables: ReadonlyMap<string, string>;

  constructor(head: CgiRequestHead, request: ApplicationRequest, socket: ClientSocket) {
    super(socket as unknown as Socket);
    this.variables = request.params;
    this.method = head.method;
    this.url = head.url;
    this.httpVersion = head.version;
    this.httpVersionMajor = Number.parseInt(head.version, 10) || 1;
    this.httpVersionMinor = Number.parseInt(head.version.slice(head.version.indexOf('.') + 1), 10) || 0;
    (this as unknown as TakesHeaderLines)._addHeaderLines(head.fields, head.fields.length);
    this._destroy = HttpRequest.prototype._destroy;
    socket.body = readHttpBody(request, head.bodyLength, {
      data: (chunk) => this.push(chunk),
      end: () => {
        this.complete = true;
        this.push(null);
      },
      error: (error) => abandonRequest(this, error),
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.readableEnded || !this.complete) {
      this.aborted = true;
      this.emit('aborted');
    }
    const socket = this.socket as unknown as ClientSocket;
    socket.body?.close();
    // As node:http does: an application that breaks off reading gives up the exchange. To a cut body it may still answer.
    if (this.aborted && !(error instanceof CutBody)) socket.destroy();
    process.nextTick(done, this.listenerCount('error') > 0 ? error : null);
  }
}

/** The rest of the body will not come. */
export function abandonRequest(request: IncomingMessage, cause: Error): void {
  if (request.destroyed || request.complete) return;
  request.destroy(new CutBody('aborted', { cause }));
}

/** The error that node:http gives, and that frameworks look for. */
class CutBody extends Error {
  readonly code = 'ECONNRESET';
}

/** The answer is complete, so the web server sends no more. */
export function finishRequest(request: IncomingMessage): void {
  if (!request.complete) request.destroy();
  // A caller that waits for the end of a body that nobody reads must not wait for ever.
  else if (!request.readableEnded && request.listenerCount('end') + request.listenerCount('close') > 0) {
    request.resume();
  }
}
