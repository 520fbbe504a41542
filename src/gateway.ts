/**
 * The composition root: a configuration in, running objects out. The only file that knows all layers.
 * Making a gateway ends what a killed one left, and opens a private directory and the access logs; interpreters start
 * with their first request, and the minimum of `processes` when it listens.
 */
import { readFileSync } from 'node:fs';
import { platform, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createRequestListener, type NodeRequestListener } from './adapters/node.ts';
import type { Balancer, BalancerFactory } from './balancer/balancer.ts';
import { createFailover } from './balancer/failover.ts';
import { createIpHash } from './balancer/ip-hash.ts';
import { createLeastBusy } from './balancer/least-busy.ts';
import { createRoundRobin } from './balancer/round-robin.ts';
import { parseAddress } from './base/address.ts';
import { printThrown } from './base/errors.ts';
import { type Log, silentLog } from './base/log.ts';
import { type MetricFormat, MetricRegistry } from './base/metrics.ts';
import { giveDirectory, makeDirectory, removeTree } from './base/private-files.ts';
import { resolveConfig } from './config/load.ts';
import {
  findProgramMatches,
  findRunExtensions,
  findScriptExtensions,
  mentionedExtensions,
} from './config/programs.ts';
import type {
  ApplicationHandlerConfig,
  AuthorizeConfig,
  BalancerConfig,
  BalancerPolicy,
  CgiHandlerConfig,
  Config,
  ConfigInput,
  HandlerConfig,
  MatchConfig,
  RealIpConfig,
  SourceConfig,
  VirtualServerConfig,
} from './config/schema.ts';
import { type DeployOptions, type DeployReport, deploy } from './deploy/deploy.ts';
import { createAuthorizer } from './handler/authorizer.ts';
import { createCgiHandler } from './handler/cgi.ts';
import { createDocumentRoot, type DocumentRoot, type SymlinkPolicy } from './handler/document-root.ts';
import { createErrorHandler } from './handler/error.ts';
import { createFastcgiHandler } from './handler/fastcgi.ts';
import { createFilesHandler } from './handler/files.ts';
import { createFilterHandler } from './handler/filter.ts';
import type { Handler, Site } from './handler/handler.ts';
import { createRedirectHandler } from './handler/redirect.ts';
import type { ApplicationOptions } from './handler/script-options.ts';
import { AddressSet } from './http/address-set.ts';
import type { ExchangeHandler, HttpExchange, RequestHead } from './http/message.ts';
import { resolveClient, type TrustedProxies } from './http/real-ip.ts';
import { AccessLog } from './server/access-log.ts';
import type { RouteStep } from './server/explain.ts';
import { GatewayMetrics } from './server/gateway-metrics.ts';
import { MetricsServer } from './server/metrics-server.ts';
import { Router } from './server/router.ts';
import { compileMatch, compilePathMatch } from './server/rule.ts';
import { Server } from './server/server.ts';
import type { VirtualServer } from './server/virtual-server.ts';
import { dropRights } from './source/drop-rights.ts';
import { reapLeftovers } from './source/leftovers.ts';
import { createLocalSource } from './source/local.ts';
import { createPhpSource } from './source/php.ts';
import { createRemoteSource } from './source/remote.ts';
import { chooseRunAs, type RunAs } from './source/run-as.ts';
import { openRuntimeDirectory } from './source/runtime-directory.ts';
import type { Source } from './source/source.ts';
import { addSourceGauges, SourceMetrics } from './source/source-metrics.ts';
import {
  compareSources,
  type SourceState,
  type SourceStatus,
  SupervisedSource,
  sourceStates,
} from './source/supervised.ts';

export interface GatewayOptions {
  /** Where faults, application errors and starts are told; nothing is said by default. */
  readonly log?: Log;
  /** Our environment, for `inheritEnv` and to find PHP by its PATH; a program gives `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Puts something between the HTTP front and the rules, which sees each request and may change its answer. */
  readonly wrapExchange?: (exchange: HttpExchange) => HttpExchange;
  /** Only `explain` and `describeSources` will be asked: nothing on disk is made, opened or cleared away. */
  readonly explainsOnly?: boolean;
}

