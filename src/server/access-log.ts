/**
 * The access log: one line per exchange, in the combined format or as JSON, off the hot path.
 * Lines gather in a buffer, which is written once it has 64 KiB or is 100 ms old. When the disk, or the reader of a pipe, is slower
 * than the traffic, lines are dropped and counted, and neither requests nor the stop wait for it (F52). Authorization and cookies are never written.
 * Bytes rather than one growing string: V8 would keep such a string as a tree of its parts, and its garbage collector
 * would copy that tree again and again.
 */
import { closeSync, constants, openSync, write, writeSync } from 'node:fs';
import { ConfigError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { AnswerRecord } from '../handler/handler.ts';
import { equalsIgnoreCase } from '../http/fields.ts';
import type { HttpExchange } from '../http/message.ts';

/** What a line is made of. */
export interface AccessLogEntry {
  /** Without a method: what came was no request. */
  readonly exchange: Pick<HttpExchange, 'request' | 'status' | 'bodyBytesSent'>;
  readonly id: string;
  /** Host routed on; empty for none. */
  readonly host: string;
  readonly client: { readonly address: string };
  readonly record: AnswerRecord;
  readonly durationMs: number;
}

export interface AccessLogOptions {
  readonly format: 'combined' | 'json';
  /** Path of the file, or `-` for standard output. */
  readonly file: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Hears once of lines that were dropped, and of a file that cannot be written. */
  readonly log: Log;
}

/** Status of an exchange that the client left before its head was sent. */
const clientGoneStatus = 499;
const flushBytes = 65_536;
const flushMs = 100;
const bufferBytes = 2 * flushBytes;
/** Waiting bytes beyond which lines are dropped. */
const waitingBytesMax = 4 * 1024 * 1024;

const noBytes = Buffer.alloc(0);

export class AccessLog {
  readonly #options: AccessLogOptions;
  readonly #print: (entry: AccessLogEntry, time: string) => string;
  #descriptor: number;
  /** Lines not yet given to the system: whole pieces, the oldest first, and what `#buffer` holds from `#start` to `#end`. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #buffer: Buffer = noBytes;
  #start = 0;
  #end = 0;
  #writing = false;
  /** A pipe took no more: the next try is the timer's. */
  #isFull = false;
  #timer: NodeJS.Timeout | undefined;
  #second = -1;
  #time = '';
  #dropped = 0;
  #toldOfDrop = false;
  #closed = false;
  /** Descriptors that a write under way still needs. */
  readonly #retired: number[] = [];

  /** @throws {ConfigError} the file cannot be opened for appending */
  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.#print = options.format === 'json' ? printJson : printCombined;
    try {
      this.#descriptor = open(options.file);
    } catch (cause) {
      throw cannotOpen(options.file, cause as NodeJS.ErrnoException);
    }
  }

  /** Lines that were lost because they could not be written, or not soon enough. */
  get dropped(): number {
    return this.#dropped;
  }

  write(entry: AccessLogEntry): void {
    if (this.#closed) return;
    if (this.#waitingBytes > waitingBytesMax) {
      this.#drop();
      return;
    }
    const line = this.#print(entry, this.#timeAt(this.#options.now()));
    if (this.#end + line.length > this.#buffer.length) this.#takeBuffer(line.length);
    this.#end += this.#buffer.write(line, this.#end, 'latin1');
    this.#schedule();
  }

  /** Gives what waits to the system; called by the timer. */
  flush(): void {
    this.#flush();
  }

  /**
   * Opens the file anew, after a log rotation has moved it. Lines that wait go to the new file; when there can be none, to the old
   * one, and the log says so.
   */
  reopen(): void {
    const { file, log } = this.#options;
    if (file === '-' || this.#closed) return;
    const before = this.#descriptor;
    try {
      this.#descriptor = open(file);
    } catch (error) {
      log.error(`Access log cannot be opened anew: ${(error as Error).message}`, { file });
      return;
    }
    // A write under way still needs the old one.
    if (!this.#writing) closeSync(before);
    else this.#retired.push(before);
  }

  /** Writes what waits as far as that needs no waiting, tells how many lines were lost, and closes the file. May be called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#cutPiece();
    this.#writeLast(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#pieceBytes = 0;
    if (this.#dropped > 0) {
      this.#options.log.warn(`Access log dropped ${this.#dropped} lines`, { file: this.#options.file });
    }
    if (this.#writing) this.#retired.push(this.#descriptor);
    else this.#closeDescriptor(this.#descriptor);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isFull = false;
    if (this.#writing) return;
    if (this.#pieces.length === 0) this.#cutPiece();
    const piece = this.#pieces.shift();
    if (piece === undefined) return;
    this.#pieceBytes -= piece.length;
    this.#writing = true;
    this.#writeAll(this.#descriptor, piece);
  }

  get #waitingBytes(): number {
    return this.#pieceBytes + this.#end - this.#start;
  }

  #schedule(): void {
    if (this.#waitingBytes >= flushBytes && !this.#isFull) this.#flush();
    else this.#timer ??= setTimeout(flushWaiting, flushMs, this).unref();
  }

  /** What the buffer holds becomes a piece; what is free behind it takes further lines. */
  #cutPiece(): void {
    if (this.#end === this.#start) return;
    this.#pieces.push(this.#buffer.subarray(this.#start, this.#end));
    this.#pieceBytes += this.#end - this.#start;
    this.#start = this.#end;
  }

  /** A new buffer, because the old one has no room for a line of this length. */
  #takeBuffer(lineLength: number): void {
    this.#cutPiece();
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(bufferBytes, lineLength));
    this.#start = 0;
    this.#end = 0;
  }

  #writeAll(descriptor: number, bytes: Buffer): void {
    write(descriptor, bytes, 0, bytes.length, null, (error, written) => {
      if (error === null && written < bytes.length) {
        this.#writeAll(descriptor, bytes.subarray(written));
        return;
      }
      this.#writing = false;
      for (const retired of this.#retired.splice(0)) this.#closeDescriptor(retired);
      if (error !== null) this.#writeFailed(error, bytes);
      if (this.#waitingBytes > 0) this.#schedule();
    });
  }

  #writeFailed(error: NodeJS.ErrnoException, bytes: Buffer): void {
    if (error.code === 'EAGAIN' && !this.#closed) {
      this.#isFull = true;
      this.#pieces.unshift(bytes);
      this.#pieceBytes += bytes.length;
      return;
    }
    this.#dropped += countLines(bytes);
    if (error.code !== 'EAGAIN') this.#tellOnce(`Access log cannot be written: ${error.message}`);
  }

  #writeLast(bytes: Buffer): void {
    let left = bytes;
    try {
      while (left.length > 0) left = left.subarray(writeSync(this.#descriptor, left));
    } catch (error) {
      this.#writeFailed(error as NodeJS.ErrnoException, left);
    }
  }

  #closeDescriptor(descriptor: number): void {
    if (this.#options.file !== '-') closeSync(descriptor);
  }

  #drop(): void {
    this.#dropped++;
    this.#tellOnce('Access log drops lines: what takes them is slower than the traffic');
  }

  #tellOnce(message: string): void {
    if (this.#toldOfDrop) return;
    this.#toldOfDrop = true;
    this.#options.log.error(message, { file: this.#options.file });
  }

  /** A time stamp is printed once a second. */
  #timeAt(nowMs: number): string {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#time = this.#options.format === 'json' ? new Date(second * 1000).toISOString() : printTime(nowMs);
    }
    return this.#time;
  }
}

