/**
 * Where a FastCGI server listens, from both sides' view: `tcp://host:port`, `unix:/path`, `unix:@abstract`.
 * The short forms `host:port`, `:port`, `/path` and `@name` are read too.
 */
import { GatewayError } from './errors.ts';

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'abstract'; readonly name: string };

/**
 * Longest unix socket path or abstract name, in bytes. The kernel's field has 108 (104 on macOS and BSD),
 * and Node 20 cuts a longer one in silence, so it is refused here.
 */
export const unixPathBytesMax = 103;

/** @throws {GatewayError} GW_ERR_ADDRESS */
export function parseAddress(text: string): Address {
  if (text.includes('\0')) throw invalid(text, 'it holds a NUL byte');
  if (text.startsWith('unix:@') || text.startsWith('@')) {
    return { kind: 'abstract', name: checkLength(text, text.slice(text.indexOf('@') + 1)) };
  }
  if (text.startsWith('unix:') || text.startsWith('/') || text.startsWith('./')) {
    const path = text.replace(/^unix:(\/\/(?=\/))?/, '');
    return { kind: 'unix', path: checkLength(text, path) };
  }
  const match = /^(?:tcp:\/\/)?(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[A-Za-z0-9._-]*):(\d{1,5})$/.exec(text);
  if (match === null) throw invalid(text, 'write tcp://host:port, unix:/path or unix:@name');
  const port = Number(match[2]);
  if (port < 1 || port > 65_535) throw invalid(text, `port ${port} is not between 1 and 65535`);
  const host = match[1] === '' ? '127.0.0.1' : match[1]!.replace(/^\[|\]$/g, '');
  return { kind: 'tcp', host, port };
}

/** The long form, which `parseAddress` reads back to the same address. */
export function printAddress(address: Address): string {
  switch (address.kind) {
    case 'tcp':
      return `tcp://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
    case 'unix':
      return `unix:${address.path}`;
    case 'abstract':
      return `unix:@${address.name}`;
  }
}

/** What `net.connect` and `server.listen` take. */
export function toSocketOptions(address: Address): { host: string; port: number } | { path: string } {
  switch (address.kind) {
    case 'tcp':
      return { host: address.host, port: address.port };
    case 'unix':
      return { path: address.path };
    case 'abstract':
      return { path: `\0${address.name}` };
  }
}

function checkLength(text: string, path: string): string {
  if (path === '') throw invalid(text, 'the path is empty');
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > unixPathBytesMax) {
    throw invalid(
      text,
      `the path has ${bytes} bytes, and the system takes ${unixPathBytesMax}; use a shorter one`,
    );
  }
  return path;
}

function invalid(text: string, reason: string): GatewayError {
  return new GatewayError('GW_ERR_ADDRESS', `Address ${JSON.stringify(text)} is invalid: ${reason}`);
}
