/** Virtual servers: sets of host names, each with its site and rules, and the choice among them. */
import type { Site } from '../handler/handler.ts';
import type { AccessLog } from './access-log.ts';
import type { ServerMeter } from './request-metrics.ts';
import type { Rule } from './rule.ts';

export interface VirtualServer {
  /** Lower case: exact names, `*.example.com` for every name below, `*` for names that no other server has. */
  readonly hosts: readonly string[];
  readonly site: Site;
  readonly rules: readonly Rule[];
  /** Undefined: its requests are not logged. */
  readonly accessLog: AccessLog | undefined;
  /** Undefined: its requests are not counted. */
  readonly meter?: ServerMeter | undefined;
}

/** Finds the virtual server for a host: exact name, then the longest wildcard, then `*`, then the first one. */
export class VirtualServers {
  readonly #exact: ReadonlyMap<string, VirtualServer>;
  /** By what follows the `*`, dot included. */
  readonly #wildcards: ReadonlyMap<string, VirtualServer>;
  /** Answers for hosts that nobody claims, and for requests too broken to have one. */
  readonly default: VirtualServer;

  /** @throws {RangeError} for an empty list; of two servers with the same host the first wins */
  constructor(servers: readonly VirtualServer[]) {
    if (servers.length === 0) throw new RangeError('At least one virtual server is needed');
    const exact = new Map<string, VirtualServer>();
    const wildcards = new Map<string, VirtualServer>();
    let byDefault: VirtualServer | undefined;
    for (const server of servers) {
      for (const host of server.hosts) {
        if (host === '*') byDefault ??= server;
        else if (host.startsWith('*.')) addOnce(wildcards, host.slice(1), server);
        else addOnce(exact, host, server);
      }
    }
    this.#exact = exact;
    this.#wildcards = wildcards;
    this.default = byDefault ?? servers[0]!;
  }

  /** @param host lower case, without port; one trailing dot means the same name */
  choose(host: string): VirtualServer {
    const name = host.endsWith('.') ? host.slice(0, -1) : host;
    const exact = this.#exact.get(name);
    if (exact !== undefined || this.#wildcards.size === 0) return exact ?? this.default;
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      const server = this.#wildcards.get(name.slice(dot));
      if (server !== undefined && dot > 0) return server;
    }
    return this.default;
  }
}

function addOnce(map: Map<string, VirtualServer>, name: string, server: VirtualServer): void {
  if (!map.has(name)) map.set(name, server);
}
