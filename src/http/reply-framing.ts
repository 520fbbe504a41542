/**
 * How much body an answer has (RFC 9110 6.4.1, 8.6), as everything counts it that sends, reads or changes an answer.
 * A count of bytes is one integer: 0 for none, `unknownLength` for as many as come. Pure arithmetic, without an object.
 */
import { equalsIgnoreCase } from './fields.ts';
import type { Fields } from './message.ts';

/** Nobody says how long: the body is chunked, or ends where its connection does. */
export const unknownLength = -1;

/** Fields about one connection and its framing: the front's own business, so that what an application says of them is dropped. */
const framingFields: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'trailer',
  'upgrade',
]);

/** Lengths of the framing fields' names and of `content-length`: most names are told apart by their length alone. */
const framingFieldLengths: ReadonlySet<number> = new Set([7, 10, 14, 17]);

/** An answer of this status has no content, whatever its method: RFC 9110 15.2, 15.3.5, 15.3.6, 15.4.5. */
export function isBodyless(status: number): boolean {
  return status === 204 || status === 205 || status === 304 || status < 200;
}

/**
 * Body bytes that follow a head.
 * @param announced its Content-Length; `unknownLength` without one
 */
export function answerLength(method: string, status: number, announced: number): number {
  return method === 'HEAD' || isBodyless(status) ? 0 : announced;
}

/** What of a chunk may still be sent, or is still read; more than was announced would be taken for the next answer (T61). */
export function withinLength<Chunk extends Uint8Array>(chunk: Chunk, left: number): Chunk {
  return left === unknownLength || chunk.length <= left ? chunk : (chunk.subarray(0, left) as Chunk);
}

/** What is left after so many bytes, at most those that were. Above 0 at the end: the body is too short. */
export function lengthAfter(left: number, bytes: number): number {
  return left === unknownLength ? unknownLength : left - bytes;
}

/** The Content-Length among fields; `unknownLength` without one. Of several the last counts: the code that reads heads refuses contradictions. */
export function announcedLength(fields: Fields): number {
  let announced = unknownLength;
  for (let index = 0; index < fields.length; index += 2) {
    if (isContentLength(fields[index]!)) announced = Number(fields[index + 1]);
  }
  return announced;
}

/**
 * The fields of a final head without those of the front's own business. A 204 has no Content-Length (RFC 9110 8.6), and that of
 * a 205 is 0 (15.3.6); a 304 and an answer to HEAD keep theirs, which speaks of another answer.
 * The same array where nothing is to be changed.
 */
export function framedFields(status: number, fields: Fields): Fields {
  const dropsLength = status === 204 || status === 205;
  let kept: string[] | undefined;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    const isDropped =
      framingFieldLengths.has(name.length) &&
      (name.length === 14 ? dropsLength && isContentLength(name) : framingFields.has(name.toLowerCase()));
    if (isDropped) kept ??= fields.slice(0, index);
    else kept?.push(name, fields[index + 1]!);
  }
  return status === 205 ? [...(kept ?? fields), 'Content-Length', '0'] : (kept ?? fields);
}

/** Fields of an interim head: it has no content (RFC 9110 15.2). */
export function interimFields(fields: Fields): Fields {
  return fields.filter((_, index) => !isContentLength(fields[index - (index % 2)]!));
}

function isContentLength(name: string): boolean {
  return name.length === 14 && equalsIgnoreCase(name, 'content-length');
}
