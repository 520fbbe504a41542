/** What the button says. */
export function label(count: number): string {
  return `Counted ${count}`;
}
