/** What is uploaded. */

/** A PNG of one pixel, then bytes of every value: applications check the type by the first bytes. */
export const picture: Buffer = Buffer.concat([
  Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  ),
  Buffer.from(Array.from({ length: 50_000 }, (_, at) => (at * 13) & 255)),
]);
