/** Waiting in tests: for a condition, never for a number of milliseconds. */

/**
 * Waits until something is so; fails after two minutes at least, which no machine needs that is only busy.
 * @param what what is waited for, as "the end of the process"; default: the text of the condition
 * @param seen told with the failure, as the lines of a log
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string = String(condition),
  seen?: () => string,
): Promise<void> {
  for (let tries = 0; tries < 12_000; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${what} did not happen within two minutes${seen === undefined ? '' : `:\n${seen()}`}`);
}
