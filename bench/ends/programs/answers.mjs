/** What every application of the bench answers, and the address that it is told to listen at. */

/** Unix socket. */
export const path = process.argv[2];

export const page =
  '<!doctype html>\n<title>Page</title>\n<p>This is what a small answer looks like, which an application makes again and again ' +
  'without a thought, in about two hundred bytes that nobody is going to read.</p>\n';

const piece = Buffer.alloc(65_536, 'a');

/** The pieces of a file, as a stream from a disk would give them. */
export const pieces = Array.from({ length: Math.ceil(10_000_000 / piece.length) }, (_, index) =>
  piece.subarray(0, 10_000_000 - index * piece.length),
);

export const html = 'text/html; charset=UTF-8';
export const binary = 'application/octet-stream';
