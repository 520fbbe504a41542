/** How long an application may take, where nobody says it; milliseconds. */
import type { Address } from '../base/address.ts';

/**
 * A reachable server accepts in far less, and another source can take over. On the same machine a connect takes no time; elsewhere
 * a lost packet is sent again after 1 s.
 */
export function connectTimeoutMsOf(kind: Address['kind']): number {
  return kind === 'tcp' ? 3_000 : 1_000;
}

/** Limits of one request, in milliseconds. */
export interface CallTimeouts {
  readonly connectTimeoutMs: number;
  /** Longest gap without a byte from the application. */
  readonly readTimeoutMs: number;
  /** Longest gap in which the application takes no byte of a request. */
  readonly sendTimeoutMs: number;
  /** Longest time from a request's first byte to END_REQUEST, pauses of ours not counted. */
  readonly totalTimeoutMs: number;
}

/** Undefined: the default, see below. */
export type TimeoutSettings = { readonly [Name in keyof CallTimeouts]?: CallTimeouts[Name] | undefined };

/** What is configured, or the default. @param kind of the application's address */
export function fillTimeouts(settings: TimeoutSettings, kind: Address['kind']): CallTimeouts {
  return {
    connectTimeoutMs: settings.connectTimeoutMs ?? connectTimeoutMsOf(kind),
    readTimeoutMs: settings.readTimeoutMs ?? usualReadTimeoutMs,
    sendTimeoutMs: settings.sendTimeoutMs ?? usualSendTimeoutMs,
    totalTimeoutMs: settings.totalTimeoutMs ?? usualTotalTimeoutMs,
  };
}

/** How long requests wait while nobody listens at an address that has answered before: a restart takes less. */
export const usualHoldMs = 5_000;
/** Longest wait for a started interpreter to answer. */
export const usualSpawnTimeoutMs = 3_000;
/** Without a byte from the application: people have gone by then. */
export const usualReadTimeoutMs = 60_000;
/** Without a byte of the request that the application takes. */
export const usualSendTimeoutMs = 60_000;
/** For a whole request: an application that drips meets no other limit (F16). */
export const usualTotalTimeoutMs = 300_000;
