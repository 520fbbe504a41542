/**
 * A line of the access log, in the combined format or as JSON.
 * The combined line is written byte by byte to where it leaves from. As a sum of its pieces it would first be a tree of strings,
 * then one string, and bytes at last: garbage that costs a request more than the line (bench/log-cost.ts).
 */
import type { AnswerRecord } from '../handler/handler.ts';
import type { HttpExchange } from '../http/exchange.ts';
import { equalsIgnoreCase, findField } from '../http/fields.ts';
import type { Reply } from '../http/reply.ts';

/** What a line is made of. */
export interface AccessLogEntry {
  /** Without a method: what came was no request. */
  readonly exchange: Pick<HttpExchange, 'request'> & {
    readonly reply: Pick<Reply, 'status' | 'bodyBytesSent'>;
  };
  readonly id: string;
  /** Host routed on; empty for none. */
  readonly host: string;
  readonly client: { readonly address: string };
  readonly record: AnswerRecord;
  readonly durationMs: number;
}

/** Status of an exchange that the client left before its head was sent. */
const clientGoneStatus = 499;

/**
 * Apache's and nginx's `combined`: host ident user [time] "request" status bytes "referer" "user agent".
 * @returns where the line ends. Beyond the end of `to`: there was no room for it, and it is to be written elsewhere
 */
export function writeCombined(to: Buffer, start: number, entry: AccessLogEntry, time: string): number {
  const { exchange, client, record } = entry;
  const { method, target, version, fields } = exchange.request;
  let referer: string | undefined;
  let userAgent: string | undefined;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!;
    if (name.length === 7) {
      if (equalsIgnoreCase(name, 'referer')) referer ??= fields[index + 1];
    } else if (name.length === 10) {
      if (equalsIgnoreCase(name, 'user-agent')) userAgent ??= fields[index + 1];
    }
  }
  let at = writeEscaped(to, start, client.address || '-');
  if (record.user) {
    at = writeText(to, at, ' - ');
    at = writeUser(to, at, record.user);
    at = writeText(to, at, ' [');
  } else {
    at = writeText(to, at, ' - - [');
  }
  at = writeText(to, at, time);
  if (method === '') {
    at = writeText(to, at, '] "-" ');
  } else {
    at = writeText(to, at, '] "');
    at = writeText(to, at, method);
    at = writeText(to, at, ' ');
    at = writeEscaped(to, at, target);
    at = writeText(to, at, version === '1.1' ? ' HTTP/1.1" ' : ` HTTP/${version}" `);
  }
  at = writeText(to, at, String(statusOf(exchange)));
  at = writeText(to, at, ' ');
  at = writeText(to, at, String(exchange.reply.bodyBytesSent));
  at = writeText(to, at, ' "');
  at = writeEscaped(to, at, referer ?? '-');
  at = writeText(to, at, '" "');
  at = writeEscaped(to, at, userAgent ?? '-');
  return writeText(to, at, '"\n');
}

/** One object a line. `time` is when it ended. */
export function printJson(entry: AccessLogEntry, time: string): string {
  const { exchange, client, record } = entry;
  const { method, target, version, fields } = exchange.request;
  return `{"time":"${time}","id":"${entry.id}","client":${quote(client.address)},"host":${quote(entry.host)},"method":${quote(
    method,
  )},"target":${quote(target)},"version":"${version}","status":${statusOf(exchange)},"bytes":${
    exchange.reply.bodyBytesSent
  },"durationMs":${Math.round(entry.durationMs)}${
    record.source === undefined ? '' : `,"source":${quote(record.source)},"tries":${record.tries}`
  }${record.waitedMs === undefined ? '' : `,"waitedMs":${Math.round(record.waitedMs)}`}${record.appStatus === undefined ? '' : `,"appStatus":${record.appStatus}`}${record.user === undefined ? '' : `,"user":${quote(record.user)}`},"referer":${quote(findField(fields, 'referer') ?? '')},"userAgent":${quote(
    findField(fields, 'user-agent') ?? '',
  )}}\n`;
}

function statusOf({ reply: { status } }: AccessLogEntry['exchange']): number {
  return status === 0 ? clientGoneStatus : status;
}

const specialBytes = /[^\x20\x21\x23-\x5b\x5d-\x7e]/;
const specialBytesAll = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g;

/** JSON in ASCII: bytes above 0x7e as \u00HH, one byte each. */
function quote(text: string): string {
  if (!specialBytes.test(text)) return `"${text}"`;
  return `"${text.replace(specialBytesAll, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}

/** A byte string as it is. What is beyond the end of `to` is not written, but counted. */
function writeText(to: Buffer, start: number, text: string): number {
  for (let index = 0; index < text.length; index++) to[start + index] = text.charCodeAt(index);
  return start + text.length;
}

/** From this length on one native call costs less than to read the characters one by one. */
const longText = 32;

/** As nginx writes it: quotes, backslashes, controls and non-ASCII as `\xHH`, so that no client can forge a line. */
function writeEscaped(to: Buffer, start: number, text: string): number {
  if (text.length >= longText && start + text.length <= to.length) {
    to.write(text, start, 'latin1');
    const end = start + text.length;
    let at = start;
    while (at < end && isPlain[to[at]!] === 1) at++;
    return at === end ? end : writeText(to, start, text.replace(specialBytesAll, escapeByte));
  }
  for (let index = 0; index < text.length; index++) {
    const byte = text.charCodeAt(index);
    if (isPlain[byte] !== 1) return writeText(to, start, text.replace(specialBytesAll, escapeByte));
    to[start + index] = byte;
  }
  return start + text.length;
}

/** Without spaces too, as one would move all that follows. */
function writeUser(to: Buffer, start: number, user: string): number {
  return writeText(to, start, user.replace(specialBytesAll, escapeByte).replaceAll(' ', '\\x20'));
}

function escapeByte(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`;
}

/** 1 for what `specialBytes` does not hold. */
const isPlain: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  specialBytes.test(String.fromCharCode(byte)) ? 0 : 1,
);
