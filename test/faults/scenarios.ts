/**
 * What an application may do wrong, and what our client must see then: the table behind docs/faults.md.
 * `play` names a scenario of the scripted application.
 */

export interface Scenario {
  readonly fault: string;
  readonly play: string;
  /** `200 complete`, `200 cut`, `502`, `503`, `504`. */
  readonly expected: string;
  /** The body of a complete answer. */
  readonly body?: string;
  /** Sent by POST; such a request runs at most once. */
  readonly post?: string | Uint8Array;
  /** It strikes an idle connection, a moment after the answer: the next request comes when no connection is left. */
  readonly strikesLater?: boolean;
  /** How often a GET is given to the application, when that is not once: retries of an idempotent request. */
  readonly runs?: number;
  /** On a kept connection, when that differs: what comes there may be meant for the request before. */
  readonly runsWhenKept?: number;
}

const head = 'Content-Type: text/plain\r\n\r\n';
/** An answer whose STDOUT is this. */
const says = (content: string) => `stdout&content=${encodeURIComponent(content)}`;
const large = new Uint8Array(2_000_000);

/** Answers that break off. What is small, and comes at once, is held: the client gets an error in its place (F12). */
const brokenAnswers: readonly Scenario[] = [
  { fault: 'EOF, no END_REQUEST, no Content-Length (F11)', play: 'eof-without-end', runs: 2 },
  { fault: 'record says 1000, 500 sent, EOF (F14)', play: 'short-record', runs: 2 },
  { fault: 'EOF inside a record header (F14)', play: 'short-header', runs: 2 },
  { fault: 'EOF inside padding (F14)', play: 'short-padding', runs: 2 },
  { fault: 'END_REQUEST of 4 bytes', play: 'short-end', runs: 1 },
  { fault: 'record with a wrong id in the body (F19)', play: 'wrong-id-in-body', runs: 1 },
  { fault: 'type 99, our id, in the body (F20)', play: 'type-99-in-body', runs: 1 },
  { fault: 'Content-Length longer than the body (F13)', play: 'content-length-too-long', runs: 1 },
].flatMap(({ fault, play, runs }) => [
  { fault: `${fault}, small`, play, expected: '502', runs },
  { fault: `${fault}, 20 KB`, play: `${play}&before=20000`, expected: '200 cut' },
]);

