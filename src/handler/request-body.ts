/**
 * The request body between client and application: received whole before a source is contacted (the default, so that no
 * application runs on half an upload, T50), or streamed through for a rule that asks for it.
 * A buffered body is in memory up to 64 KiB, else in a spool file; its length is exact, also for a chunked one (T49).
 */
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import { PieceList } from '../base/piece-list.ts';
import type { ReceivedRequest } from '../http/exchange.ts';
import { MemoryBody } from '../http/memory-body.ts';
import type { BodyReader, BodyReceiver, RequestBody } from '../http/message.ts';
import { PieceReader, type PieceSource, pieceBytes } from './piece-reader.ts';
import { SpoolFile } from './spool-file.ts';

/** Largest body in bytes that stays in memory. */
export const bodyMemoryBytesMax: number = 64 * 1024;

/** A body that somebody must close when no further try will read it. */
export interface KeptBody extends RequestBody {
  /** Nothing more of it is to come from the client, or nobody wants what is. */
  readonly isReceived: boolean;
  /** Gives memory or disk space back. May be called twice. */
  close(): void;
}

export interface BodyOptions {
  /** Bytes; a longer body is GW_ERR_HTTP_BODY_TOO_LARGE. */
  readonly maxBodyBytes: number;
  readonly spoolDir: string;
}

/** Hears of a buffered body: one of the two, once. */
export interface KeptBodyListener {
  /** The body is whole and now the listener's to close. */
  bodyReceived(body: KeptBody): void;
  /** GW_ERR_HTTP_BODY_TOO_LARGE, GW_ERR_HTTP_BODY_CUT, GW_ERR_HTTP_BODY_TIMEOUT, GW_ERR_SPOOL. Nothing is kept. */
  bodyFailed(error: GatewayError): void;
}

/**
 * Receives the whole body. The listener may be called before this returns.
 * @returns what stops the receiving, for when the client leaves
 */
export function receiveBody(
  exchange: ReceivedRequest,
  options: BodyOptions,
  listener: KeptBodyListener,
): { close(): void } | undefined {
  const announced = exchange.bodyLength;
  const refusal = refuseBody(announced, options.maxBodyBytes);
  if (refusal !== undefined) {
    listener.bodyFailed(refusal);
    return undefined;
  }
  const collector = new BodyCollector(announced, options, listener);
  collector.start(exchange);
  return collector;
}

/**
 * A body that passes through as it comes, for `bufferRequest: false`. It can be read once.
 * @param exchange its body has an announced length: CGI has no word for one that has none (T49)
 * @param received called once, when the body has become `isReceived`
 * @throws {HttpRequestError} GW_ERR_HTTP_BODY_TOO_LARGE
 */
export function streamBody(exchange: ReceivedRequest, maxBodyBytes: number, received: () => void): KeptBody {
  const length = exchange.bodyLength!;
  const refusal = refuseBody(length, maxBodyBytes);
  if (refusal !== undefined) throw refusal;
  return new StreamedBody(exchange, length, received);
}

/**
 * Why a body is refused before a byte of it is read, and before `100 Continue`, so that the client need not send it (T48).
 * @param length announced; undefined for a chunked one
 */
export function refuseBody(length: number | undefined, maxBodyBytes: number): HttpRequestError | undefined {
  return length !== undefined && length > maxBodyBytes ? tooLarge(length, maxBodyBytes) : undefined;
}

class BodyCollector implements BodyReceiver {
  readonly #announced: number | undefined;
  readonly #options: BodyOptions;
  readonly #listener: KeptBodyListener;
  #reader: BodyReader | undefined;
  /** In memory, as long as there is no file. */
  readonly #pieces = new PieceList();
  #bytes = 0;
  #file: SpoolFile | undefined;
  #paused = false;
  #ended = false;
  #closed = false;

  constructor(announced: number | undefined, options: BodyOptions, listener: KeptBodyListener) {
    this.#announced = announced;
    this.#options = options;
    this.#listener = listener;
  }

