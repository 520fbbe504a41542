/** Preconditions (RFC 9110 13): whether a representation is sent, is not modified, or is not what the client thinks. */
import { findField, joinFields } from './fields.ts';
import type { Fields } from './message.ts';

export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  /** Milliseconds since the epoch; HTTP dates know whole seconds. */
  readonly modifiedMs: number;
}

export type Precondition = 'send' | 'not-modified' | 'failed';

/** Evaluates a GET's or HEAD's preconditions in the order of RFC 9110 13.2.2; `Range` comes after, by `isRangeValid`. */
export function checkPreconditions(fields: Fields, { etag, modifiedMs }: Validators): Precondition {
  const ifMatch = joinFields(fields, 'if-match');
  if (ifMatch !== undefined) {
    if (!listsEtag(ifMatch, etag, false)) return 'failed';
  } else if (isAfter(modifiedMs, findField(fields, 'if-unmodified-since')) === true) return 'failed';
  const ifNoneMatch = joinFields(fields, 'if-none-match');
  if (ifNoneMatch !== undefined) return listsEtag(ifNoneMatch, etag, true) ? 'not-modified' : 'send';
  return isAfter(modifiedMs, findField(fields, 'if-modified-since')) === false ? 'not-modified' : 'send';
}

/** `If-Range`: the ranges are wanted of exactly this representation; without the field they always are. */
export function isRangeValid(fields: Fields, { etag, modifiedMs }: Validators): boolean {
  const ifRange = findField(fields, 'if-range');
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('"')) return ifRange === etag;
  // A weak tag is never enough for ranges. A date must be the one that we sent, not a later one.
  return parseHttpDate(ifRange) === Math.floor(modifiedMs / 1000) * 1000;
}

/** `Sun, 06 Nov 1994 08:49:37 GMT`. */
export function printHttpDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/** `*`, or a list of tags; the weak comparison ignores `W/`, the strong one does not match weak tags. */
function listsEtag(list: string, etag: string, weak: boolean): boolean {
  if (list.trim() === '*') return true;
  for (const [, isWeak, tag] of list.matchAll(/(W\/)?("[^"]*")/g)) {
    if (tag === etag && (weak || isWeak === undefined)) return true;
  }
  return false;
}

/** Undefined when the date is not there or is none: the condition does not apply. */
function isAfter(modifiedMs: number, date: string | undefined): boolean | undefined {
  const ms = date === undefined ? Number.NaN : parseHttpDate(date);
  return Number.isNaN(ms) ? undefined : Math.floor(modifiedMs / 1000) * 1000 > ms;
}

/** The three forms of RFC 9110 5.6.7; the last one, asctime, does not say that it is GMT. */
function parseHttpDate(text: string): number {
  if (/^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}$/.test(text)) return Date.parse(`${text} GMT`);
  return / GMT$/.test(text) ? Date.parse(text) : Number.NaN;
}
