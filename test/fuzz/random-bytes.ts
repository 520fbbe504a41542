/** Gives numbers from 0 up to, but not including, 1. */
export type Random = () => number;

/** Fewer than `lengthMax` random bytes. */
export function randomBytes(random: Random, lengthMax: number): Buffer {
  return Buffer.from(
    Array.from({ length: Math.floor(random() * lengthMax) }, () => Math.floor(random() * 256)),
  );
}
