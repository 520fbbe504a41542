/** The response head of the embedded PHP: it hands out JSON, and FastCGI wants what a CGI program writes. */

/** Ends the list of the fields that PHP hands out. */
const terminator = '__terminator__';

/**
 * Turns PHP's JSON (a byte string) into a CGI response head with its blank line.
 * Undefined while the JSON is incomplete.
 */
export function parseHead(json: string): Buffer | undefined {
  const head = parseJson(json);
  if (head === undefined) return undefined;
  const lines = head.headers.filter((line) => line !== terminator);
  const isStatus = (line: string) => /^status:/i.test(line);
  // PHP says 200 where the script said nothing, and then Location makes a redirect, as in a native PHP. A field of that name is
  // the script's own word, of which the first one counts.
  const status = lines.find(isStatus) ?? (head.status === 200 ? [] : `Status: ${head.status}`);
  const fields = lines.filter((line) => !isStatus(line));
  return Buffer.from(`${[status, ...fields].flat().join('\r\n')}\r\n\r\n`, 'latin1');
}

function parseJson(
  json: string,
): { readonly status: number; readonly headers: readonly string[] } | undefined {
  try {
    // PHP escapes quotes and backslashes alone, and a field may hold a tab.
    return JSON.parse(json.replaceAll('\t', '\\t')) as { status: number; headers: string[] };
  } catch {
    return undefined;
  }
}
