/** What an HTTP front allows by default: bytes, milliseconds, counts. Short where a healthy client is fast (T45). */
export const usualFrontLimits = {
  headerBytesMax: 32_768,
  headerTimeoutMs: 15_000,
  bodyIdleTimeoutMs: 30_000,
  /** From then on a body has to come at `bodyBytesPerSecondMin` on average. */
  bodyGraceMs: 30_000,
  bodyBytesPerSecondMin: 500,
  maxBodyBytes: 33_554_432,
  sendIdleTimeoutMs: 60_000,
  keepAliveTimeoutMs: 15_000,
  requestsPerConnectionMax: 1000,
  /** Of requests that run when the front stops. */
  shutdownGraceMs: 30_000,
} as const;
