/** How long connecting to an application may take, where nobody says it. */
import type { Address } from './address.ts';

/**
 * Milliseconds. A reachable server accepts in far less, and another source can take over. On the same machine a connect takes no
 * time; elsewhere a lost packet is sent again after 1 s.
 */
export function connectTimeoutMsOf(kind: Address['kind']): number {
  return kind === 'tcp' ? 3_000 : 1_000;
}
