/** What the scripted application answers in the attacks. */
import type { Played } from '../../src/testing/scenarios.ts';

/** An answer in records of id 1, byte for byte (FastCGI 3.3: version, type, id, content length, padding length, reserved). */
export function recordsOf(body: string): readonly Buffer[] {
  const content = Buffer.from(`Content-Type: text/plain\r\n\r\n${body}`, 'latin1');
  const header = (type: number, length: number) =>
    Buffer.from([1, type, 0, 1, length >> 8, length & 255, 0, 0]);
  return [header(6, content.length), content, header(6, 0), header(3, 8), Buffer.alloc(8)];
}

/** A scenario that counts how many requests it has at a time. */
export class Load {
  #now = 0;
  /** Most requests that were here at once. */
  most = 0;

  /** Answers `Hello` after 5 ms. */
  readonly play = (connection: Played): void => {
    this.most = Math.max(this.most, ++this.#now);
    setTimeout(() => {
      this.#now--;
      connection.finish(...recordsOf('Hello'));
    }, 5);
  };
}
