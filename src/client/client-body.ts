/** The bodies that a program hands to the client, as bodies that a connection sends. From the web server's side. */
import { Readable } from 'node:stream';
import { GatewayError, HttpRequestError } from '../base/errors.ts';
import { MemoryBody } from '../http/memory-body.ts';
import type { BodyReader, BodyReceiver, RequestBody } from '../http/message.ts';

/** Text is sent as UTF-8. A stream is read once, no faster than the application takes it. */
export type BodyInput = string | Uint8Array | AsyncIterable<string | Uint8Array>;

/**
 * @param length bytes that a stream will have; undefined when nobody knows. One that has others fails with
 * GW_ERR_HTTP_BODY_CUT, and the application sees no end of it
 * @throws {TypeError}
 */
export function toRequestBody(input: BodyInput, length: number | undefined): RequestBody {
  if (typeof input === 'string') return new MemoryBody(Buffer.from(input));
  if (input instanceof Uint8Array) return new MemoryBody(input);
  if (typeof input?.[Symbol.asyncIterator] === 'function') return new StreamBody(input, length);
  throw new TypeError('A body is a string, a Uint8Array, a Readable or an AsyncIterable of them');
}

class StreamBody implements RequestBody {
  readonly length: number | undefined;
  readonly bytes = undefined;
  readonly replayable = false;
  readonly #source: AsyncIterable<string | Uint8Array>;

  constructor(source: AsyncIterable<string | Uint8Array>, length: number | undefined) {
    this.#source = source;
    this.length = length;
  }

  read(receiver: BodyReceiver): BodyReader {
    return new StreamReader(this.#source, this.length, receiver);
  }
}

class StreamReader implements BodyReader {
  readonly #source: AsyncIterable<string | Uint8Array>;
  readonly #length: number | undefined;
  readonly #receiver: BodyReceiver;
  readonly #iterator: AsyncIterator<string | Uint8Array>;
  #bytes = 0;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(
    source: AsyncIterable<string | Uint8Array>,
    length: number | undefined,
    receiver: BodyReceiver,
  ) {
    this.#source = source;
    this.#length = length;
    this.#receiver = receiver;
    this.#iterator = source[Symbol.asyncIterator]();
    void this.#run();
  }

  resume(): void {
    this.#wake?.();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wake?.();
    // Lets the source go: a file stays open otherwise. What it says to that is nobody's business any more.
    if (this.#source instanceof Readable) this.#source.destroy();
    void Promise.resolve(this.#iterator.return?.()).catch(() => {});
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.#iterator.next();
        if (this.#isClosed) return;
        if (done === true) break;
        const chunk = typeof value === 'string' ? Buffer.from(value) : value;
        this.#bytes += chunk.length;
        if (this.#length !== undefined && this.#bytes > this.#length) throw this.#wrongLength();
        if (chunk.length === 0 || this.#receiver.data(chunk)) continue;
        if (this.#isClosed) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
        if (this.#isClosed) return;
      }
      if (this.#length !== undefined && this.#bytes < this.#length) throw this.#wrongLength();
      this.#isClosed = true;
      this.#receiver.end();
    } catch (cause) {
      const isOver = this.#isClosed;
      this.close();
      if (!isOver) this.#receiver.error(toGatewayError(cause));
    }
  }

  #wrongLength(): GatewayError {
    return new HttpRequestError(
      'GW_ERR_HTTP_BODY_CUT',
      this.#bytes > this.#length!
        ? `The body has more than the ${this.#length} bytes that were announced`
        : `The body ended after ${this.#bytes} of the ${this.#length} bytes that were announced`,
    );
  }
}

function toGatewayError(cause: unknown): GatewayError {
  if (cause instanceof GatewayError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new HttpRequestError('GW_ERR_HTTP_BODY_CUT', `The body could not be read to its end: ${reason}`, {
    cause,
  });
}
