/** Reads a request's body from node:http for one receiver, with its pauses and its patience. */
import type { IncomingMessage } from 'node:http';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { BodyIntake, type BodyLimits } from './body-intake.ts';

export class NodeBodyReader implements BodyReader {
  readonly #req: IncomingMessage;
  readonly #intake: BodyIntake;
  readonly #exchange: { fail(error: unknown): void };

  /** @param exchange hears of an exception of the receiver */
  constructor(
    req: IncomingMessage,
    receiver: BodyReceiver,
    limits: BodyLimits,
    exchange: { fail(error: unknown): void },
  ) {
    this.#req = req;
    this.#exchange = exchange;
    this.#intake = new BodyIntake(receiver, limits, () => this.#stop());
    req.on('data', (chunk: Buffer) => {
      try {
        if (!this.#intake.data(chunk)) req.pause();
      } catch (error) {
        exchange.fail(error);
      }
    });
    req.on('end', () => {
      try {
        this.#intake.end();
      } catch (error) {
        exchange.fail(error);
      }
    });
    req.on('error', this.cut);
    req.on('close', this.cut);
  }

  /** The rest does not come: the client went away, or broke the framing. */
  readonly cut = (): void => {
    try {
      this.#intake.cut();
    } catch (error) {
      this.#exchange.fail(error);
    }
  };

  /** The receiver still waits for bytes. */
  get isOpen(): boolean {
    return this.#intake.isOpen;
  }

  get bytesReceived(): number {
    return this.#intake.bytesReceived;
  }

  resume(): void {
    this.#intake.resume();
    if (this.#intake.isOpen) this.#req.resume();
  }

  close(): void {
    this.#intake.close();
    this.#stop();
  }

  #stop(): void {
    this.#req.removeAllListeners('data');
    this.#req.pause();
  }
}
