/**
 * Writes FastCGI records, for the web server and for the application.
 * Every byte that is returned was written here: reserved bytes and padding are zero, never old memory.
 * A length that does not fit its field is refused, never cut: a cut length would let content pose as records (T11).
 * Byte strings are for `write(text, 'latin1')`, which sends a short one without making a Buffer.
 */
import {
  contentBytesMax,
  headerBytes,
  keepConnFlag,
  nullRequestId,
  paddingBytesMax,
  protocolVersion,
  RecordType,
  requestIdMax,
} from './constants.ts';
import { encodeLengths, encodePairs, pairBytesMax, pairLength, tooLarge } from './name-value.ts';

/** How a request begins. */
export interface RequestStart {
  /** 1 to 65535. */
  readonly requestId: number;
  readonly role: number;
  /** Asks the application to keep the connection open after END_REQUEST. */
  readonly keepConn: boolean;
}

/**
 * BEGIN_REQUEST, all PARAMS and the empty PARAMS record, as a byte string. Hot: see bench/micro/encode.ts.
 * @param variables flat list of byte strings: name, value, name, value ...
 * @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE
 */
export function encodeRequestHead(start: RequestStart, variables: readonly string[]): string {
  const { requestId, role } = start;
  return (
    printHeader(RecordType.BeginRequest, requestId, 8) +
    String.fromCharCode(role >>> 8, role & 0xff, start.keepConn ? keepConnFlag : 0, 0, 0, 0, 0, 0) +
    encodeParams(requestId, variables) +
    printHeader(RecordType.Params, requestId, 0)
  );
}

/**
 * A whole request without a body, as a byte string: its head and the empty STDIN record.
 * @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE
 */
export function encodeRequestWithoutBody(start: RequestStart, variables: readonly string[]): string {
  return encodeRequestHead(start, variables) + printHeader(RecordType.Stdin, start.requestId, 0);
}

/**
 * A whole request with its body: head, STDIN records and the empty STDIN record, in one buffer.
 * @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE
 */
export function encodeRequest(start: RequestStart, variables: readonly string[], stdin: Uint8Array): Buffer {
  const head = encodeRequestHead(start, variables);
  const bytes = Buffer.allocUnsafe(head.length + streamLength(stdin.length) + headerBytes);
  bytes.write(head, 'latin1');
  const end = writeStream(bytes, head.length, RecordType.Stdin, start.requestId, stdin);
  writeHeader(bytes, end, RecordType.Stdin, start.requestId, 0);
  return bytes;
}

/**
 * PARAMS records as a byte string, cut on pair borders: PHP refuses a pair that lies in two records.
 * Without the empty record that ends the stream.
 * @throws {ProtocolError} GW_ERR_PROTOCOL_PAIR_TOO_LARGE
 */
export function encodeParams(requestId: number, variables: readonly string[]): string {
  let records = '';
  let content = '';
  for (let i = 0; i < variables.length; i += 2) {
    const name = variables[i]!;
    const value = variables[i + 1]!;
    if (name.length + value.length > pairBytesMax) throw tooLarge(name, value);
    if (content.length + pairLength(name, value) > contentBytesMax) {
      records += printHeader(RecordType.Params, requestId, content.length) + content;
      content = '';
    }
    content += encodeLengths(name.length, value.length) + name + value;
  }
  if (content === '') return records;
  return records + printHeader(RecordType.Params, requestId, content.length) + content;
}

/** One record's header as a byte string. @throws {RangeError} */
export function printHeader(type: number, requestId: number, contentLength: number): string {
  checkRange(requestId, contentLength, 0);
  return String.fromCharCode(
    protocolVersion,
    type,
    requestId >>> 8,
    requestId & 0xff,
    contentLength >>> 8,
    contentLength & 0xff,
    0,
    0,
  );
}

/** Writes one record's header at `offset` and returns where its content begins. @throws {RangeError} */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  type: number,
  requestId: number,
  contentLength: number,
  paddingLength = 0,
): number {
  checkRange(requestId, contentLength, paddingLength);
  target[offset] = protocolVersion;
  target[offset + 1] = type;
  target[offset + 2] = requestId >>> 8;
  target[offset + 3] = requestId & 0xff;
  target[offset + 4] = contentLength >>> 8;
  target[offset + 5] = contentLength & 0xff;
  target[offset + 6] = paddingLength;
  target[offset + 7] = 0;
  return offset + headerBytes;
}

