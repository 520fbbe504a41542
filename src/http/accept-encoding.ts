/** Accept-Encoding (RFC 9110 12.5.3): whether a client takes a coding. */
import { joinFields } from './fields.ts';
import type { Fields } from './message.ts';

/** The coding, or `*`, is listed with a weight above 0. Without the field nothing but identity is safe. */
export function acceptsCoding(fields: Fields, coding: string): boolean {
  const list = joinFields(fields, 'accept-encoding');
  if (list === undefined) return false;
  let byStar = false;
  for (const member of list.toLowerCase().split(',')) {
    const [name, ...parameters] = member.split(';').map((part) => part.trim());
    const accepted = !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    if (name === coding || (coding === 'gzip' && name === 'x-gzip')) return accepted;
    if (name === '*') byStar = accepted;
  }
  return byStar;
}
