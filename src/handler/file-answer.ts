/**
 * Sends a file as an answer: validators, preconditions, ranges, and its bytes at the client's pace.
 * A small file is one read and one write; of a large one at most 64 KiB are under way.
 */
import { randomBytes } from 'node:crypto';
import { close, closeSync, fstatSync, read, readSync } from 'node:fs';
import type { Log } from '../base/log.ts';
import { checkPreconditions, isRangeValid, printHttpDate, type Validators } from '../http/conditions.ts';
import { findField, withoutFields } from '../http/fields.ts';
import type { Fields } from '../http/message.ts';
import { type ByteRange, parseRange } from '../http/ranges.ts';
import type { Reply, ReplyListener } from '../http/reply.ts';
import type { FileEntry } from './document-root.ts';
import type { RoutedRequest } from './handler.ts';
import { mediaTypeOf } from './media-type.ts';
import { openFile } from './open-file.ts';

export interface FileAnswer {
  /** 200 allows preconditions and ranges; with any other status the whole file is sent. */
  readonly status: number;
  /** Sent besides the file's own; a Content-Type among them wins over the one of the file's name. */
  readonly fields: Fields;
  /** Types by extension, before those that everybody knows. */
  readonly mediaTypes?: ReadonlyMap<string, string> | undefined;
  /** Hears of a file that cannot be read to its end when the head is already sent. */
  readonly log?: Log;
}

/** Whom a file is sent to. */
type Asked = Pick<RoutedRequest, 'exchange' | 'reply'>;

/**
 * Takes the reply and ends it, now or later.
 * @throws {HttpRequestError} GW_ERR_HTTP_FORBIDDEN, GW_ERR_HTTP_NOT_FOUND: the file cannot be opened; nothing was sent
 * @throws {GatewayError} GW_ERR_FILE: the system cannot open it, as without descriptors; nothing was sent
 */
export function sendFile(to: Asked, entry: FileEntry, answer: FileAnswer): void {
  const { method, fields } = to.exchange.request;
  const isConditional = answer.status === 200 && (method === 'GET' || method === 'HEAD');
  const verdict = isConditional ? checkPreconditions(fields, validatorsOf(entry)) : 'send';
  if (verdict === 'not-modified') {
    finish(to.reply, 304, [...withoutContent(answer.fields), ...validatorFields(entry)]);
  } else if (verdict === 'failed') {
    finish(to.reply, 412, ['Content-Length', '0']);
  } else if (method === 'HEAD') {
    const plan = planWhole(answer.status, entry.size);
    finish(to.reply, plan.status, [...headOf(entry, answer, isConditional), ...plan.fields]);
  } else {
    sendOpened(to, entry, answer, isConditional);
  }
}

/** What is sent: a status, its fields besides the file's own, and pieces of the file between bytes of ours. */
interface Plan {
  readonly status: number;
  readonly fields: Fields;
  readonly pieces: readonly (ByteRange | Buffer)[];
}

const chunkBytes = 65_536;

function sendOpened(
  { exchange, reply }: Asked,
  entry: FileEntry,
  answer: FileAnswer,
  isConditional: boolean,
): void {
  const { target, fields } = exchange.request;
  const descriptor = openFile(entry);
  let plan: Plan;
  try {
    const { size, mtimeMs } = fstatSync(descriptor);
    // The entry may be a second old; what is sent is what was opened.
    const opened: FileEntry = { ...entry, size, modifiedMs: mtimeMs };
    const head = headOf(opened, answer, isConditional);
    plan = isConditional ? planRanges(fields, opened, head) : planWhole(answer.status, size);
    const own = plan.status === 206 && plan.pieces.length > 1 ? withoutType(head) : head;
    reply.respond(plan.status, '', [...own, ...plan.fields]);
    if (sendSmall(reply, descriptor, plan)) {
      closeSync(descriptor);
      return;
    }
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  new FileSender(reply, descriptor, plan.pieces, target, answer.log).start();
}

/** One piece that fits into one chunk, or none, is sent at once. */
function sendSmall(reply: Reply, descriptor: number, { pieces }: Plan): boolean {
  const [piece] = pieces;
  if (piece === undefined) {
    reply.end();
    return true;
  }
  if (pieces.length > 1 || 'length' in piece || piece.last - piece.first >= chunkBytes) return false;
  const chunk = Buffer.allocUnsafe(piece.last - piece.first + 1);
  const bytes = readSync(descriptor, chunk, 0, chunk.length, piece.first);
  // A file that shrank makes the reply cut, since fewer bytes come than were announced.
  reply.end(chunk.subarray(0, bytes));
  return true;
}

/** Reads and writes in turns; stops when the client is gone. */
class FileSender implements ReplyListener {
  readonly #reply: Reply;
  readonly #descriptor: number;
  readonly #pieces: readonly (ByteRange | Buffer)[];
  readonly #target: string;
  readonly #log: Log | undefined;
  #index = 0;
  /** Within the current piece of the file. */
  #sent = 0;
  #reading = false;
  #closed = false;

  constructor(
    reply: Reply,
    descriptor: number,
    pieces: readonly (ByteRange | Buffer)[],
    target: string,
    log: Log | undefined,
  ) {
    this.#reply = reply;
    this.#target = target;
    this.#descriptor = descriptor;
    this.#pieces = pieces;
    this.#log = log;
  }

  start(): void {
    this.#reply.setListener(this);
    this.#next();
  }

  drained(): void {
    this.#next();
  }

  gone(): void {
    if (!this.#reading) this.#close();
  }

  #next(): void {
    if (this.#reading || this.#closed) return;
    for (;;) {
      const piece = this.#pieces[this.#index];
      if (piece === undefined) {
        this.#reply.end();
        this.#close();
        return;
      }
      if (!('length' in piece)) {
        this.#read(piece);
        return;
      }
      this.#index++;
      if (!this.#reply.write(piece)) return;
    }
  }

  #read(piece: ByteRange): void {
    const position = piece.first + this.#sent;
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, piece.last - position + 1));
    this.#reading = true;
    read(this.#descriptor, chunk, 0, chunk.length, position, (error, bytes) => {
      this.#reading = false;
      if (this.#reply.ended) this.#close();
      else if (error !== null || bytes === 0) this.#fail(error);
      else {
        this.#sent += bytes;
        if (position + bytes > piece.last) {
          this.#index++;
          this.#sent = 0;
        }
        if (this.#reply.write(bytes === chunk.length ? chunk : chunk.subarray(0, bytes))) this.#next();
      }
    });
  }

  #fail(error: Error | null): void {
    this.#log?.error('File cannot be read to its end; the answer is cut', {
      target: this.#target,
      reason: error?.message ?? 'it became shorter',
    });
    this.#reply.cut();
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    close(this.#descriptor, () => {});
  }
}

