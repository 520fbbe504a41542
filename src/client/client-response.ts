/**
 * An application's answer as a program takes it: head, body, error output, statuses and times. From the web server's
 * side. The body waits until it is read: 64 KiB of it are kept, then the application is not read any further.
 */
import { Readable } from 'node:stream';
import { toText } from '../base/byte-string.ts';
import type { ResponseHead } from '../cgi/index.ts';
import type { Fields } from '../http/message.ts';

/** Milliseconds since the request was made. */
export interface ResponseTimings {
  /** The first byte of the answer. */
  readonly firstByteMs: number;
  /** END_REQUEST; undefined before. */
  readonly totalMs: number | undefined;
}

/** What an answer asks of its receiver. */
export interface ResponseFlow {
  /** More of the body is wanted. */
  resume(): void;
  /** The rest of the body is not wanted. */
  cancel(): void;
}

/** What has come so far besides the head; grows until the end. */
export interface ResponseProgress {
  /** Byte string. */
  stderr: string;
  appStatus: number | undefined;
  protocolStatus: number | undefined;
  firstByteMs: number;
  totalMs: number | undefined;
}

export class ClientResponse {
  readonly status: number;
  /** As the application gave it; may be empty. */
  readonly reason: string;
  /** Header fields flat, in order: name, value, name, value ... */
  readonly fields: Fields;
  readonly #content: ResponseContent;
  readonly #progress: ResponseProgress;
  #headers: Headers | undefined;

  /** @internal */
  constructor(head: ResponseHead, content: ResponseContent, progress: ResponseProgress) {
    this.status = head.status;
    this.reason = head.reason;
    this.fields = head.fields;
    this.#content = content;
    this.#progress = progress;
  }

  get headers(): Headers {
    if (this.#headers === undefined) {
      this.#headers = new Headers();
      for (let i = 0; i < this.fields.length; i += 2)
        this.#headers.append(this.fields[i]!, this.fields[i + 1]!);
    }
    return this.#headers;
  }

  /**
   * The body as a stream. It ends only when the application said that the answer is complete, else it breaks with a
   * GatewayError. Destroying it gives the request up.
   */
  get body(): Readable {
    return this.#content.stream();
  }

  /** The whole body. Rejects with a GatewayError when the answer was cut. @throws {TypeError} it was read already */
  bytes(): Promise<Buffer> {
    return this.#content.collect();
  }

  /** The whole body, as UTF-8. */
  async text(): Promise<string> {
    return (await this.bytes()).toString('utf8');
  }

  /** The whole body, as JSON. @throws {SyntaxError} */
  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  /** Error output so far, as UTF-8, its first 64 KiB. */
  get stderr(): string {
    return toText(this.#progress.stderr);
  }

  /** The exit status that the application gave; undefined until the body has ended. */
  get appStatus(): number | undefined {
    return this.#progress.appStatus;
  }

  /** 0, "complete": with another one the request fails. Undefined until the body has ended. */
  get protocolStatus(): number | undefined {
    return this.#progress.protocolStatus;
  }

  get timings(): ResponseTimings {
    const { firstByteMs, totalMs } = this.#progress;
    return { firstByteMs, totalMs };
  }
}

const backlogBytesMax = 65_536;

/** A body on its way to its reader: kept, collected, or passed on to a stream. */
export class ResponseContent {
  readonly #flow: ResponseFlow;
  #chunks: Buffer[] = [];
  #backlogBytes = 0;
  #ended = false;
  #error: Error | undefined;
  #stream: Readable | undefined;
  #collector: { resolve(bytes: Buffer): void; reject(error: Error): void } | undefined;
  #isTaken = false;

  constructor(flow: ResponseFlow) {
    this.#flow = flow;
  }

  /** False: wait for `ResponseFlow.resume`. */
  push(chunk: Buffer): boolean {
    if (this.#stream !== undefined) return this.#stream.push(chunk);
    this.#chunks.push(chunk);
    this.#backlogBytes += chunk.length;
    return this.#collector !== undefined || this.#backlogBytes < backlogBytesMax;
  }

  end(): void {
    this.#ended = true;
    this.#stream?.push(null);
    this.#collector?.resolve(this.#concat());
  }

  fail(error: Error): void {
    this.#error = error;
    this.#stream?.destroy(error);
    this.#collector?.reject(error);
  }

  stream(): Readable {
    if (this.#stream !== undefined) return this.#stream;
    this.#take();
    const stream = new Readable({
      read: () => this.#flow.resume(),
      destroy: (error, done) => {
        if (!this.#ended) this.#flow.cancel();
        done(error);
      },
    });
    this.#stream = stream;
    for (const chunk of this.#chunks.splice(0)) stream.push(chunk);
    if (this.#error !== undefined) stream.destroy(this.#error);
    else if (this.#ended) stream.push(null);
    return stream;
  }

  async collect(): Promise<Buffer> {
    this.#take();
    if (this.#error !== undefined) throw this.#error;
    if (this.#ended) return this.#concat();
    return new Promise((resolve, reject) => {
      this.#collector = { resolve, reject };
      this.#flow.resume();
    });
  }

  #take(): void {
    if (this.#isTaken) throw new TypeError('The body was read already');
    this.#isTaken = true;
  }

  #concat(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }
}
