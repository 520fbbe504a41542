/**
 * Whether a process that was just started accepts connections yet. Its socket may be there long before it does: made by us, or
 * bound by a program that then loads for seconds. So a connection alone says nothing; an answer on it does.
 */
import { connect } from 'node:net';
import { type Address, toSocketOptions } from '../../base/address.ts';
import type { Clock, Timer } from '../../base/clock.ts';

/** Between a connection that broke and the next one. */
const againMs = 100;
/** Whatever it says, it is ready then: perhaps it never closes a connection. */
const readinessMsMax = 60_000;

export interface ReadinessProbeOptions {
  readonly address: Address;
  readonly clock: Clock;
  /** Called once, and never after `close`. */
  readonly ready: () => void;
}

/**
 * Connects and half-closes: who accepts that reads the end and closes, as of a client that thought better of it. It asks
 * nothing, since some applications die of a question that they do not know. No worker is held by it (F39).
 */
export class ReadinessProbe {
  readonly #options: ReadinessProbeOptions;
  readonly #deadline: Timer;
  #again: Timer | undefined;
  #abandon: (() => void) | undefined;
  #isOver = false;

  /** Begins at once. The caller closes it. */
  constructor(options: ReadinessProbeOptions) {
    this.#options = options;
    this.#deadline = options.clock.setTimer(() => this.#finish(), readinessMsMax);
    this.#ask();
  }

  /** May be called twice. */
  close(): void {
    this.#isOver = true;
    const { clock } = this.#options;
    clock.clearTimer(this.#deadline);
    clock.clearTimer(this.#again);
    this.#abandon?.();
  }

  #ask(): void {
    const { address, clock } = this.#options;
    const socket = connect({ ...toSocketOptions(address), allowHalfOpen: true });
    this.#abandon = () => socket.destroy();
    // A process that dies with this in its queue of connections breaks it, and is not ready.
    let isBroken = false;
    socket.once('error', () => {
      isBroken = true;
    });
    socket.once('data', () => this.#finish());
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      if (this.#isOver) return;
      if (isBroken) this.#again = clock.setTimer(() => this.#ask(), againMs);
      else this.#finish();
    });
    socket.end();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.close();
    this.#options.ready();
  }
}
