/**
 * Sets of IP addresses: single ones and CIDR ranges, IPv4 and IPv6, asked on each request.
 * An IPv4-mapped IPv6 address is its IPv4 address, on both sides.
 */

/** An address as four 32-bit words; IPv4 lives in ::ffff:0:0/96. */
type Words = readonly [number, number, number, number];

interface Range {
  readonly words: Words;
  readonly masks: Words;
}

/** Answers whether an address is in one of the ranges: `10.0.0.0/8`, `::1`, `fd00::/8`, or `unix` for a peer on a unix socket. */
export class AddressSet {
  readonly #ranges: readonly Range[];
  readonly #hasUnix: boolean;
  /** As they were written. */
  readonly ranges: readonly string[];

  /** @throws {RangeError} for a range that `isAddressRange` denies */
  constructor(ranges: readonly string[]) {
    this.ranges = ranges;
    this.#hasUnix = ranges.includes('unix');
    this.#ranges = ranges.filter((text) => text !== 'unix').map(toRange);
  }

  /** False for text that is not an address. The empty address is a unix socket's peer. */
  has(address: string): boolean {
    if (address === '') return this.#hasUnix;
    const words = parseIp(address);
    if (words === undefined) return false;
    for (const { words: base, masks } of this.#ranges) {
      if (
        ((words[3] ^ base[3]) & masks[3]) === 0 &&
        ((words[2] ^ base[2]) & masks[2]) === 0 &&
        ((words[1] ^ base[1]) & masks[1]) === 0 &&
        ((words[0] ^ base[0]) & masks[0]) === 0
      ) {
        return true;
      }
    }
    return false;
  }
}

/** The text is an address, a CIDR range, or `unix`. */
export function isAddressRange(text: string): boolean {
  return text === 'unix' || parseRange(text) !== undefined;
}

/**
 * The one spelling of an address: IPv4 in four decimal parts, also where it came mapped into IPv6, and IPv6 as RFC 5952 has
 * it. A zone is dropped. Undefined for text that is not an address.
 */
export function canonicalAddress(text: string): string | undefined {
  const zone = text.indexOf('%');
  const words = parseIp(zone === -1 ? text : text.slice(0, zone));
  if (words === undefined) return undefined;
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return printV4(words[3]);
  return printV6(words);
}

/** The holder of an address, as far as it tells: an IPv6 address stands for its /64, of which one subscriber has all. Others are themselves. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const words = parseIp(address);
  if (words === undefined || (words[0] === 0 && words[1] === 0)) return address;
  return printV6([words[0], words[1], 0, 0]);
}

function printV4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 0xff}.${(word >>> 8) & 0xff}.${word & 0xff}`;
}

/** Lower case without leading zeros; the first of the longest runs of two or more zero groups is `::`. */
function printV6(words: Words): string {
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let start = 0;
  let length = 1;
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (groups[end] === 0) end++;
    if (end - at > length) [start, length] = [at, end - at];
  }
  const print = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (length === 1) return print(groups);
  return `${print(groups.slice(0, start))}::${print(groups.slice(start + length))}`;
}

function toRange(text: string): Range {
  const range = parseRange(text);
  if (range === undefined) throw new RangeError(`${JSON.stringify(text)} is no address and no CIDR range`);
  return range;
}

function parseRange(text: string): Range | undefined {
  const [address, bits, more] = text.split('/');
  const words = parseIp(address!);
  if (words === undefined || more !== undefined) return undefined;
  const isV4 = !address!.includes(':');
  const widest = isV4 ? 32 : 128;
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return undefined;
  const prefix = bits === undefined ? widest : Number(bits);
  if (prefix > widest) return undefined;
  return { words, masks: masksOf(isV4 ? prefix + 96 : prefix) };
}

function masksOf(prefix: number): Words {
  const mask = (first: number) => {
    const bits = Math.min(32, Math.max(0, prefix - first));
    // A shift by 32 shifts by 0 in JavaScript.
    return bits === 0 ? 0 : -1 << (32 - bits);
  };
  return [mask(0), mask(32), mask(64), mask(96)];
}

function parseIp(text: string): Words | undefined {
  if (!text.includes(':')) {
    const v4 = parseV4(text);
    return v4 === undefined ? undefined : [0, 0, 0xffff, v4];
  }
  return parseV6(text);
}

/** Four decimal parts without leading zeros, since some readers take those for octal. */
function parseV4(text: string): number | undefined {
  let word = 0;
  let part = -1;
  let dots = 0;
  let length = 0;
  for (let index = 0; index <= text.length; index++) {
    const c = index === text.length ? 0x2e : text.charCodeAt(index);
    if (c === 0x2e) {
      if (part === -1) return undefined;
      word = (word << 8) | part;
      part = -1;
      length = 0;
      dots++;
    } else if (c >= 0x30 && c <= 0x39 && part !== 0) {
      part = (part === -1 ? 0 : part) * 10 + c - 0x30;
      if (++length > 3 || part > 255) return undefined;
    } else return undefined;
  }
  return dots === 4 ? word : undefined;
}

function parseV6(text: string): Words | undefined {
  let body = text;
  // A dotted IPv4 tail stands for the last two groups.
  if (text.includes('.')) {
    const colon = text.lastIndexOf(':');
    const v4 = parseV4(text.slice(colon + 1));
    if (v4 === undefined) return undefined;
    body = `${text.slice(0, colon + 1)}${((v4 >>> 16) & 0xffff).toString(16)}:${(v4 & 0xffff).toString(16)}`;
  }
  const halves = body.split('::');
  if (halves.length > 2) return undefined;
  const head = halves[0] === '' ? [] : halves[0]!.split(':');
  const tail = halves[1] === undefined || halves[1] === '' ? [] : halves[1].split(':');
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups: number[] = [];
  for (const group of [...head, ...new Array<string>(missing).fill('0'), ...tail]) {
    if (!/^[0-9A-Fa-f]{1,4}$/.test(group)) return undefined;
    groups.push(Number.parseInt(group, 16));
  }
  const word = (index: number) => (groups[index * 2]! << 16) | groups[index * 2 + 1]!;
  return [word(0), word(1), word(2), word(3)];
}
