/**
 * FastCGI requests as promises and streams, for programs that speak to an application themselves. From the web
 * server's side. A thin layer on `Pool`: nothing here is on the gateway's path.
 */
import { Readable } from 'node:stream';
import { type Address, parseAddress, printAddress } from '../base/address.ts';
import { toText } from '../base/byte-string.ts';
import { type Clock, systemClock, type Timer } from '../base/clock.ts';
import { CgiError, type GatewayError, SourceError } from '../base/errors.ts';
import { escapeControls } from '../base/escape.ts';
import { type ResponseHead, ResponseParser } from '../cgi/index.ts';
import { isIdempotent } from '../http/method.ts';
import { answerLength, lengthAfter, unknownLength, withinLength } from '../http/reply-framing.ts';
import { ProtocolStatus, Role, type RoleName } from '../protocol/constants.ts';
import { type BodyInput, toRequestBody } from './client-body.ts';
import { ClientResponse, ResponseContent, type ResponseProgress } from './client-response.ts';
import { createVariables, methodOf, type RequestDescription } from './client-variables.ts';
import { createPool, type PoolSettings } from './create-pool.ts';
import { type GetValuesOptions, getValues } from './get-values.ts';
import type { Pool } from './pool.ts';
import type { ClientExchange, ClientListener } from './request.ts';

/** What can be said about an application; everything has a default. PHP needs `keepConnections: 0` (F38). */
export type ClientOptions = Omit<PoolSettings, 'address' | 'role' | 'outcome'>;

/** One request. Script and variables are as the application sees them. */
export interface RequestOptions extends RequestDescription {
  /**
   * A stream's length is told to the application when `variables.CONTENT_LENGTH` or the header says it; PHP reads no
   * body without it.
   */
  readonly body?: BodyInput | undefined;
  /** Default: a Responder. */
  readonly role?: RoleName | undefined;
  /** The file for a Filter; a stream's length is `variables.FCGI_DATA_LENGTH` (FastCGI 6.4). */
  readonly data?: BodyInput | undefined;
  /** Gives the request up, before or after the head. */
  readonly signal?: AbortSignal | undefined;
  /** With `multiplexedRequestsMax`: not on a connection with others, so that the body may be read as slowly as one likes. */
  readonly ownConnection?: boolean | undefined;
  /** Longest time for the whole answer, its body included; the limits of `ClientOptions` hold besides. */
  readonly timeoutMs?: number | undefined;
  /** Hears error output as it comes. */
  readonly onStderr?: ((chunk: Buffer) => void) | undefined;
}