  start(exchange: ReceivedRequest): void {
    const reader = exchange.readBody(this);
    // The body may have failed or ended within the call above.
    if (this.#closed) reader.close();
    else this.#reader = reader;
  }

  data(chunk: Uint8Array): boolean {
    if (this.#closed) return true;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.maxBodyBytes) {
      this.#fail(tooLarge(this.#bytes, this.#options.maxBodyBytes));
      return true;
    }
    if (this.#file === undefined) {
      this.#pieces.push(chunk);
      if (Math.max(this.#bytes, this.#announced ?? 0) <= bodyMemoryBytesMax || !this.#openFile()) return true;
      this.#file!.append(this.#pieces.takeAll());
    } else {
      this.#file.append(chunk);
    }
    this.#paused = this.#file!.isBehind;
    return !this.#paused;
  }

  end(): void {
    if (this.#closed) return;
    this.#ended = true;
    if (this.#announced !== undefined && this.#announced !== this.#bytes) {
      const message = `Request body has ${this.#bytes} bytes, and its Content-Length says ${this.#announced}`;
      this.#fail(new HttpRequestError('GW_ERR_HTTP_BODY_CUT', message));
    } else if (this.#file === undefined) {
      this.#closed = true;
      this.#listener.bodyReceived(new KeptMemoryBody(this.#pieces.takeAll()));
    } else if (this.#file.isFlushed) this.#finishFile(this.#file);
  }

  error(error: GatewayError): void {
    this.#fail(error);
  }

  /** Stops receiving and keeps nothing; the listener is not called again. May be called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pieces.clear();
    this.#file?.close();
    this.#reader?.close();
  }

  #openFile(): boolean {
    try {
      this.#file = new SpoolFile(this.#options.spoolDir, {
        written: () => this.#written(),
        failed: (error) => this.#fail(error),
      });
      return true;
    } catch (error) {
      this.#fail(error as GatewayError);
      return false;
    }
  }

  #written(): void {
    const file = this.#file!;
    if (this.#closed) return;
    if (this.#ended && file.isFlushed) this.#finishFile(file);
    else if (this.#paused && !file.isBehind) {
      this.#paused = false;
      this.#reader?.resume();
    }
  }

  #finishFile(file: SpoolFile): void {
    this.#closed = true;
    this.#listener.bodyReceived(new FileBody(file, this.#bytes));
  }

  #fail(error: GatewayError): void {
    if (this.#closed) return;
    this.close();
    this.#listener.bodyFailed(error);
  }
}

/** A body that the client is still sending. */
class StreamedBody implements KeptBody {
  readonly length: number;
  readonly bytes = undefined;
  isReceived = false;
  readonly #exchange: ReceivedRequest;
  readonly #received: () => void;
  #isRead = false;

  constructor(exchange: ReceivedRequest, length: number, received: () => void) {
    this.#exchange = exchange;
    this.length = length;
    this.#received = received;
  }

  /** Until somebody has begun to read it. */
  get replayable(): boolean {
    return !this.#isRead;
  }

  read(receiver: BodyReceiver): BodyReader {
    this.#isRead = true;
    const reader = this.#exchange.readBody({
      data: (chunk) => receiver.data(chunk),
      end: () => {
        receiver.end();
        this.#settle();
      },
      error: (error) => receiver.error(error),
    });
    return {
      resume: () => reader.resume(),
      close: () => {
        reader.close();
        this.#settle();
      },
    };
  }

  close(): void {}

  #settle(): void {
    if (this.isReceived) return;
    this.isReceived = true;
    this.#received();
  }
}

/** A body in memory. */
class KeptMemoryBody extends MemoryBody implements KeptBody {
  readonly isReceived = true;

  close(): void {}
}

/** A body in a spool file. */
class FileBody implements KeptBody, PieceSource {
  readonly length: number;
  readonly bytes = undefined;
  readonly replayable = true;
  readonly isReceived = true;
  readonly #file: SpoolFile;

  constructor(file: SpoolFile, length: number) {
    this.#file = file;
    this.length = length;
  }

  read(receiver: BodyReceiver): BodyReader {
    return new PieceReader(this, receiver);
  }

  readPiece(position: number, done: (piece: Buffer | GatewayError) => void): void {
    this.#file.read(position, pieceBytes, { bytesRead: done, readFailed: done });
  }

  close(): void {
    this.#file.close();
  }
}

function tooLarge(bytes: number, limit: number): HttpRequestError {
  return new HttpRequestError(
    'GW_ERR_HTTP_BODY_TOO_LARGE',
    `Request body has ${bytes} bytes or more, the limit is ${limit}; raise maxBodyBytes of the rule to allow it`,
  );
}
