/** What an HTTP front grants where nobody says otherwise: bytes, milliseconds, counts. Short where a healthy client is fast (T45). */
export const usualFrontLimits = {
  headerBytesMax: 32_768,
  headerTimeoutMs: 15_000,
  bodyIdleTimeoutMs: 30_000,
  sendIdleTimeoutMs: 60_000,
  keepAliveTimeoutMs: 15_000,
  requestsPerConnectionMax: 1000,
} as const;
