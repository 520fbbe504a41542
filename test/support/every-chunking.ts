/** Gives the same bytes to a parser in every way a network may cut them. */

/**
 * Calls `check` with the bytes whole, byte by byte, split in two at each place, and with an empty chunk between.
 * `check` makes a new parser, feeds it the chunks, and compares what it heard. Each chunk is a copy that is
 * overwritten afterwards by `spoil`, so that a parser that keeps a view without right is found out.
 */
export function everyChunking(
  bytes: Uint8Array,
  check: (feed: (push: (chunk: Buffer) => void) => void, name: string) => void,
): void {
  const run = (pieces: readonly Uint8Array[], name: string) =>
    check((push) => {
      for (const piece of pieces) {
        const chunk = Buffer.from(piece);
        push(chunk);
        spoil(chunk);
      }
    }, name);
  run([bytes], 'whole');
  run(
    Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
    'byte by byte',
  );
  for (let at = 1; at < bytes.length; at++) {
    run([bytes.subarray(0, at), bytes.subarray(at)], `split at ${at}`);
  }
  const middle = bytes.length >>> 1;
  run(
    [bytes.subarray(0, middle), new Uint8Array(), bytes.subarray(middle)],
    'with an empty chunk in the middle',
  );
}

function spoil(chunk: Buffer): void {
  chunk.fill(0xee);
}
