/**
 * The request-target, once and for all: one canonical path that routing, access rules, scripts and files share.
 * Decoded exactly once, then dot segments are removed; no other code decodes a path (T25, T29).
 */
import { HttpRequestError } from '../base/errors.ts';
import { parseHost } from './fields.ts';

/** A request-target made canonical. Strings are byte strings (latin1). */
export interface Target {
  /**
   * Decoded, absolute, without dot segments, without empty segments; keeps a trailing slash.
   * `*` alone for the asterisk form, which names no resource: the server answers it, no rule sees it.
   */
  readonly path: string;
  /**
   * Where in `path` the first encoded slash is; -1 for none. It is kept there as `%2F`, since no name on disk and no rule
   * can mean it: only an application may (T26).
   */
  readonly encodedSlash: number;
  /** After the first `?`, as it came; empty when there is none. */
  readonly query: string;
  /** There was a `?`. */
  readonly hasQuery: boolean;
  /** Authority of an absolute-form target; it beats the Host field (RFC 9112 3.2.2, T15). */
  readonly authority: string | undefined;
}

/** Whose file names the path will meet: on Windows a backslash separates, elsewhere it is a letter (T24). */
export type PathStyle = 'posix' | 'win32';

/**
 * Reads the origin form, the absolute form (http, https) and the asterisk form (RFC 9112 3.2).
 * The authority form belongs to CONNECT, which is refused by its method before anybody asks here.
 * @throws {HttpRequestError} GW_ERR_HTTP_TARGET: control byte, space, `#`, broken escape, or a path above the root
 */
export function parseTarget(raw: string, style: PathStyle = 'posix'): Target {
  if (raw.charCodeAt(0) === Slash) return parseOrigin(raw, undefined, style);
  if (raw === '*') return asterisk;
  const scheme = schemeLength(raw);
  if (scheme === 0) throw refuse(raw, 'is neither a path nor an http URL');
  let end = scheme;
  while (end < raw.length && !'/?#'.includes(raw[end]!)) end++;
  const authority = raw.slice(scheme, end);
  if (parseHost(authority) === undefined) throw refuse(raw, 'names no valid host');
  const rest = raw.slice(end);
  return parseOrigin(rest.startsWith('/') ? rest : `/${rest}`, authority, style);
}

/** Encodes a canonical path for a Location field: every byte that may not stand in a path, and `%` itself. */
export function encodePath(path: string): string {
  let encoded = '';
  let from = 0;
  for (let i = 0; i < path.length; i++) {
    const byte = path.charCodeAt(i);
    if (isPathByte(byte)) continue;
    encoded += `${path.slice(from, i)}%${hexDigits[byte >> 4]}${hexDigits[byte & 15]}`;
    from = i + 1;
  }
  return from === 0 ? path : encoded + path.slice(from);
}

/**
 * The target as an application would read it that takes an encoded slash for a slash. Undefined where dot segments would appear:
 * nobody means those, but who wants to pass a rule.
 */
export function withoutEncodedSlashes(target: Target): Target | undefined {
  const path = target.path.replaceAll(encodedSlash, '/');
  if (/\/\.{1,2}(?:\/|$)/.test(path)) return undefined;
  return { ...target, path: path.replace(/\/{2,}/g, '/'), encodedSlash: -1 };
}

/** Encodes a target's path as the client may have written it: an encoded slash stays one. */
export function encodeOwnPath({ path, encodedSlash: at }: Target): string {
  return at === -1 ? encodePath(path) : path.split(encodedSlash).map(encodePath).join(encodedSlash);
}

/**
 * Encodes text for the value of a query's parameter, or a fragment: every byte that would end it, or that forms read in another
 * way (`+`, `;`), and `%` itself.
 */
export function encodeQuery(text: string): string {
  return text.replace(
    /[^A-Za-z0-9._~/:@!$'()*,-]/g,
    (c) => `%${hexDigits[c.charCodeAt(0) >> 4]}${hexDigits[c.charCodeAt(0) & 15]}`,
  );
}

/** The path is the directory or lies below it. Whole segments only: `/static` holds neither `/staticx` nor `/static..` (T28). */
export function isWithin(path: string, directory: string): boolean {
  return (
    path.startsWith(directory) &&
    (path.length === directory.length || directory === '' || path.charCodeAt(directory.length) === Slash)
  );
}

/** What follows the last dot of a file name, with ASCII letters in lower case; empty without a dot. */
export function extensionOf(segment: string): string {
  const dot = segment.lastIndexOf('.');
  return dot === -1 ? '' : lowerAscii(segment.slice(dot + 1));
}

/**
 * Where the first segment that ends in one of the extensions ends: an index into `path`, or -1 for none (T21).
 * `/a.php/b` with `php` is 6; `/a.php.jpg/b` is -1.
 */
export function findExtensionEnd(path: string, extensions: { has(extension: string): boolean }): number {
  let end = path.indexOf('/', 1);
  for (let start = 1; start <= path.length; start = end + 1, end = path.indexOf('/', start)) {
    if (end === -1) end = path.length;
    const dot = path.lastIndexOf('.', end - 1);
    if (dot >= start && extensions.has(lowerAscii(path.slice(dot + 1, end)))) return end;
  }
  return -1;
}

/**
 * A to Z to lower case, and no other byte: `toLowerCase` knows more alphabets and may even change the length
 * (CVE-2026-24895).
 */
function lowerAscii(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 0x7f || (c >= 0x41 && c <= 0x5a)) {
      return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
    }
  }
  return text;
}

