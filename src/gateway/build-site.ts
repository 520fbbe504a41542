/** Makes the virtual server of a plan: its rules, handlers and balancers. Opens nothing. */

import type { Balancer, BalancerFactory } from '../balancer/balancer.ts';
import { createFailover } from '../balancer/failover.ts';
import { createIpHash } from '../balancer/ip-hash.ts';
import { createLeastBusy } from '../balancer/least-busy.ts';
import { createRoundRobin } from '../balancer/round-robin.ts';
import { toText } from '../base/byte-string.ts';
import type { Log } from '../base/log.ts';
import type {
  ApplicationConfig,
  AuthorizeConfig,
  BalancerConfig,
  BalancerPolicy,
  CgiHandlerConfig,
} from '../config/types.ts';
import { createAuthorizer } from '../handler/authorizer.ts';
import { createCgiHandler } from '../handler/cgi.ts';
import type { DocumentRoot } from '../handler/document-root.ts';
import { createErrorHandler } from '../handler/error.ts';
import { createFastcgiHandler } from '../handler/fastcgi.ts';
import { createFilesHandler } from '../handler/files.ts';
import { createFilterHandler } from '../handler/filter.ts';
import type { Handler, Site } from '../handler/handler.ts';
import { createRedirectHandler } from '../handler/redirect.ts';
import type { ApplicationOptions } from '../handler/script-options.ts';
import { type Match, printMatch, takesPath } from '../http/match.ts';
import { resolveClient } from '../http/real-ip.ts';
import { chooseRunAs, type RunAs } from '../process/run-as.ts';
import type { AccessLog } from '../server/access-log.ts';
import { compileMatch, type Rule, type RuleRoot } from '../server/rule.ts';
import type { VirtualServer } from '../server/virtual-server.ts';
import type { Source } from '../source/source.ts';
import type { AccessLogPlan, RootPlan, RulePlan, SitePlan } from './plan.ts';
import { rightsToGive } from './rights.ts';
import type { Shelf } from './shelf.ts';

const balancers: Record<BalancerPolicy, BalancerFactory> = {
  'round-robin': createRoundRobin,
  'ip-hash': createIpHash,
  failover: createFailover,
  'least-busy': createLeastBusy,
};

/** What virtual servers are made of, and share with others. */
export interface SiteParts {
  readonly shelf: Shelf;
  sourceOf(name: string): Source;
  openRoot(plan: RootPlan): DocumentRoot;
  openAccessLog(plan: AccessLogPlan): AccessLog;
}

/** @throws {SourceError} GW_ERR_SOURCE_SPAWN: no such user */
export function buildSite(
  { config, root, accessLog, scriptExtensions, rules }: SitePlan,
  parts: SiteParts,
): VirtualServer {
  const { name, hosts, directoryIndex, encodedSlashes, errorPages, mediaTypes } = config;
  const site: Site = {
    name,
    documentRoot: parts.openRoot(root),
    directoryIndex,
    encodedSlashes,
    errorPages,
    mediaTypes,
    scriptExtensions,
  };
  return {
    hosts,
    site,
    rules: rules.map((rule, index) => buildRule(rule, index, parts)),
    accessLog: accessLog === undefined ? undefined : parts.openAccessLog(accessLog),
    meter: parts.shelf.metrics.requests.meterOf(name),
  };
}

function buildRule(plan: RulePlan, index: number, parts: SiteParts): Rule {
  const { match, authorize, handler } = plan.config;
  return {
    match: compileMatch(match, ownRootOf(plan, parts)),
    handler: authorize.reduceRight(
      (next, authorizer) => buildAuthorizer(authorizer, next, parts),
      buildHandler(plan, parts),
    ),
    description: `rule ${index + 1}: ${JSON.stringify(printMatch(match)) ?? 'everything'} -> ${handler.type}`,
  };
}

function ownRootOf({ root, rootIsDirectory }: RulePlan, parts: SiteParts): RuleRoot | undefined {
  return root === undefined
    ? undefined
    : { documentRoot: parts.openRoot(root), isDirectory: rootIsDirectory };
}

function buildAuthorizer(
  { balancer, env, cacheMs, cacheKey }: AuthorizeConfig,
  next: Handler,
  parts: SiteParts,
): Handler {
  return createAuthorizer(
    { balancer: buildBalancer(balancer, parts), env, cacheMs, cacheKey, ...commonOptions(parts) },
    next,
  );
}

function buildBalancer({ policy, sources }: BalancerConfig, parts: SiteParts): Balancer {
  // Among one there is nothing to share out, by whatever policy.
  const create = sources.length === 1 ? createFailover : balancers[policy];
  return create(sources.map(({ source, weight }) => ({ source: parts.sourceOf(source), weight })));
}

function buildHandler(plan: RulePlan, parts: SiteParts): Handler {
  const config = plan.config.handler;
  const documentRoot = plan.root === undefined ? undefined : parts.openRoot(plan.root);
  const { rootIsDirectory, guard } = plan;
  const isProgram = isProgramOf(plan.programMatches);
  switch (config.type) {
    case 'fastcgi':
      return createFastcgiHandler({
        ...config,
        ...toOptions(config, plan, documentRoot, parts),
        balancer: buildBalancer(config.balancer, parts),
        runs: plan.runs,
      });
    case 'filter':
      return createFilterHandler({
        ...toOptions(config, plan, documentRoot, parts),
        isProgram,
        balancer: buildBalancer(config.balancer, parts),
      });
    case 'cgi':
      return createCgiHandler({
        ...config,
        ...toOptions(config, plan, documentRoot, parts),
        runAs: chooseProgramRights(plan, config, parts.shelf.log),
        log: parts.shelf.log,
      });
    case 'files':
      return createFilesHandler({ ...config, documentRoot, rootIsDirectory, guard, isProgram });
    case 'redirect':
      return createRedirectHandler(config);
    case 'error':
      return createErrorHandler(config.status);
  }
}

function chooseProgramRights(
  plan: RulePlan,
  { groups, scriptAlias }: CgiHandlerConfig,
  log: Log,
): RunAs | undefined {
  const runAs = chooseRunAs({
    what: 'CGI programs',
    ...rightsToGive({ ...plan, groups }),
    documentRoot: plan.documentRoot,
    reads: scriptAlias === undefined ? [] : [toText(scriptAlias)],
  });
  if (runAs?.warning !== undefined) log.warn(runAs.warning);
  return runAs;
}

function toOptions(
  config: ApplicationConfig,
  { rootIsDirectory, guard }: RulePlan,
  documentRoot: DocumentRoot | undefined,
  parts: SiteParts,
): ApplicationOptions {
  const { realIp } = config;
  return {
    ...config,
    documentRoot,
    rootIsDirectory,
    guard,
    clientOf: realIp === undefined ? undefined : ({ request }) => resolveClient(request, realIp),
    ...commonOptions(parts),
  };
}

/** What everybody who asks an application gets. */
function commonOptions({
  shelf,
}: SiteParts): Pick<ApplicationOptions, 'ignoredField' | 'serverSoftware' | 'clock' | 'random' | 'spoolDir'> {
  return {
    ignoredField: (name) =>
      shelf.log.debug(
        `Request headers ${JSON.stringify(name)} are not passed on, since others would be the same variable; see underscoreHeaders`,
      ),
    serverSoftware: shelf.serverSoftware,
    clock: shelf.clock,
    random: Math.random,
    spoolDir: shelf.runtimeDirectory.spoolPath,
  };
}

function isProgramOf(matches: readonly Match[]): (path: string) => boolean {
  return (path) => matches.some((match) => takesPath(match, path));
}