/** A running gateway: its own listeners, or a request listener for somebody else's server. */
export interface Gateway {
  /** For node:http, Express 5 and Connect; below the latter two a request that no rule matches goes to `next`. */
  readonly listener: NodeRequestListener;
  /** For any other HTTP front, as `fastway/adapters/fetch`. A request that no rule matches goes to `next`; without one it is a 404. */
  readonly handle: ExchangeHandler;
  /**
   * Listens on every configured address, or on none.
   * @returns URLs to type into a browser, one per address; `unix:/path` for a socket
   * @throws {ConfigError} GW_ERR_CONFIG for an address that is taken or forbidden
   */
  listen(): Promise<readonly string[]>;
  /** One line for each source: what it is, and why it was chosen. */
  describeSources(): readonly string[];
  /** How the sources are, in the order of the configuration. */
  readonly sources: readonly SourceStatus[];
  /**
   * Takes a source out of use, or back. Requests that it has end as usual.
   * @throws {RangeError} no source has that name
   */
  setSourceState(name: string, state: SourceState): void;
  /** What would be done with a request, without contacting anybody; the last step decides. */
  explain(head: RequestHead): readonly RouteStep[];
  /**
   * Switches a link that a document root is, or lies below, to a new release: empties the opcache of the PHPs that serve
   * the sites, asks for some URLs, and waits for the old release's requests, at most `limits.shutdownGraceMs`.
   * @throws {GatewayError} GW_ERR_DEPLOY: nothing has changed
   */
  deploy(options: DeployOptions): Promise<DeployReport>;
  /** Opens the access logs anew, after a rotation. */
  reopenLogs(): void;
  /** What was counted so far, for Prometheus; see docs/metrics.md. Asks no application. @param format default `text` */
  metrics(format?: MetricFormat): string;
  /** Where `metrics` are told over HTTP; undefined: nowhere, or not yet. */
  readonly metricsUrl: string | undefined;
  /**
   * Stops accepting, lets running requests finish, then stops interpreters; resolves when nothing is left.
   * A second call with a shorter time is heard.
   * @param graceMs default: `limits.shutdownGraceMs`
   */
  close(graceMs?: number): Promise<void>;
}

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
  const sourceMetrics = new SourceMetrics(registry, Object.keys(config.sources));
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
    addSourceGauges(registry, [...sources.values()]);
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

interface SourceContext {
  readonly config: Config;
  readonly log: Log;
  readonly environment: NonNullable<GatewayOptions['environment']>;
  /** Undefined: it will not be used. */
  readonly runtimeDir: string | undefined;
}

async function createSource(name: string, source: SourceConfig, context: SourceContext): Promise<Source> {
  const { config, log, environment, runtimeDir } = context;
  const clocks = { now: monotonicNow, random: Math.random };
  if (source.kind === 'remote') {
    return createRemoteSource({ ...clocks, ...source, name, log, address: parseAddress(source.address) });
  }
  const documentRoot = findDocumentRoot(config, name);
  const { user = config.user, group = config.group } = source;
  const options = { ...clocks, ...source, user, group, name, log, environment, runtimeDir };
  if (source.kind === 'php')
    return createPhpSource({
      ...options,
      php: source.php,
      documentRoot,
      runs: findRunExtensions(config, name),
    });
  const { groups, interpreter } = source;
  const runAs = chooseRunAs({ ownUid: process.getuid?.(), user, group, groups, documentRoot });
  if (runAs?.warning !== undefined) log.warn(runAs.warning, { source: name });
  return createLocalSource({ ...options, interpreter, runAs });
}

/** Of the first virtual server that uses a source: its interpreter has to read those files. */
function findDocumentRoot({ virtualServers }: Config, sourceName: string): string | undefined {
  const user = virtualServers.find(({ rules }) =>
    rules.some(({ authorize, handler }) =>
      [...authorize, handler].some(
        (asked) => 'balancer' in asked && asked.balancer.sources.some(({ source }) => source === sourceName),
      ),
    ),
  );
  return user === undefined ? undefined : toText(user.documentRoot);
}

const balancers: Record<BalancerPolicy, BalancerFactory> = {
  'round-robin': createRoundRobin,
  'ip-hash': createIpHash,
  failover: createFailover,
  'least-busy': createLeastBusy,
};

