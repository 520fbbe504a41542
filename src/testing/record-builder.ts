/**
 * FastCGI records, for tests of either side: written from the specification, and independent of the encoder that
 * Fastway itself uses, so that the two cannot share a mistake.
 * `record(6, 1, text('hello'), 3)` is a STDOUT record of request 1 with 3 bytes of padding.
 */

/** Bytes from hex; blanks, line breaks and everything after `#` or `//` are left out. */
export function hex(source: string): Buffer {
  const digits = source.replace(/(#|\/\/).*$/gm, '').replace(/\s+/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`Not hex: ${digits.slice(0, 60)}`);
  return Buffer.from(digits, 'hex');
}

/** A byte string as bytes. */
export function text(byteString: string): Buffer {
  return Buffer.from(byteString, 'latin1');
}

function number(value: number, bytes: number): string {
  return value.toString(16).padStart(bytes * 2, '0');
}

/** One record: `01 type idid llll pp 00`, content, padding of zeros or of `paddingByte`. */
export function record(
  type: number,
  requestId: number,
  content: Uint8Array,
  padding = 0,
  paddingByte = 0,
): Buffer {
  const header = `01${number(type, 1)}${number(requestId, 2)}${number(content.length, 2)}${number(padding, 1)}00`;
  return Buffer.concat([Buffer.from(header, 'hex'), content, Buffer.alloc(padding, paddingByte)]);
}

export const stdout = (content: string, requestId = 1): Buffer => record(6, requestId, text(content));
export const stderr = (content: string, requestId = 1): Buffer => record(7, requestId, text(content));
export const stdin = (content: string, requestId = 1): Buffer => record(5, requestId, text(content));

/** END_REQUEST: appStatus in 4 bytes, protocolStatus, 3 reserved bytes. */
export function endRequest(protocolStatus = 0, appStatus = 0, requestId = 1): Buffer {
  return record(3, requestId, hex(`${number(appStatus, 4)} ${number(protocolStatus, 1)} 000000`));
}

/** BEGIN_REQUEST: role in 2 bytes, flags, 5 reserved bytes. */
export function beginRequest(role = 1, flags = 0, requestId = 1): Buffer {
  return record(1, requestId, hex(`${number(role, 2)} ${number(flags, 1)} 0000000000`));
}

/** A name-value pair; `long` forces 4-byte lengths, which are legal for short ones too. */
export function pair(name: string, value: string, long = false): Buffer {
  const length = (bytes: number) => (bytes > 127 || long ? number(bytes + 0x8000_0000, 4) : number(bytes, 1));
  return Buffer.concat([hex(length(name.length) + length(value.length)), text(name), text(value)]);
}

/** PARAMS in one record, and the empty one that ends them. */
export function params(variables: Readonly<Record<string, string>>, requestId = 1): Buffer {
  const pairs = Object.entries(variables).map(([name, value]) => pair(name, value));
  return Buffer.concat([record(4, requestId, Buffer.concat(pairs)), record(4, requestId, Buffer.alloc(0))]);
}
