/** Makes a pool from an address and what is special about its application; the defaults, each with its reason. */
import { platform } from 'node:os';
import type { Address } from '../base/address.ts';
import { systemClock } from '../base/clock.ts';
import { usualKeptConnections } from './places.ts';
import { Pool, type PoolOptions } from './pool.ts';
import { fillTimeouts } from './timeouts.ts';
import { waitingMax, waitingTimeoutMs } from './waiting-line.ts';

/** Everything but the address has a default. */
export type PoolSettings = { readonly address: Address } & {
  readonly [name in Exclude<keyof PoolOptions, 'address'>]?: PoolOptions[name] | undefined;
};

/** Connects to nothing until the first request. */
export function createPool(settings: PoolSettings): Pool {
  const { address } = settings;
  return new Pool({
    address,
    role: settings.role,
    capacity: settings.capacity,
    connectionsMax: settings.connectionsMax,
    outcome: settings.outcome,
    dropped: settings.dropped,
    trace: settings.trace,
    // PHP, whose workers each serve one connection, needs 0 (F38).
    keepConnections: settings.keepConnections ?? usualKeptConnections,
    ...fillTimeouts(settings, address.kind),
    waitingMax: settings.waitingMax ?? waitingMax,
    waitingTimeoutMs: settings.waitingTimeoutMs ?? waitingTimeoutMs,
    // Short, since applications close idle connections too, and a request that meets this has to be sent again.
    idleTimeoutMs: settings.idleTimeoutMs ?? 2_000,
    // Lets an application that leaks, or a balancer in between, start afresh now and then.
    requestsPerConnectionMax: settings.requestsPerConnectionMax ?? 500,
    // Old connections let changes in front of the application take effect: a moved name, a balancer's new member.
    connectionAgeMsMax: settings.connectionAgeMsMax ?? 60_000,
    multiplexedRequestsMax: settings.multiplexedRequestsMax ?? 1,
    clock: settings.clock ?? systemClock,
    random: settings.random ?? Math.random,
    // Windows fills read buffers in advance.
    sharesReadBuffer: settings.sharesReadBuffer ?? platform() !== 'win32',
  });
}