export const scenarios: readonly Scenario[] = [
  { fault: 'none: a plain page', play: 'page', expected: '200 complete', body: 'Hello' },
  ...brokenAnswers,
  { fault: 'END_REQUEST only (F17)', play: 'end-only', expected: '502' },
  { fault: 'STDERR only, appStatus 255 (F17, F24)', play: 'stderr-only', expected: '502' },
  { fault: 'OVERLOADED (F21)', play: 'overloaded', expected: '503' },
  { fault: 'CANT_MPX_CONN (F22)', play: 'cant-mpx', expected: '503', runs: 2 },
  { fault: 'UNKNOWN_ROLE (F23)', play: 'unknown-role', expected: '502' },
  { fault: 'protocolStatus 9 (F23)', play: 'unknown-status', expected: '502' },
  { fault: 'record version 2 (F18)', play: 'version-2', expected: '502' },
  { fault: 'plain HTTP bytes (F18)', play: 'plain-http', expected: '502' },
  { fault: 'all records with a wrong id (F19)', play: 'wrong-id', expected: '502', runsWhenKept: 2 },
  {
    fault: 'UNKNOWN_TYPE, id 0, in the body (F20)',
    play: 'unknown-type-0-in-body',
    expected: '200 complete',
    body: 'hello',
  },
  {
    fault: 'type 99, id 0, in the body (F20)',
    play: 'management-99-in-body',
    expected: '200 complete',
    body: 'hello',
  },
  { fault: 'closes without a byte (F8, F9)', play: 'close-without-a-byte', expected: '502', runs: 2 },
  { fault: 'resets without a byte (F8, F42)', play: 'reset', expected: '502', runs: 2 },
  { fault: 'no byte within the read timeout (F10)', play: 'silence', expected: '504' },
  { fault: 'silence in the body (F15)', play: 'no-end', expected: '200 cut' },
  {
    fault: '5 MB of STDERR, then a page',
    play: 'stderr-flood',
    expected: '200 complete',
    body: 'after the flood',
  },
  { fault: 'STDERR between STDOUT', play: 'stderr-between', expected: '200 complete', body: 'Hello' },
  {
    fault: 'second answer after END_REQUEST (F26)',
    play: 'second-answer',
    expected: '200 complete',
    body: 'first',
  },
  { fault: 'second END_REQUEST (F26)', play: 'second-end', expected: '200 complete', body: 'first' },
  {
    fault: 'garbage after END_REQUEST (F26)',
    play: 'garbage-after-end',
    expected: '200 complete',
    body: 'first',
  },
  {
    fault: 'an idle connection talks (T76)',
    play: 'late-bytes',
    expected: '200 complete',
    body: 'first',
    strikesLater: true,
  },
  {
    fault: 'an empty STDOUT record in the middle',
    play: 'stdout-after-its-end',
    expected: '200 complete',
    body: 'aLATE',
  },
  { fault: 'no empty STDOUT record (F25)', play: 'no-stdout-end', expected: '200 complete', body: 'Hello' },
  { fault: 'appStatus 3 after a page (F24)', play: 'exit-status', expected: '200 complete', body: 'Hello' },
  {
    fault: 'padding 255, empty and full records (F27)',
    play: 'odd-records',
    expected: '200 complete',
    body: `${'x'.repeat(65_535)}!`,
  },
  { fault: 'one byte per segment (F27)', play: 'byte-by-byte', expected: '200 complete', body: 'Hello' },
  {
    fault: 'does not close a connection that is not kept (F37)',
    play: 'waits-for-close',
    expected: '200 complete',
    body: 'Hello',
  },
  {
    fault: 'Content-Length 5, 10 bytes (T61)',
    play: 'content-length-too-short',
    expected: '200 complete',
    body: '01234',
  },
  { fault: 'head never ends (F28)', play: 'head-never-ends', expected: '502' },
  { fault: 'head of 200 KB (F28)', play: 'large-head', expected: '502' },
  { fault: 'bare CR in a value (T59)', play: says(`X-A: b\rX-B: c\r\n${head}a`), expected: '502' },
  { fault: 'NUL in a value (T59)', play: says(`X-A: b\0c\r\n${head}a`), expected: '502' },
  ...['abc', '99', '1000', '100'].map((status) => ({
    fault: `Status ${status} (T64)`,
    play: says(`Status: ${status}\r\n${head}a`),
    expected: '502',
  })),
  ...['abc', '-1', '1\r\nContent-Length: 2'].map((length) => ({
    fault: `Content-Length ${length.replace('\r\nContent-Length:', ' and')} (T60)`,
    play: says(`Content-Length: ${length}\r\n${head}a`),
    expected: '200 complete',
    body: 'a',
  })),
  {
    fault: 'answers before it has read the body (F29)',
    play: 'answer-while-reading',
    post: large,
    expected: '200 complete',
    body: `early ${large.length}`,
  },
  {
    fault: 'answers, does not read, closes (F30)',
    play: 'answer-without-reading',
    post: large,
    expected: '200 complete',
    body: 'early',
  },
  {
    fault: 'END_REQUEST before the body was sent (F29)',
    play: 'end-before-stdin',
    post: large,
    expected: '200 complete',
    body: 'early',
  },
  { fault: 'never reads the body (F31)', play: 'never-reading', post: large, expected: '504' },
  {
    fault: 'POST: closes without a byte (F8, F9)',
    play: 'close-without-a-byte',
    post: 'a=1',
    expected: '502',
  },
  { fault: 'POST: resets without a byte (F8)', play: 'reset', post: 'a=1', expected: '502' },
  { fault: 'POST: record version 2 (F18)', play: 'version-2', post: 'a=1', expected: '502' },
  {
    fault: 'POST: CANT_MPX_CONN, said before it ran (F22)',
    play: 'cant-mpx',
    post: 'a=1',
    expected: '503',
    runs: 2,
  },
];
