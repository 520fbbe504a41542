/**
 * The composition root: a configuration in, running objects out. The only file that knows all layers.
 * Making a gateway ends what a killed one left, and opens a private directory and the access logs; interpreters start
 * with their first request, and the minimum of `processes` when it listens.
 */
import { platform, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createRequestListener, type NodeRequestListener } from '../adapters/node.ts';
import { printThrown } from '../base/errors.ts';
import { type Log, silentLog } from '../base/log.ts';
import { type MetricFormat, MetricRegistry } from '../base/metrics.ts';
import { giveDirectory, makeDirectory, removeTree } from '../base/private-files.ts';
import { readVersion } from '../base/version.ts';
import { resolveConfig } from '../config/load.ts';
import type { Config, ConfigInput, VirtualServerConfig } from '../config/schema.ts';
import { type DeployOptions, type DeployReport, deploy } from '../deploy/deploy.ts';
import { createDocumentRoot, type DocumentRoot, type SymlinkPolicy } from '../handler/document-root.ts';
import type { ExchangeHandler, HttpExchange, RequestHead } from '../http/message.ts';
import { dropRights } from '../process/drop-rights.ts';
import { reapLeftovers } from '../process/leftovers.ts';
import { chooseRunAs, type RunAs } from '../process/run-as.ts';
import { openRuntimeDirectory } from '../process/runtime-directory.ts';
import { AccessLog } from '../server/access-log.ts';
import type { RouteStep } from '../server/explain.ts';
import { GatewayMetrics } from '../server/gateway-metrics.ts';
import { MetricsServer } from '../server/metrics-server.ts';
import { Router } from '../server/router.ts';
import { Server } from '../server/server.ts';
import {
  compareSources,
  type SourceState,
  type SourceStatus,
  SupervisedSource,
  sourceStates,
} from '../source/health/supervised.ts';
import { SourceMetrics } from '../source/source-metrics.ts';
import { SiteBuilder, toProxies } from './build-site.ts';
import { createSource } from './build-sources.ts';
import { monotonicNow } from './clock.ts';
import type { Gateway, GatewayOptions } from './options.ts';
import { findGroups, findPhpSources } from './source-uses.ts';

/**
 * Makes a gateway from what people write; relative paths start at the working directory.
 * @throws {ConfigError} GW_ERR_CONFIG with every problem
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no PHP is there; GW_ERR_SOURCE_SPAWN: no such user
 */
export async function createGateway(config: ConfigInput, options: GatewayOptions = {}): Promise<Gateway> {
  return composeGateway(await resolveConfig(config, resolve('.')), options);
}

/** Makes a gateway from a checked configuration. @throws {SourceError} as `createGateway` */
export async function composeGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const { log = silentLog, environment = {}, wrapExchange, explainsOnly = false } = options;
  const self = chooseSelf(config);
  const runtimeDir = explainsOnly ? undefined : await openDirectories(config, log);
  const sources = new Map<string, SupervisedSource>();
  const groups = findGroups(config);
  const registry = new MetricRegistry();
  const sourceMetrics = new SourceMetrics(registry);
  try {
    for (const [name, source] of Object.entries(config.sources)) {
      sources.set(
        name,
        new SupervisedSource(await createSource(name, source, { config, log, environment, runtimeDir }), {
          state: source.state,
          check: source.check,
          hasPeers: groups.some((names) => names.includes(name)),
          meter: sourceMetrics.meterOf(name),
          log,
          now: monotonicNow,
        }),
      );
    }
    for (const source of sources.values()) sourceMetrics.show(source);
    return new ComposedGateway({ config, log, sources, runtimeDir, self, registry, wrapExchange });
  } catch (error) {
    if (runtimeDir !== undefined) removeTree(runtimeDir);
    throw error;
  }
}

/** @returns our private directory */
async function openDirectories({ runtimeDir }: Config, log: Log): Promise<string> {
  for (const folder of new Set([runtimeDir ?? tmpdir(), tmpdir()])) await reapLeftovers(folder, log);
  const directory = openRuntimeDirectory(runtimeDir, log);
  makeDirectory(join(directory, spoolName), { mode: 0o700 });
  return directory;
}

