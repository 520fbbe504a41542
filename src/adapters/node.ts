/**
 * node:http as an HTTP front: its request and response as an `HttpExchange`, and a request listener that fits
 * node:http, Express and Connect.
 * The hot path: no stream helper, no promise, no socket listener per request. The head and the first piece of body wait
 * for the end of the tick, so that a small answer is one write with a Content-Length.
 */

import { type IncomingMessage, type OutgoingHttpHeader, ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Timer } from '../base/clock.ts';
import { GatewayError, HttpRequestError } from '../base/errors.ts';
import type { ExchangeEnd, ExchangeHandler, ExchangeObserver, HttpExchange } from '../http/exchange.ts';
import { equalsIgnoreCase } from '../http/fields.ts';
import { usualFrontLimits } from '../http/front-limits.ts';
import { http1Facts, http1Fault } from '../http/http1.ts';
import { FailedBodyReader, MemoryBodyReader } from '../http/memory-body.ts';
import type { BodyReader, BodyReceiver, Fields, RequestHead } from '../http/message.ts';
import type { Reply, ReplyFacts, ReplyListener } from '../http/reply.ts';
import {
  announcedLength,
  answerLength,
  framedFields,
  interimFields,
  lengthAfter,
  unknownLength,
  withinLength,
} from '../http/reply-framing.ts';
import { type BodyLimits, bodyLimitsDefault } from './body-intake.ts';
import { writeMergedHead } from './merged-head.ts';
import { isWithinMount } from './mount.ts';
import { NodeBodyReader } from './node-body.ts';
import { type ConnectedExchange, type Connection, connectionOf } from './node-connection.ts';
import { closeWhenFlushed, dropBody } from './node-linger.ts';
import { Pipelines } from './node-pipelines.ts';
import { NodeTunnel } from './node-tunnel.ts';
import { encodeParsedBody } from './parsed-body.ts';

export type {
  ExchangeEnd,
  ExchangeHandler,
  ExchangeObserver,
  HttpExchange,
  ReceivedRequest,
} from '../http/exchange.ts';
export type { BodyReader, BodyReceiver, Fields, RequestHead } from '../http/message.ts';
export type { Reply, ReplyFacts, ReplyListener } from '../http/reply.ts';

export interface NodeFrontOptions extends BodyLimits {
  /** A client that takes nothing for this long is disconnected, in milliseconds. */
  readonly writeIdleMs: number;
  /** An unread body of at most `drainBytesMax` that comes within `drainMs` keeps its connection (T43). */
  readonly drainBytesMax: number;
  readonly drainMs: number;
  /** The answer to this request of a connection ends it. */
  readonly requestsPerConnectionMax: number;
  /** True while the front stops: every answer then ends its connection. */
  readonly isClosing: () => boolean;
  /** The listener serves `checkContinue`: it is the exchange that says `100 Continue`. */
  readonly waitsForContinue: boolean;
  /** Bounds what clients send ahead; listeners of one server share it. */
  readonly pipelines: Pipelines;
  /** Hears of an exception that ended one exchange: a fault of ours, or of somebody between us and node:http. */
  readonly failed: (error: unknown) => void;
}

export const nodeFrontDefaults: Omit<NodeFrontOptions, 'pipelines'> = {
  ...bodyLimitsDefault,
  writeIdleMs: usualFrontLimits.sendIdleTimeoutMs,
  drainBytesMax: 65_536,
  drainMs: 1000,
  requestsPerConnectionMax: Number.POSITIVE_INFINITY,
  isClosing: () => false,
  waitsForContinue: false,
  failed: () => {},
};

/** What node:http, Express and Connect call. */
export type NodeRequestListener = (req: IncomingMessage, res: ServerResponse, next?: () => void) => void;

/**
 * Makes a request listener for node:http, Express 5 or Connect.
 * Below a mount path the whole original URL is routed, so that applications see the URL that the client asked for; one that leads
 * out of the mount (`/php/../admin`) is `next`'s, or 404.
 * Mount it before body parsers: what they have read is sent again as `encodeParsedBody` says, or is GW_ERR_INTERNAL.
 */
