/** A scenario that answers when the test says so: for what has to happen while requests run. */
import { endRequest, stdout } from '../support/record-builder.ts';
import type { Played } from '../support/scripted-application.ts';

export class Gate {
  readonly #waiting: (() => void)[] = [];
  #isOpen = false;

  /** Requests that have arrived and are not answered. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Answers `gate` as soon as the gate is open. */
  readonly play = (played: Played): void => {
    const answer = () => played.finish(stdout('Content-Type: text/plain\r\n\r\ngate'), endRequest());
    if (this.#isOpen) answer();
    else this.#waiting.push(answer);
  };

  /** Lets one through that waits. */
  next(): void {
    this.#waiting.shift()?.();
  }

  /** Lets all through, those that come as well. */
  open(): void {
    this.#isOpen = true;
    for (const answer of this.#waiting.splice(0)) answer();
  }
}
