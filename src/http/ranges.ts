/**
 * The Range field (RFC 9110 14.2): which bytes of a representation a client wants.
 * Overlapping and touching ranges are merged, so that no answer is longer than the whole (CVE-2011-3192, T73).
 */

/** Both ends included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** More ranges than this ask for the whole. */
const rangesMax = 16;

/**
 * Reads a Range field for a representation of `size` bytes.
 * @returns ranges in ascending order, none of them overlapping; an empty list when none can be satisfied (416);
 * undefined when the field is to be ignored: another unit, not well-formed, more than 16 ranges
 */
export function parseRange(value: string, size: number): readonly ByteRange[] | undefined {
  const equals = value.indexOf('=');
  if (equals === -1 || value.slice(0, equals).trim().toLowerCase() !== 'bytes') return undefined;
  const specs = value
    .slice(equals + 1)
    .split(',', rangesMax + 1)
    .map((spec) => spec.trim());
  if (specs.length > rangesMax) return undefined;
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    // RFC 9110 5.6.1.2: empty list elements are skipped.
    if (spec === '') continue;
    const match = /^(\d{0,15})-(\d{0,15})$/.exec(spec);
    if (match === null || (match[1] === '' && match[2] === '')) return undefined;
    const range = toRange(match[1]!, match[2]!, size);
    if (range === undefined) return undefined;
    if (range.first < size && range.first <= range.last) ranges.push(range);
  }
  return specs.every((spec) => spec === '') ? undefined : merge(ranges);
}

/** Undefined for a last byte before the first, which makes the whole field invalid. */
function toRange(first: string, last: string, size: number): ByteRange | undefined {
  // A suffix of 0 bytes is well-formed, and cannot be satisfied: first is size.
  if (first === '') return { first: Math.max(0, size - Number(last)), last: size - 1 };
  const from = Number(first);
  if (last === '') return { first: from, last: size - 1 };
  if (Number(last) < from) return undefined;
  return { first: from, last: Math.min(Number(last), size - 1) };
}

function merge(ranges: ByteRange[]): readonly ByteRange[] {
  ranges.sort((a, b) => a.first - b.first);
  const merged: ByteRange[] = [];
  for (const range of ranges) {
    const before = merged.at(-1);
    if (before !== undefined && range.first <= before.last + 1) {
      merged[merged.length - 1] = { first: before.first, last: Math.max(before.last, range.last) };
    } else merged.push(range);
  }
  return merged;
}
