/** Monotonic milliseconds: a clock that is set must not end timeouts. */
export const monotonicNow = (): number => performance.now();
