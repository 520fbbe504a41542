/**
 * What one configuration means: a router over sites and balancers, and the things of the shelf that it uses. Cheap to make
 * and to throw away; ARCHITECTURE.md has its states.
 */

import { platform } from 'node:os';
import { calendarNow, type Timer } from '../base/clock.ts';
import { createDocumentRoot, type DocumentRoot } from '../handler/document-root.ts';
import { AccessLog } from '../server/access-log.ts';
import { Router } from '../server/router.ts';
import { compareSources, type SupervisedSource } from '../source/health/supervised.ts';
import { buildSite } from './build-site.ts';
import { ShelvedSource } from './build-sources.ts';
import type { AccessLogPlan, GatewayPlan, RootPlan, SourcePlan } from './plan.ts';
import type { SharedThings } from './shared-things.ts';
import type { Shelf } from './shelf.ts';

/** Interval between two comparisons of the sources that share a balancer. Milliseconds. */
const compareEveryMs = 5_000;

/** File systems that know a file by several spellings. */
const hasLooseNames = platform() === 'win32' || platform() === 'darwin';

export class Generation {
  readonly plan: GatewayPlan;
  /** By their names. */
  readonly sources: ReadonlyMap<string, SupervisedSource>;
  readonly #shelved: ReadonlyMap<SourcePlan, ShelvedSource>;
  readonly router: Router;
  readonly #shelf: Shelf;
  readonly #accessLogs: AccessLog[] = [];
  /** Gives back what was taken from the shelf; sources first, as a request that they end is one more line in a log. */
  readonly #releases: { readonly source: (() => Promise<void>)[]; readonly other: (() => Promise<void>)[] } =
    {
      source: [],
      other: [],
    };
  readonly #groups: readonly (readonly SupervisedSource[])[];
  #comparing: Timer | undefined;
  #closed: Promise<void> | undefined;

  /**
   * Opens nothing. What the shelf has already, with the same key, is taken as it is, and changed by `start` only.
   * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no PHP is there; GW_ERR_SOURCE_SPAWN: no such user
   */
  constructor(plan: GatewayPlan, shelf: Shelf) {
    this.plan = plan;
    this.#shelf = shelf;
    const { config } = plan;
    try {
      this.#shelved = new Map(plan.sources.map((source) => [source, this.#takeSource(source)]));
      this.sources = new Map([...this.#shelved].map(([{ name }, { source }]) => [name, source]));
      this.#groups = plan.groups.map((names) => names.map((name) => this.sources.get(name)!));
      const parts = {
        shelf,
        sourceOf: (name: string) => this.sources.get(name)!,
        openRoot: (root: RootPlan) => this.#takeRoot(root),
        openAccessLog: (accessLog: AccessLogPlan) => this.#takeAccessLog(accessLog),
      };
      this.router = new Router({
        virtualServers: plan.sites.map((site) => buildSite(site, parts)),
        proxies: config.realIp,
        log: shelf.log,
        metrics: shelf.metrics.requests,
        now: shelf.clock.now,
        idPrefix: Math.floor(Math.random() * 36 ** 4)
          .toString(36)
          .padStart(4, '0'),
        fieldLinesMax: config.limits.headerLinesMax,
        headerBytesMax: config.limits.headerBytesMax,
      });
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  /** Opens the access logs. @param owner whom new files are given @throws {ConfigError} one cannot be opened */
  open(owner: { readonly uid: number; readonly gid: number } | undefined): void {
    for (const accessLog of this.#accessLogs) accessLog.open(owner);
  }

  /** Tells what it shares with others how this one wants it, and starts what runs without a request. May be called twice. */
  start(): void {
    if (this.#closed !== undefined || this.#comparing !== undefined) return;
    const compare = () => this.#groups.forEach(compareSources);
    this.#comparing = this.#shelf.clock.setRepeating(compare, compareEveryMs);
    this.#comparing.unref();
    const peers = new Set(this.#groups.flat());
    for (const [plan, shelved] of this.#shelved) {
      shelved.follow(plan);
      shelved.source.hasPeers = peers.has(shelved.source);
      shelved.source.start();
    }
  }

  reopenLogs(): void {
    for (const accessLog of this.#accessLogs) accessLog.reopen();
  }

  /** Nobody hands it another request: closes it after those that it has. */
  async retire(): Promise<void> {
    this.#shelf.clock.clearTimer(this.#comparing);
    await this.idle();
    await this.close();
  }

  /** Resolves when it has no request, nor an application that works on behind one. */
  idle(): Promise<void> {
    return this.router.idle();
  }

  /** Closes, now, what no other generation holds; resolves when nothing of it is left. May be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#shelf.clock.clearTimer(this.#comparing);
    this.router?.abandon();
    await Promise.all(this.#releases.source.map((release) => release()));
    await Promise.all(this.#releases.other.map((release) => release()));
  }

  #takeSource(plan: SourcePlan): ShelvedSource {
    return this.#take(this.#shelf.sources, plan.key, () => new ShelvedSource(plan, this.#shelf), 'source');
  }

  #takeRoot({ key, path, symlinks }: RootPlan): DocumentRoot {
    const create = () =>
      createDocumentRoot({ path, symlinks, now: this.#shelf.clock.now, exactNames: hasLooseNames });
    return this.#take(this.#shelf.documentRoots, key, create, 'other');
  }

  #takeAccessLog({ key, format, file }: AccessLogPlan): AccessLog {
    const { log, clock } = this.#shelf;
    const create = () => new AccessLog({ format, file, now: calendarNow, log, clock });
    const accessLog = this.#take(this.#shelf.accessLogs, key, create, 'other');
    this.#accessLogs.push(accessLog);
    return accessLog;
  }

  #take<Thing>(things: SharedThings<Thing>, key: string, make: () => Thing, kind: 'source' | 'other'): Thing {
    const thing = things.take(key, make);
    this.#releases[kind].push(() => things.release(key));
    return thing;
  }
}
