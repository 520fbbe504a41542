/** Reads the body of a Request for one receiver, with its pauses and its patience. */
import { HttpRequestError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { BodyIntake, type BodyLimits } from './body-intake.ts';

export class FetchBodyReader implements BodyReader {
  readonly #stream: ReadableStreamDefaultReader<Uint8Array>;
  readonly #intake: BodyIntake;
  #isWaiting = false;

  /** @param body not locked */
  constructor(body: ReadableStream<Uint8Array>, receiver: BodyReceiver, limits: BodyLimits) {
    this.#stream = body.getReader();
    this.#intake = new BodyIntake(receiver, limits, () => this.#stop());
    this.#read();
  }

  get bytesReceived(): number {
    return this.#intake.bytesReceived;
  }

  resume(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#intake.resume();
    this.#read();
  }

  close(): void {
    this.#intake.close();
    this.#stop();
  }

  /** The client went away. */
  cut(): void {
    this.#intake.cut();
  }

  #read(): void {
    this.#stream.read().then(
      ({ done, value }) => (done ? this.#intake.end() : this.#data(value)),
      () => this.#intake.cut(),
    );
  }

  #data(chunk: Uint8Array): void {
    if (!this.#intake.isOpen) return;
    if (chunk instanceof Uint8Array) {
      this.#isWaiting = !this.#intake.data(chunk);
      if (!this.#isWaiting) this.#read();
    } else {
      const message = `Request body gives a piece of type ${typeof chunk}, expected Uint8Array`;
      this.#intake.fail(new HttpRequestError('GW_ERR_HTTP_REQUEST', message));
    }
  }

  #stop(): void {
    this.#isWaiting = false;
    // The sender of the body may stop; that it can no longer be told changes nothing.
    this.#stream.cancel().catch(() => {});
  }
}
