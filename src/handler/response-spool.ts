/**
 * Stands between a fast application and a slow client, so that the client does not hold the application's worker (F36):
 * what the client does not take now waits in memory, then in a spool file, and only then the source is paused.
 * Before the file is begun the source waits for a moment: a client that only was busy takes what is in memory by then, and
 * disks are for those that are slow.
 * Bytes leave in the order in which they came. It exists only for answers whose client once said "wait".
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { GatewayError } from '../base/errors.ts';
import { PieceList } from '../base/piece-list.ts';
import type { Reply } from '../http/reply.ts';
import { SpoolFile, type SpoolFileListener, type SpoolFileReader } from './spool-file.ts';

/** Bytes of one piece that is read back from the file. */
const pieceBytes = 64 * 1024;

/** Bytes that may wait for the disk when the source cannot be paused. */
const sharedWaitingBytesMax = 16 * 1024 * 1024;

export interface ResponseSpoolOptions {
  readonly spoolDir: string;
  /** The source cannot be paused without an end to this answer: only the limit of the file may do that. */
  readonly isShared: boolean;
  /** Bytes that wait in memory before a file is opened. */
  readonly memoryBytesMax: number;
  /** Bytes that wait in the file before the source is paused. */
  readonly fileBytesMax: number;
  /** How long a full memory pauses the source before a file is opened; a source that cannot be paused does not wait. */
  readonly patienceMs: number;
  readonly clock: Clock;
}

/** Of an answer whose client is behind: what waits in memory. */
export const spoolMemoryBytesMax: number = 256 * 1024;

export const responseSpoolLimits: Omit<ResponseSpoolOptions, 'spoolDir' | 'isShared' | 'clock'> = {
  memoryBytesMax: spoolMemoryBytesMax,
  fileBytesMax: 1024 * 1024 * 1024,
  // Long for a client on the same machine, and nothing for a worker that waits so once in an answer (F36).
  patienceMs: 5,
};

export interface ResponseSpoolListener {
  /** There is room again, after `write` returned false. */
  spoolResumed(): void;
  /** The disk failed: the answer cannot be completed. */
  spoolFailed(error: GatewayError): void;
}

export class ResponseSpool implements SpoolFileListener, SpoolFileReader {
  readonly #reply: Reply;
  readonly #options: ResponseSpoolOptions;
  readonly #listener: ResponseSpoolListener;
  /** Older than everything in the file. */
  readonly #memory = new PieceList();
  /** Runs while a full memory pauses the source. */
  #patience: Timer | undefined;
  /** The client is slow: what memory does not hold goes into the file, until all of it was taken. */
  #isSlow = false;
  #file: SpoolFile | undefined;
  /** Bytes given to the file since it was empty, and how many of them went to the client. */
  #appended = 0;
  #position = 0;
  #reading = false;
  #clientTakes = false;
  #sourcePaused = false;
  #ended = false;
  #closed = false;

  /** Made at the moment when the client said "wait". */
  constructor(reply: Reply, options: ResponseSpoolOptions, listener: ResponseSpoolListener) {
    this.#reply = reply;
    this.#options = options;
    this.#listener = listener;
    this.#isSlow = this.#neverWaits;
  }

  /** Takes the bytes over. False: wait for `spoolResumed`. */
  write(chunk: Uint8Array): boolean {
    if (this.#closed) return true;
    const fits = this.#appended === 0 && this.#memory.bytes + chunk.length <= this.#options.memoryBytesMax;
    if (!fits && this.#isSlow) {
      if (!this.#append(chunk)) return true;
      this.#sourcePaused = this.#isFull();
      return !this.#sourcePaused;
    }
    if (this.#clientTakes && this.#memory.isEmpty) this.#clientTakes = this.#reply.write(chunk);
    else this.#memory.push(chunk);
    if (!fits) this.#wait();
    return !this.#sourcePaused;
  }

  /** The answer is complete: the reply ends when everything has left. */
  end(): void {
    this.#ended = true;
    this.#send();
  }

  /** The client takes bytes again. */
  drained(): void {
    this.#clientTakes = true;
    this.#send();
  }

  /** Drops everything; the reply is left alone. May be called twice. */
  close(): void {
    this.#closed = true;
    this.#options.clock.clearTimer(this.#patience);
    this.#memory.clear();
    this.#file?.close();
  }

  written(): void {
    this.#send();
  }

  failed(error: GatewayError): void {
    this.#fail(error);
  }

  bytesRead(bytes: Buffer): void {
    this.#reading = false;
    this.#position += bytes.length;
    this.#clientTakes = this.#reply.write(bytes);
    this.#send();
  }

  readFailed(error: GatewayError): void {
    this.#fail(error);
  }

  get #neverWaits(): boolean {
    return this.#options.isShared || this.#options.patienceMs === 0;
  }

  /** Memory is full: the source waits for the client, for a moment. */
  #wait(): void {
    this.#sourcePaused = true;
    const { clock, patienceMs } = this.#options;
    this.#patience ??= clock.setTimer(() => this.#becomeSlow(), patienceMs);
  }

  #becomeSlow(): void {
    this.#isSlow = true;
    this.#resumeSource();
  }

  #resumeSource(): void {
    this.#options.clock.clearTimer(this.#patience);
    this.#patience = undefined;
    this.#sourcePaused = false;
    this.#listener.spoolResumed();
  }

  #append(chunk: Uint8Array): boolean {
    try {
      this.#file ??= new SpoolFile(this.#options.spoolDir, this);
    } catch (error) {
      this.#fail(error as GatewayError);
      return false;
    }
    this.#file.append(chunk);
    this.#appended += chunk.length;
    return true;
  }

  #isFull(): boolean {
    const { fileBytesMax, memoryBytesMax, isShared } = this.#options;
    if (!this.#isSlow) return this.#memory.bytes > memoryBytesMax;
    const file = this.#file;
    if (this.#appended >= fileBytesMax) return true;
    return file !== undefined && (isShared ? file.waitingBytes > sharedWaitingBytesMax : file.isBehind);
  }

  #send(): void {
    if (this.#closed) return;
    while (this.#clientTakes && !this.#memory.isEmpty) {
      this.#clientTakes = this.#reply.write(this.#memory.shift()!);
    }
    if (this.#memory.isEmpty && this.#appended > 0) this.#sendFile(this.#file!);
    if (this.#sourcePaused && !this.#isFull()) this.#resumeSource();
    if (this.#ended && this.#memory.isEmpty && this.#appended === 0) {
      this.close();
      this.#reply.end();
    }
  }

  #sendFile(file: SpoolFile): void {
    if (this.#reading) return;
    if (this.#position === this.#appended) {
      file.reset();
      this.#appended = 0;
      this.#position = 0;
      this.#isSlow = this.#neverWaits;
    } else if (this.#clientTakes && this.#position < file.writtenBytes) {
      this.#reading = true;
      file.read(this.#position, pieceBytes, this);
    }
  }

  #fail(error: GatewayError): void {
    if (this.#closed) return;
    this.close();
    this.#listener.spoolFailed(error);
  }
}
