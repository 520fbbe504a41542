/**
 * What must not reach a terminal or a log as it is: the one place that says which characters these are.
 * - Control bytes, C1 (0x80 to 0x9f) included, as sequences of them move the cursor or set the keyboard (CVE-2009-4489).
 * - U+2028 and U+2029, which are line breaks to some readers of logs.
 * - Marks of writing direction, by which a line reads otherwise than it is (CVE-2021-42574), and U+FEFF, which is not seen at all.
 */

const inLines = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
/** Without tab and line feed. */
const inText = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** As `\x1b` or `\u202e`, so that the text is one harmless line. */
export function escapeControls(text: string): string {
  return text.replace(inLines, printEscape);
}

/** Likewise, for text of several lines: tabs and line feeds stay. */
export function escapeText(text: string): string {
  return text.replace(inText, printEscape);
}

/** JSON text of the same meaning, in which no such character is left; `JSON.stringify` escapes only those below 0x20. */
export function escapeJson(json: string): string {
  return json.replace(inText, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function printEscape(character: string): string {
  const code = character.charCodeAt(0);
  return code > 0xff
    ? `\\u${code.toString(16).padStart(4, '0')}`
    : `\\x${code.toString(16).padStart(2, '0')}`;
}