export function createRequestListener(
  handle: ExchangeHandler,
  options: Partial<NodeFrontOptions> = {},
): NodeRequestListener {
  const front: NodeFrontOptions = { pipelines: new Pipelines(), ...nodeFrontDefaults, ...options };
  const begin: NodeRequestListener = (req, res, next) => {
    const isOutside = leavesMount(req);
    if (isOutside && next !== undefined) {
      next();
      return;
    }
    const exchange = new NodeExchange(req, res, front);
    try {
      if (isOutside) exchange.refuse();
      else if (next === undefined) handle(exchange);
      else
        handle(exchange, () => {
          exchange.leave();
          next();
        });
    } catch (error) {
      exchange.fail(error);
    }
  };
  return (req, res, next) => {
    const connection = connectionOf(req.socket);
    // Behind an answer that ends the connection nothing is run (RFC 9112 9.6); somebody before us may have answered already.
    if (connection.isClosing || res.writableEnded) return;
    // Nobody can say who that was, so that no rule about addresses could be asked.
    if (!connection.hasPeer) connection.destroy();
    // Answers to earlier requests of this connection are still on their way.
    else if (res.socket === null) connection.wait(req, res, () => begin(req, res, next), front.pipelines);
    else begin(req, res, next);
  };
}

/** Express, Connect and Koa keep the whole URL beside the one that a mount path was taken off. */
function leavesMount(req: IncomingMessage & { readonly originalUrl?: string }): boolean {
  const { originalUrl, url } = req;
  return originalUrl !== undefined && originalUrl !== url && !isWithinMount(originalUrl, url!);
}

/** A body up to this size is sent as one piece with its head. */
const joinedBytesMax = 8192;

