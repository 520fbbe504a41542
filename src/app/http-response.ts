/**
 * An answer as node:http's ServerResponse, sent as a CGI response (RFC 3875 6.2.1) on STDOUT.
 * Head and first bytes leave together. Fields of the connection (Connection, Transfer-Encoding ...) are the web server's
 * business and left out; so is Date. CGI has no trailers: they are dropped, as node:http does for HTTP/1.0.
 */
import { type IncomingMessage, ServerResponse, STATUS_CODES, validateHeaderValue } from 'node:http';
import { type ClientSocket, finishRequest } from './http-request.ts';
import type { ApplicationRequest } from './request.ts';

type Done = (error?: Error | null) => void;
type Chunk = string | Uint8Array;
type HeadFields = Record<string, unknown> | readonly unknown[];

/** They are not the application's to send: the connection is the web server's, and `Status` is CGI's own. */
const unsentFields = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'trailer',
  'upgrade',
  'status',
]);

/** What node:http's own parts of a response look at, and its types do not show. */
interface InnerResponse {
  /** Null until the head is made; `headersSent` looks here. */
  _header: string | null;
  _hasBody: boolean;
  _closed: boolean;
  getRawHeaderNames(): string[];
}

const innerOf = (response: ServerResponse) => response as unknown as InnerResponse;

export class HttpResponse extends ServerResponse {
  readonly #request: ApplicationRequest;
  readonly #socket: ClientSocket;
  readonly #interimHeads: boolean;
  /** Made and not yet sent, without its blank line; a byte string. */
  #head = '';
  #hasLength = false;
  #needsDrain = false;

  constructor(
    request: ApplicationRequest,
    message: IncomingMessage,
    socket: ClientSocket,
    interimHeads: boolean,
  ) {
    super(message);
    this.#request = request;
    this.#socket = socket;
    this.#interimHeads = interimHeads;
    // Express replaces the prototype, and what sends must stay: own properties.
    const { write, end, writeHead, flushHeaders, destroy } = HttpResponse.prototype;
    const { writeContinue, writeProcessing, writeEarlyHints } = HttpResponse.prototype;
    Object.assign(this, { socket, write, end, writeHead, flushHeaders, destroy });
    Object.assign(this, { writeContinue, writeProcessing, writeEarlyHints });
  }

  // The overloads are node:http's.
  override writeHead(status: number, reasonOrFields?: unknown, fields?: unknown): this {
    if (this.#hasHead()) throw withCode(new Error('The head was sent already'), 'ERR_HTTP_HEADERS_SENT');
    const code = Number(status) | 0;
    if (code < 100 || code > 999) {
      throw withCode(new RangeError(`Invalid status code: ${status}`), 'ERR_HTTP_INVALID_STATUS_CODE');
    }
    if (typeof reasonOrFields === 'string') this.statusMessage = reasonOrFields;
    else this.statusMessage ||= STATUS_CODES[code] ?? 'unknown';
    this.statusCode = code;
    this.#setFields(fields ?? (typeof reasonOrFields === 'string' ? undefined : reasonOrFields));
    validateHeaderValue('statusMessage', this.statusMessage);
    if (code === 204 || code === 304 || code < 200) innerOf(this)._hasBody = false;
    this.#makeHead();
    return this;
  }

  override write(chunk: unknown, encodingOrDone?: unknown, done?: unknown): boolean {
    const encoding = typeof encodingOrDone === 'string' ? (encodingOrDone as BufferEncoding) : undefined;
    const written = (typeof encodingOrDone === 'function' ? encodingOrDone : done) as Done | undefined;
    const given = checked(chunk);
    const refusal = this.#refusal(given);
    if (refusal !== undefined) {
      this.#refuse(refusal, written);
      return false;
    }
    if (!this.#hasHead()) this.writeHead(this.statusCode);
    const isTaken = this.#send(encoded(given, encoding));
    if (!isTaken && !this.#needsDrain) this.#waitForDrain();
    if (written !== undefined) this.#request.whenDrained(written);
    return isTaken;
  }

  override end(chunkOrDone?: unknown, encodingOrDone?: unknown, done?: unknown): this {
    const ended = [chunkOrDone, encodingOrDone, done].find((argument) => typeof argument === 'function');
    const given = typeof chunkOrDone === 'function' ? undefined : chunkOrDone;
    const chunk = given === undefined || given === null ? '' : checked(given);
    if (this.finished) {
      const refusal = this.#refusal(chunk);
      if (refusal !== undefined) this.#refuse(refusal, ended as Done | undefined);
      else if (ended !== undefined) process.nextTick(ended as Done);
      return this;
    }
    const bytes = encoded(
      chunk,
      typeof encodingOrDone === 'string' ? (encodingOrDone as BufferEncoding) : undefined,
    );
    if (!this.#hasHead()) this.writeHead(this.statusCode);
    if (this.#head !== '' && !this.#hasLength && innerOf(this)._hasBody) {
      const length = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length;
      this.#head += `Content-Length: ${length}\r\n`;
    }
    if (ended !== undefined) this.once('finish', ended as Done);
    this.#send(bytes);
    this.finished = true;
    this.#request.end();
    this.#request.whenDrained(() => this.#finish());
    return this;
  }

  override flushHeaders(): void {
    if (this.destroyed || this.finished) return;
    if (!this.#hasHead()) this.writeHead(this.statusCode);
    this.#send('');
  }

  /** The web server told the client to go on. */
  override writeContinue(done?: () => void): void {
    if (done !== undefined) process.nextTick(done);
  }

  override writeProcessing(done?: () => void): void {
    this.#sendInterim('Status: 102 Processing\r\n\r\n', done);
  }

  override writeEarlyHints(hints: Record<string, string | string[]>, done?: () => void): void {
    let head = 'Status: 103 Early Hints\r\n';
    for (const [name, value] of Object.entries(hints)) {
      const line = name.toLowerCase() === 'link' ? [value].flat().join(', ') : String(value);
      validateHeaderValue(name, line);
      head += `${name}: ${line}\r\n`;
    }
    this.#sendInterim(`${head}\r\n`, done);
  }

  /** Cuts the answer, unless it is complete: the web server sees that it is not whole. */
  override destroy(_error?: Error): this {
    this.#socket.destroy();
    return this;
  }

  /** The exchange is over before its end. Static, since Express takes methods away. */
  static abandon(response: HttpResponse): void {
    response.destroyed = true;
    response.#close();
  }

  #finish(): void {
    if (this.destroyed) return;
    this.emit('prefinish');
    this.emit('finish');
    finishRequest(this.req);
    this.destroyed = true;
    this.#close();
  }

  #close(): void {
    const inner = innerOf(this);
    if (inner._closed) return;
    inner._closed = true;
    this.emit('close');
  }

  #waitForDrain(): void {
    this.#needsDrain = true;
    this.#request.whenDrained(() => {
      this.#needsDrain = false;
      if (!this.destroyed && !this.finished) this.emit('drain');
    });
  }

