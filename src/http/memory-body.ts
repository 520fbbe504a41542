/** Bodies that do not come from a client's connection, read as if they did. */
import type { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver, RequestBody } from './message.ts';

/** A body in memory. */
export class MemoryBody implements RequestBody {
  readonly bytes: Uint8Array;
  readonly replayable = true;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  read(receiver: BodyReceiver): BodyReader {
    return new MemoryBodyReader(this.bytes, receiver);
  }
}

/** Reads a body in memory: the bytes, possibly none, in one piece, after the constructor has returned. */
export class MemoryBodyReader implements BodyReader {
  readonly #receiver: BodyReceiver;
  #state: 'waiting' | 'given' | 'closed' = 'waiting';

  constructor(bytes: Uint8Array, receiver: BodyReceiver) {
    this.#receiver = receiver;
    queueMicrotask(() => {
      if (this.#state === 'closed') return;
      this.#state = 'given';
      if (bytes.length === 0 || receiver.data(bytes)) this.resume();
    });
  }

  resume(): void {
    if (this.#state !== 'given') return;
    this.#state = 'closed';
    this.#receiver.end();
  }

  close(): void {
    this.#state = 'closed';
  }
}

/** A body that nobody can read: the receiver hears why, after the constructor has returned. */
export class FailedBodyReader implements BodyReader {
  #receiver: BodyReceiver | undefined;

  constructor(error: GatewayError, receiver: BodyReceiver) {
    this.#receiver = receiver;
    queueMicrotask(() => this.#receiver?.error(error));
  }

  resume(): void {}

  close(): void {
    this.#receiver = undefined;
  }
}