class NodeExchange implements HttpExchange, Reply, ConnectedExchange {
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
  #listener: ReplyListener | undefined;
  #observer: ExchangeObserver | undefined;
  #body: NodeBodyReader | undefined;
  /** The body, or why there is none, when somebody in front of us has read it. */
  #parsed: Uint8Array | GatewayError | undefined;
  #mustContinue: boolean;
  /** What came behind the request may have been lost by node:http. */
  readonly #isBlind: boolean;
  /** It is us who end the connection, and not the client that asked for it: it may be sending. */
  #endsForUs = false;
  #reason = '';
  /** The head that waits for the end of the tick; undefined before `respond` and once written. */
  #heldFields: Fields | undefined;
  #heldChunk: Uint8Array | undefined;
  /** Body bytes that are still to be sent; `unknownLength` without a Content-Length. */
  #left = unknownLength;
  #hearsDrain = false;
  /** Within `#send`: Node 26 says `drain` there, before the caller has heard whether it is to wait for one. */
  #isSending = false;
  /** What the connection is after `upgrade`. */
  #tunnel: NodeTunnel | undefined;
  #writeTimer: Timer | undefined;

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
      version: req.httpVersion,
      fields: req.rawHeaders,
      secure: connection.secure,
      remoteAddress: connection.remoteAddress,
      remotePort: connection.remotePort,
      localAddress: connection.localAddress,
      localPort: connection.localPort,
    };
    let announced: number | undefined = 0;
    let isBlind = false;
    for (let index = 0; index < req.rawHeaders.length; index += 2) {
      const name = req.rawHeaders[index]!;
      // Undefined for chunked; llhttp has refused contradictions.
      if (name.length === 14 && equalsIgnoreCase(name, 'content-length'))
        announced = Number(req.rawHeaders[index + 1]);
      else if (name.length === 17 && equalsIgnoreCase(name, 'transfer-encoding')) announced = undefined;
      else if (name.length === 7 && equalsIgnoreCase(name, 'upgrade')) isBlind = !isAlone(req.socket);
    }
    if (announced !== 0) {
      if (req.readableDidRead) this.#parsed = encodeParsedBody(req, req.rawHeaders, announced);
      else if (connection.isBroken && !req.complete) this.#parsed = brokenBody();
    }
    this.#isBlind = isBlind;
    this.bodyLength = this.#parsed instanceof Uint8Array ? this.#parsed.length : announced;
    connection.began(this);
  }

  /** The same object, so that a request costs one. */
  get reply(): Reply {
    return this;
  }

  get facts(): ReplyFacts {
    return http1Facts(this.request.version);
  }

  get headFault(): GatewayError | undefined {
    return http1Fault(this.request.version, this.request.fields);
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
    this.#body = new NodeBodyReader(this.#req, receiver, this.#front, this);
    return this.#body;
  }

  setListener(listener: ReplyListener): void {
    this.#listener = listener;
  }

  setObserver(observer: ExchangeObserver): void {
    this.#observer = observer;
  }

  closeAfterAnswer(): void {
    this.#endsForUs = true;
    this.#res.shouldKeepAlive = false;
    this.#connection.endTurns();
  }

  inform(status: number, fields: Fields): void {
    if (this.headSent || this.ended || !this.facts.canInform || this.#isLost()) return;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    const sent = interimFields(fields);
    for (let index = 0; index < sent.length; index += 2) head += `${sent[index]}: ${sent[index + 1]}\r\n`;
    this.#req.socket.write(`${head}\r\n`, 'latin1');
  }

  respond(status: number, reason: string, fields: Fields, endsNow = false): void {
    if (this.headSent) throw new RangeError('The response head was already sent');
    if (this.ended || (this.#res.headersSent && this.#isLost())) return;
    this.headSent = true;
    this.status = status;
    this.#reason = reason || (STATUS_CODES[status] ?? '');
    this.#left = answerLength(this.request.method, status, announcedLength(fields));
    this.#heldFields = framedFields(status, fields);
    if (!endsNow) process.nextTick(flushHeld, this);
  }

  upgrade(fields: Fields, receiver: BodyReceiver): BodyReader {
    if (this.headSent) throw new RangeError('The response head was already sent');
    this.headSent = true;
    if (this.ended || this.#isLost()) return noReader;
    this.status = 101;
    this.#connection.endTurns();
    this.#tunnel = new NodeTunnel(this.#req.socket, fields, receiver);
    return this.#tunnel;
  }

  write(chunk: Uint8Array): boolean {
    const allowed = this.#allow(chunk);
    if (allowed === undefined || this.#isLost()) return true;
    if (this.#heldFields !== undefined && this.#heldChunk === undefined) {
      this.#heldChunk = allowed;
      return true;
    }
    try {
      if (this.#heldFields !== undefined && !this.#writeHead(unknownLength)) return true;
      return this.#send(allowed);
    } catch (error) {
      this.fail(error);
      return true;
    }
  }

  sendNow(): boolean {
    return !this.ended && this.#heldFields === undefined && this.#sendCorked();
  }

  end(chunk?: Uint8Array): void {
    if (this.ended) return;
    if (this.#tunnel !== undefined) {
      if (chunk !== undefined) this.write(chunk);
      this.#tunnel.end(this.#front.drainMs, this.#front.clock);
      this.#finish('whole');
      return;
    }
    const last = chunk === undefined ? undefined : this.#allow(chunk);
    if (this.#left > 0) {
      this.cut();
      return;
    }
    if (this.#isLost()) return;
    try {
      this.#endMessage(last);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#finish('whole');
    this.#watchFlush();
    const isReceived = this.bodyLength === 0 || this.#req.complete;
    if (!isReceived) this.#body?.answered();
    if (this.#res.shouldKeepAlive) {
      if (!isReceived) {
        this.#connection.leftUnread(this.#req);
        dropBody(this.#req, this.#front.drainMs, this.#front.clock);
      }
    } else if (this.#endsForUs || !isReceived)
      this.#connection.linger(this.#front.drainMs, this.#front.clock);
    else this.#connection.endTurns();
  }

  cut(): void {
    if (this.ended) return;
    const socket = this.#req.socket;
    const { secure, remoteAddress } = this.#connection;
    this.#connection.endTurns();
    const closeDelimited = this.facts.endsByClose && this.#left === unknownLength;
    if (closeDelimited && this.headSent && remoteAddress !== '') {
      // An orderly close would look like the end of a whole answer. Only a reset says that it is not; over TLS, where node
      // has none, an end without the alert `close_notify` (RFC 8446 6.1).
      if (secure) socket.destroy();
      else socket.resetAndDestroy();
    } else {
      if (this.#heldFields !== undefined && this.#heldChunk !== undefined) this.#writeHead(unknownLength);
      closeWhenFlushed(socket, this.#front.writeIdleMs, this.#front.clock);
    }
    this.#finish('cut');
  }

  get isReceived(): boolean {
    return this.bodyLength === 0 || this.#req.complete;
  }

  bodyBroken(): void {
    if (this.#body === undefined) this.#parsed = brokenBody();
    else this.#body.cut();
  }

  /** Nothing of ours is there, and nobody else to ask. */
  refuse(): void {
    this.respond(404, '', ['Content-Length', '0'], true);
    this.end();
  }

  /** An exception that nobody caught ends this exchange, and nothing else. */
  fail(error: unknown): void {
    this.#front.failed(error);
    if (this.ended) return;
    if (!this.headSent && !this.#isLost()) {
      this.closeAfterAnswer();
      this.respond(500, '', ['Content-Length', '0'], true);
      this.end();
      return;
    }
    this.#connection.destroy();
    this.#lose('cut');
  }

  /** The socket closed; called by the connection. */
  connectionClosed(): void {
    if (this.ended) return;
    this.#finish('gone');
    // The body's reader hears of it by the request's own `close`.
    this.#tellGone();
  }

  /** Leaves request and response to somebody else; the observer hears nothing. */
  leave(): void {
    this.ended = true;
    this.#connection.ended(this);
  }

  /** Writes what waited for the end of the tick. */
  flush(): void {
    if (this.#heldFields === undefined || this.ended || this.#isLost()) return;
    const streams = this.#heldChunk !== undefined;
    try {
      this.#writeHead(unknownLength);
      if (!streams) this.#res.flushHeaders();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Nothing can be sent any more: the connection has gone, or somebody else has answered. The exchange is over then. */
  #isLost(): boolean {
    const res = this.#res;
    const isHeadOurs = this.headSent && this.#heldFields === undefined;
    if (!this.#req.socket.destroyed && !res.writableEnded && (isHeadOurs || !res.headersSent)) return false;
    this.#lose('gone');
    return true;
  }

  /** Ends without an answer of ours. The code that answers may be in the middle of something, and is told a little later. */
  #lose(how: ExchangeEnd): void {
    this.#finish(how);
    this.#body?.cut();
    process.nextTick(() => this.#tellGone());
  }

  #tellGone(): void {
    try {
      this.#listener?.gone();
    } catch (error) {
      this.#front.failed(error);
    }
  }

  /** The part of a chunk that may still be sent; undefined for nothing. */
  #allow(chunk: Uint8Array): Uint8Array | undefined {
    if (this.ended) return undefined;
    if (!this.headSent) throw new RangeError('The response head must be sent before its body');
    const allowed = withinLength(chunk, this.#left);
    if (allowed.length === 0) return undefined;
    this.#left = lengthAfter(this.#left, allowed.length);
    this.bodyBytesSent += allowed.length;
    return allowed;
  }

  /**
   * Writes the held head and chunk. False: nothing more may follow.
   * @param wholeLength the body's length, when the answer is whole already
   */
  #writeHead(wholeLength: number): boolean {
    const fields = this.#heldFields!;
    const chunk = this.#heldChunk;
    this.#heldFields = undefined;
    this.#heldChunk = undefined;
    if (this.#endsConnection()) this.closeAfterAnswer();
    const announces = wholeLength !== unknownLength && this.#left === unknownLength;
    const head = announces ? [...fields, 'Content-Length', String(wholeLength)] : (fields as string[]);
    try {
      if (this.#res.getHeaderNames().length === 0)
        this.#res.writeHead(this.status, this.#reason, head as OutgoingHttpHeader[]);
      else writeMergedHead(this.#res, this.status, this.#reason, head);
    } catch {
      // node:http refuses bytes that no head may hold (T78). The code that made this head should have; this is the last check.
      this.status = 500;
      this.#left = 0;
      this.#res.shouldKeepAlive = false;
      this.#res.writeHead(500, 'Internal Server Error', ['Content-Length', '0']);
      return false;
    }
    if (chunk !== undefined) this.#send(chunk);
    return true;
  }

  #endsConnection(): boolean {
    // What waits behind was sent before the stop began: it is answered, too, and the last of it ends the connection.
    if (this.#front.isClosing()) return this.#connection.waiting === 0;
    if (this.#isBlind || this.#connection.requests >= this.#front.requestsPerConnectionMax) return true;
    if (this.bodyLength === 0 || this.#req.complete) return false;
    if (this.#connection.isBroken) return true;
    // Without `100 Continue` nobody knows whether the body will come.
    if (this.#mustContinue) return true;
    const isRead = this.#body?.isOpen === true;
    return !isRead && (this.bodyLength === undefined || this.bodyLength > this.#front.drainBytesMax);
  }

  /** Sends what is held, the last piece, and the message's end. */
  #endMessage(last: Uint8Array | undefined): void {
    const held = this.#heldChunk;
    this.#heldChunk = undefined;
    const isWhole = this.#heldFields !== undefined;
    if (isWhole && !this.#writeHead(this.bodyBytesSent)) {
      this.#res.end();
      return;
    }
    const only = held === undefined ? last : last === undefined ? held : undefined;
    if (isWhole && only !== undefined && only.length <= joinedBytesMax) this.#endWhole(only);
    else this.#endWith(held, last);
  }

  #endWith(held: Uint8Array | undefined, last: Uint8Array | undefined): void {
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
    if (socket === null) {
      this.#endWith(undefined, chunk);
      return;
    }
    socket.cork();
    res.write(toLatin1(chunk), 'latin1');
    socket.uncork();
    res.end();
  }

  #send(chunk: Uint8Array): boolean {
    // Behind a 101 there is no longer a message that the response could frame.
    const to = this.#tunnel === undefined ? this.#res : this.#req.socket;
    this.#isSending = true;
    const isTaken = to.write(chunk) || this.#sendCorked();
    this.#isSending = false;
    if (isTaken) return true;
    if (!this.#hearsDrain) {
      this.#hearsDrain = true;
      to.on('drain', () => {
        this.#front.clock.clearTimer(this.#writeTimer);
        if (this.ended || this.#isSending) return;
        try {
          this.#listener?.drained();
        } catch (error) {
          this.fail(error);
        }
      });
    }
    this.#armWriteTimer();
    return false;
  }

  /** node:http gathers what is written until the end of the tick. @returns the system has taken all of it */
  #sendCorked(): boolean {
    const res = this.#res;
    const { socket } = res;
    // A middleware in between, such as compression, may keep chunks without counting them.
    const isDirect =
      socket !== null &&
      socket.constructor === Socket &&
      socket.write === Socket.prototype.write &&
      res.write === ServerResponse.prototype.write;
    if (!isDirect) return false;
    // Node 26 corks the response, earlier ones its socket.
    if (res.writableCorked > 0) res.uncork();
    else socket.uncork();
    return res.writableLength === 0;
  }

  #finish(how: ExchangeEnd): void {
    this.ended = true;
    this.#front.clock.clearTimer(this.#writeTimer);
    this.#heldFields = undefined;
    this.#heldChunk = undefined;
    this.#connection.ended(this);
    try {
      this.#observer?.ended(how);
    } catch (error) {
      this.#front.failed(error);
    }
  }

  /** Disconnects a client that takes nothing of what is still to be sent. */
  #watchFlush(): void {
    if (this.#req.socket.writableLength === 0) return;
    this.#armWriteTimer();
    this.#res.once('close', () => this.#front.clock.clearTimer(this.#writeTimer));
  }

  #armWriteTimer(): void {
    const socket = this.#req.socket;
    this.#front.clock.clearTimer(this.#writeTimer);
    const acknowledged = socket.bytesWritten - socket.writableLength;
    this.#writeTimer = this.#front.clock.setTimer(() => {
      if (socket.bytesWritten - socket.writableLength > acknowledged) this.#armWriteTimer();
      else socket.destroy();
    }, this.#front.writeIdleMs);
    this.#writeTimer.unref();
  }
}

function toLatin1(chunk: Uint8Array): string {
  const { buffer, byteOffset, length } = chunk;
  return (Buffer.isBuffer(chunk) ? chunk : Buffer.from(buffer, byteOffset, length)).toString('latin1');
}

function flushHeld(exchange: NodeExchange): void {
  exchange.flush();
}

/**
 * Nothing came behind the head that is parsed now. Behind a request for another protocol (RFC 9110 7.8) that stays HTTP,
 * node:http drops what came in the same piece, perhaps the next request.
 */
function isAlone(socket: Socket): boolean {
  const { parser } = socket as Socket & { parser?: { getCurrentBuffer?: () => Buffer | undefined } };
  const piece = parser?.getCurrentBuffer?.();
  return piece !== undefined && piece.length > 0 && piece.indexOf('\r\n\r\n') === piece.length - 4;
}

function brokenBody(): GatewayError {
  return new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'Request body was broken off: its framing is no HTTP');
}

const noReader: BodyReader = { resume() {}, close() {} };
const noBytes = new Uint8Array(0);
