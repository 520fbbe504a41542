/** Reads a request's body from node:http for one receiver, with its pauses and its patience. */
import type { IncomingMessage } from 'node:http';
import type { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { BodyClock, type BodyLimits } from './body-clock.ts';

export class NodeBodyReader implements BodyReader {
  readonly #req: IncomingMessage;
  readonly #clock: BodyClock;
  #receiver: BodyReceiver | undefined;

  constructor(req: IncomingMessage, receiver: BodyReceiver, limits: BodyLimits) {
    this.#req = req;
    this.#receiver = receiver;
    this.#clock = new BodyClock(limits, (error) => this.#fail(error));
    req.on('data', (chunk: Buffer) => this.#data(chunk));
    req.on('end', () => this.#end());
    req.on('error', () => this.#fail(this.#clock.cut()));
    req.on('close', () => this.#fail(this.#clock.cut()));
  }

  /** The receiver still waits for bytes. */
  get isOpen(): boolean {
    return this.#receiver !== undefined;
  }

  resume(): void {
    this.#clock.resume();
    if (this.#receiver !== undefined) this.#req.resume();
  }

  close(): void {
    this.#receiver = undefined;
    this.#clock.stop();
    this.#req.removeAllListeners('data');
    this.#req.pause();
  }

  #data(chunk: Buffer): void {
    this.#clock.received(chunk.length);
    if (this.#receiver?.data(chunk) === false) {
      this.#clock.pause();
      this.#req.pause();
    }
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
