/**
 * Whether somebody listens at an address, read from the kernel's own list: nobody is disturbed.
 * A connection that is closed without a request would do harm: ruby-fcgi ends at it, and a PHP worker takes it for one.
 */
import { readFileSync } from 'node:fs';
import { platform } from 'node:os';
import type { Address } from '../../base/address.ts';
import { toByteString } from '../../base/byte-string.ts';

/**
 * True only for what Linux lists as listening in our network namespace. False says nothing: the list may not exist,
 * the listener may live in a container, or the address is a name.
 */
export function isListedAsListening(address: Address): boolean {
  if (platform() !== 'linux') return false;
  try {
    switch (address.kind) {
      case 'unix':
        return listsUnixSocket(readFileSync('/proc/net/unix', 'latin1'), toByteString(address.path));
      case 'abstract':
        // Some programs pad the name with NUL bytes, which the list shows as letters.
        return false;
      case 'tcp':
        return listsTcpSocket(readFileSync('/proc/net/tcp', 'latin1'), address.host, address.port);
    }
  } catch {
    return false;
  }
}

/** @param list `/proc/net/unix`: number, references, protocol, flags, type, state, inode, path */
export function listsUnixSocket(list: string, path: string): boolean {
  const acceptsConnections = 0x10000;
  return list.split('\n').some((line) => {
    const match = /^\S+ \S+ \S+ ([0-9A-F]{8}) \S+ \S+ +\d+ (.*)$/s.exec(line);
    return match !== null && match[2] === path && (Number.parseInt(match[1]!, 16) & acceptsConnections) !== 0;
  });
}

/** @param list `/proc/net/tcp`: line, local address and port, remote ones, state; addresses with their bytes reversed */
export function listsTcpSocket(list: string, host: string, port: number): boolean {
  const bytes = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host)?.slice(1);
  if (bytes === undefined) return false;
  const address = bytes.map((byte) => toHex(Number(byte), 2)).reverse();
  const local = `(?:${address.join('')}|00000000):${toHex(port, 4)}`;
  const listening = '0A';
  return new RegExp(`^ *\\d+: ${local} \\S+ ${listening} `, 'm').test(list);
}

function toHex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}
