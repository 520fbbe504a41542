/** A head that joins the fields which a framework around us has set on its response. */
import type { ServerResponse } from 'node:http';
import type { Fields } from '../http/message.ts';

/**
 * Sends a head where the framework around us has set fields of its own: ours take their place, cookies join theirs.
 * Not by `writeHead` with a list, which then keeps only the last one of a repeated field.
 */
export function writeMergedHead(res: ServerResponse, status: number, reason: string, fields: Fields): void {
  const merged = new Map<string, { readonly name: string; readonly values: string[] }>();
  const cookies = [res.getHeader('set-cookie') ?? []].flat().map(String);
  if (cookies.length > 0) merged.set('set-cookie', { name: 'Set-Cookie', values: cookies });
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    const line = merged.get(name.toLowerCase()) ?? { name, values: [] };
    line.values.push(fields[index + 1]!);
    merged.set(name.toLowerCase(), line);
  }
  for (const { name, values } of merged.values())
    res.setHeader(name, values.length === 1 ? values[0]! : values);
  res.writeHead(status, reason);
}
