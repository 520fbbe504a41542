/**
 * Who asks, when trusted proxies stand between: the address, port and security of the client itself.
 * Only a peer in the trusted set is believed, and X-Forwarded-For is read from its right end, where our own proxies
 * wrote: the first address that is not trusted is the client, whatever it claims further left (T85).
 */
import { type AddressSet, isAddress } from './address-set.ts';
import { findField, joinFields } from './fields.ts';
import type { RequestHead } from './message.ts';

/** Structurally the handlers' `Client`. */
export interface ResolvedClient {
  readonly address: string;
  /** 0 when a proxy did not tell. */
  readonly port: number;
  readonly secure: boolean;
}

/** X-Real-IP counts only when a trusted peer sends no X-Forwarded-For. */
export function resolveClient(head: RequestHead, trusted: AddressSet | undefined): ResolvedClient {
  const peer = { address: head.remoteAddress, port: head.remotePort, secure: head.secure };
  if (trusted === undefined || !trusted.has(peer.address)) return peer;
  const secure = forwardedSecure(head);
  const forwarded = joinFields(head.fields, 'x-forwarded-for');
  if (forwarded === undefined) {
    const real = parseForwarded(findField(head.fields, 'x-real-ip') ?? '', trusted);
    return { address: real?.address ?? peer.address, port: real?.port ?? peer.port, secure };
  }
  let { address, port } = peer;
  let end = forwarded.length;
  do {
    const comma = forwarded.lastIndexOf(',', end - 1);
    const hop = parseForwarded(forwarded.slice(comma + 1, end), trusted);
    // What is no address says nothing, and nothing left of it can be believed.
    if (hop === undefined) break;
    ({ address, port } = hop);
    if (!hop.trusted) break;
    end = comma;
  } while (end > 0);
  return { address, port, secure };
}

/** The nearest proxy's word, which is the last. */
function forwardedSecure(head: RequestHead): boolean {
  const proto = joinFields(head.fields, 'x-forwarded-proto');
  if (proto === undefined) return head.secure;
  const last = proto
    .slice(proto.lastIndexOf(',') + 1)
    .trim()
    .toLowerCase();
  if (last === 'https') return true;
  return last === 'http' ? false : head.secure;
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`. */
function parseForwarded(
  text: string,
  trusted: AddressSet,
): { address: string; port: number; trusted: boolean } | undefined {
  const hop = text.trim();
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(\d{1,5}))?$/.exec(hop);
  const written = match === null ? hop : (match[1] ?? match[2]!);
  const address =
    written.toLowerCase().startsWith('::ffff:') && written.includes('.') ? written.slice(7) : written;
  if (!isAddress(address)) return undefined;
  return { address, port: Number(match?.[3] ?? 0), trusted: trusted.has(address) };
}
