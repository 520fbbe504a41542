/**
 * Sends a request body as STDIN records while it is being read, and a Filter's file as DATA after it (FastCGI 6.4), no
 * faster than the application takes it. From the web server's side.
 */
import type { GatewayError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver, RequestBody } from '../http/message.ts';
import { RecordType } from '../protocol/constants.ts';
import { printHeader } from '../protocol/record-encoder.ts';

/** Most content bytes of one STDIN record: half of what a record holds, as other servers do (T11). */
const recordBytesMax = 32_768;

/** Where records go. */
export interface RecordSink {
  /** Sends a record's header and content; false: wait for `StdinSender.drained`. */
  send(header: string, content: Uint8Array | undefined): boolean;
  /** The body cannot be read to its end. */
  bodyFailed(error: GatewayError): void;
}

export class StdinSender implements BodyReceiver {
  readonly #sink: RecordSink;
  readonly #requestId: number;
  /** What is still to be sent after the present stream. */
  #data: RequestBody | undefined;
  #type: RecordType;
  #reader: BodyReader;
  /** The body is one side of a conversation: nobody says that more is to come. */
  readonly isConversation: boolean;
  #state: 'flowing' | 'waiting' | 'ended' | 'stopped' = 'flowing';

  /**
   * Starts to read.
   * @param body undefined when STDIN has ended already and only `data` is to be sent
   */
  constructor(
    sink: RecordSink,
    requestId: number,
    body: RequestBody | undefined,
    data: RequestBody | undefined,
  ) {
    this.#sink = sink;
    this.#requestId = requestId;
    this.#data = body === undefined ? undefined : data;
    this.#type = body === undefined ? RecordType.Data : RecordType.Stdin;
    this.isConversation = body?.isConversation === true;
    this.#reader = (body ?? data)!.read(this);
  }

  /** Everything, with the record that ends the last stream, was handed to the sink. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** The sink has taken all there is, and the body has more, which is to come. */
  get waitsForBody(): boolean {
    return this.#state === 'flowing' && !this.isConversation;
  }

  /** The sink is full. */
  get waitsToSend(): boolean {
    return this.#state === 'waiting';
  }

  /** The sink takes bytes again. */
  drained(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'flowing';
    this.#reader.resume();
  }

  /** Stops reading. The stream stays without an end, so that the application cannot take a part for the whole (F34). */
  stop(): void {
    if (this.#state === 'ended' || this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#reader.close();
  }

  data(chunk: Uint8Array): boolean {
    if (this.#state === 'stopped') return false;
    let takesMore = true;
    for (let start = 0; start < chunk.length; start += recordBytesMax) {
      const content = chunk.length <= recordBytesMax ? chunk : chunk.subarray(start, start + recordBytesMax);
      takesMore = this.#sink.send(printHeader(this.#type, this.#requestId, content.length), content);
    }
    if (!takesMore) this.#state = 'waiting';
    return takesMore;
  }

  end(): void {
    if (this.#state === 'stopped') return;
    const next = this.#data;
    if (next === undefined) this.#state = 'ended';
    this.#sink.send(printHeader(this.#type, this.#requestId, 0), undefined);
    if (next === undefined) return;
    this.#data = undefined;
    this.#type = RecordType.Data;
    this.#state = 'flowing';
    this.#reader = next.read(this);
  }

  error(error: GatewayError): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#sink.bodyFailed(error);
  }
}