const Slash = 0x2f;
const encodedSlash = '%2F';
const asterisk: Target = {
  path: '*',
  encodedSlash: -1,
  query: '',
  hasQuery: false,
  authority: undefined,
};
const hexDigits = '0123456789ABCDEF';

function parseOrigin(raw: string, authority: string | undefined, style: PathStyle): Target {
  let plain = true;
  let end = 0;
  for (; end < raw.length; end++) {
    const c = raw.charCodeAt(end);
    if (isNameByte(c)) continue;
    if (c === Slash) {
      const next = raw.charCodeAt(end + 1);
      if (next === Slash || next === 0x2e) plain = false;
    } else if (c === 0x25) plain = false;
    else if (c === 0x3f) break;
    else checkRawByte(raw, c, style);
  }
  const hasQuery = end < raw.length;
  for (let i = end + 1; i < raw.length; i++) {
    const c = raw.charCodeAt(i);
    if (!isNameByte(c)) checkRawByte(raw, c, 'posix');
  }
  const rawPath = hasQuery ? raw.slice(0, end) : raw;
  const path = plain ? rawPath : removeDotSegments(raw, decode(raw, rawPath, style));
  return {
    path,
    // An encoded percent sign before `2F` looks the same: taken for a slash, it errs on the safe side.
    encodedSlash: plain || !/%2f/i.test(rawPath) ? -1 : path.indexOf(encodedSlash),
    query: hasQuery ? raw.slice(end + 1) : '',
    hasQuery,
    authority,
  };
}

function checkRawByte(raw: string, c: number, style: PathStyle): void {
  if (c <= 0x20 || c === 0x7f || c > 0xff) throw refuse(raw, 'holds a space or a control byte');
  if (c === 0x23) throw refuse(raw, 'holds a #, which belongs to the browser');
  if (c === 0x5c && style === 'win32') throw refuse(raw, 'holds a backslash');
}

function decode(raw: string, path: string, style: PathStyle): string {
  let decoded = '';
  let from = 0;
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', from)) {
    const high = hexValue(path.charCodeAt(at + 1));
    const low = hexValue(path.charCodeAt(at + 2));
    if (high === -1 || low === -1) throw refuse(raw, 'holds a % that two hexadecimal digits do not follow');
    const byte = high * 16 + low;
    if (byte < 0x20 || byte === 0x7f) throw refuse(raw, 'holds an encoded control byte');
    if (byte === 0x5c && style === 'win32') throw refuse(raw, 'holds an encoded backslash');
    decoded += path.slice(from, at) + (byte === Slash ? encodedSlash : String.fromCharCode(byte));
    from = at + 3;
  }
  return decoded + path.slice(from);
}

/** Empty segments go first, as on a file system, so that `/a//..` means what the disk would make of it. */
function removeDotSegments(raw: string, path: string): string {
  if (!path.includes('//') && !path.includes('/.')) return path;
  const kept: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '' || segment === '.') continue;
    if (segment !== '..') kept.push(segment);
    else if (kept.pop() === undefined) throw refuse(raw, 'leads above the root');
  }
  if (kept.length === 0) return '/';
  const last = segments[segments.length - 1];
  return `/${kept.join('/')}${last === '' || last === '.' || last === '..' ? '/' : ''}`;
}

/** What most paths consist of: letters, digits and `-._~!$&'()*+,;=:@`, but neither `/` nor anything with a meaning here. */
function isNameByte(c: number): boolean {
  return (
    (c >= 0x61 && c <= 0x7a) || // a-z
    (c >= 0x40 && c <= 0x5a) || // @A-Z
    (c >= 0x30 && c <= 0x3b) || // 0-9:;
    (c >= 0x26 && c <= 0x2e) || // &'()*+,-.
    c === 0x5f ||
    c === 0x3d ||
    c === 0x7e ||
    c === 0x21 ||
    c === 0x24
  );
}

/** `pchar` of RFC 3986 3.3, and the slash. */
function isPathByte(c: number): boolean {
  return isNameByte(c) || c === Slash;
}

function hexValue(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const letter = c | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function schemeLength(raw: string): number {
  const start = lowerAscii(raw.slice(0, 8));
  if (start.startsWith('http://')) return 7;
  return start === 'https://' ? 8 : 0;
}

function refuse(raw: string, reason: string): HttpRequestError {
  return new HttpRequestError('GW_ERR_HTTP_TARGET', `Request-target ${quote(raw)} ${reason}`);
}

function quote(raw: string): string {
  return JSON.stringify(raw.length > 64 ? `${raw.slice(0, 64)}...` : raw);
}
