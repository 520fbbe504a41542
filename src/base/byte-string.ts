/**
 * Byte strings: strings of which each unit is one byte (latin1), as fields, paths and variables are on their way; and text,
 * as people write it and the system's file names are given to Node. Bytes that are not UTF-8 do not survive as text.
 */

/** The text whose UTF-8 the bytes are. */
export function toText(bytes: string): string {
  return isAscii.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** The UTF-8 of a text. */
export function toByteString(text: string): string {
  return isAscii.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

const isAscii = /^[\x00-\x7f]*$/;
