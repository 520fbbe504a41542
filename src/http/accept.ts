/** Accept fields (RFC 9110 12.5): what a client wants, by the weights that it gives. */
import { joinFields } from './fields.ts';
import type { Fields } from './message.ts';

/**
 * The weight of what is named in an Accept field (RFC 9110 12.4.2): 0 for never, and 0 for anything that is not a number; 1 without one.
 * @param list the field's members
 * @param names in lower case, the most specific first: the first that is listed decides, by its greatest weight
 * @returns 0 to 1; undefined when none of them is listed
 */
export function weightOf(list: string, names: readonly string[]): number | undefined {
  const members = list
    .toLowerCase()
    .split(',')
    .map((member) => member.split(';').map((part) => part.trim()));
  for (const name of names) {
    const weights = members
      .filter(([listed]) => listed === name)
      .map(([, ...parameters]) => weight(parameters));
    if (weights.length > 0) return Math.max(...weights);
  }
  return undefined;
}

function weight(parameters: readonly string[]): number {
  const written = parameters.find((parameter) => parameter.startsWith('q='));
  return written === undefined ? 1 : Number(written.slice(2)) || 0;
}

/** The coding, or `*`, is listed with a weight above 0. Without the field nothing but identity is safe. */
export function acceptsCoding(fields: Fields, coding: string): boolean {
  const list = joinFields(fields, 'accept-encoding');
  if (list === undefined) return false;
  const names = coding === 'gzip' ? ['gzip', 'x-gzip', '*'] : [coding, '*'];
  return (weightOf(list, names) ?? 0) > 0;
}

/** HTML, or what covers it, is listed with a weight above 0; without the field anything is welcome. */
export function acceptsHtml(fields: Fields): boolean {
  const list = joinFields(fields, 'accept');
  if (list === undefined) return true;
  return (weightOf(list, ['text/html', 'application/xhtml+xml', 'text/*', '*/*']) ?? 0) > 0;
}
