/**
 * What kind of application a source is, and what follows from it. Configured, or found by asking where that is wanted: PHP
 * differs from what the specification leads one to expect, and does not say so. An application that is not known is taken for PHP.
 *
 * | | kept connections | capacity |
 * |---|---|---|
 * | `php-fpm` | none: each would hold a worker (F38) | of a pool of ours its workers, else by its status page |
 * | `php-cgi` | none | PHP_FCGI_CHILDREN, of one that we start or by what it says |
 * | `generic` | 8, at most half of its capacity or of what it says | none |
 * | `multiplexing` | as `generic`, for requests that need one alone; the others share connections | what it says |
 *
 * What an application says that serves one request on a connection is of its process, as of libfcgi: how many of them are
 * behind the address nobody can say, so that it is not a capacity.
 *
 * A request that is given up is told by closing its connection: PHP knows no ABORT_REQUEST, and others carry one request
 * on a connection. `multiplexing` is told with ABORT_REQUEST, since others share the connection.
 */
import type { Address } from '../../base/address.ts';
import { getValues } from '../../client/index.ts';
import { usualKeptConnections } from '../../client/places.ts';

export type SourceProfile = 'php-fpm' | 'php-cgi' | 'generic' | 'multiplexing';

/** `auto`: found by asking. There are applications that such a question kills (the pure half of ruby-fcgi 0.9). */
export type ProfileChoice = SourceProfile | 'auto';

/** What was found out about an application; undefined: nothing. */
export interface LearntProfile {
  readonly profile: SourceProfile;
  readonly capacity: number | undefined;
  readonly connectionsMax: number | undefined;
  /** Half of it may be kept. */
  readonly placesOfProcess: number | undefined;
  /** For the log. */
  readonly reason: string;
}

/** @returns how many idle connections may be kept to an application of this kind, which takes so many in all */
export function keptConnections(profile: SourceProfile, connectionsMax: number | undefined): number {
  if (profile === 'php-fpm' || profile === 'php-cgi') return 0;
  const kept =
    connectionsMax === undefined ? usualKeptConnections : Math.min(usualKeptConnections, connectionsMax >> 1);
  // A single one is enough to share, and shows that it can be kept.
  return profile === 'multiplexing' ? Math.max(1, kept) : kept;
}

/** Requests that share a connection: more fill it no better, and each waits for the others' bytes. */
const sharedRequestsMax = 100;

/** @returns how many requests at a time one connection carries */
export function multiplexedRequests(profile: SourceProfile): number {
  return profile === 'multiplexing' ? sharedRequestsMax : 1;
}

/**
 * Asks an application on a connection of its own, for at most a second. php-fpm answers FCGI_MPXS_CONNS and nothing
 * else; php-cgi and libfcgi say how many requests they take (measured with PHP 8.2 and libfcgi 2.4).
 */
export async function learnProfile(address: Address, signal?: AbortSignal): Promise<LearntProfile> {
  let values: Map<string, string>;
  try {
    values = await getValues(address, { signal });
  } catch {
    return {
      profile: 'generic',
      capacity: undefined,
      connectionsMax: undefined,
      placesOfProcess: undefined,
      reason: 'it does not answer FCGI_GET_VALUES',
    };
  }
  const answered = [...values].map(([name, value]) => `${name}=${value}`).join(', ');
  const connectionsMax = readCount(values.get('FCGI_MAX_CONNS'));
  const requestsMax = readCount(values.get('FCGI_MAX_REQS'));
  const saysNoMore = connectionsMax === undefined && requestsMax === undefined;
  const multiplexes = values.get('FCGI_MPXS_CONNS');
  const isMultiplexing = multiplexes === '1';
  return {
    profile: isMultiplexing ? 'multiplexing' : multiplexes === '0' && saysNoMore ? 'php-fpm' : 'generic',
    capacity: isMultiplexing ? requestsMax : undefined,
    connectionsMax: isMultiplexing ? connectionsMax : undefined,
    placesOfProcess: lesser(connectionsMax, requestsMax),
    reason: `it answers FCGI_GET_VALUES with ${answered || 'nothing'}`,
  };
}

function readCount(text: string | undefined): number | undefined {
  const count = Number(text);
  return text !== undefined && Number.isSafeInteger(count) && count > 0 ? count : undefined;
}

/** Undefined: no limit. */
export function lesser(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}