/** Sources that are chosen among: their names, for each balancer that has a choice. */
function findGroups({ virtualServers }: Config): readonly (readonly string[])[] {
  const groups = new Map<string, readonly string[]>();
  for (const { handler } of virtualServers.flatMap(({ rules }) => rules)) {
    if (!('balancer' in handler) || handler.balancer.sources.length < 2) continue;
    const names = handler.balancer.sources.map(({ source }) => source);
    groups.set(names.join('\n'), names);
  }
  return [...groups.values()];
}

/** Sources that share a balancer are compared so often. */
const compareEveryMs = 5_000;

/** Monotonic: a clock that is set must not end timeouts. */
const monotonicNow = () => performance.now();

/** In the runtime directory: where bodies wait that do not fit in memory. */
const spoolName = 'spool';

const version = readVersion();
const serverSoftware = `fastway/${version}`;

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
    this.#metrics = new GatewayMetrics(registry, {
      servers: config.virtualServers.map(({ name }) => name),
      countDroppedLines: () => [...this.#accessLogs.values()].reduce((sum, { dropped }) => sum + dropped, 0),
      version,
      now: monotonicNow,
    });
    const groups = findGroups(config).map((names) => names.map((name) => sources.get(name)!));
    this.#comparing = setInterval(() => groups.forEach(compareSources), compareEveryMs).unref();
    this.#router = new Router({
      virtualServers: config.virtualServers.map((server) => this.#createVirtualServer(server)),
      proxies: toProxies(config.realIp),
      log,
      metrics: this.#metrics.requests,
      now: monotonicNow,
      idPrefix: Math.floor(Math.random() * 36 ** 4)
        .toString(36)
        .padStart(4, '0'),
      fieldLinesMax: config.limits.headerLinesMax,
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

  #createVirtualServer(config: VirtualServerConfig): VirtualServer {
    const { name, hosts, directoryIndex, symlinks, encodedSlashes } = config;
    const site: Site = {
      name,
      documentRoot: this.#openRoot(config.documentRoot, symlinks),
      directoryIndex,
      encodedSlashes,
      errorPages: toErrorPages(config.errorPages),
      scriptExtensions: findScriptExtensions(config),
    };
    const rules = config.rules.map(({ match, authorize, handler }, index) => ({
      match: compileMatch(match),
      handler: authorize.reduceRight(
        (next, authorizer) => this.#createAuthorizer(authorizer, next),
        this.#createHandler(handler, config, isProgramOf(findProgramMatches(config.rules, index))),
      ),
      description: `rule ${index + 1}: ${match === undefined ? 'everything' : JSON.stringify(match)} -> ${handler.type}`,
    }));
    return {
      hosts,
      site,
      rules,
      accessLog: this.#openAccessLog(config.accessLog),
      meter: this.#metrics.requests.meterOf(name),
    };
  }

  /** What a PHP of ours may run; undefined for applications that others run. */
  #ownPhpExtensions({ sources }: BalancerConfig): ReadonlySet<string> | undefined {
    const own = sources.filter(({ source }) => this.#config.sources[source]!.kind === 'php');
    if (own.length === 0) return undefined;
    return new Set(own.flatMap(({ source }) => [...findRunExtensions(this.#config, source)]));
  }

  #createAuthorizer({ balancer, env, cacheMs, cacheKey }: AuthorizeConfig, next: Handler): Handler {
    return createAuthorizer(
      {
        balancer: this.#createBalancer(balancer),
        env: new Map(Object.entries(env)),
        cacheMs,
        cacheKey,
        ...this.#common,
      },
      next,
    );
  }

  #createBalancer({ policy, sources }: BalancerConfig): Balancer {
    // Among one there is nothing to share out, by whatever policy.
    const create = sources.length === 1 ? createFailover : balancers[policy];
    return create(sources.map(({ source, weight }) => ({ source: this.#sources.get(source)!, weight })));
  }

  #createHandler(
    config: HandlerConfig,
    { symlinks, documentRoot }: VirtualServerConfig,
    isProgram: (path: string) => boolean,
  ): Handler {
    const openOwnRoot = (path: string | undefined) =>
      path === undefined ? undefined : this.#openRoot(path, symlinks);
    switch (config.type) {
      case 'fastcgi':
        return createFastcgiHandler({
          ...config,
          ...this.#toOptions(config, openOwnRoot(config.documentRoot)),
          balancer: this.#createBalancer(config.balancer),
          runs: this.#ownPhpExtensions(config.balancer),
        });
      case 'filter':
        return createFilterHandler({
          ...this.#toOptions(config, openOwnRoot(config.documentRoot)),
          isProgram,
          balancer: this.#createBalancer(config.balancer),
        });
      case 'cgi':
        return createCgiHandler({
          ...config,
          ...this.#toOptions(config, openOwnRoot(config.documentRoot)),
          runAs: this.#chooseRunAs(config, toText(config.documentRoot ?? documentRoot)),
          log: this.#log,
        });
      case 'files':
        return createFilesHandler({ ...config, documentRoot: openOwnRoot(config.documentRoot), isProgram });
      case 'redirect':
        return createRedirectHandler(config);
      case 'error':
        return createErrorHandler(config.status);
    }
  }

  #chooseRunAs(config: CgiHandlerConfig, documentRoot: string): RunAs | undefined {
    const { user = this.#config.user, group = this.#config.group, groups, scriptAlias } = config;
    const reads = scriptAlias === undefined ? [] : [toText(scriptAlias)];
    const ownUid = process.getuid?.();
    const runAs = chooseRunAs({ what: 'CGI programs', ownUid, user, group, groups, documentRoot, reads });
    if (runAs?.warning !== undefined) this.#log.warn(runAs.warning);
    return runAs;
  }

  #toOptions(config: ApplicationHandlerConfig, documentRoot: DocumentRoot | undefined): ApplicationOptions {
    const proxies = config.realIp === undefined ? undefined : toProxies(config.realIp);
    return {
      ...config,
      documentRoot,
      env: new Map(Object.entries(config.env)),
      errorPages: toErrorPages(config.errorPages),
      clientOf: config.realIp === undefined ? undefined : ({ request }) => resolveClient(request, proxies),
      failurePattern:
        config.failurePattern === undefined ? undefined : new RegExp(toText(config.failurePattern)),
      ...this.#common,
    };
  }

  #openRoot(path: string, symlinks: SymlinkPolicy): DocumentRoot {
    const root = createDocumentRoot({ path, symlinks, now: monotonicNow, exactNames: hasLooseNames });
    this.#documentRoots.push(root);
    return root;
  }

  /** What everybody who asks an application gets. */
  get #common(): Pick<ApplicationOptions, 'serverSoftware' | 'now' | 'random' | 'spoolDir'> {
    return {
      serverSoftware,
      now: monotonicNow,
      random: Math.random,
      spoolDir: join(this.#runtimeDir ?? '', spoolName),
    };
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

/** Byte strings back to what people wrote. */
function toText(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Sources that run PHP scripts, whatever PHP they are. */
function findPhpSources({ virtualServers }: Config): readonly string[] {
  const found = new Set<string>();
  for (const { match, handler } of virtualServers.flatMap(({ rules }) => rules)) {
    if (handler.type !== 'fastcgi') continue;
    const runsPhp = mentionedExtensions(match).includes('php') || handler.scriptAlias?.endsWith('.php');
    if (runsPhp) for (const { source } of handler.balancer.sources) found.add(source);
  }
  return [...found];
}

function toProxies({
  trusted,
  field,
  protoField,
  hostField,
  portField,
}: RealIpConfig): TrustedProxies | undefined {
  if (trusted.length === 0) return undefined;
  return {
    trusted: new AddressSet(trusted),
    field,
    protoField: protoField || undefined,
    hostField: hostField || undefined,
    portField: portField || undefined,
  };
}

function isProgramOf(matches: readonly MatchConfig[]): (path: string) => boolean {
  const compiled = matches.map(compilePathMatch);
  return (path) => compiled.some((match) => match(path));
}

function toErrorPages(pages: Readonly<Record<string, string>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(pages).map(([status, page]) => [Number(status), page]));
}

function readVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
