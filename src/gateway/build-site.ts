/** Makes virtual servers: their rules, handlers and balancers. */

import type { Balancer, BalancerFactory } from '../balancer/balancer.ts';
import { createFailover } from '../balancer/failover.ts';
import { createIpHash } from '../balancer/ip-hash.ts';
import { createLeastBusy } from '../balancer/least-busy.ts';
import { createRoundRobin } from '../balancer/round-robin.ts';
import { toText } from '../base/byte-string.ts';
import type { Log } from '../base/log.ts';
import { findProgramMatches, findRunExtensions, findScriptExtensions } from '../config/programs.ts';
import type {
  ApplicationHandlerConfig,
  AuthorizeConfig,
  BalancerConfig,
  BalancerPolicy,
  CgiHandlerConfig,
  Config,
  HandlerConfig,
  MatchConfig,
  RealIpConfig,
  VirtualServerConfig,
} from '../config/schema.ts';
import { createAuthorizer } from '../handler/authorizer.ts';
import { createCgiHandler } from '../handler/cgi.ts';
import type { DocumentRoot, SymlinkPolicy } from '../handler/document-root.ts';
import { createErrorHandler } from '../handler/error.ts';
import { createFastcgiHandler } from '../handler/fastcgi.ts';
import { createFilesHandler } from '../handler/files.ts';
import { createFilterHandler } from '../handler/filter.ts';
import type { Handler, Site } from '../handler/handler.ts';
import { createRedirectHandler } from '../handler/redirect.ts';
import type { ApplicationOptions } from '../handler/script-options.ts';
import { AddressSet } from '../http/address-set.ts';
import { resolveClient, type TrustedProxies } from '../http/real-ip.ts';
import { chooseRunAs, type RunAs } from '../process/run-as.ts';
import type { AccessLog } from '../server/access-log.ts';
import type { ServerMeter } from '../server/request-metrics.ts';
import { compileMatch, compilePathMatch } from '../server/rule.ts';
import type { VirtualServer } from '../server/virtual-server.ts';
import type { Source } from '../source/source.ts';
import { monotonicNow } from './clock.ts';

const balancers: Record<BalancerPolicy, BalancerFactory> = {
  'round-robin': createRoundRobin,
  'ip-hash': createIpHash,
  failover: createFailover,
  'least-busy': createLeastBusy,
};

/** What virtual servers are made of, and share with others. */
export interface SiteParts {
  readonly config: Config;
  readonly log: Log;
  readonly sources: ReadonlyMap<string, Source>;
  openRoot(path: string, symlinks: SymlinkPolicy): DocumentRoot;
  openAccessLog(config: VirtualServerConfig['accessLog']): AccessLog | undefined;
  /** @param server name of a virtual server */
  meterOf(server: string): ServerMeter;
  /** SERVER_SOFTWARE. */
  readonly serverSoftware: string;
  /** Where bodies wait that do not fit in memory. */
  readonly spoolDir: string;
}

export class SiteBuilder {
  readonly #parts: SiteParts;

  constructor(parts: SiteParts) {
    this.#parts = parts;
  }

  create(config: VirtualServerConfig): VirtualServer {
    const { name, hosts, directoryIndex, symlinks, encodedSlashes } = config;
    const site: Site = {
      name,
      documentRoot: this.#parts.openRoot(config.documentRoot, symlinks),
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
      accessLog: this.#parts.openAccessLog(config.accessLog),
      meter: this.#parts.meterOf(name),
    };
  }

  /** What a PHP of ours may run; undefined for applications that others run. */
  #ownPhpExtensions({ sources }: BalancerConfig): ReadonlySet<string> | undefined {
    const own = sources.filter(({ source }) => this.#parts.config.sources[source]!.kind === 'php');
    if (own.length === 0) return undefined;
    return new Set(own.flatMap(({ source }) => [...findRunExtensions(this.#parts.config, source)]));
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
    return create(
      sources.map(({ source, weight }) => ({ source: this.#parts.sources.get(source)!, weight })),
    );
  }

  #createHandler(
    config: HandlerConfig,
    { symlinks, documentRoot }: VirtualServerConfig,
    isProgram: (path: string) => boolean,
  ): Handler {
    const openOwnRoot = (path: string | undefined) =>
      path === undefined ? undefined : this.#parts.openRoot(path, symlinks);
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
          log: this.#parts.log,
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
    const { user = this.#parts.config.user, group = this.#parts.config.group, groups, scriptAlias } = config;
    const reads = scriptAlias === undefined ? [] : [toText(scriptAlias)];
    const ownUid = process.getuid?.();
    const runAs = chooseRunAs({ what: 'CGI programs', ownUid, user, group, groups, documentRoot, reads });
    if (runAs?.warning !== undefined) this.#parts.log.warn(runAs.warning);
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

  /** What everybody who asks an application gets. */
  get #common(): Pick<ApplicationOptions, 'serverSoftware' | 'now' | 'random' | 'spoolDir'> {
    return {
      serverSoftware: this.#parts.serverSoftware,
      now: monotonicNow,
      random: Math.random,
      spoolDir: this.#parts.spoolDir,
    };
  }
}

export function toProxies({
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