/** Whom we become once we listen; undefined: we stay who we are. @throws {SourceError} GW_ERR_SOURCE_SPAWN: no such user */
function chooseSelf({ user, group }: Config): RunAs | undefined {
  if (user === undefined) return undefined;
  return chooseRunAs({ what: 'Fastway', ownUid: process.getuid?.(), user, group });
}

/** Sources that share a balancer are compared so often. */
const compareEveryMs = 5_000;

/** In the runtime directory: where bodies wait that do not fit in memory. */
const spoolName = 'spool';

/** File systems that know a file by several spellings. */
const hasLooseNames = platform() === 'win32' || platform() === 'darwin';

interface GatewayParts extends Pick<GatewayOptions, 'wrapExchange'> {
  readonly config: Config;
  readonly log: Log;
  readonly sources: ReadonlyMap<string, SupervisedSource>;
  /** Undefined: it will not be used. */
  readonly runtimeDir: string | undefined;
  readonly self: RunAs | undefined;
  readonly registry: MetricRegistry;
}

class ComposedGateway implements Gateway {
  readonly listener: NodeRequestListener;
  readonly handle: ExchangeHandler;
  readonly #config: Config;
  readonly #log: Log;
  readonly #runtimeDir: string | undefined;
  readonly #sources: ReadonlyMap<string, SupervisedSource>;
  readonly #comparing: NodeJS.Timeout;
  readonly #accessLogs = new Map<string, AccessLog>();
  readonly #documentRoots: DocumentRoot[] = [];
  readonly #router: Router;
  readonly #server: Server;
  readonly #metrics: GatewayMetrics;
  /** Undefined: nobody is told over HTTP. */
  readonly #metricsServer: MetricsServer | undefined;
  readonly #self: RunAs | undefined;
  /** What came while we still had root's rights; undefined: we have given them up, or are not going to. */
  #early: HttpExchange[] | undefined;
  #isReady = false;
  #closed: Promise<void> | undefined;