/**
 * One record of any type. Empty content of a stream type ends that stream.
 * @param paddingLength zero bytes after the content, 0 to 255
 * @throws {RangeError} content above 65535 bytes, padding above 255, request id above 65535
 */
export function encodeRecord(
  type: number,
  requestId: number,
  content: Uint8Array,
  paddingLength = 0,
): Buffer {
  checkRange(requestId, content.length, paddingLength);
  const bytes = Buffer.allocUnsafe(headerBytes + content.length + paddingLength);
  const start = writeHeader(bytes, 0, type, requestId, content.length, paddingLength);
  bytes.set(content, start);
  bytes.fill(0, start + content.length);
  return bytes;
}

/** A piece of a stream as one or several records; nothing for no bytes, since an empty record would end the stream. */
export function encodeStream(type: number, requestId: number, piece: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(streamLength(piece.length));
  writeStream(bytes, 0, type, requestId, piece);
  return bytes;
}

/** The empty record that ends a stream. */
export function encodeEndOfStream(type: number, requestId: number): Buffer {
  return Buffer.from(printHeader(type, requestId, 0), 'latin1');
}

export function encodeBeginRequest({ requestId, role, keepConn }: RequestStart): Buffer {
  const flags = keepConn ? keepConnFlag : 0;
  return encodeRecord(
    RecordType.BeginRequest,
    requestId,
    Uint8Array.of(role >>> 8, role & 0xff, flags, 0, 0, 0, 0, 0),
  );
}

export function encodeAbortRequest(requestId: number): Buffer {
  return encodeEndOfStream(RecordType.AbortRequest, requestId);
}

/** @param appStatus the application's exit status, 32 bits unsigned */
export function encodeEndRequest(requestId: number, appStatus: number, protocolStatus: number): Buffer {
  return Buffer.from(printEndRequest(requestId, appStatus, protocolStatus), 'latin1');
}

/** END_REQUEST as a byte string. @param appStatus 32 bits unsigned */
export function printEndRequest(requestId: number, appStatus: number, protocolStatus: number): string {
  return (
    printHeader(RecordType.EndRequest, requestId, 8) +
    String.fromCharCode(
      appStatus >>> 24,
      (appStatus >>> 16) & 0xff,
      (appStatus >>> 8) & 0xff,
      appStatus & 0xff,
      protocolStatus,
      0,
      0,
      0,
    )
  );
}

/** Asks the application for values by name (FastCGI 4.1). */
export function encodeGetValues(names: readonly string[]): Buffer {
  return encodeManagement(RecordType.GetValues, encodePairs(names.flatMap((name) => [name, ''])));
}

/** @param pairs flat list: name, value, name, value ... */
export function encodeGetValuesResult(pairs: readonly string[]): Buffer {
  return encodeManagement(RecordType.GetValuesResult, encodePairs(pairs));
}

/** Answers a management record whose type is not known (FastCGI 4.2). */
export function encodeUnknownType(type: number): Buffer {
  return encodeRecord(RecordType.UnknownType, nullRequestId, Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0));
}

function encodeManagement(type: number, content: string): Buffer {
  return encodeRecord(type, nullRequestId, Buffer.from(content, 'latin1'));
}

/** Wire bytes of a piece of a stream. */
function streamLength(length: number): number {
  return length + Math.ceil(length / contentBytesMax) * headerBytes;
}

function writeStream(
  target: Uint8Array,
  offset: number,
  type: number,
  requestId: number,
  piece: Uint8Array,
): number {
  let at = offset;
  for (let start = 0; start < piece.length; start += contentBytesMax) {
    const content = piece.length <= contentBytesMax ? piece : piece.subarray(start, start + contentBytesMax);
    at = writeHeader(target, at, type, requestId, content.length);
    target.set(content, at);
    at += content.length;
  }
  return at;
}

function checkRange(requestId: number, contentLength: number, paddingLength: number): void {
  if (!(contentLength >= 0 && contentLength <= contentBytesMax)) {
    throw new RangeError(`Record content has ${contentLength} bytes, and ${contentBytesMax} fit`);
  }
  if (!(paddingLength >= 0 && paddingLength <= paddingBytesMax)) {
    throw new RangeError(`Record padding has ${paddingLength} bytes, and ${paddingBytesMax} fit`);
  }
  if (!(requestId >= 0 && requestId <= requestIdMax)) {
    throw new RangeError(`Request id ${requestId} is not between 0 and ${requestIdMax}`);
  }
}
