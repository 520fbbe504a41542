/** A scenario of the scripted application that counts how many requests it has at a time. */
import type { Played } from '../../src/testing/scenarios.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nHello');
/** Header of a record of id 1 (FastCGI 3.3): version, type, id, content length, padding length, reserved. */
const header = (type: number, length: number) => Buffer.from([1, type, 0, 1, 0, length, 0, 0]);

export class Load {
  #now = 0;
  /** Most requests that were here at once. */
  most = 0;

  /** Answers `Hello` after 5 ms. */
  readonly play = (connection: Played): void => {
    this.most = Math.max(this.most, ++this.#now);
    setTimeout(() => {
      this.#now--;
      connection.finish(header(6, content.length), content, header(6, 0), header(3, 8), Buffer.alloc(8));
    }, 5);
  };
}
