/** How often a fault suite does what it does: much in `npm run test:faults`, little in `npm test`. */

/** `npm run test:faults`, which also writes docs/faults.md. */
export const isFull: boolean = process.env.FAULTS === 'full';

export function count(full: number, small: number): number {
  return isFull ? full : small;
}
