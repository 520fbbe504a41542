/**
 * Who asks, when trusted proxies stand between: address, port and security of the client itself, and the host and port that it
 * asked for. Only a peer in the trusted set is believed, and of each fact only the one field that the configuration names:
 * any other may be the client's own, which a proxy passes on.
 * Lists are read from their right end, where our own proxies wrote: the first address that is not trusted is the client,
 * whatever it claims further left (T85).
 */
import { HttpRequestError } from '../base/errors.ts';
import { type AddressSet, canonicalAddress } from './address-set.ts';
import { findFields, parseHost } from './fields.ts';
import type { RequestHead } from './message.ts';

/** Proxies in front of us, and the fields by which they tell. Field names are in lower case. */
export interface TrustedProxies {
  readonly trusted: AddressSet;
  /** Tells the address: `x-forwarded-for` and `forwarded` (RFC 7239) are lists of hops, any other has one value. */
  readonly field: string;
  /** Undefined, here and below: nobody tells. `forwarded`: the parameter of that name. */
  readonly protoField: string | undefined;
  readonly hostField: string | undefined;
  readonly portField: string | undefined;
}

/** The client of a request, after trusted proxies were believed. */
export interface ResolvedClient {
  /** Canonical text; empty for a peer on a unix socket. */
  readonly address: string;
  /** 0 when a proxy did not tell. */
  readonly port: number;
  readonly secure: boolean;
  /** Host and maybe port that it asked a proxy for; undefined: those that we were asked for. */
  readonly authority: string | undefined;
  /** The port that it asked a proxy at; 0: not told. */
  readonly serverPort: number;
}

/** What the connection itself tells. */
export function peerOf({ remoteAddress, remotePort, secure }: RequestHead): ResolvedClient {
  return { address: remoteAddress, port: remotePort, secure, authority: undefined, serverPort: 0 };
}

/**
 * @param proxies undefined: nobody is believed
 * @throws {HttpRequestError} GW_ERR_HTTP_REQUEST: the address came more than once in a field of one value. One of them is the
 * client's own, and to believe none would make it the proxy
 */
export function resolveClient(head: RequestHead, proxies: TrustedProxies | undefined): ResolvedClient {
  if (proxies?.trusted.has(head.remoteAddress) !== true) return peerOf(head);
  const { trusted, field, protoField, hostField, portField } = proxies;
  const { address, port } =
    field === 'x-forwarded-for' || field === 'forwarded'
      ? nearestUntrusted(head, field, trusted)
      : (onlyHop(head, field) ?? unknownHop(head));
  return {
    address,
    port,
    secure: readSecure(head, protoField),
    authority: readAuthority(head, hostField),
    serverPort: readPort(lastValue(head, portField)),
  };
}

interface Hop {
  readonly address: string;
  readonly port: number;
}

function unknownHop({ remoteAddress, remotePort }: RequestHead): Hop {
  return { address: remoteAddress, port: remotePort };
}

/**
 * From the nearest hop outwards. Anything that is not an address (`unknown`, `_hidden`) ends the search: the hop that wrote it is the last of
 * whom we know, and nothing left of it can be believed.
 */
function nearestUntrusted(head: RequestHead, field: string, trusted: AddressSet): Hop {
  const list = findFields(head.fields, field).join(',');
  let found = unknownHop(head);
  for (let end = list.length; end > 0; ) {
    const comma = lastComma(list, end);
    const element = list.slice(comma + 1, end);
    const hop = parseHop(field === 'forwarded' ? (parameterOf(element, 'for') ?? '') : element);
    if (hop === undefined) break;
    found = hop;
    if (!trusted.has(hop.address)) break;
    end = comma;
  }
  return found;
}

function onlyHop(head: RequestHead, field: string): Hop | undefined {
  const values = findFields(head.fields, field);
  // A proxy that appends makes two lines, or one with a comma, out of a client's field and its own (RFC 9110 5.3).
  if (values.length > 1 || values[0]?.includes(',')) {
    throw new HttpRequestError(
      'GW_ERR_HTTP_REQUEST',
      `Field ${field} came twice through a trusted proxy, and tells one address; let the proxy set it and not add to it, or name another "realIp.field"`,
    );
  }
  return parseHop(values[0] ?? '');
}

function readSecure(head: RequestHead, field: string | undefined): boolean {
  const told = field === 'forwarded' ? lastParameter(head, 'proto') : lastValue(head, field);
  switch (told?.toLowerCase()) {
    case 'https':
      return true;
    case 'http':
      return false;
    default:
      return head.secure;
  }
}

function readAuthority(head: RequestHead, field: string | undefined): string | undefined {
  const told = field === 'forwarded' ? lastParameter(head, 'host') : lastValue(head, field);
  return told === undefined || parseHost(told) === undefined ? undefined : told;
}

/** The nearest proxy's word, which is the last. */
function lastValue(head: RequestHead, field: string | undefined): string | undefined {
  if (field === undefined) return undefined;
  const last = findFields(head.fields, field).at(-1);
  return last?.slice(last.lastIndexOf(',') + 1).trim();
}

function lastParameter(head: RequestHead, name: string): string | undefined {
  const last = findFields(head.fields, 'forwarded').at(-1);
  return last === undefined ? undefined : parameterOf(last.slice(lastComma(last, last.length) + 1), name);
}

/**
 * Before `end`, outside of quotes; -1 for none. Looked for from the right, so that a quote which a client left open takes
 * nothing of what the proxy appended.
 */
function lastComma(list: string, end: number): number {
  let isQuoted = false;
  for (let at = end - 1; at >= 0; at--) {
    const c = list.charCodeAt(at);
    if (c === 0x22) isQuoted = !isQuoted;
    else if (c === 0x2c && !isQuoted) return at;
  }
  return -1;
}

const parameters = /\s*([\w!#$%&'*+.^`|~-]+)=(?:"([^"\\]*)"|([^\s",;]+))\s*(;|$)/y;

/** A parameter of an element of Forwarded (RFC 7239 4); undefined as well when it is there twice, or the element is none. */
function parameterOf(element: string, name: string): string | undefined {
  const text = element.trim();
  let value: string | undefined;
  for (parameters.lastIndex = 0; parameters.lastIndex < text.length; ) {
    const match = parameters.exec(text);
    if (match === null) return undefined;
    if (match[1]!.toLowerCase() !== name) continue;
    if (value !== undefined) return undefined;
    value = match[2] ?? match[3];
  }
  return value;
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`; a port that is none is not told. */
function parseHop(text: string): Hop | undefined {
  const hop = text.trim();
  const match = /^(?:\[([^\]]*)\]|([0-9.]+))(?::([\w.-]+))?$/.exec(hop);
  const address = canonicalAddress(match === null ? hop : (match[1] ?? match[2]!));
  return address === undefined ? undefined : { address, port: readPort(match?.[3]) };
}

/** 0 for anything that is not a port. */
function readPort(text: string | undefined): number {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return 0;
  const port = Number(text);
  return port > 65_535 ? 0 : port;
}
