/** Records as people read them: one line each, and one for each variable. From either side. */
import { escapeControls } from '../base/escape.ts';
import { ProtocolStatus, RecordType, Role } from './constants.ts';
import { decodePairs } from './name-value.ts';
import { decodeBeginRequest, decodeEndRequest, decodeUnknownType, printRecordType } from './record.ts';

/** Characters of a stream's content that are shown. */
const previewLength = 120;

/**
 * `STDOUT 1, 12 bytes "Hello world!"`; without a line break at the end. Bytes that could move a terminal's cursor are
 * escaped. Content that its type does not allow is shown as bytes.
 */
export function printRecord(type: number, requestId: number, content: Uint8Array): string {
  const name = `${printRecordType(type)} ${requestId}`;
  try {
    return `${name}, ${describe(type, content)}`;
  } catch {
    return `${name}, ${content.length} bytes, malformed ${quote(content)}`;
  }
}

function describe(type: number, content: Uint8Array): string {
  switch (type) {
    case RecordType.BeginRequest: {
      const { role, keepConn } = decodeBeginRequest(content);
      return `${nameOf(Role, role)}${keepConn ? ', KEEP_CONN' : ''}`;
    }
    case RecordType.EndRequest: {
      const { appStatus, protocolStatus } = decodeEndRequest(content);
      return `appStatus ${appStatus}, ${upperName(ProtocolStatus, protocolStatus)}`;
    }
    case RecordType.UnknownType:
      return `about ${printRecordType(decodeUnknownType(content))}`;
    case RecordType.AbortRequest:
      return 'give up';
    case RecordType.Params:
    case RecordType.GetValues:
    case RecordType.GetValuesResult:
      return content.length === 0 ? 'end' : `${content.length} bytes${printPairs(decodePairs(content))}`;
    default:
      return content.length === 0 ? 'end' : `${content.length} bytes ${quote(content)}`;
  }
}

function printPairs(pairs: readonly string[]): string {
  let lines = '';
  for (let i = 0; i < pairs.length; i += 2) {
    lines += `\n     ${readable(pairs[i]!)} = ${readable(pairs[i + 1]!)}`;
  }
  return lines;
}

function quote(content: Uint8Array): string {
  const text = new TextDecoder().decode(content.subarray(0, previewLength));
  return `"${escapeControls(text)}"${content.length > previewLength ? '...' : ''}`;
}

/** A byte string as text. */
function readable(byteString: string): string {
  return escapeControls(new TextDecoder().decode(Uint8Array.from(byteString, (c) => c.charCodeAt(0))));
}

function nameOf(names: Readonly<Record<string, number>>, number: number): string {
  return Object.entries(names).find(([, value]) => value === number)?.[0] ?? String(number);
}

function upperName(names: Readonly<Record<string, number>>, number: number): string {
  return nameOf(names, number)
    .replace(/(?<=[a-z])(?=[A-Z])/g, '_')
    .toUpperCase();
}
