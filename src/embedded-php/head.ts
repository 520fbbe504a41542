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
  // PHP says 200 where the script said nothing, and then Location makes a redirect, as in a native PHP.
  const isPlain = head.status === 200 && !lines.some((line) => /^status:/i.test(line));
  const status = isPlain ? [] : [`Status: ${head.status}`];
  return Buffer.from(`${[...status, ...lines].join('\r\n')}\r\n\r\n`, 'latin1');
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
