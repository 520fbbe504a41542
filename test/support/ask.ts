/** One request through a pool or a source, gathered into a promise: for tests. */
import type { GatewayError } from '../../src/base/errors.ts';
import type { ClientExchange, ClientListener, ClientRequest } from '../../src/client/index.ts';
import type { BodyReceiver, RequestBody } from '../../src/http/message.ts';
import { isIdempotent } from '../../src/http/method.ts';

/** What became of a request. */
export interface Outcome {
  readonly stdout: string;
  /** Bytes only. */
  readonly stderrBytes: number;
  readonly stderr: string;
  /** Undefined after an error. */
  readonly appStatus: number | undefined;
  readonly error: GatewayError | undefined;
  /** Calls of the listener, in order; equal ones in a row once. */
  readonly calls: readonly string[];
}

/** For a Responder, by whoever has `open`. */
type PlainRequest = Pick<ClientRequest, 'variables' | 'body' | 'mayRunTwice'>;

/** What has `open`. */
export interface Opener {
  open(request: PlainRequest, listener: ClientListener): ClientExchange;
}

/** A request for a scenario of the scripted application. */
export function requestFor(play: string, body?: RequestBody, method = 'GET'): PlainRequest {
  return { variables: ['REQUEST_METHOD', method, 'QUERY_STRING', `play=${play}`], body };
}

/** As a handler asks: what its method allows may run twice. */
function complete(request: PlainRequest): PlainRequest {
  const { variables } = request;
  const method = variables[variables.findIndex((name, i) => i % 2 === 0 && name === 'REQUEST_METHOD') + 1];
  return { mayRunTwice: isIdempotent(method ?? ''), ...request };
}

/** Opens a request and waits for its end; fails when the listener is called before `open` returned or after the end. */
export function ask(opener: Opener, request: PlainRequest): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let opened = false;
    let over = false;
    const chunks: Buffer[] = [];
    const errorChunks: Buffer[] = [];
    const calls: string[] = [];
    const note = (call: string) => {
      if (!opened) reject(new Error(`${call} was called before open returned`));
      if (over) reject(new Error(`${call} was called after the end`));
      if (calls.at(-1) !== call) calls.push(call);
    };
    const settle = (appStatus: number | undefined, error: GatewayError | undefined) => {
      over = true;
      const stderr = Buffer.concat(errorChunks).toString('latin1');
      const outcome = {
        stdout: Buffer.concat(chunks).toString('latin1'),
        stderr,
        stderrBytes: stderr.length,
        appStatus,
        error,
        calls,
      };
      // A moment later, so that a call after the end is seen.
      setImmediate(() => resolve(outcome));
    };
    opener.open(complete(request), {
      stdout(chunk) {
        note('stdout');
        chunks.push(chunk);
        return true;
      },
      stderr(chunk) {
        note('stderr');
        errorChunks.push(chunk);
      },
      end(appStatus) {
        note('end');
        settle(appStatus, undefined);
      },
      error(error) {
        note('error');
        settle(undefined, error);
      },
    });
    opened = true;
  });
}

/** A body in memory. */
export function bodyOf(bytes: Uint8Array): RequestBody {
  return { length: bytes.length, bytes, replayable: true, read: () => ({ resume() {}, close() {} }) };
}

/** A body that is read in pieces of `pieceBytes`, with respect for the receiver's wish to wait. */
export class PiecewiseBody implements RequestBody {
  readonly length: number;
  readonly bytes: undefined;
  readonly replayable: boolean;
  readonly #content: Uint8Array;
  readonly #pieceBytes: number;
  /** Times `read` was called. */
  reads = 0;
  /** Times the receiver asked to wait. */
  waits = 0;
  /** Bytes that were handed over in all. */
  sent = 0;
  closed = false;
  /** Ends with this error after half of the content. */
  failure: GatewayError | undefined;

  constructor(content: Uint8Array, pieceBytes: number, replayable = false) {
    this.#content = content;
    this.length = content.length;
    this.#pieceBytes = pieceBytes;
    this.replayable = replayable;
  }

  read(receiver: BodyReceiver): { resume(): void; close(): void } {
    this.reads++;
    let at = 0;
    let isOpen = true;
    const flow = () => {
      if (!isOpen) return;
      if (this.failure !== undefined && at >= this.#content.length / 2) {
        isOpen = false;
        receiver.error(this.failure);
      } else if (at >= this.#content.length) {
        isOpen = false;
        receiver.end();
      } else {
        const piece = this.#content.subarray(at, at + this.#pieceBytes);
        at += piece.length;
        this.sent += piece.length;
        if (receiver.data(piece)) setImmediate(flow);
        else this.waits++;
      }
    };
    setImmediate(flow);
    return {
      resume: () => {
        setImmediate(flow);
      },
      close: () => {
        isOpen = false;
        this.closed = true;
      },
    };
  }
}
