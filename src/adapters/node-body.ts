/** Reads a request's body from node:http for one receiver, with its pauses and its patience. */
import type { IncomingMessage } from 'node:http';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { BodyIntake, type BodyLimits } from './body-intake.ts';

export class NodeBodyReader implements BodyReader {
  readonly #req: IncomingMessage;
  readonly #intake: BodyIntake;

  constructor(req: IncomingMessage, receiver: BodyReceiver, limits: BodyLimits) {
    this.#req = req;
    this.#intake = new BodyIntake(receiver, limits, () => this.#stop());
    req.on('data', (chunk: Buffer) => {
      if (!this.#intake.data(chunk)) req.pause();
    });
    req.on('end', () => this.#intake.end());
    req.on('error', () => this.#intake.cut());
    req.on('close', () => this.#intake.cut());
  }

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
