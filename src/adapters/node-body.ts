/** Reads a request's body from node:http for one receiver, with its pauses and its patience. */
import type { IncomingMessage } from 'node:http';
import { HttpRequestError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { BodyIntake, type BodyLimits } from './body-intake.ts';

/**
 * A chunked body in more pieces than this must have at least `pieceBytesMin` bytes a piece on average. Each chunk costs us
 * more than its bytes do, and nobody who wants his body to arrive sends it so (as Go's net/http since CVE-2023-39326).
 */
const piecesMax = 16_384;
const pieceBytesMin = 16;

export class NodeBodyReader implements BodyReader {
  readonly #req: IncomingMessage;
  readonly #intake: BodyIntake;
  readonly #exchange: { fail(error: unknown): void };
  #pieces = 0;

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
        this.#pieces += 1;
        if (this.#pieces > piecesMax && this.#isAbsurd) this.#refuse();
        else if (!this.#intake.data(chunk)) req.pause();
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

  /** The answer is complete, and the rest is dropped. */
  answered(): void {
    try {
      this.#intake.answered();
    } catch (error) {
      this.#exchange.fail(error);
    }
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

  /** Content-Length leaves nothing to be said of pieces: there they are those of the network. */
  get #isAbsurd(): boolean {
    return (
      this.bytesReceived < this.#pieces * pieceBytesMin &&
      this.#req.headers['transfer-encoding'] !== undefined
    );
  }

  #refuse(): void {
    const message = `Request body has ${this.#pieces} chunks for ${this.bytesReceived} bytes; send larger ones, of ${pieceBytesMin} bytes or more`;
    this.#intake.fail(new HttpRequestError('GW_ERR_HTTP_REQUEST', message));
  }

  #stop(): void {
    this.#req.removeAllListeners('data');
    this.#req.pause();
  }
}
