/**
 * node:http as an HTTP front: its request and response as an `HttpExchange`, and a request listener that fits
 * node:http, Express and Connect.
 * The hot path: no stream helper, no promise, no socket listener per request. The head and the first piece of body wait
 * for the end of the tick, so that a small answer is one write with a Content-Length.
 */
import { type IncomingMessage, type OutgoingHttpHeader, ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import { GatewayError } from '../base/errors.ts';
import { FailedBodyReader, MemoryBodyReader } from '../http/memory-body.ts';
import type {
  BodyReader,
  BodyReceiver,
  ClientListener,
  ExchangeEnd,
  ExchangeHandler,
  ExchangeObserver,
  Fields,
  HttpExchange,
  RequestHead,
} from '../http/message.ts';
import { type BodyLimits, bodyLimitsDefault } from './body-intake.ts';
import { framingFields } from './framing.ts';
import { NodeBodyReader } from './node-body.ts';
import { type ConnectedExchange, type Connection, connectionOf } from './node-connection.ts';
import { NodeTunnel } from './node-tunnel.ts';
import { encodeParsedBody } from './parsed-body.ts';

export type { ExchangeHandler } from '../http/message.ts';

export interface NodeFrontOptions extends BodyLimits {
  /** A client that takes nothing for so long is disconnected, in milliseconds. */
  readonly writeIdleMs: number;
  /** An unread body of at most `drainBytesMax` that comes within `drainMs` keeps its connection (T43). */
  readonly drainBytesMax: number;
  readonly drainMs: number;
  /** True while the front stops: every answer then ends its connection. */
  readonly isClosing: () => boolean;
  /** The listener serves `checkContinue`: it is the exchange that says `100 Continue`. */
  readonly waitsForContinue: boolean;
}

export const nodeFrontDefaults: NodeFrontOptions = {
  ...bodyLimitsDefault,
  writeIdleMs: 60_000,
  drainBytesMax: 65_536,
  drainMs: 1000,
  isClosing: () => false,
  waitsForContinue: false,
};

/** What node:http, Express and Connect call. */
export type NodeRequestListener = (req: IncomingMessage, res: ServerResponse, next?: () => void) => void;

/**
 * Makes a request listener for node:http, Express 5 or Connect.
 * Below a mount path the whole original URL is routed, so that applications see the URL that the client asked for.
 * Mount it before body parsers: what they have read is sent again as `encodeParsedBody` says, or is GW_ERR_INTERNAL.
 */
export function createRequestListener(
  handle: ExchangeHandler,
  options: Partial<NodeFrontOptions> = {},
): NodeRequestListener {
  const front: NodeFrontOptions = { ...nodeFrontDefaults, ...options };
  return (req, res, next) => {
    const exchange = new NodeExchange(req, res, front);
    if (next === undefined) handle(exchange);
    else
      handle(exchange, () => {
        exchange.leave();
        next();
      });
  };
}

/** A body up to this size is sent as one piece with its head. */
const joinedBytesMax = 8192;

/** Not known: chunked, or delimited by the connection's end. */
const unknownLength = -1;

class NodeExchange implements HttpExchange, ConnectedExchange {
  readonly request: RequestHead;
  readonly bodyLength: number | undefined;
  headSent = false;
  ended = false;
  status = 0;
  bodyBytesSent = 0;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #front: NodeFrontOptions;
  readonly #connection: Connection;
  #listener: ClientListener | undefined;
  #observer: ExchangeObserver | undefined;
  #body: NodeBodyReader | undefined;
  /** The body, or why there is none, when somebody in front of us has read it. */
  #parsed: Uint8Array | GatewayError | undefined;
  #mustContinue: boolean;
  #reason = '';
  /** The head that waits for the end of the tick; undefined before `respond` and once written. */
  #heldFields: Fields | undefined;
  #heldChunk: Uint8Array | undefined;
  /** No body may follow the head: HEAD, 204, 304. */
  #bodyless = false;
  #length = unknownLength;
  #hearsDrain = false;
  /** What the connection is after `upgrade`. */
  #tunnel: NodeTunnel | undefined;
  #writeTimer: NodeJS.Timeout | undefined;

  constructor(req: IncomingMessage, res: ServerResponse, front: NodeFrontOptions) {
    const connection = connectionOf(req.socket);
    this.#req = req;
    this.#res = res;
    this.#front = front;
    this.#connection = connection;
    this.#mustContinue = front.waitsForContinue;
    this.request = {
      method: req.method!,
      target: (req as { originalUrl?: string }).originalUrl ?? req.url!,
      // The head's checks refuse every other version before anybody branches on it.
      version: req.httpVersion as '1.0' | '1.1',
      fields: req.rawHeaders,
      secure: connection.secure,
      remoteAddress: connection.remoteAddress,
      remotePort: connection.remotePort,
      localAddress: connection.localAddress,
      localPort: connection.localPort,
    };
    const announced = announcedLength(req.rawHeaders);
    if (announced !== 0 && req.readableDidRead)
      this.#parsed = encodeParsedBody(req, req.rawHeaders, announced);
    this.bodyLength = this.#parsed instanceof Uint8Array ? this.#parsed.length : announced;
    connection.began(this);
  }

  get bodyBytesReceived(): number {
    const parsedBytes = this.#parsed instanceof Uint8Array ? this.#parsed.length : 0;
    return this.#body?.bytesReceived ?? this.#tunnel?.bytesReceived ?? parsedBytes;
  }

  readBody(receiver: BodyReceiver): BodyReader {
    if (this.#mustContinue) {
      this.#mustContinue = false;
      this.#res.writeContinue();
    }
    if (this.bodyLength === 0) return new MemoryBodyReader(noBytes, receiver);
    const parsed = this.#parsed;
    if (parsed instanceof GatewayError) return new FailedBodyReader(parsed, receiver);
    if (parsed !== undefined) return new MemoryBodyReader(parsed, receiver);
    this.#body = new NodeBodyReader(this.#req, receiver, this.#front);
    return this.#body;
  }

  setListener(listener: ClientListener): void {
    this.#listener = listener;
  }

  setObserver(observer: ExchangeObserver): void {
    this.#observer = observer;
  }

  closeAfterAnswer(): void {
    this.#res.shouldKeepAlive = false;
  }

  inform(status: number, fields: Fields): void {
    if (this.headSent || this.ended || this.request.version === '1.0') return;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    for (let index = 0; index < fields.length; index += 2) {
      // An interim answer has no body (RFC 9110 8.6).
      if (fields[index]!.toLowerCase() !== 'content-length')
        head += `${fields[index]}: ${fields[index + 1]}\r\n`;
    }
    // No socket yet: the answers to earlier requests of this connection are still on their way, so the hint is no hint.
    this.#res.socket?.write(`${head}\r\n`, 'latin1');
  }

  respond(status: number, reason: string, fields: Fields, endsNow = false): void {
    if (this.headSent) throw new RangeError('The response head was already sent');
    if (this.ended) return;
    this.headSent = true;
    this.status = status;
    this.#reason = reason || (STATUS_CODES[status] ?? '');
    this.#bodyless = status === 204 || status === 304 || this.request.method === 'HEAD';
    this.#heldFields = this.#takeFraming(status, fields);
    if (!endsNow) process.nextTick(flushHeld, this);
  }

  upgrade(fields: Fields, receiver: BodyReceiver): BodyReader {
    if (this.headSent) throw new RangeError('The response head was already sent');
    this.headSent = true;
    if (this.ended) return noReader;
    this.status = 101;
    this.#tunnel = new NodeTunnel(this.#req.socket, fields, receiver);
    return this.#tunnel;
  }

  write(chunk: Uint8Array): boolean {
    const allowed = this.#allow(chunk);
    if (allowed === undefined) return true;
    if (this.#heldFields !== undefined) {
      if (this.#heldChunk === undefined) {
        this.#heldChunk = allowed;
        return true;
      }
      this.#writeHead(unknownLength);
    }
    return this.#send(allowed);
  }

  sendNow(): boolean {
    return !this.ended && this.#heldFields === undefined && this.#sendCorked();
  }

  end(chunk?: Uint8Array): void {
    if (this.ended) return;
    if (this.#tunnel !== undefined) {
      if (chunk !== undefined) this.write(chunk);
      this.#tunnel.end(this.#front.drainMs);
      this.#finish('whole');
      return;
    }
    const last = chunk === undefined ? undefined : this.#allow(chunk);
    if (!this.#bodyless && this.#length > this.bodyBytesSent) {
      this.cut();
      return;
    }
    const held = this.#heldChunk;
    this.#heldChunk = undefined;
    const isWhole = this.#heldFields !== undefined;
    if (isWhole) this.#writeHead(this.bodyBytesSent);
    const only = held === undefined ? last : last === undefined ? held : undefined;
    if (isWhole && only !== undefined && only.length <= joinedBytesMax) this.#endWhole(only);
    else this.#endWith(held, last);
    this.#finish('whole');
    this.#watchFlush();
    if (this.bodyLength !== 0 && !this.#req.complete) this.#drain();
  }

  cut(): void {
    if (this.ended) return;
    const socket = this.#req.socket;
    const closeDelimited = this.request.version === '1.0' && this.#length === unknownLength;
    if (closeDelimited && this.headSent && this.#connection.remoteAddress !== '') {
      // An orderly close would look like the end of a whole answer; only a reset says that it is not.
      socket.resetAndDestroy();
    } else {
      if (this.#heldFields !== undefined && this.#heldChunk !== undefined) this.#writeHead(unknownLength);
      this.#closeWhenFlushed();
    }
    this.#finish('cut');
  }

  /** The socket closed; called by the connection. */
  connectionClosed(): void {
    if (this.ended) return;
    this.#finish('gone');
    // The body's reader hears of it by the request's own `close`.
    this.#listener?.gone();
  }

  /** Leaves request and response to somebody else; the observer hears nothing. */
  leave(): void {
    this.ended = true;
    this.#connection.ended(this);
  }

  /** Writes what waited for the end of the tick. */
  flush(): void {
    if (this.#heldFields === undefined || this.ended) return;
    const streams = this.#heldChunk !== undefined;
    this.#writeHead(unknownLength);
    if (!streams) this.#res.flushHeaders();
  }

  /** Reads the announced length out of the fields, and takes away what is the front's business. */
  #takeFraming(status: number, fields: Fields): Fields {
    let clean: string[] | undefined;
    for (let index = 0; index < fields.length; index += 2) {
      const drop = framingFieldLengths.has(fields[index]!.length) && this.#isFraming(status, fields, index);
      if (drop) clean ??= fields.slice(0, index);
      else clean?.push(fields[index]!, fields[index + 1]!);
    }
    return clean ?? fields;
  }

  #isFraming(status: number, fields: Fields, index: number): boolean {
    const name = fields[index]!.toLowerCase();
    if (name !== 'content-length') return framingFields.has(name);
    this.#length = Number(fields[index + 1]);
    return status === 204; // RFC 9110 8.6
  }

  /** The part of a chunk that may still be sent; undefined for nothing. */
  #allow(chunk: Uint8Array): Uint8Array | undefined {
    if (this.ended) return undefined;
    if (!this.headSent) throw new RangeError('The response head must be sent before its body');
    if (this.#bodyless || chunk.length === 0) return undefined;
    let allowed = chunk;
    // More than was announced would be read as the next answer (T61).
    if (this.#length !== unknownLength && this.bodyBytesSent + chunk.length > this.#length) {
      allowed = chunk.subarray(0, this.#length - this.bodyBytesSent);
      if (allowed.length === 0) return undefined;
    }
    this.bodyBytesSent += allowed.length;
    return allowed;
  }

  /** Writes the held head and chunk. `wholeLength`: the body's length, when the answer is whole already. */
  #writeHead(wholeLength: number): void {
    const fields = this.#heldFields!;
    const chunk = this.#heldChunk;
    this.#heldFields = undefined;
    this.#heldChunk = undefined;
    if (this.#endsConnection()) this.#res.shouldKeepAlive = false;
    const announces = wholeLength !== unknownLength && this.#length === unknownLength && !this.#bodyless;
    const head = announces ? [...fields, 'Content-Length', String(wholeLength)] : (fields as string[]);
    try {
      if (this.#res.getHeaderNames().length === 0)
        this.#res.writeHead(this.status, this.#reason, head as OutgoingHttpHeader[]);
      else writeMergedHead(this.#res, this.status, this.#reason, head);
    } catch {
      // node:http refuses bytes that no head may hold (T78). Whoever made this head should have; this is the last line.
      this.status = 500;
      this.#bodyless = true;
      this.#res.shouldKeepAlive = false;
      this.#res.writeHead(500, 'Internal Server Error', ['Content-Length', '0']);
    }
    if (chunk !== undefined && !this.#bodyless) this.#send(chunk);
  }

  #endsConnection(): boolean {
    if (this.#front.isClosing()) return true;
    if (this.bodyLength === 0 || this.#req.complete) return false;
    // Without `100 Continue` nobody knows whether the body will come.
    if (this.#mustContinue) return true;
    const isRead = this.#body?.isOpen === true;
    return !isRead && (this.bodyLength === undefined || this.bodyLength > this.#front.drainBytesMax);
  }

  #endWith(held: Uint8Array | undefined, last: Uint8Array | undefined): void {
    if (this.#bodyless) {
      this.#res.end();
      return;
    }
    if (held !== undefined && last !== undefined) this.#res.write(held);
    const chunk = last ?? held;
    if (chunk === undefined) this.#res.end();
    else this.#res.end(chunk);
  }

  /**
   * Head and small body in one plain write: as a string the body joins the head, and an `end` that finds nothing waiting
   * adds no empty piece behind it, which would make it a writev of two.
   */
  #endWhole(chunk: Uint8Array): void {
    const res = this.#res;
    const { socket } = res;
    if (this.#bodyless || socket === null) {
      // No socket yet: answers to earlier requests of this connection are still on their way.
      this.#endWith(undefined, chunk);
      return;
    }
    socket.cork();
    res.write(toLatin1(chunk), 'latin1');
    socket.uncork();
    res.end();
  }

  #send(chunk: Uint8Array): boolean {
    // Behind a 101 there is no message any more that the response could frame.
    const to = this.#tunnel === undefined ? this.#res : this.#req.socket;
    if (to.write(chunk) || this.#sendCorked()) return true;
    if (!this.#hearsDrain) {
      this.#hearsDrain = true;
      to.on('drain', () => {
        clearTimeout(this.#writeTimer);
        if (!this.ended) this.#listener?.drain();
      });
    }
    this.#armWriteTimer();
    return false;
  }

  /** node:http gathers what is written until the end of the tick. @returns the system has taken all of it */
  #sendCorked(): boolean {
    const res = this.#res;
    const { socket } = res;
    // Whoever was put in between, as a compression, may keep chunks without counting them.
    const isDirect =
      socket !== null &&
      socket.constructor === Socket &&
      socket.write === Socket.prototype.write &&
      res.write === ServerResponse.prototype.write;
    if (!isDirect) return false;
    socket.uncork();
    return res.writableLength === 0;
  }

  #finish(how: ExchangeEnd): void {
    this.ended = true;
    clearTimeout(this.#writeTimer);
    this.#heldFields = undefined;
    this.#heldChunk = undefined;
    this.#connection.ended(this);
    this.#observer?.ended(how);
  }

  /** Disconnects a client that takes nothing of what is still to be sent. */
  #watchFlush(): void {
    if (this.#req.socket.writableLength === 0) return;
    this.#armWriteTimer();
    this.#res.once('close', () => clearTimeout(this.#writeTimer));
  }

  #armWriteTimer(): void {
    const socket = this.#req.socket;
    clearTimeout(this.#writeTimer);
    const acknowledged = socket.bytesWritten - socket.writableLength;
    this.#writeTimer = setTimeout(() => {
      if (socket.bytesWritten - socket.writableLength > acknowledged) this.#armWriteTimer();
      else socket.destroy();
    }, this.#front.writeIdleMs);
    this.#writeTimer.unref();
  }

  /** Lets an unread body pass by, for so long as it is short. */
  #drain(): void {
    const { socket } = this.#req;
    const closes = !this.#res.shouldKeepAlive;
    this.#body?.close();
    this.#req.resume();
    // node:http destroys a closing connection as soon as the answer is flushed. A client that still sends would be
    // reset and might lose the answer, so it gets some time to read it.
    if (closes) socket.destroySoon = () => socket.end();
    setTimeout(() => {
      if (closes || !this.#req.complete) socket.destroy();
    }, this.#front.drainMs).unref();
  }

  /** Closes in order, but without the end of the answer: the client has the bytes and sees that they are not all. */
  #closeWhenFlushed(): void {
    const { socket } = this.#req;
    socket.destroySoon();
    const timer = setTimeout(() => socket.destroy(), this.#front.writeIdleMs).unref();
    socket.once('close', () => clearTimeout(timer));
  }
}

function toLatin1(chunk: Uint8Array): string {
  const { buffer, byteOffset, length } = chunk;
  return (Buffer.isBuffer(chunk) ? chunk : Buffer.from(buffer, byteOffset, length)).toString('latin1');
}

/**
 * Sends a head where the framework around us has set fields of its own: ours take their place, cookies join theirs.
 * Not by `writeHead` with a list, which then keeps only the last one of a repeated field.
 */
function writeMergedHead(res: ServerResponse, status: number, reason: string, fields: Fields): void {
  const merged = new Map<string, { readonly name: string; readonly values: string[] }>();
  const cookies = [res.getHeader('set-cookie') ?? []].flat().map(String);
  if (cookies.length > 0) merged.set('set-cookie', { name: 'Set-Cookie', values: cookies });
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    const line = merged.get(name.toLowerCase()) ?? { name, values: [] };
    line.values.push(fields[index + 1]!);
    merged.set(name.toLowerCase(), line);
  }
  for (const { name, values } of merged.values())
    res.setHeader(name, values.length === 1 ? values[0]! : values);
  res.writeHead(status, reason);
}

function flushHeld(exchange: NodeExchange): void {
  exchange.flush();
}

/** Lengths of the framing fields' names and of `content-length`: most names are told apart by their length alone. */
const framingFieldLengths = new Set([7, 10, 14, 17]);

/** 0 for none, undefined for chunked; llhttp has refused contradictions. */
function announcedLength(fields: Fields): number | undefined {
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') return undefined;
    if (name.length === 14 && name.toLowerCase() === 'content-length') return Number(fields[index + 1]);
  }
  return 0;
}

const noReader: BodyReader = { resume() {}, close() {} };
const noBytes = new Uint8Array(0);
