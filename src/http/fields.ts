/**
 * Questions about field lines, for code that reads a request or writes a response.
 * Names compare without ASCII letter case (RFC 9110 5.1) and bytes stay bytes; objects keyed by a client's names
 * are never built, so `__proto__` is one more name (T6).
 */
import { canonicalAddress } from './address-set.ts';
import type { Fields } from './message.ts';

/** The first value of a field; `name` in lower case. */
export function findField(fields: Fields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    if (equalsIgnoreCase(fields[i]!, name)) return fields[i + 1];
  }
  return undefined;
}

/** All values of a field, in order; `name` in lower case. */
export function findFields(fields: Fields, name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (equalsIgnoreCase(fields[i]!, name)) values.push(fields[i + 1]!);
  }
  return values;
}

/** All values of a list field as one, joined by `, ` (RFC 9110 5.3); undefined when there is none. */
export function joinFields(fields: Fields, name: string): string | undefined {
  const values = findFields(fields, name);
  return values.length === 0 ? undefined : values.join(', ');
}

/** All lines but some. @param isDropped is given each name in lower case */
export function withoutFields(fields: Fields, isDropped: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (!isDropped(fields[i]!.toLowerCase())) kept.push(fields[i]!, fields[i + 1]!);
  }
  return kept;
}

/** A list field holds this token, as `Connection: close, TE` holds `close`; `name` and `token` in lower case. */
export function hasToken(fields: Fields, name: string, token: string): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (!equalsIgnoreCase(fields[i]!, name)) continue;
    for (const member of fields[i + 1]!.split(',')) {
      if (equalsIgnoreCase(member.trim(), token)) return true;
    }
  }
  return false;
}

/** `text` in any ASCII letter case is `lower`, which is in lower case. */
export function equalsIgnoreCase(text: string, lower: string): boolean {
  if (text.length !== lower.length) return false;
  if (text === lower) return true;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** Whom a request is for. */
export interface Host {
  /** Lower case; an IPv6 address in brackets. */
  readonly host: string;
  /** Undefined when none was named. */
  readonly port: number | undefined;
}

/**
 * Reads a Host field or an authority (RFC 3986 3.2.2 and 3.2.3): a name or IPv4 address of the bytes that a `reg-name` may
 * have, or an IPv6 address in brackets, and maybe a port, which may be empty. Undefined for anything else: bytes that no
 * host has are an attack on a log, a cache or a link (T38).
 */
export function parseHost(value: string): Host | undefined {
  const match = /^((?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?$/.exec(
    value,
  );
  if (match === null) return undefined;
  const host = match[1]!.toLowerCase();
  if (host.startsWith('[') && canonicalAddress(host.slice(1, -1)) === undefined) return undefined;
  const port = match[2] === undefined || match[2] === '' ? undefined : Number(match[2]);
  if (port !== undefined && port > 65_535) return undefined;
  return { host, port };
}

/** A field name or method: one or more `tchar` (RFC 9110 5.6.2). */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (tokenBytes[text.charCodeAt(i)] !== 1) return false;
  }
  return text.length > 0;
}

/** What may follow the colon: any byte but controls, the tab excepted (RFC 9110 5.5, T59). */
export function isFieldValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if ((c < 0x20 && c !== 0x09) || c === 0x7f || c > 0xff) return false;
  }
  return true;
}

const tokenBytes: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte)) ? 1 : 0,
);
