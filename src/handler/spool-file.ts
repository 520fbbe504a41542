/**
 * A private file for a body that does not fit in memory: appended in order, read back from any place.
 * It has no name from the moment it is open (O_EXCL, mode 0600, then unlinked; T104), so nobody else can reach it and
 * nothing is left behind, however this process ends.
 */
import { close, read, writev } from 'node:fs';
import { GatewayError } from '../base/errors.ts';
import { PieceList } from '../base/piece-list.ts';
import { openNamelessFile } from '../base/private-files.ts';

/** Bytes that may wait for the disk before it counts as behind. */
const waitingBytesMax = 1024 * 1024;

/** Most pieces that are written at once: the system takes 1024. */
const piecesMax = 512;

export interface SpoolFileListener {
  /** More bytes than before can be read; asked after each write to disk. */
  written(): void;
  /** The disk took no more (full, broken). The file is of no further use: close it. */
  failed(error: GatewayError): void;
}

/** Hears of one `read`: one of the two. */
export interface SpoolFileReader {
  bytesRead(bytes: Buffer): void;
  readFailed(error: GatewayError): void;
}

export class SpoolFile {
  readonly #directory: string;
  readonly #listener: SpoolFileListener;
  readonly #fd: number;
  readonly #waiting = new PieceList();
  /** Older than what waits: on its way to the disk. */
  #leaving: Buffer[] = [];
  #leavingBytes = 0;
  #writtenBytes = 0;
  /** Reads and writes under way: the descriptor must outlive them, or they would hit whatever gets its number next. */
  #operations = 0;
  #writing = false;
  #closed = false;

  /** @throws {GatewayError} GW_ERR_SPOOL: no space, no descriptors, directory missing or not writable */
  constructor(directory: string, listener: SpoolFileListener) {
    this.#directory = directory;
    this.#listener = listener;
    try {
      this.#fd = openNamelessFile(directory);
    } catch (cause) {
      throw spoolError('open', directory, cause);
    }
  }

  /** Bytes on disk: what can be read. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Everything that was appended is on disk. */
  get isFlushed(): boolean {
    return this.waitingBytes === 0;
  }

  /** The disk lags behind: append nothing before `written` was called and this is false. */
  get isBehind(): boolean {
    return this.waitingBytes > waitingBytesMax;
  }

  /** Bytes in memory that wait for the disk. */
  get waitingBytes(): number {
    return this.#waiting.bytes + this.#leavingBytes;
  }

  /** Takes the bytes over. */
  append(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#waiting.push(chunk);
    if (!this.#writing) this.#writeNext();
  }

  /** Reads up to `length` bytes that are on disk; the buffer is the reader's. Nothing is called back after `close`. */
  read(position: number, length: number, reader: SpoolFileReader): void {
    const buffer = Buffer.allocUnsafeSlow(Math.min(length, this.#writtenBytes - position));
    this.#operations += 1;
    read(this.#fd, buffer, 0, buffer.length, position, (cause, bytesRead) => {
      this.#operations -= 1;
      if (this.#closed) this.#closeWhenIdle();
      else if (cause !== null) reader.readFailed(spoolError('read', this.#directory, cause));
      else if (bytesRead === 0 && buffer.length > 0) {
        reader.readFailed(new GatewayError('GW_ERR_SPOOL', `Spool file ends before byte ${position}`));
      } else reader.bytesRead(buffer.subarray(0, bytesRead));
    });
  }

  /** Forgets what is in it, to be filled from the start again. Only when flushed. */
  reset(): void {
    this.#writtenBytes = 0;
  }

  /** Gives the disk space back. May be called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.clear();
    this.#leaving = [];
    this.#closeWhenIdle();
  }

  #writeNext(): void {
    while (this.#leaving.length < piecesMax && !this.#waiting.isEmpty) {
      const piece = this.#waiting.shift()!;
      this.#leaving.push(piece);
      this.#leavingBytes += piece.length;
    }
    this.#writing = true;
    this.#operations += 1;
    writev(this.#fd, this.#leaving, this.#writtenBytes, (cause, bytes) => {
      this.#operations -= 1;
      this.#writing = false;
      if (this.#closed) this.#closeWhenIdle();
      else if (cause !== null) this.#listener.failed(spoolError('write', this.#directory, cause));
      else this.#wrote(bytes);
    });
  }

  #wrote(bytes: number): void {
    this.#writtenBytes += bytes;
    this.#leavingBytes -= bytes;
    let left = bytes;
    let whole = 0;
    while (whole < this.#leaving.length && left >= this.#leaving[whole]!.length) {
      left -= this.#leaving[whole++]!.length;
    }
    this.#leaving = this.#leaving.slice(whole);
    if (left > 0) this.#leaving[0] = this.#leaving[0]!.subarray(left);
    if (!this.isFlushed) this.#writeNext();
    this.#listener.written();
  }

  #closeWhenIdle(): void {
    if (this.#operations > 0) return;
    close(this.#fd, ignoreCloseError);
  }
}

/** The file has no name and its bytes are of no use any more: nothing can be lost by a failed close. */
function ignoreCloseError(): void {}

function spoolError(deed: 'open' | 'read' | 'write', directory: string, cause: unknown): GatewayError {
  const { code, message } =
    cause instanceof Error ? (cause as NodeJS.ErrnoException) : { code: '', message: String(cause) };
  return new GatewayError(
    'GW_ERR_SPOOL',
    `Could not ${deed} a file in ${directory}, where bodies are that do not fit in memory: ${message}. ${remedies[code ?? ''] ?? otherRemedy}`,
    { cause },
  );
}

const otherRemedy = 'Check that directory, or set runtimeDir to another one';

const remedies: Readonly<Record<string, string>> = {
  ENOSPC: 'Make room on its disk, or set runtimeDir to a directory on a larger one',
  EDQUOT: 'Raise the quota of the user that runs Fastway, or set runtimeDir to a directory on another disk',
  EFBIG: 'Raise the largest size of a file (ulimit -f), or lower maxBodyBytes',
  EMFILE: 'Raise the limit of open files (ulimit -n)',
  ENFILE: 'The system has no open files left: raise fs.file-max',
};
