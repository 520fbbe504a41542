/** How often an attack is tried: much in `npm run test:attacks`, little in `npm test`. */
export function count(full: number, small: number): number {
  return process.env.ATTACKS === 'full' ? full : small;
}
