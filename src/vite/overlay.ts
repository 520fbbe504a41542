/** A fault in Vite's error overlay: the error as Vite's client wants it, and the script that shows it in the page it belongs to. */
import { readFileSync, statSync } from 'node:fs';
import type { ErrorPayload } from 'vite';
import type { Fault } from './faults.ts';

/** Lines of source before and after the one at fault. */
const frameLines = 3;
/** A larger file is not a script that somebody wrote. Bytes. */
const sourceBytesMax = 1024 * 1024;

/** @param mayRead whether the source of a file may be shown */
export function toOverlayError(fault: Fault, mayRead: (file: string) => boolean): ErrorPayload['err'] {
  const { message, file, line, trace } = fault;
  return {
    plugin: 'fastway',
    message,
    // With a column Vite's client makes a link of a place, which opens the editor.
    stack: trace.map((step) => step.replace(/^(#\d+ .+)\((\d+)\):/, '$1:$2:1')).join('\n'),
    ...(file !== undefined && { id: file }),
    ...(file !== undefined && line !== undefined && { loc: { file, line, column: 1 } }),
    ...(file !== undefined && line !== undefined && mayRead(file) && { frame: printFrame(file, line) }),
  };
}

/** As Vite's client recognises one: `> 12 | code`. Empty when the file cannot be read. */
function printFrame(file: string, line: number): string {
  let source: string;
  try {
    if (statSync(file).size > sourceBytesMax) return '';
    source = readFileSync(file, 'utf8');
  } catch {
    return '';
  }
  const first = Math.max(1, line - frameLines);
  const lines = source.split(/\r?\n/).slice(first - 1, line + frameLines);
  const width = String(first + lines.length).length;
  return lines
    .map((text, index) => {
      const number = first + index;
      return `${number === line ? '>' : ' '} ${String(number).padStart(width)} | ${text}\n`;
    })
    .join('');
}

/**
 * A script for the page that failed. Told by Vite's socket, the error might come before the page hears of it, and to other
 * pages too. ASCII only, so that it fits into a page of any charset.
 * @param client URL of Vite's client
 */
export function printOverlay(error: ErrorPayload['err'], client: string, nonce?: string): string {
  return `<script type="module"${nonce === undefined ? '' : ` nonce="${nonce}"`}>
import { ErrorOverlay } from ${printScriptValue(client)};
document.body.append(new ErrorOverlay(${printScriptValue(error)}));
</script>`;
}

function printScriptValue(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
