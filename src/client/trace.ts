/** Shows the records of a connection to a curious caller, as `fastway request` does; costs nothing when nobody asks. */
import { type RecordListener, RecordParser } from '../protocol/record-parser.ts';

/**
 * Hears of records in both directions. A stream's content comes in the pieces in which it arrived.
 * `content` is only to look at during the call.
 */
export type RecordTrace = (
  direction: 'sent' | 'received',
  type: number,
  requestId: number,
  content: Buffer,
) => void;

/** Passes on what a parser finds, and tells of it. */
export class TracedRecords implements RecordListener {
  readonly #next: RecordListener;
  readonly #trace: RecordTrace;

  constructor(next: RecordListener, trace: RecordTrace) {
    this.#next = next;
    this.#trace = trace;
  }

  stream(type: number, requestId: number, bytes: Buffer): void {
    this.#trace('received', type, requestId, bytes);
    this.#next.stream(type, requestId, bytes);
  }

  record(type: number, requestId: number, content: Buffer): void {
    this.#trace('received', type, requestId, content);
    this.#next.record(type, requestId, content);
  }
}

/** Tells of whole records that were sent, in one or two pieces. */
export function traceSent(trace: RecordTrace, bytes: string | Uint8Array, rest?: Uint8Array): void {
  const tell = (type: number, requestId: number, content: Buffer) => trace('sent', type, requestId, content);
  const parser = new RecordParser({ stream: tell, record: tell });
  parser.push(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes));
  if (rest !== undefined) parser.push(Buffer.from(rest));
}
