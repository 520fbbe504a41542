/**
 * Reads the head of a CGI response (RFC 3875 section 6), from the web server's side, whatever the chunking.
 * A line that is not beyond doubt is an error and never repaired: no byte that could end a line or a header at the
 * client's side gets through (T59), and no Content-Type is invented (T66). A field that only says wrongly how the answer is
 * framed is dropped and told about: FastCGI and the front frame it without its help (T63).
 * Lines end in LF or CRLF, mixed as they like; a bare CR is an error. Holds at most one head.
 */
import { CgiError } from '../base/errors.ts';
import { escapeControls } from '../base/escape.ts';
import { equalsIgnoreCase, isFieldValue, isToken, withoutFields } from '../http/fields.ts';
import type { Fields } from '../http/message.ts';

/** A response head may have so many bytes, its blank line included, and so many lines (T68). */
export const headBytesMax = 65_536;
export const headLinesMax = 256;

/** What the application answered, ready for a client. Strings are byte strings. */
export interface ResponseHead {
  /** 200 to 599. Without a Status 200, or 302 when there is a Location (RFC 3875 6.2.3). */
  readonly status: number;
  /** As the application gave it; empty when it gave none, and the front takes the usual phrase. */
  readonly reason: string;
  /**
   * For the client, flat, in order, Set-Cookie lines apart. Without Status and hop-by-hop fields (T63). X-Sendfile and
   * X-Accel-* are among them, for a web server in front of this one. At most one Content-Length.
   */
  readonly fields: string[];
  /** A blank line and nothing before it: a 200 that says nothing of its body, as all web servers take it. */
  readonly isEmpty: boolean;
  /** What was dropped from it, a sentence for each line; undefined when nothing was. */
  readonly faults: readonly string[] | undefined;
  /** Bytes that the application announced; undefined when it did not. */
  readonly contentLength: number | undefined;
  /**
   * The Location of a local redirect response: a path, and no Status (RFC 3875 6.2.2). It is also in `fields`, and
   * `status` is 302, so that a caller that ignores this sends it to the client (T67).
   */
  readonly localRedirect: string | undefined;
  /** A file to send in place of the body (X-Sendfile), as the application sees it. */
  readonly sendfile: string | undefined;
  /** A path of this web server to answer with in place of the body (X-Accel-Redirect), encoded. */
  readonly accelRedirect: string | undefined;
  /** X-Accel-Buffering said yes or no. */
  readonly buffering: boolean | undefined;
  /** Bytes of the body that came in the chunk which ended the head: a view into it, may be empty. */
  readonly body: Uint8Array;
}

/** Hears of heads that come before the answer's (RFC 9110 15.2): 102 to 199, as 103 Early Hints. */
export interface InterimListener {
  interim(status: number, fields: Fields): void;
}

/**
 * Reads one response head, and the interim heads before it. Push until it gives the head; the rest of the output is the body
 * and not its business. The limits of a head count for all of them together.
 */
export class ResponseParser {
  readonly #listener: InterimListener | undefined;
  readonly #mayUpgrade: boolean;
  #hasInterim = false;
  /** Bytes of the head before the current chunk. */
  #before = '';
  #length = 0;
  #lines = 0;
  /** Bytes of the line that the current chunk goes on with, its LF not counted. */
  #lineLength = 0;
  #lastCr = false;

  /**
   * @param listener without one, interim heads are skipped
   * @param mayUpgrade a 101 is an answer, and its Upgrade field one of `fields`
   */
  constructor(listener?: InterimListener, mayUpgrade = false) {
    this.#listener = listener;
    this.#mayUpgrade = mayUpgrade;
  }