function flushWaiting(log: AccessLog): void {
  log.flush();
}

/** Not blocking, for pipes: a write waits for no reader, and neither does this. Files and systems without it ignore it. */
const openFlags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);

function open(file: string): number {
  return file === '-' ? 1 : openSync(file, openFlags, 0o640);
}

function cannotOpen(file: string, cause: NodeJS.ErrnoException): ConfigError {
  const message = `The access log ${file} cannot be opened (${cause.code}); name a file that may be written, or a pipe that is read`;
  return new ConfigError([{ path: '', message }], { cause });
}

/** A part of a line counts as one. */
function countLines(bytes: Buffer): number {
  const lineEnd = 0x0a;
  let count = 0;
  for (let at = bytes.indexOf(lineEnd); at >= 0; at = bytes.indexOf(lineEnd, at + 1)) count++;
  return count;
}

/** Apache's and nginx's `combined`: host ident user [time] "request" status bytes "referer" "user agent". */
function printCombined(entry: AccessLogEntry, time: string): string {
  const { exchange, client, record } = entry;
  const { method, target, version, fields } = exchange.request;
  const referer = findShort(fields, 7, 'referer');
  const agent = findShort(fields, 10, 'user-agent');
  const request = method === '' ? '-' : `${method} ${escapeQuoted(target)} HTTP/${version}`;
  // A space would move all that follows.
  const user = record.user ? escapeQuoted(record.user).replaceAll(' ', '\\x20') : '-';
  // Few pieces: V8 keeps each sum of long texts as an object of its own until somebody reads it.
  const from =
    referer === undefined && agent === undefined
      ? ' "-" "-"\n'
      : ` "${referer === undefined ? '-' : escapeQuoted(referer)}" "${agent === undefined ? '-' : escapeQuoted(agent)}"\n`;
  return `${client.address || '-'} - ${user} [${time}] "${request}" ${statusOf(exchange)} ${exchange.bodyBytesSent}${from}`;
}