  constructor({ config, log, sources, runtimeDir, self, registry, wrapExchange }: GatewayParts) {
    this.#self = self;
    this.#config = config;
    this.#log = log;
    this.#sources = sources;
    this.#runtimeDir = runtimeDir;
    const version = readVersion();
    this.#metrics = new GatewayMetrics(registry, {
      countDroppedLines: () => [...this.#accessLogs.values()].reduce((sum, { dropped }) => sum + dropped, 0),
      version,
      now: monotonicNow,
    });
    const groups = findGroups(config).map((names) => names.map((name) => sources.get(name)!));
    this.#comparing = setInterval(() => groups.forEach(compareSources), compareEveryMs).unref();
    const sites = new SiteBuilder({
      config,
      log,
      sources,
      openRoot: (path, symlinks) => this.#openRoot(path, symlinks),
      openAccessLog: (accessLog) => this.#openAccessLog(accessLog),
      meterOf: (server) => this.#metrics.requests.meterOf(server),
      serverSoftware: `fastway/${version}`,
      spoolDir: join(runtimeDir ?? '', spoolName),
    });
    this.#router = new Router({
      virtualServers: config.virtualServers.map((server) => sites.create(server)),
      proxies: toProxies(config.realIp),
      log,
      metrics: this.#metrics.requests,
      now: monotonicNow,
      idPrefix: Math.floor(Math.random() * 36 ** 4)
        .toString(36)
        .padStart(4, '0'),
      fieldLinesMax: config.limits.headerLinesMax,
      headerBytesMax: config.limits.headerBytesMax,
    });
    const route = this.#router.handle.bind(this.#router);
    this.handle =
      wrapExchange === undefined ? route : (exchange, next) => route(wrapExchange(exchange), next);
    this.listener = createRequestListener(this.handle, {
      bodyIdleMs: config.limits.bodyIdleTimeoutMs,
      writeIdleMs: config.limits.sendIdleTimeoutMs,
      failed: (error) => log.error('A request was ended by an error of ours', { error: printThrown(error) }),
    });
    this.#server = new Server({
      listen: config.listen,
      handle: (exchange) => {
        if (this.#early === undefined) this.handle(exchange);
        else this.#early.push(exchange);
      },
      refused: (refusal) => this.#router.refused(refusal),
      dropped: (reason) => this.#metrics.requests.refused(reason),
      log,
      limits: config.limits,
    });
    this.#metricsServer =
      config.metrics === false
        ? undefined
        : new MetricsServer({
            ...config.metrics,
            print: (format) => this.metrics(format),
            isReady: () => this.#isReady,
          });
  }

  async listen(): Promise<readonly string[]> {
    if (this.#self !== undefined) this.#early = [];
    await this.#metricsServer?.listen();
    if (this.#metricsServer !== undefined) this.#metrics.start();
    let urls: readonly string[];
    try {
      urls = await this.#server.listen();
    } catch (error) {
      await this.#metricsServer?.close();
      throw error;
    }
    if (this.#self !== undefined) await this.#becomeSelf(this.#self);
    for (const source of this.#sources.values()) source.start?.();
    this.#isReady = this.#closed === undefined;
    return urls;
  }

  /** A request that came in between is answered after it. */
  async #becomeSelf(self: RunAs): Promise<void> {
    const own = this.#runtimeDir;
    if (own !== undefined) for (const path of [join(own, spoolName), own]) giveDirectory(path, self);
    dropRights(self);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const exchange of early) this.handle(exchange);
    // What a gateway left that had become this user, too.
    const folders = new Set([this.#config.runtimeDir ?? tmpdir(), tmpdir()]);
    for (const folder of folders) await reapLeftovers(folder, this.#log);
  }

  describeSources(): readonly string[] {
    return [...this.#sources.values()].map((source) => `${source.name}: ${source.describe()}`);
  }

  get sources(): readonly SourceStatus[] {
    return [...this.#sources.values()].map(({ status }) => status);
  }

  setSourceState(name: string, state: SourceState): void {
    const source = this.#sources.get(name);
    if (source === undefined) {
      throw new RangeError(`No source is called ${name}; there are ${[...this.#sources.keys()].join(', ')}`);
    }
    if (!sourceStates.includes(state))
      throw new RangeError(`State ${state} is not one of ${sourceStates.join(', ')}`);
    source.state = state;
  }

  explain(head: RequestHead): readonly RouteStep[] {
    return this.#router.explain(head);
  }

  deploy(options: DeployOptions): Promise<DeployReport> {
    const php = findPhpSources(this.#config).map((name) => this.#sources.get(name)!.address);
    const outdated = () => this.#documentRoots.flatMap((root) => root.outdated());
    return deploy(options, { php, outdated, drainMs: this.#config.limits.shutdownGraceMs });
  }

  reopenLogs(): void {
    for (const accessLog of this.#accessLogs.values()) accessLog.reopen();
  }

  get metricsUrl(): string | undefined {
    return this.#metricsServer?.url;
  }

  metrics(format: MetricFormat = 'text'): string {
    return this.#metrics.print(format);
  }

  async close(graceMs: number = this.#config.limits.shutdownGraceMs): Promise<void> {
    // Readiness fails before anything else does.
    this.#isReady = false;
    const server = this.#server.close(graceMs);
    this.#closed ??= server.then(() => this.#closeRest());
    await Promise.all([server, this.#closed]);
  }

  async #closeRest(): Promise<void> {
    clearInterval(this.#comparing);
    await Promise.all([...this.#sources.values()].map((source) => source.close()));
    for (const accessLog of this.#accessLogs.values()) accessLog.close();
    this.#metrics.close();
    await this.#metricsServer?.close();
    if (this.#runtimeDir !== undefined && !removeTree(this.#runtimeDir)) {
      this.#log.warn('The private directory could not be removed whole; remove what is left', {
        directory: this.#runtimeDir,
      });
    }
  }

  #openRoot(path: string, symlinks: SymlinkPolicy): DocumentRoot {
    const root = createDocumentRoot({ path, symlinks, now: monotonicNow, exactNames: hasLooseNames });
    this.#documentRoots.push(root);
    return root;
  }

  /** Virtual servers that name the same file share its writer, so that lines do not mix. */
  #openAccessLog(config: VirtualServerConfig['accessLog']): AccessLog | undefined {
    if (config === false || this.#runtimeDir === undefined) return undefined;
    const key = `${config.format} ${config.file}`;
    const known =
      this.#accessLogs.get(key) ??
      new AccessLog({ ...config, owner: this.#self, now: Date.now, log: this.#log });
    this.#accessLogs.set(key, known);
    return known;
  }
}