  #hasHead(): boolean {
    return innerOf(this)._header !== null;
  }

  #setFields(fields: unknown): void {
    if (fields === undefined || fields === null) return;
    if (!Array.isArray(fields)) {
      for (const [name, value] of Object.entries(fields as HeadFields)) {
        if (value !== undefined) this.setHeader(name, value as string);
      }
      return;
    }
    const flat = (Array.isArray(fields[0]) ? fields.flat() : fields) as string[];
    for (let i = 0; i < flat.length; i += 2) this.removeHeader(flat[i]!);
    for (let i = 0; i < flat.length; i += 2) this.appendHeader(flat[i]!, flat[i + 1]!);
  }

  #makeHead(): void {
    let head = `Status: ${this.statusCode} ${this.statusMessage}\r\n`;
    for (const name of innerOf(this).getRawHeaderNames()) {
      const key = name.toLowerCase();
      if (unsentFields.has(key)) continue;
      if (key === 'content-length') this.#hasLength = true;
      const value = this.getHeader(name)!;
      if (Array.isArray(value)) for (const each of value) head += `${name}: ${each}\r\n`;
      else head += `${name}: ${value}\r\n`;
    }
    this.#head = head;
    innerOf(this)._header = head;
  }

  /** Sends the head, when it is still to go, and body bytes, where the answer has a body. */
  #send(body: Chunk): boolean {
    const content = innerOf(this)._hasBody ? body : '';
    if (this.#head === '') return this.#request.write(content);
    const head = `${this.#head}\r\n`;
    this.#head = '';
    if (Buffer.byteLength(head) !== head.length) {
      this.#request.write(Buffer.from(head, 'latin1'));
      return this.#request.write(content);
    }
    if (typeof content === 'string') return this.#request.write(head + content);
    this.#request.write(head);
    return this.#request.write(content);
  }

  #sendInterim(head: string, done: (() => void) | undefined): void {
    if (this.#interimHeads && !this.#hasHead()) this.#request.writeInterim(head);
    if (done !== undefined) process.nextTick(done);
  }

  #refuse(refusal: Error, done: Done | undefined): void {
    const isHeard = !this.destroyed;
    process.nextTick(() => {
      done?.(refusal);
      if (isHeard) this.emit('error', refusal);
    });
  }

  /** Why these bytes cannot be taken any more. */
  #refusal(chunk: Chunk): Error | undefined {
    if (this.finished && chunk.length > 0)
      return withCode(new Error('write after end'), 'ERR_STREAM_WRITE_AFTER_END');
    if (!this.destroyed || this.finished) return undefined;
    return withCode(new Error('Cannot write after the exchange is over'), 'ERR_STREAM_DESTROYED');
  }
}

function checked(chunk: unknown): Chunk {
  if (typeof chunk === 'string' || chunk instanceof Uint8Array) return chunk;
  if (chunk === null) {
    throw withCode(new TypeError('May not write null values to stream'), 'ERR_STREAM_NULL_VALUES');
  }
  throw withCode(
    new TypeError('The "chunk" argument must be of type string or an instance of Buffer or Uint8Array'),
    'ERR_INVALID_ARG_TYPE',
  );
}

/** Text in UTF-8 may stay text. */
function encoded(chunk: Chunk, encoding: BufferEncoding | undefined): Chunk {
  if (typeof chunk !== 'string' || encoding === undefined || encoding === 'utf8' || encoding === 'utf-8') {
    return chunk;
  }
  return Buffer.from(chunk, encoding);
}

function withCode(error: Error, code: string): Error {
  return Object.assign(error, { code });
}