export interface Client {
  readonly address: Address;
  /**
   * Sends a request, and resolves when the head of its answer has come. Read the body then, or destroy it: until one
   * of the two the connection is occupied.
   *
   * Rejects with a GatewayError: GW_ERR_SOURCE_* (nobody there, no answer, overloaded: see its `delivery`),
   * GW_ERR_PROTOCOL_* (FastCGI was broken), GW_ERR_CGI_* (the answer has no valid head), GW_ERR_HTTP_BODY_CUT (the
   * body could not be read); or with the reason of `signal`.
   * @throws {TypeError} the request is invalid
   */
  request(request: RequestOptions): Promise<ClientResponse>;
  /** Asks the application what it can do, on a connection of its own; see `getValues`. */
  getValues(options?: GetValuesOptions): Promise<Map<string, string>>;
  /** Takes no more requests; resolves when those under way have ended. */
  close(): Promise<void>;
  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Connects to nothing until the first request.
 * @param address `tcp://127.0.0.1:9000`, `unix:/run/php.sock`, `unix:@name`
 * @throws {GatewayError} GW_ERR_ADDRESS
 */
export function createClient(address: string | Address, options: ClientOptions = {}): Client {
  const parsed = typeof address === 'string' ? parseAddress(address) : address;
  const pool = createPool({ ...options, address: parsed });
  const clock = options.clock ?? systemClock;
  return {
    address: parsed,
    request: async (request) => startRequest(pool, clock, parsed, request),
    getValues: (more) => getValues(parsed, { trace: options.trace, clock, ...more }),
    close: () => pool.close(),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

function startRequest(
  pool: Pool,
  clock: Clock,
  address: Address,
  request: RequestOptions,
): Promise<ClientResponse> {
  const { body, data, signal, timeoutMs, ownConnection } = request;
  signal?.throwIfAborted();
  const { role = 'Responder' } = request;
  if (!(role in Role)) throw new TypeError('role is Responder, Authorizer or Filter');
  if (data !== undefined && role !== 'Filter') throw new TypeError('data is for the role Filter');
  const stdin = body === undefined ? undefined : toRequestBody(body, announced(request, 'CONTENT_LENGTH'));
  const file =
    role === 'Filter' ? toRequestBody(data ?? '', announced(request, 'FCGI_DATA_LENGTH')) : undefined;
  const streams = { stdin, data: file };
  const variables = createVariables(request, role, streams);
  const method = methodOf(request, streams);
  const receiver = new ResponseReceiver(clock, address, request, method ?? 'GET');
  const mayRunTwice = method !== undefined && isIdempotent(method);
  receiver.exchange = pool.open(
    { variables, role, body: stdin, data: file, mayRunTwice, ownConnection },
    receiver,
  );
  if (signal !== undefined || timeoutMs !== undefined) receiver.limit(signal, timeoutMs);
  return receiver.head;
}

/** The length that the caller tells of a stream. */
function announced({ variables, headers }: RequestOptions, name: string): number | undefined {
  const header = Object.entries(headers ?? {}).find(
    ([key]) => key.toUpperCase().replaceAll('-', '_') === name,
  );
  const value = variables?.[name] ?? header?.[1];
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value))
    throw new TypeError(`${name} is ${JSON.stringify(value)}, expected a number of bytes`);
  return Number(value);
}

/** Bytes of error output that are kept. */
const stderrBytesMax = 65_536;

/** Hears one answer: makes the head a promise, and the rest what it says about itself. */
class ResponseReceiver implements ClientListener {
  readonly head: Promise<ClientResponse>;
  /** Set right after `open`, which calls nobody back before it returns. */
  exchange!: ClientExchange;
  readonly #address: Address;
  readonly #request: RequestOptions;
  readonly #method: string;
  readonly #parser = new ResponseParser();
  readonly #content: ResponseContent;
  readonly #clock: Clock;
  readonly #start: number;
  readonly #progress: ResponseProgress = {
    stderr: '',
    appStatus: undefined,
    protocolStatus: undefined,
    firstByteMs: 0,
    totalMs: undefined,
  };
  #resolve!: (response: ClientResponse) => void;
  #reject!: (error: unknown) => void;
  #state: 'head' | 'body' | 'over' = 'head';
  /** Bytes of body still to come; undefined when the application did not say. */
  #bodyLeft = unknownLength;
  #signal: AbortSignal | undefined;
  #aborted: (() => void) | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, address: Address, request: RequestOptions, method: string) {
    this.#clock = clock;
    this.#start = clock.now();
    this.#address = address;
    this.#request = request;
    this.#method = method;
    this.head = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#content = new ResponseContent({
      resume: () => this.exchange.resume(),
      cancel: () => this.#giveUp(),
    });
  }

  limit(signal: AbortSignal | undefined, timeoutMs: number | undefined): void {
    if (signal !== undefined) {
      this.#signal = signal;
      this.#aborted = () => {
        this.#fail(signal.reason);
      };
      signal.addEventListener('abort', this.#aborted, { once: true });
    }
    if (timeoutMs !== undefined) {
      this.#timer = this.#clock.setTimer(() => {
        const message = `The answer of the application at ${printAddress(this.#address)} was not complete within ${timeoutMs} ms`;
        this.#fail(new SourceError('GW_ERR_SOURCE_READ_TIMEOUT', message, { delivery: 'maybe' }));
      }, timeoutMs);
    }
  }

  stdout(chunk: Buffer): boolean {
    if (this.#state === 'body') return this.#takeBody(chunk);
    if (this.#state === 'over') return true;
    if (this.#progress.firstByteMs === 0) this.#progress.firstByteMs = this.#clock.now() - this.#start;
    let head: ResponseHead | undefined;
    try {
      head = this.#parser.push(chunk);
    } catch (error) {
      this.#fail(this.#withStderr(error as GatewayError));
      return false;
    }
    if (head === undefined) return true;
    this.#state = 'body';
    this.#bodyLeft = answerLength(this.#method, head.status, head.contentLength ?? unknownLength);
    this.#resolve(new ClientResponse(head, this.#content, this.#progress));
    return (
      head.body.length === 0 ||
      this.#takeBody(Buffer.from(head.body.buffer, head.body.byteOffset, head.body.length))
    );
  }

  stderr(chunk: Buffer): void {
    const progress = this.#progress;
    if (progress.stderr.length < stderrBytesMax) {
      progress.stderr = (progress.stderr + chunk.toString('latin1')).slice(0, stderrBytesMax);
    }
    this.#request.onStderr?.(chunk);
  }

  end(appStatus: number): void {
    this.#progress.appStatus = appStatus;
    this.#progress.protocolStatus = ProtocolStatus.RequestComplete;
    this.#progress.totalMs = this.#clock.now() - this.#start;
    if (this.#state === 'head') {
      this.#fail(this.#withStderr(this.#parser.end()));
    } else if (this.#bodyLeft > 0) {
      const message = `The body ended ${this.#bodyLeft} bytes before the Content-Length that the application gave`;
      this.#fail(new CgiError('GW_ERR_CGI_BODY_LENGTH', message));
    } else {
      this.#settle();
      this.#content.end();
    }
  }

  error(error: GatewayError): void {
    this.#fail(error);
  }

  #takeBody(chunk: Buffer): boolean {
    const part = withinLength(chunk, this.#bodyLeft);
    this.#bodyLeft = lengthAfter(this.#bodyLeft, part.length);
    return part.length === 0 || this.#content.push(part);
  }

  #giveUp(): void {
    this.exchange.abort();
    this.#settle();
  }

  #fail(error: unknown): void {
    const before = this.#state;
    if (before === 'over') return;
    this.#giveUp();
    // A file that was never read would stay open.
    for (const input of [this.#request.body, this.#request.data]) {
      if (input instanceof Readable) input.destroy();
    }
    if (before === 'head') this.#reject(error);
    else this.#content.fail(error as Error);
  }

  #settle(): void {
    this.#state = 'over';
    this.#clock.clearTimer(this.#timer);
    if (this.#aborted !== undefined) this.#signal?.removeEventListener('abort', this.#aborted);
  }

  /** What the application wrote to its error output is most often the reason for a bad head. */
  #withStderr(error: GatewayError): GatewayError {
    const text = toText(this.#progress.stderr).trim();
    if (text === '') return error;
    const start = escapeControls(text.slice(0, 500));
    return new CgiError(error.code, `${error.message}; it wrote to its error output: ${start}`, {
      cause: error,
    });
  }
}
