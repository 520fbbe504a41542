/** Reads the body of a Request for one receiver, with its pauses and its patience. */
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { BodyClock, type BodyLimits } from './body-clock.ts';

export class FetchBodyReader implements BodyReader {
  readonly #stream: ReadableStreamDefaultReader<Uint8Array>;
  readonly #clock: BodyClock;
  #receiver: BodyReceiver | undefined;
  #isWaiting = false;

  /** @param body not locked */
  constructor(body: ReadableStream<Uint8Array>, receiver: BodyReceiver, limits: BodyLimits) {
    this.#stream = body.getReader();
    this.#receiver = receiver;
    this.#clock = new BodyClock(limits, (error) => this.#fail(error));
    this.#read();
  }

  resume(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#clock.resume();
    this.#read();
  }

  close(): void {
    this.#receiver = undefined;
    this.#isWaiting = false;
    this.#clock.stop();
    // Whoever sends the body may stop; that it cannot be told any more is no news.
    this.#stream.cancel().catch(() => {});
  }

  /** The client went away. */
  cut(): void {
    this.#fail(this.#clock.cut());
  }

  #read(): void {
    this.#stream.read().then(
      ({ done, value }) => (done ? this.#end() : this.#data(value)),
      () => this.cut(),
    );
  }

  #data(chunk: Uint8Array): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    if (!(chunk instanceof Uint8Array)) {
      this.#fail(
        new HttpRequestError(
          'GW_ERR_HTTP_REQUEST',
          `Request body gives a piece of type ${typeof chunk}, expected Uint8Array`,
        ),
      );
      return;
    }
    this.#clock.received(chunk.length);
    this.#isWaiting = !receiver.data(chunk);
    if (this.#isWaiting) this.#clock.pause();
    else this.#read();
  }

  #end(): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.#receiver = undefined;
    this.#clock.stop();
    receiver.end();
  }

  /** Ends the body with an error, unless it has ended. */
  #fail(error: GatewayError): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.close();
    receiver.error(error);
  }
}