function finish(reply: Reply, status: number, fields: Fields): void {
  reply.respond(status, '', fields);
  reply.end();
}

function planWhole(status: number, size: number): Plan {
  return {
    status,
    fields: ['Content-Length', String(size)],
    pieces: size === 0 ? [] : [{ first: 0, last: size - 1 }],
  };
}

function planRanges(request: Fields, entry: FileEntry, head: Fields): Plan {
  const { size } = entry;
  const field = findField(request, 'range');
  const ranges =
    field === undefined || !isRangeValid(request, validatorsOf(entry)) ? undefined : parseRange(field, size);
  if (ranges === undefined) return planWhole(200, size);
  const [range] = ranges;
  if (range === undefined) {
    return { status: 416, fields: ['Content-Range', `bytes */${size}`, 'Content-Length', '0'], pieces: [] };
  }
  if (ranges.length > 1) return planMultipart(ranges, size, findField(head, 'content-type')!);
  return {
    status: 206,
    fields: [
      'Content-Range',
      `bytes ${range.first}-${range.last}/${size}`,
      'Content-Length',
      String(range.last - range.first + 1),
    ],
    pieces: [range],
  };
}

/** RFC 9110 14.6. The boundary is random, so that no file can hold it. */
function planMultipart(ranges: readonly ByteRange[], size: number, type: string): Plan {
  const boundary = randomBytes(15).toString('hex');
  const pieces: (ByteRange | Buffer)[] = [];
  let length = 0;
  const addText = (text: string): void => {
    pieces.push(Buffer.from(text, 'latin1'));
    length += text.length;
  };
  for (const range of ranges) {
    addText(
      `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: bytes ${range.first}-${range.last}/${size}\r\n\r\n`,
    );
    pieces.push(range);
    length += range.last - range.first + 1;
  }
  addText(`\r\n--${boundary}--\r\n`);
  return {
    status: 206,
    fields: ['Content-Type', `multipart/byteranges; boundary=${boundary}`, 'Content-Length', String(length)],
    pieces,
  };
}

function headOf(entry: FileEntry, answer: FileAnswer, isConditional: boolean): string[] {
  const head = [...answer.fields];
  if (findField(head, 'content-type') === undefined)
    head.push('Content-Type', mediaTypeOf(entry.path, answer.mediaTypes));
  if (isConditional) head.push('Accept-Ranges', 'bytes', ...validatorFields(entry));
  return head;
}

function validatorsOf(entry: FileEntry): Validators {
  return { etag: etagOf(entry), modifiedMs: entry.modifiedMs };
}

function validatorFields(entry: FileEntry): string[] {
  return ['Last-Modified', printHttpDate(entry.modifiedMs), 'ETag', etagOf(entry)];
}

/**
 * Strong: another length or another moment (to the microsecond) makes another tag. Nothing of the machine is in it, so that
 * equal copies behind a load balancer have equal tags.
 */
function etagOf({ size, modifiedMs }: FileEntry): string {
  return `"${size.toString(36)}-${Math.round(modifiedMs * 1000).toString(36)}"`;
}

function withoutType(fields: Fields): string[] {
  return withoutFields(fields, (name) => name === 'content-type');
}

/** A 304 has no content, and says nothing of it but its validators. */
function withoutContent(fields: Fields): string[] {
  return withoutFields(fields, (name) => name.startsWith('content-') && name !== 'content-location');
}
