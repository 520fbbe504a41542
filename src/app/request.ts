/**
 * One FastCGI request as the application sees it: variables, input streams, output, and its end.
 * What is cheap is a call (`write`, `readStdin`), with boolean backpressure; `stdin`, `stdout`, `stderr` and `signal` are the
 * same for people, and made when they are asked for.
 */
import { type Readable, Writable } from 'node:stream';
import type { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { InputStream, RequestInput } from './input.ts';

/** What the application is asked to do (FastCGI 6). */
export type ApplicationRole = 'Responder' | 'Authorizer' | 'Filter';

/** The connection's side of a request: what a request needs of it. */
export interface RequestConnection {
  /** Sends bytes of an output stream; text is sent as UTF-8. False: wait for `whenDrained`. */
  write(requestId: number, stream: 'stdout' | 'stderr', bytes: Uint8Array | string): boolean;
  /** Calls back when the connection takes bytes again, or is gone. */
  whenDrained(callback: () => void): void;
  flush(): void;
  /** An input stream holds enough (true), or takes bytes again (false). */
  stall(stalled: boolean): void;
  end(request: ApplicationRequest, appStatus: number): void;
  cut(request: ApplicationRequest): void;
}

export class ApplicationRequest {
  /** Its id on this connection. */
  readonly id: number;
  readonly role: ApplicationRole;
  /** The variables: byte strings, the last value of a name that came twice. */
  readonly params: ReadonlyMap<string, string>;
  readonly #connection: RequestConnection;
  readonly #stdinInput: RequestInput;
  readonly #dataInput: RequestInput;
  #stdin: Readable | undefined;
  #data: Readable | undefined;
  #stdout: Writable | undefined;
  #stderr: Writable | undefined;
  #abortController: AbortController | undefined;
  #abortReason: GatewayError | undefined;
  #abortListeners: ((reason: GatewayError) => void)[] | undefined;
  #hasWritten = false;
  #state: 'open' | 'ended' = 'open';

  constructor(
    id: number,
    role: ApplicationRole,
    params: ReadonlyMap<string, string>,
    connection: RequestConnection,
  ) {
    this.id = id;
    this.role = role;
    this.params = params;
    this.#connection = connection;
    const stall = (stalled: boolean) => connection.stall(stalled);
    this.#stdinInput = new RequestInput(stall, role === 'Authorizer');
    this.#dataInput = new RequestInput(stall, role !== 'Filter');
  }

  /** The request body as a node stream. An error ends it when the web server went away or aborted. */
  get stdin(): Readable {
    this.#stdin ??= new InputStream(this.#stdinInput);
    return this.#stdin;
  }

  /** The file that a Filter works on, as a node stream; empty for other roles. */
  get data(): Readable {
    this.#data ??= new InputStream(this.#dataInput);
    return this.#data;
  }

  /** The request body by calls, in place of `stdin`; at most once. Pieces that have come already are told at once. */
  readStdin(receiver: BodyReceiver): BodyReader {
    return this.#stdinInput.read(receiver);
  }

  /** A Filter's file by calls, in place of `data`; at most once. */
  readData(receiver: BodyReceiver): BodyReader {
    return this.#dataInput.read(receiver);
  }

  /** Aborts when the web server gave up this request or its connection closed. */
  get signal(): AbortSignal {
    if (this.#abortController === undefined) {
      this.#abortController = new AbortController();
      if (this.#abortReason !== undefined) this.#abortController.abort(this.#abortReason);
    }
    return this.#abortController.signal;
  }

  /** The web server gave up this request, or its connection closed. */
  get aborted(): boolean {
    return this.#abortReason !== undefined;
  }

  /** Is called when `signal` aborts; cheaper than the signal. */
  whenAborted(listener: (reason: GatewayError) => void): void {
    if (this.#abortReason !== undefined) listener(this.#abortReason);
    else if (this.#abortListeners === undefined) this.#abortListeners = [listener];
    else this.#abortListeners.push(listener);
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** The answer has begun: output was written, other than interim heads. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /**
   * Writes output: bytes that nobody will change, or text, which is sent as UTF-8. It leaves at the end of this turn of the
   * event loop. Does nothing after the end.
   * @returns false: wait for `drained` before the next
   */
  write(bytes: Uint8Array | string): boolean {
    this.#hasWritten = true;
    return this.#write('stdout', bytes);
  }

  /** Writes an interim head (1xx), at once: the answer has not begun with it. */
  writeInterim(head: string): void {
    this.#write('stdout', head);
    this.flush();
  }

  /** Writes error output, for the web server's log. */
  writeError(bytes: Uint8Array | string): boolean {
    return this.#write('stderr', bytes);
  }

  /** Sends at once what was written; for programs that block the event loop. */
  flush(): void {
    this.#connection.flush();
  }

  /** Calls back when the connection takes bytes again, or is gone. */
  whenDrained(callback: () => void): void {
    this.#connection.whenDrained(callback);
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
    if (this.#close()) this.#connection.end(this, appStatus);
  }

  /**
   * Ends the request so that the web server sees that the answer is not whole: the connection closes without END_REQUEST,
   * after the other requests on it have ended.
   */
  cut(): void {
    if (this.#close()) this.#connection.cut(this);
  }

  /** The connection's call: an input stream's bytes. Empty: it has ended. */
  receive(stream: 'stdin' | 'data', bytes: Buffer): void {
    const input = stream === 'stdin' ? this.#stdinInput : this.#dataInput;
    if (bytes.length === 0) input.finish();
    else input.receive(bytes);
  }

  /** The connection's call: the web server aborted this request, or is gone. */
  abort(reason: GatewayError): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#stdinInput.fail(reason);
    this.#dataInput.fail(reason);
    this.#abortController?.abort(reason);
    for (const listener of this.#abortListeners ?? []) listener(reason);
  }

  #write(stream: 'stdout' | 'stderr', bytes: Uint8Array | string): boolean {
    if (this.#state === 'ended' || bytes.length === 0) return true;
    return this.#connection.write(this.id, stream, bytes);
  }

  #close(): boolean {
    if (this.#state === 'ended') return false;
    this.#state = 'ended';
    this.#stdin?.destroy();
    this.#data?.destroy();
    this.#stdinInput.close();
    this.#dataInput.close();
    return true;
  }

  #toWritable(stream: 'stdout' | 'stderr'): Writable {
    return new Writable({
      decodeStrings: true,
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#abortReason !== undefined) {
          done(this.#abortReason);
          return;
        }
        const isTaken = stream === 'stdout' ? this.write(chunk) : this.writeError(chunk);
        if (isTaken) done();
        else this.#connection.whenDrained(() => done());
      },
    });
  }
}
