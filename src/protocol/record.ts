/**
 * What the fixed records of FastCGI say, read from their content. From either side.
 * Reserved bytes are never looked at: PHP leaves garbage in END_REQUEST's.
 */
import { ProtocolError } from '../base/errors.ts';
import { keepConnFlag, RecordType } from './constants.ts';

/** The body of BEGIN_REQUEST (FastCGI 5.1). */
export interface BeginRequest {
  /** Usually a `Role`; another number deserves END_REQUEST with UNKNOWN_ROLE. */
  readonly role: number;
  /** The web server keeps the connection; without it the application closes it after END_REQUEST. */
  readonly keepConn: boolean;
}

/** The body of END_REQUEST (FastCGI 5.5). */
export interface EndRequest {
  /** The application's exit status, 32 bits unsigned. */
  readonly appStatus: number;
  /** Usually a `ProtocolStatus`. */
  readonly protocolStatus: number;
}

const fixedContentBytes = 8;

/** @throws {ProtocolError} GW_ERR_PROTOCOL_RECORD: the content has not 8 bytes */
export function decodeBeginRequest(content: Uint8Array): BeginRequest {
  checkLength('BEGIN_REQUEST', content);
  return { role: content[0]! * 256 + content[1]!, keepConn: (content[2]! & keepConnFlag) !== 0 };
}

/** @throws {ProtocolError} GW_ERR_PROTOCOL_RECORD: the content has not 8 bytes */
export function decodeEndRequest(content: Uint8Array): EndRequest {
  checkLength('END_REQUEST', content);
  return {
    appStatus: content[0]! * 0x1000000 + content[1]! * 0x10000 + content[2]! * 0x100 + content[3]!,
    protocolStatus: content[4]!,
  };
}

/**
 * The record type that the peer did not understand (FastCGI 4.2).
 * @throws {ProtocolError} GW_ERR_PROTOCOL_RECORD: the content has not 8 bytes
 */
export function decodeUnknownType(content: Uint8Array): number {
  checkLength('UNKNOWN_TYPE', content);
  return content[0]!;
}

/** A type for people: `STDOUT`, or `type 99`. */
export function printRecordType(type: number): string {
  for (const [name, number] of Object.entries(RecordType)) {
    if (number === type) return name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
  }
  return `type ${type}`;
}

function checkLength(name: string, content: Uint8Array): void {
  if (content.length !== fixedContentBytes) {
    throw new ProtocolError(
      'GW_ERR_PROTOCOL_RECORD',
      `${name} has ${content.length} content bytes, expected ${fixedContentBytes}`,
    );
  }
}
