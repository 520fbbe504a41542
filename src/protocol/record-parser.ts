/**
 * Splits received bytes into FastCGI records, whatever the chunking. From either side of a connection.
 * Streams (PARAMS, STDIN, STDOUT, STDERR, DATA) are passed on in pieces as they come, since where a stream was cut into
 * records means nothing; other records are passed on whole, after their padding.
 * Holds at most one partial record that is not part of a stream: 65 798 bytes (header 8, content 65 535, padding 255).
 * Spec: FastCGI 3.3. Unknown record types are passed on, not errors (4.2).
 */
import { ProtocolError } from '../base/errors.ts';
import { headerBytes, protocolVersion, RecordType } from './constants.ts';

/** Hears what the parser found. Bytes are views into the pushed chunk where possible: copy them to keep them. */
export interface RecordListener {
  /** A piece of a stream. Empty: the stream has ended (FastCGI 3.3, stream records). */
  stream(type: number, requestId: number, bytes: Buffer): void;
  /** A whole record that is not part of a stream; its type may be unknown. */
  record(type: number, requestId: number, content: Buffer): void;
}

const noBytes = Buffer.alloc(0);

export class RecordParser {
  readonly #listener: RecordListener;
  /** A header that lies in two chunks. */
  #header: Buffer = noBytes;
  #headerRead = 0;
  #type = 0;
  #requestId = 0;
  #contentLeft = 0;
  #paddingLeft = 0;
  /** Header read, content or padding not. */
  #inRecord = false;
  /** Content of a record that lies in several chunks and is not part of a stream. */
  #content: Buffer = noBytes;
  #contentRead = 0;

  constructor(listener: RecordListener) {
    this.#listener = listener;
  }

  /** Every byte pushed so far belonged to a whole record. */
  get isBetweenRecords(): boolean {
    return !this.#inRecord && this.#headerRead === 0;
  }

  /**
   * @throws {ProtocolError} GW_ERR_PROTOCOL_VERSION: the framing is lost, close the connection and push nothing more.
   * What the listener throws passes through, and has the same effect.
   */
  push(chunk: Buffer): void {
    const { length } = chunk;
    let at = 0;
    while (at < length || (this.#inRecord && this.#contentLeft === 0 && this.#paddingLeft === 0)) {
      if (!this.#inRecord) {
        at = this.#readHeader(chunk, at);
      } else if (this.#contentLeft > 0) {
        const end = Math.min(length, at + this.#contentLeft);
        this.#contentLeft -= end - at;
        this.#takeContent(chunk, at, end);
        at = end;
      } else if (this.#paddingLeft > 0) {
        const end = Math.min(length, at + this.#paddingLeft);
        this.#paddingLeft -= end - at;
        at = end;
      } else {
        this.#endRecord();
      }
    }
  }

  #readHeader(chunk: Buffer, at: number): number {
    if (this.#headerRead === 0 && chunk.length - at >= headerBytes) {
      this.#beginRecord(chunk, at);
      return at + headerBytes;
    }
    const end = Math.min(chunk.length, at + headerBytes - this.#headerRead);
    if (this.#header === noBytes) this.#header = Buffer.alloc(headerBytes);
    chunk.copy(this.#header, this.#headerRead, at, end);
    this.#headerRead += end - at;
    // A wrong version is told at its first byte: a peer that speaks HTTP may send fewer than 8.
    if (this.#header[0] !== protocolVersion) throw wrongVersion(this.#header.subarray(0, this.#headerRead));
    if (this.#headerRead === headerBytes) {
      this.#headerRead = 0;
      this.#beginRecord(this.#header, 0);
    }
    return end;
  }

  #beginRecord(header: Buffer, at: number): void {
    if (header[at] !== protocolVersion) throw wrongVersion(header.subarray(at, at + headerBytes));
    this.#type = header[at + 1]!;
    this.#requestId = header[at + 2]! * 256 + header[at + 3]!;
    this.#contentLeft = header[at + 4]! * 256 + header[at + 5]!;
    this.#paddingLeft = header[at + 6]!;
    this.#inRecord = true;
    if (this.#contentLeft === 0 && isStream(this.#type)) {
      this.#listener.stream(this.#type, this.#requestId, noBytes);
    }
  }

  #takeContent(chunk: Buffer, start: number, end: number): void {
    if (isStream(this.#type)) {
      this.#listener.stream(this.#type, this.#requestId, chunk.subarray(start, end));
      return;
    }
    if (this.#contentRead === 0 && this.#contentLeft === 0) {
      // Copied when its padding is still to come, since the chunk is only ours during this call.
      const content = chunk.subarray(start, end);
      this.#content = end + this.#paddingLeft <= chunk.length ? content : Buffer.from(content);
      this.#contentRead = content.length;
      return;
    }
    if (this.#contentRead === 0) this.#content = Buffer.allocUnsafe(end - start + this.#contentLeft);
    this.#contentRead += chunk.copy(this.#content, this.#contentRead, start, end);
  }

  #endRecord(): void {
    this.#inRecord = false;
    if (isStream(this.#type)) return;
    const content = this.#content;
    this.#content = noBytes;
    this.#contentRead = 0;
    this.#listener.record(this.#type, this.#requestId, content);
  }
}

function isStream(type: number): boolean {
  return type >= RecordType.Params && type <= RecordType.Data;
}

function wrongVersion(header: Buffer): ProtocolError {
  const text = header.toString('latin1');
  // Most often somebody else listens at the address.
  const isText = /^[ -~\r\n]+$/.test(text);
  const spoken = text.startsWith('HTTP') ? 'HTTP' : /^[\x15\x16]\x03/.test(text) ? 'TLS' : 'another protocol';
  const found = isText ? JSON.stringify(text) : (header.toString('hex').match(/../g) ?? []).join(' ');
  return new ProtocolError(
    'GW_ERR_PROTOCOL_VERSION',
    isText || spoken === 'TLS'
      ? `Bytes that begin with ${found} are ${spoken} and not FastCGI`
      : `Record version is ${header[0]}, expected ${protocolVersion}; its header begins with ${found}`,
  );
}