  /**
   * @returns the head when the chunk ends it; undefined when more is needed. The chunk is not kept.
   * @throws {CgiError} GW_ERR_CGI_HEAD, GW_ERR_CGI_HEAD_TOO_LARGE
   */
  push(chunk: Uint8Array): ResponseHead | undefined {
    let rest = chunk;
    while (true) {
      const end = this.#findEnd(rest);
      if (end === -1) {
        this.#before += latin1(rest, rest.length);
        return undefined;
      }
      const head = parseHead(this.#before + latin1(rest, end), rest.subarray(end), this.#mayUpgrade);
      if (head.status >= 200 || head.status === 101) return head;
      this.#hasInterim = true;
      this.#listener?.interim(head.status, head.fields);
      this.#before = '';
      this.#length += end;
      this.#lineLength = 0;
      rest = head.body;
    }
  }

  /**
   * The output is over and the head never ended.
   * @returns GW_ERR_CGI_NO_HEAD when nothing came, else GW_ERR_CGI_HEAD
   */
  end(): CgiError {
    if (this.#length === 0) return new CgiError('GW_ERR_CGI_NO_HEAD', 'Response has no head and no body');
    if (this.#hasInterim && this.#before === '') {
      return new CgiError('GW_ERR_CGI_NO_HEAD', 'Response ends after an interim head (1xx), without its own');
    }
    return new CgiError(
      'GW_ERR_CGI_HEAD',
      `Response ends without the blank line after its head: ${quote(this.#before)}`,
    );
  }

  /** Where the body begins in this chunk, or -1. Byte by byte, so that no chunking makes it scan anything twice. */
  #findEnd(chunk: Uint8Array): number {
    const limit = Math.min(chunk.length, headBytesMax - this.#length);
    let lineStart = -this.#lineLength;
    for (let i = 0; i < limit; i++) {
      if (chunk[i] !== LineFeed) continue;
      const length = i - lineStart;
      // A blank line holds nothing, or a CR.
      if (length === 0 || (length === 1 && (i === 0 ? this.#lastCr : chunk[i - 1] === CarriageReturn))) {
        return i + 1;
      }
      lineStart = i + 1;
      if (++this.#lines > headLinesMax) {
        throw new CgiError('GW_ERR_CGI_HEAD_TOO_LARGE', `Response head has more than ${headLinesMax} lines`);
      }
    }
    if (limit < chunk.length) {
      const start = quote(this.#before + latin1(chunk, Math.min(chunk.length, quotedBytes)));
      throw new CgiError(
        'GW_ERR_CGI_HEAD_TOO_LARGE',
        `Response head has more than ${headBytesMax} bytes: ${start}`,
      );
    }
    this.#lineLength = limit - lineStart;
    if (limit > 0) this.#lastCr = chunk[limit - 1] === CarriageReturn;
    this.#length += chunk.length;
    return -1;
  }
}

const LineFeed = 0x0a;
const CarriageReturn = 0x0d;
const quotedBytes = 64;

function parseHead(text: string, body: Uint8Array, mayUpgrade: boolean): ResponseHead {
  let upgrade: string | undefined;
  let fields: string[] = [];
  let status = 0;
  let reason = '';
  let location: string | undefined;
  let contentLength: number | undefined;
  let isLengthDoubtful = false;
  let faults: string[] | undefined;
  let sendfile: string | undefined;
  let accelRedirect: string | undefined;
  let buffering: boolean | undefined;

  let start = 0;
  while (true) {
    const feed = text.indexOf('\n', start);
    const end = text.charCodeAt(feed - 1) === CarriageReturn && feed > start ? feed - 1 : feed;
    if (end === start) break;
    const colon = text.indexOf(':', start);
    // Scripts written for "non-parsed headers" begin with a whole status line; it counts as their Status.
    if (start === 0 && text.startsWith('HTTP/')) {
      const space = text.indexOf(' ');
      if (space === -1 || space > end) throw refuse('has no status', text, start, end);
      status = parseStatus(text.slice(space + 1, end).trimStart(), text, start, end, mayUpgrade);
      reason = parseReason(text.slice(space + 1, end).trimStart());
      start = feed + 1;
      continue;
    }
    if (colon === -1 || colon >= end) throw refuse('has no colon', text, start, end);
    const name = text.slice(start, colon);
    // A folded line (RFC 7230 3.2.4) begins with a space and fails here too.
    if (!isToken(name)) throw refuse('does not begin with a field name', text, start, end);
    const value = trim(text, colon + 1, end);
    if (!isFieldValue(value)) throw refuse('holds a control byte', text, start, end);

    switch (kindOf(name)) {
      case 'status': {
        const code = parseStatus(value, text, start, end, mayUpgrade);
        if (status === 0) {
          status = code;
          reason = parseReason(value);
        } else if (status !== code)
          faults = withFault(faults, 'names a second status; the first counts', text, start, end);
        break;
      }
      case 'location':
        location ??= value;
        fields.push(name, value);
        break;
      case 'content-length': {
        const isNumber = /^[0-9]{1,16}$/.test(value) && Number.isSafeInteger(Number(value));
        if (!isNumber || (contentLength !== undefined && contentLength !== Number(value))) {
          isLengthDoubtful = true;
          const problem = isNumber ? 'is a second, different Content-Length' : 'is no valid Content-Length';
          faults = withFault(faults, `${problem}; the length is not believed`, text, start, end);
        } else if (contentLength === undefined) {
          contentLength = Number(value);
          fields.push(name, value);
        }
        break;
      }
      case 'transfer-encoding':
        // FastCGI frames the body already. With a second framing a Content-Length could mean either (RFC 9112 6.3).
        if (!equalsIgnoreCase(value, 'identity')) {
          isLengthDoubtful = true;
          faults = withFault(
            faults,
            'is a Transfer-Encoding, which an application must not send; it is dropped',
            text,
            start,
            end,
          );
        }
        break;
      case 'sendfile':
        sendfile ??= value;
        fields.push(name, value);
        break;
      case 'accel-redirect':
        accelRedirect ??= value;
        fields.push(name, value);
        break;
      case 'accel-buffering':
        fields.push(name, value);
        if (equalsIgnoreCase(value, 'no')) buffering = false;
        else if (equalsIgnoreCase(value, 'yes')) buffering = true;
        break;
      case 'upgrade':
        upgrade ??= value;
        break;
      case 'drop':
        break;
      case 'plain':
        fields.push(name, value);
    }
    start = feed + 1;
  }
  if (isLengthDoubtful) {
    contentLength = undefined;
    fields = withoutFields(fields, (name) => name === 'content-length');
  }

  // An answer that agrees to another protocol names it (RFC 9110 15.2.2).
  if (status === 101 && upgrade === undefined)
    throw new CgiError('GW_ERR_CGI_HEAD', 'Response head has status 101 and no Upgrade; name the protocol');
  if (status === 101) fields.push('Upgrade', upgrade!, 'Connection', 'Upgrade');

  const local = status === 0 && location?.startsWith('/') === true && !location.startsWith('//');
  return {
    status: status !== 0 ? status : location === undefined ? 200 : 302,
    reason,
    fields,
    isEmpty: start === 0,
    faults,
    contentLength,
    localRedirect: local ? location : undefined,
    sendfile,
    accelRedirect,
    buffering,
    body,
  };
}

type FieldKind =
  | 'plain'
  | 'drop'
  | 'upgrade'
  | 'status'
  | 'location'
  | 'content-length'
  | 'transfer-encoding'
  | 'sendfile'
  | 'accel-redirect'
  | 'accel-buffering';

/** By length first: most fields of most answers end after one comparison of numbers. */
function kindOf(name: string): FieldKind {
  switch (name.length) {
    case 2:
      return equalsIgnoreCase(name, 'te') ? 'drop' : 'plain';
    case 6:
      return equalsIgnoreCase(name, 'status') ? 'status' : 'plain';
    case 7:
      if (equalsIgnoreCase(name, 'upgrade')) return 'upgrade';
      return equalsIgnoreCase(name, 'trailer') ? 'drop' : 'plain';
    case 8:
      return equalsIgnoreCase(name, 'location') ? 'location' : 'plain';
    case 10:
      if (equalsIgnoreCase(name, 'x-sendfile')) return 'sendfile';
      return equalsIgnoreCase(name, 'connection') || equalsIgnoreCase(name, 'keep-alive') ? 'drop' : 'plain';
    case 14:
      if (equalsIgnoreCase(name, 'content-length')) return 'content-length';
      break;
    case 16:
      if (equalsIgnoreCase(name, 'x-accel-redirect')) return 'accel-redirect';
      if (equalsIgnoreCase(name, 'proxy-connection')) return 'drop';
      break;
    case 17:
      if (equalsIgnoreCase(name, 'transfer-encoding')) return 'transfer-encoding';
      if (equalsIgnoreCase(name, 'x-accel-buffering')) return 'accel-buffering';
      break;
  }
  return 'plain';
}

/**
 * Three digits from 200 to 599, or 102 to 199 for an interim head (T64), then nothing or a space and the reason. 100 is the
 * web server's to send, and 101 would make something else of the connection, which is only for `mayUpgrade`.
 */
function parseStatus(value: string, text: string, start: number, end: number, mayUpgrade: boolean): number {
  const status = /^(?:1(?:0[2-9]|[1-9][0-9])|[2-5][0-9][0-9])(?: |$)/.test(value)
    ? Number(value.slice(0, 3))
    : 0;
  if (mayUpgrade && /^101(?: |$)/.test(value) && isFieldValue(value)) return 101;
  if (status === 0 || !isFieldValue(value)) {
    throw refuse('has no status from 200 to 599', text, start, end);
  }
  return status;
}

function parseReason(value: string): string {
  return value.slice(4).trim();
}

/** Without the spaces and tabs around it, and without another copy when there are none. */
function trim(text: string, start: number, end: number): string {
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09;
}

function withFault(
  faults: string[] | undefined,
  problem: string,
  text: string,
  start: number,
  end: number,
): string[] {
  return [...(faults ?? []), describe(problem, text, start, end)];
}

function refuse(problem: string, text: string, start: number, end: number): CgiError {
  return new CgiError('GW_ERR_CGI_HEAD', describe(problem, text, start, end));
}

function describe(problem: string, text: string, start: number, end: number): string {
  let line = 1;
  for (let i = text.indexOf('\n'); i !== -1 && i < start; i = text.indexOf('\n', i + 1)) line++;
  return `Response head line ${line} ${problem}: ${quote(text.slice(start, end))}`;
}

/** The first 64 bytes, escaped: what an application printed may be anything (T70). */
function quote(text: string): string {
  const cut = text.length > quotedBytes ? `${text.slice(0, quotedBytes)}...` : text;
  return `"${escapeControls(cut)}"`;
}

function latin1(chunk: Uint8Array, end: number): string {
  const bytes = Buffer.isBuffer(chunk)
    ? chunk
    : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return bytes.toString('latin1', 0, end);
}
