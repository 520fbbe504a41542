/**
 * One FastCGI request as the application sees it: variables, input streams, output, and its end.
 * Output is written at once, with boolean backpressure; `stdout` and `stderr` are the same as node streams.
 * Input that is not read stops the connection after 64 KiB, so a request holds bounded memory.
 */
import { Readable, Writable } from 'node:stream';

/** What the application is asked to do (FastCGI 6). */
export type ApplicationRole = 'Responder' | 'Authorizer' | 'Filter';

/** The connection's side of a request: what a request needs of it. */
export interface RequestConnection {
  /** Sends bytes of an output stream. False: wait for `drained`. */
  write(requestId: number, stream: 'stdout' | 'stderr', bytes: Uint8Array): boolean;
  /** Calls back when the connection takes bytes again, or is gone. */
  whenDrained(callback: () => void): void;
  /** An input stream holds enough (true), or takes bytes again (false). */
  stall(stalled: boolean): void;
  end(request: ApplicationRequest, appStatus: number): void;
}

/** Bytes of an input stream held before the connection is stopped. */
const inputBytesMax = 65_536;

export class ApplicationRequest {
  /** Its id on this connection. */
  readonly id: number;
  readonly role: ApplicationRole;
  /** The variables: byte strings, the last value of a name that came twice. */
  readonly params: ReadonlyMap<string, string>;
  /** The request body. An error ends it when the web server went away or aborted. */
  readonly stdin: InputStream;
  /** The file that a Filter works on; empty for other roles. */
  readonly data: InputStream;
  readonly #connection: RequestConnection;
  readonly #abort = new AbortController();
  #stdout: Writable | undefined;
  #stderr: Writable | undefined;
  #state: 'open' | 'ended' = 'open';

  constructor(options: {
    readonly id: number;
    readonly role: ApplicationRole;
    readonly params: ReadonlyMap<string, string>;
    readonly connection: RequestConnection;
  }) {
    this.id = options.id;
    this.role = options.role;
    this.params = options.params;
    this.#connection = options.connection;
    const stall = (stalled: boolean) => options.connection.stall(stalled);
    this.stdin = new InputStream(stall);
    this.data = new InputStream(stall);
    if (this.role === 'Authorizer') this.stdin.finish();
    if (this.role !== 'Filter') this.data.finish();
  }

  /** Aborts when the web server gave up this request or its connection closed. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** Writes output bytes; they are copied. False: wait for `drained` before the next. Does nothing after the end. */
  write(bytes: Uint8Array | string): boolean {
    return this.#write('stdout', bytes);
  }

  /** Writes error output, for the web server's log. */
  writeError(bytes: Uint8Array | string): boolean {
    return this.#write('stderr', bytes);
  }

  /** Resolves when the connection takes bytes again, or is gone. */
  drained(): Promise<void> {
    return new Promise((resolve) => this.#connection.whenDrained(resolve));
  }

  /** The output as a node stream. Ending it does not end the request: `end` does. */
  get stdout(): Writable {
    this.#stdout ??= this.#toWritable('stdout');
    return this.#stdout;
  }

  /** The error output as a node stream. */
  get stderr(): Writable {
    this.#stderr ??= this.#toWritable('stderr');
    return this.#stderr;
  }

  /**
   * Ends the request: the answer is complete. Input that was not read is dropped. May be called twice.
   * @param appStatus the status a CGI program would exit with, 32 bits unsigned
   */
  end(appStatus = 0): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.stdin.discard();
    this.data.discard();
    this.#connection.end(this, appStatus);
  }

  /** The connection's call: the web server aborted this request, or is gone. */
  abort(reason: Error): void {
    if (this.#abort.signal.aborted) return;
    this.stdin.fail(reason);
    this.data.fail(reason);
    this.#abort.abort(reason);
  }

  #write(stream: 'stdout' | 'stderr', bytes: Uint8Array | string): boolean {
    if (this.#state === 'ended' || bytes.length === 0) return true;
    return this.#connection.write(this.id, stream, typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
  }

  #toWritable(stream: 'stdout' | 'stderr'): Writable {
    return new Writable({
      decodeStrings: true,
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#abort.signal.aborted) done(this.#abort.signal.reason as Error);
        else if (this.#write(stream, chunk)) done();
        else this.#connection.whenDrained(() => done());
      },
    });
  }
}

/** STDIN or DATA as a node stream that tells when it holds enough. */
export class InputStream extends Readable {
  readonly #stall: (stalled: boolean) => void;
  #stalled = false;
  #finished = false;

  constructor(stall: (stalled: boolean) => void) {
    super({ highWaterMark: inputBytesMax });
    this.#stall = stall;
    // An application that never looks at its input must not die of the abort; whoever reads it still hears the error.
    this.on('error', () => {});
  }

  /** The connection's call: more bytes, copied, since the connection reuses its buffer. */
  receive(bytes: Uint8Array): void {
    if (this.#finished || this.destroyed) return;
    if (!this.push(Buffer.from(bytes))) this.#setStalled(true);
  }

  finish(): void {
    if (this.#finished || this.destroyed) return;
    this.#finished = true;
    this.push(null);
  }

  fail(reason: Error): void {
    this.#setStalled(false);
    if (!this.#finished) this.destroy(reason);
    this.#finished = true;
  }

  /** Nobody reads what is left. */
  discard(): void {
    this.#finished = true;
    this.#setStalled(false);
    this.destroy();
  }

  override _read(): void {
    this.#setStalled(false);
  }

  #setStalled(stalled: boolean): void {
    if (this.#stalled === stalled) return;
    this.#stalled = stalled;
    this.#stall(stalled);
  }
}
