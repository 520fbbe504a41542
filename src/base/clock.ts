/** Time as an argument: what waits for it can be tested without waiting. */

/** Armed until it fires (once) or for good (repeating), or until it is cleared. */
export interface Timer {
  /** The program may end before it fires. */
  unref(): unknown;
  /** Armed again for its whole time, from now on. */
  refresh(): unknown;
}

export interface Clock {
  /** Monotonic milliseconds: a clock that is set must not end timeouts. */
  readonly now: () => number;
  /** Calls once, after `delayMs` milliseconds, at most 2^31 - 1 (T102). */
  readonly setTimer: (fire: () => void, delayMs: number) => Timer;
  /** Calls again and again, every `intervalMs` milliseconds. */
  readonly setRepeating: (fire: () => void, intervalMs: number) => Timer;
  /** Of either kind; may be called twice, and for none. */
  readonly clearTimer: (timer: Timer | undefined) => void;
}

/** That of the machine. Looked up when called, so that tests can replace the globals. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (fire, delayMs) => setTimeout(fire, delayMs),
  setRepeating: (fire, intervalMs) => setInterval(fire, intervalMs),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
};

/** Milliseconds since the epoch, for what people read: it jumps when the machine's clock is set, so nothing is measured with it. */
export const calendarNow = (): number => Date.now();

/** Lets what the system has for us be read. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Resolves after so many milliseconds. @param signal ends it: rejects with its reason */
export function pass(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const aborted = () => {
      clock.clearTimer(timer);
      reject(signal!.reason as Error);
    };
    const timer = clock.setTimer(() => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }, ms);
    signal?.addEventListener('abort', aborted, { once: true });
  });
}
