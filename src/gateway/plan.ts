/**
 * What a checked configuration asks for: long-lived things, each with the key of all that makes it what it is, and the
 * sites that use them. Pure: nothing is opened, read or made. Two plans with the same key mean the same thing, so that it
 * can be carried from one generation to the next.
 */
import { toText } from '../base/byte-string.ts';
import {
  findDocumentRoots,
  findGroups,
  findLargestBody,
  findPhpSources,
  findProgramMatches,
  findRunExtensions,
  findScriptExtensions,
} from '../config/facts.ts';
import type {
  BalancerConfig,
  Config,
  PhpSourceConfig,
  RuleConfig,
  SourceConfig,
  VirtualServerConfig,
} from '../config/types.ts';
import type { Match } from '../http/match.ts';
import { printKey, splitSource } from './identity.ts';

export interface GatewayPlan {
  readonly config: Config;
  readonly sources: readonly SourcePlan[];
  /** Names of sources, for each balancer that has a choice. */
  readonly groups: readonly (readonly string[])[];
  /** Names of sources that run PHP scripts, whatever PHP they are. */
  readonly phpSources: readonly string[];
  readonly sites: readonly SitePlan[];
}

export interface SourcePlan {
  /** Of all that makes it the source that it is: with another one it is another source. */
  readonly key: string;
  /** Of all that it can be told anew while it runs. */
  readonly tuningKey: string;
  readonly name: string;
  readonly config: SourceConfig;
  /** As whom an interpreter runs; undefined: by the document root's owner. */
  readonly user: string | undefined;
  readonly group: string | undefined;
  /** That an interpreter has to read; undefined: no virtual server uses the source. */
  readonly documentRoot: string | undefined;
  /** Extensions of what a PHP of ours may run. */
  readonly runs: ReadonlySet<string>;
}

export interface SitePlan {
  readonly config: VirtualServerConfig;
  readonly root: RootPlan;
  /** Undefined: its requests are not logged. */
  readonly accessLog: AccessLogPlan | undefined;
  readonly scriptExtensions: ReadonlySet<string>;
  readonly rules: readonly RulePlan[];
}

export interface RulePlan {
  readonly config: RuleConfig;
  /** Undefined: the site's. */
  readonly root: RootPlan | undefined;
  /** It takes the place of the rule's directory. */
  readonly rootIsDirectory: boolean;
  /** Whether its handler heeds what a folder keeps back. */
  readonly guard: boolean;
  /** Matches of the rules before that run files. */
  readonly programMatches: readonly Match[];
  /** What the PHP of ours that it asks may run; undefined: it asks none. */
  readonly runs: ReadonlySet<string> | undefined;
  /** As whom a CGI program runs; undefined: by the document root's owner. */
  readonly user: string | undefined;
  readonly group: string | undefined;
  /** That a CGI program has to read. */
  readonly documentRoot: string;
}

export interface RootPlan {
  readonly key: string;
  /** A byte string. */
  readonly path: string;
  readonly symlinks: VirtualServerConfig['symlinks'];
}

export interface AccessLogPlan extends Exclude<VirtualServerConfig['accessLog'], false> {
  readonly key: string;
}

export function planGateway(config: Config): GatewayPlan {
  return {
    config,
    sources: Object.entries(config.sources).map(([name, source]) => planSource(name, source, config)),
    groups: findGroups(config),
    phpSources: findPhpSources(config),
    sites: config.virtualServers.map((server) => planSite(server, config)),
  };
}

function planSource(name: string, written: SourceConfig, config: Config): SourcePlan {
  const source = written.kind === 'php' ? withUploads(written, findLargestBody(config, name)) : written;
  const parts =
    source.kind === 'remote'
      ? { user: undefined, group: undefined, documentRoot: undefined, runs: new Set<string>() }
      : {
          user: source.user ?? config.user,
          group: source.group ?? config.group,
          documentRoot: findDocumentRoots(config, name).map(toText)[0],
          runs: source.kind === 'php' ? findRunExtensions(config, name) : new Set<string>(),
        };
  const { identity, tuning } = splitSource(source);
  return {
    key: printKey({ name, identity, ...parts }),
    tuningKey: printKey(tuning),
    name,
    config: source,
    ...parts,
  };
}

const mebibyte = 1024 * 1024;

/** What our front takes, a PHP of ours takes too: its own limits of 8 and 2 MB would drop an upload and say nothing. */
function withUploads(source: PhpSourceConfig, bodyBytesMax: number | undefined): PhpSourceConfig {
  if (bodyBytesMax === undefined) return source;
  // As people write it: applications show the directive as it stands.
  const limit = bodyBytesMax % mebibyte === 0 ? `${bodyBytesMax / mebibyte}M` : String(bodyBytesMax);
  return { ...source, ini: { upload_max_filesize: limit, post_max_size: limit, ...source.ini } };
}

function planSite(server: VirtualServerConfig, config: Config): SitePlan {
  const { accessLog, documentRoot, guard, rules, symlinks } = server;
  return {
    config: server,
    root: planRoot(documentRoot, symlinks),
    // Virtual servers that name the same file share its writer, so that lines do not mix.
    accessLog:
      accessLog === false ? undefined : { ...accessLog, key: `${accessLog.format} ${accessLog.file}` },
    scriptExtensions: findScriptExtensions(server),
    rules: rules.map((rule, index) => {
      const { handler } = rule;
      const own = 'documentRoot' in handler ? handler.documentRoot : undefined;
      const ownSymlinks = 'symlinks' in handler ? handler.symlinks : undefined;
      const rights = handler.type === 'cgi' ? handler : { user: undefined, group: undefined };
      return {
        config: rule,
        root:
          own === undefined && ownSymlinks === undefined
            ? undefined
            : planRoot(own ?? documentRoot, ownSymlinks ?? symlinks),
        rootIsDirectory: own !== undefined,
        guard: ('guard' in handler ? handler.guard : undefined) ?? guard,
        programMatches: findProgramMatches(rules, index),
        runs: handler.type === 'fastcgi' ? findOwnRuns(handler.balancer, config) : undefined,
        user: rights.user ?? config.user,
        group: rights.group ?? config.group,
        documentRoot: toText(own ?? documentRoot),
      };
    }),
  };
}

function planRoot(path: string, symlinks: RootPlan['symlinks']): RootPlan {
  return { key: `${symlinks} ${path}`, path, symlinks };
}

function findOwnRuns({ sources }: BalancerConfig, config: Config): ReadonlySet<string> | undefined {
  const own = sources.filter(({ source }) => config.sources[source]!.kind === 'php');
  if (own.length === 0) return undefined;
  return new Set(own.flatMap(({ source }) => [...findRunExtensions(config, source)]));
}
