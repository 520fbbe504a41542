/** Records as people read them: one line each, and one for each variable. From either side. */
import { escapeControls } from '../base/escape.ts';
import { hidden, hideInText, hideValue } from '../base/secrets.ts';
import { ProtocolStatus, RecordType, Role } from './constants.ts';
import { decodePairs } from './name-value.ts';
import { decodeBeginRequest, decodeEndRequest, decodeUnknownType, printRecordType } from './record.ts';

/** Characters of a stream's content that are shown. */
const previewLength = 120;

/**
 * `STDOUT 1, 12 bytes "Hello world!"`; without a line break at the end. Bytes that could move a terminal's cursor are
 * escaped. Content that its type does not allow is shown as bytes.
 * @param showSecrets show credentials, cookies and other secrets too; else `***` stands for them
 */
export function printRecord(
  type: number,
  requestId: number,
  content: Uint8Array,
  showSecrets = false,
): string {
  const name = `${printRecordType(type)} ${requestId}`;
  try {
    return `${name}, ${describe(type, content, showSecrets)}`;
  } catch {
    // Names and values that were cut between two records no longer tell which is which.
    const isHidden = type === RecordType.Params && !showSecrets;
    return `${name}, ${content.length} bytes, malformed ${isHidden ? hidden : quote(content, showSecrets)}`;
  }
}

function describe(type: number, content: Uint8Array, showSecrets: boolean): string {
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
      return content.length === 0
        ? 'end'
        : `${content.length} bytes${printPairs(decodePairs(content), showSecrets)}`;
    default:
      return content.length === 0 ? 'end' : `${content.length} bytes ${quote(content, showSecrets)}`;
  }
}

function printPairs(pairs: readonly string[], showSecrets: boolean): string {
  let lines = '';
  for (let i = 0; i < pairs.length; i += 2) {
    const [name, value] = [pairs[i]!, pairs[i + 1]!];
    lines += `\n     ${readable(name)} = ${readable(showSecrets ? value : hideValue(name, value))}`;
  }
  return lines;
}

function quote(content: Uint8Array, showSecrets: boolean): string {
  const text = new TextDecoder().decode(content.subarray(0, previewLength));
  return `"${escapeControls(showSecrets ? text : hideInText(text))}"${content.length > previewLength ? '...' : ''}`;
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