/** One object a line. */
function printJson(entry: AccessLogEntry, time: string): string {
  const { exchange, client, record } = entry;
  const { method, target, version, fields } = exchange.request;
  return `{"time":"${time}","id":"${entry.id}","client":"${client.address}","host":${quote(entry.host)},"method":${quote(
    method,
  )},"target":${quote(target)},"version":"${version}","status":${statusOf(exchange)},"bytes":${
    exchange.bodyBytesSent
  },"durationMs":${Math.round(entry.durationMs)}${
    record.source === undefined ? '' : `,"source":${quote(record.source)},"tries":${record.tries}`
  }${record.waitedMs === undefined ? '' : `,"waitedMs":${Math.round(record.waitedMs)}`}${record.appStatus === undefined ? '' : `,"appStatus":${record.appStatus}`}${record.user === undefined ? '' : `,"user":${quote(record.user)}`},"referer":${quote(findShort(fields, 7, 'referer') ?? '')},"userAgent":${quote(
    findShort(fields, 10, 'user-agent') ?? '',
  )}}\n`;
}

function statusOf({ status }: AccessLogEntry['exchange']): number {
  return status === 0 ? clientGoneStatus : status;
}

/** As `findField`, but asks for the length first. */
function findShort(fields: readonly string[], length: number, name: string): string | undefined {
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index]!.length === length && equalsIgnoreCase(fields[index]!, name)) return fields[index + 1];
  }
  return undefined;
}

const specialBytes = /[^\x20\x21\x23-\x5b\x5d-\x7e]/;
const specialBytesAll = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g;

/** As nginx writes it: quotes, backslashes, controls and non-ASCII as `\xHH`, so that no client can forge a line. */
function escapeQuoted(text: string): string {
  if (!specialBytes.test(text)) return text;
  return text.replace(
    specialBytesAll,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
}

/** JSON in ASCII: bytes above 0x7e as \u00HH, one byte each. */
function quote(text: string): string {
  if (!specialBytes.test(text)) return `"${text}"`;
  return `"${text.replace(specialBytesAll, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `23/Nov/2026:23:22:05 +0100`, in local time. */
function printTime(nowMs: number): string {
  const date = new Date(nowMs);
  const two = (value: number) => String(value).padStart(2, '0');
  const zone = -date.getTimezoneOffset();
  const away = Math.abs(zone);
  const offset = `${zone < 0 ? '-' : '+'}${two(Math.floor(away / 60))}${two(away % 60)}`;
  const day = `${two(date.getDate())}/${months[date.getMonth()]}/${date.getFullYear()}`;
  return `${day}:${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${offset}`;
}
