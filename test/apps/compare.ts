/** Whether two servers gave the same answers to the same visit: statuses, types, lengths. */
import type { Answer } from '../support/http-client.ts';
import type { Exchange, Visitor } from './visitor.ts';

/** Names of one thing: servers have lists of media types of different age. */
const sameTypes = [
  ['text/javascript', 'application/javascript', 'application/x-javascript'],
  ['image/vnd.microsoft.icon', 'image/x-icon'],
  ['font/woff', 'application/font-woff', 'application/x-font-woff'],
  ['font/ttf', 'application/x-font-ttf', 'application/font-sfnt', 'application/octet-stream'],
  ['application/vnd.ms-fontobject', ''],
  ['font/otf', 'application/octet-stream'],
  ['text/xml', 'application/xml'],
];

/** What differs, in sentences; none when the visits were alike. @param volatile text that no two answers share */
export function compareVisits(ours: Visitor, theirs: Visitor, volatile: readonly RegExp[]): string[] {
  const differences: string[] = [];
  const addressOf = (visitor: Visitor, { method, path }: Exchange) =>
    `${method} ${normalize(path, visitor.origin, volatile)}`;
  const expected = new Map<string, Exchange[]>();
  const add = (key: string, exchange: Exchange) =>
    expected.set(key, [...(expected.get(key) ?? []), exchange]);
  for (const exchange of theirs.exchanges) {
    const address = addressOf(theirs, exchange);
    add(`${exchange.step}: ${address}`, exchange);
    add(address, exchange);
  }
  const asked = new Set<string>();
  for (const exchange of ours.exchanges) {
    const address = addressOf(ours, exchange);
    const key = `${exchange.step}: ${address}`;
    asked.add(address);
    // How often, and in which steps, an address with a time in it is loaded depends on the clock.
    const others = expected.get(key);
    const other =
      others !== undefined && others.length > 1 ? others.shift() : (others ?? expected.get(address))?.[0];
    if (other === undefined) {
      differences.push(`${key}: the other server was not asked for it`);
      continue;
    }
    const difference = compareAnswers(
      [exchange.answer, ours.origin],
      [other.answer, theirs.origin],
      volatile,
    );
    if (difference !== '') differences.push(`${key}: ${difference}`);
  }
  for (const exchange of theirs.exchanges)
    if (!asked.has(addressOf(theirs, exchange)))
      differences.push(`${exchange.step}: ${addressOf(theirs, exchange)}: only the other server was asked`);
  return differences;
}

function compareAnswers(
  [ours, ourOrigin]: readonly [Answer, string],
  [theirs, theirOrigin]: readonly [Answer, string],
  volatile: readonly RegExp[],
): string {
  if (ours.status !== theirs.status) return `status ${ours.status}, the other one's is ${theirs.status}`;
  // The type of an empty body, or of a server's own page for a redirect or an error, is each server's own.
  if (ours.status >= 300 || ours.body.length + theirs.body.length === 0) return '';
  const types = [typeOf(ours), typeOf(theirs)];
  if (types[0] !== types[1] && !sameTypes.some((names) => types.every((type) => names.includes(type!))))
    return `type ${types[0]}, the other one's is ${types[1]}`;
  if (ours.body.equals(theirs.body)) return '';
  const [one, two] = [
    normalize(ours.body.toString('latin1'), ourOrigin, volatile),
    normalize(theirs.body.toString('latin1'), theirOrigin, volatile),
  ];
  if (one.length === two.length) return '';
  const at = [...one].findIndex((character, index) => character !== two[index]);
  const near = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 80));
  return `${one.length} bytes, the other one's are ${two.length}; from byte ${at} on ${near(one)}, not ${near(two)}`;
}

function typeOf({ headers }: Answer): string {
  return (headers['content-type'] ?? '').replace(/;.*/s, '').trim().toLowerCase();
}

function normalize(text: string, origin: string, volatile: readonly RegExp[]): string {
  const { host, port } = new URL(origin);
  let plain = text
    .replaceAll(host, 'HOST')
    .replaceAll(encodeURIComponent(host), 'HOST')
    .replaceAll(`:${port}`, ':PORT');
  for (const pattern of volatile) plain = plain.replace(pattern, '');
  return plain;
}
