/**
 * The access log: one line per exchange, in the combined format or as JSON, off the hot path.
 * Entries gather, and are printed some at a time; lines gather in a buffer, which is written once it has 256 KiB or is 100 ms
 * old. When the disk, or the reader of a pipe, is slower than the traffic, lines are dropped and counted, and neither requests
 * nor the stop wait for it (F52). Authorization and cookies are never written.
 * Bytes rather than one growing string: V8 would keep such a string as a tree of its parts, and its garbage collector
 * would copy that tree again and again. A buffer that was written is used again: memory that is new costs more than a line.
 */
import { closeSync, constants, write, writeSync } from 'node:fs';
import type { Clock, Timer } from '../base/clock.ts';
import { ConfigError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { giveNewFile, openForAppending } from '../base/private-files.ts';
import { type AccessLogEntry, printJson, writeCombined } from './access-log-line.ts';

export interface AccessLogOptions {
  readonly format: 'combined' | 'json';
  /** Path of the file, or `-` for standard output. */
  readonly file: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly clock: Clock;
  /** Hears once of lines that were dropped, and of a file that cannot be written. */
  readonly log: Log;
}

/** Each hand-over costs the same, whatever the bytes: at full load this is about what comes in `flushMs`. */
const flushBytes = 262_144;
const flushMs = 100;
/** A stop waits for a write under way: a pipe may take nothing for ever. */
const lastWriteMs = 1_000;
/** Printed one after the other, lines cost less: code and tables are then in the caches of the processor. */
const entriesMax = 16;
const bufferBytes = 2 * flushBytes;
/** Waiting bytes beyond which lines are dropped. */
const waitingBytesMax = 4 * 1024 * 1024;

const noBytes = Buffer.alloc(0);

export class AccessLog {
  readonly #options: AccessLogOptions;
  /** -1 before `open`. */
  #descriptor = -1;
  /** Exchanges that ended in the second `#second` and are not yet printed: a few, for `flushMs` at most. */
  readonly #entries: AccessLogEntry[] = [];
  /** Lines not yet given to the system: whole pieces, the oldest first, each a buffer of its own, and `#buffer` up to `#end`. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #buffer: Buffer = noBytes;
  #end = 0;
  /** One that was written. */
  #spare: Buffer | undefined;
  #writing = false;
  /** A pipe took no more: the next try is the timer's. */
  #isFull = false;
  #timer: Timer | undefined;
  #second = -1;
  #time = '';
  #dropped = 0;
  #hasWarnedOfDrop = false;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  /** Hears that the write under way has ended. */
  #written: (() => void) | undefined;
  /** Descriptors that a write under way still needs. */
  readonly #retired: number[] = [];
  readonly #flushWaiting = (): void => this.#flush();

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  /**
   * Opens the file, once; lines before that are not written.
   * @param owner whom a file is given that was made by root: who will have to open it again
   * @throws {ConfigError} it cannot be opened for appending
   */
  open(owner?: { readonly uid: number; readonly gid: number }): void {
    if (this.#isOpen || this.#isClosed) return;
    const { file } = this.#options;
    try {
      this.#descriptor = open(file);
    } catch (cause) {
      throw cannotOpen(file, cause as NodeJS.ErrnoException);
    }
    if (owner !== undefined && file !== '-') giveNewFile(this.#descriptor, owner);
  }

  get #isOpen(): boolean {
    return this.#descriptor !== -1;
  }

  /** Lines that were lost because they could not be written, or not soon enough. */
  get dropped(): number {
    return this.#dropped;
  }

  write(entry: AccessLogEntry): void {
    if (this.#isClosed || !this.#isOpen) return;
    if (this.#waitingBytes > waitingBytesMax) {
      this.#drop();
      return;
    }
    const second = Math.floor(this.#options.now() / 1000);
    if (second !== this.#second) this.#turnTo(second);
    this.#entries.push(entry);
    if (this.#entries.length >= entriesMax) this.#print();
    this.#schedule();
  }

  /**
   * Opens the file anew, after a log rotation has moved it. Lines that wait go to the new file; when there can be none, to the old
   * one, and the log says so.
   */
  reopen(): void {
    const { file, log } = this.#options;
    if (file === '-' || this.#isClosed || !this.#isOpen) return;
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

  /**
   * Writes what waits as far as that needs no waiting, tells how many lines were lost, and closes the file. May be called twice.
   * @returns resolves when the write under way has ended as well, or has taken `lastWriteMs`
   */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#options.clock.clearTimer(this.#timer);
    this.#print();
    this.#cutPiece();
    if (this.#writing) await this.#writeUnderWay();
    this.#writeLast(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#pieceBytes = 0;
    if (this.#dropped > 0) {
      this.#options.log.warn(`Access log dropped ${this.#dropped} lines`, { file: this.#options.file });
    }
    if (this.#writing) this.#retired.push(this.#descriptor);
    else this.#closeDescriptor(this.#descriptor);
  }

  #writeUnderWay(): Promise<void> {
    return new Promise((resolve) => {
      const { clock } = this.#options;
      const timer = clock.setTimer(resolve, lastWriteMs);
      this.#written = () => {
        clock.clearTimer(timer);
        resolve();
      };
    });
  }

  #flush(): void {
    this.#options.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#isFull = false;
    this.#print();
    if (this.#writing) return;
    if (this.#pieces.length === 0) this.#cutPiece();
    const piece = this.#pieces.shift();
    if (piece === undefined) return;
    this.#pieceBytes -= piece.length;
    this.#writing = true;
    this.#writeAll(this.#descriptor, piece);
  }

  get #waitingBytes(): number {
    return this.#pieceBytes + this.#end;
  }

  #schedule(): void {
    if (this.#waitingBytes >= flushBytes && !this.#isFull) this.#flush();
    else if (this.#timer === undefined) {
      this.#timer = this.#options.clock.setTimer(this.#flushWaiting, flushMs);
      this.#timer.unref();
    }
  }

  #print(): void {
    const isCombined = this.#options.format === 'combined';
    for (const entry of this.#entries) {
      if (isCombined) this.#writeCombined(entry, this.#time);
      else this.#writeText(printJson(entry, this.#time));
    }
    this.#entries.length = 0;
  }

  #writeCombined(entry: AccessLogEntry, time: string): void {
    // Not beyond the end of nothing: V8 does that slowly, byte for byte.
    if (this.#buffer === noBytes) this.#takeBuffer(0);
    let end = writeCombined(this.#buffer, this.#end, entry, time);
    if (end > this.#buffer.length) {
      this.#takeBuffer(end - this.#end);
      end = writeCombined(this.#buffer, 0, entry, time);
    }
    this.#end = end;
  }

  #writeText(line: string): void {
    if (this.#end + line.length > this.#buffer.length) this.#takeBuffer(line.length);
    this.#end += this.#buffer.write(line, this.#end, 'latin1');
  }

  /** What the buffer holds becomes a piece, and the buffer goes with it. */
  #cutPiece(): void {
    if (this.#end === 0) return;
    this.#pieces.push(this.#buffer.subarray(0, this.#end));
    this.#pieceBytes += this.#end;
    this.#buffer = noBytes;
    this.#end = 0;
  }

  /** Another buffer, because this one has no room for a line of this length. */
  #takeBuffer(lineLength: number): void {
    this.#cutPiece();
    if (lineLength > bufferBytes) {
      this.#buffer = Buffer.allocUnsafeSlow(lineLength);
    } else {
      this.#buffer = this.#spare ?? Buffer.allocUnsafeSlow(bufferBytes);
      this.#spare = undefined;
    }
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
      else if (bytes.buffer.byteLength === bufferBytes) this.#spare = Buffer.from(bytes.buffer);
      if (this.#isClosed) this.#written?.();
      else if (this.#waitingBytes > 0) this.#schedule();
    });
  }

  #writeFailed(error: NodeJS.ErrnoException, bytes: Buffer): void {
    if (error.code === 'EAGAIN' && !this.#isClosed) {
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
    if (this.#hasWarnedOfDrop) return;
    this.#hasWarnedOfDrop = true;
    this.#options.log.error(message, { file: this.#options.file });
  }

  /** A time stamp is made once a second; what ended before it is printed with its own. */
  #turnTo(second: number): void {
    this.#print();
    this.#second = second;
    const date = new Date(second * 1000);
    this.#time = this.#options.format === 'json' ? date.toISOString() : printTime(date);
  }
}

/** Not blocking, for pipes: a write waits for no reader, and neither does this. Files and systems without it ignore it. */
const openFlags = constants.O_NONBLOCK ?? 0;

function open(file: string): number {
  return file === '-' ? 1 : openForAppending(file, openFlags, 0o640);
}

function cannotOpen(file: string, cause: NodeJS.ErrnoException): ConfigError {
  // Ours say what is wrong with the path.
  const reason = cause.code === 'ELOOP' ? cause.message : cause.code;
  const message = `The access log ${file} cannot be opened (${reason}); name a file that may be written, or a pipe that is read`;
  return new ConfigError([{ path: '', message }], { cause });
}

/** A part of a line counts as one. */
function countLines(bytes: Buffer): number {
  const lineEnd = 0x0a;
  let count = 0;
  for (let at = bytes.indexOf(lineEnd); at >= 0; at = bytes.indexOf(lineEnd, at + 1)) count++;
  return count;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `23/Nov/2026:23:22:05 +0100`, in local time. */
function printTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const zone = -date.getTimezoneOffset();
  const away = Math.abs(zone);
  const offset = `${zone < 0 ? '-' : '+'}${two(Math.floor(away / 60))}${two(away % 60)}`;
  const day = `${two(date.getDate())}/${months[date.getMonth()]}/${date.getFullYear()}`;
  return `${day}:${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${offset}`;
}
