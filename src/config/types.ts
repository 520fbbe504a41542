/**
 * The configuration's types, from both sides: `ConfigInput` is what people write, `Config` what the program runs on.
 * In a `Config` everything is present, checked and absolute. Strings that stand for request bytes, variables or paths
 * below a document root are byte strings (latin1); what the system starts or listens on (sources, log files) is text.
 * What a part of the program takes as it is configured is described there, and named here.
 * Types only: the defaults with their reasons, and the JSON Schema, are in `definition.ts`, which loads zod.
 */
import type { LogOptions } from '../base/log.ts';
import type { AuthorizerOptions } from '../handler/authorizer.ts';
import type { FilesHandlerOptions } from '../handler/files.ts';
import type { Site } from '../handler/handler.ts';
import type { RedirectHandlerOptions } from '../handler/redirect.ts';
import type { ApplicationSettings, ScriptSettings } from '../handler/script-options.ts';
import type { SymlinkPolicy } from '../handler/symlinks.ts';
import type { Match } from '../http/match.ts';
import type { TrustedProxies } from '../http/real-ip.ts';
import type { LaunchOptions } from '../process/launch.ts';
import type { RunAsOptions } from '../process/run-as.ts';
import type { AccessLogOptions } from '../server/access-log.ts';
import type { ListenAddress } from '../server/listen.ts';
import type { MetricsServerOptions } from '../server/metrics-server.ts';
import type { ServerLimits } from '../server/server.ts';
import type { HealthCheckOptions } from '../source/health/health-check.ts';
import type { SupervisionOptions } from '../source/health/supervised.ts';
import type { LocalSourceOptions, ProcessesOptions } from '../source/interpreter/local-options.ts';
import type { PhpSourceOptions } from '../source/php/php.ts';
import type { ProgramSourceOptions } from '../source/program/program-source.ts';
import type { RemoteSourceOptions } from '../source/remote/remote.ts';

export interface Config {
  readonly listen: readonly ListenAddress[];
  /** By name. */
  readonly sources: Readonly<Record<string, SourceConfig>>;
  /** Never empty. */
  readonly virtualServers: readonly VirtualServerConfig[];
  readonly realIp: TrustedProxies;
  readonly limits: LimitsConfig;
  readonly log: LogConfig;
  /** Where metrics, liveness and readiness are told. False: no listener for those who watch. */
  readonly metrics: MetricsConfig | false;
  /** Absolute; undefined: a private directory of our own below the system's temporary directory. */
  readonly runtimeDir?: string | undefined;
  /** Whom the process becomes once it listens: name or number, as text. */
  readonly user?: string | undefined;
  readonly group?: string | undefined;
}

export type LogConfig = Pick<LogOptions, 'level' | 'format'>;
export type MetricsConfig = Pick<MetricsServerOptions, 'host' | 'port' | 'hosts'>;
export type AccessLogConfig = Pick<AccessLogOptions, 'format' | 'file'>;

/** Bounds of the HTTP front: bytes, milliseconds, counts. */
export interface LimitsConfig extends Omit<ServerLimits, 'connectionsMax'> {
  readonly headerLinesMax: number;
  /** For handlers that do not name their own. */
  readonly maxBodyBytes: number;
  readonly shutdownGraceMs: number;
}

export type SourceConfig = PhpSourceConfig | RemoteSourceConfig | LocalSourceConfig;

/** A source's options without what the gateway tells it; of the defaults, `Filled` are there. */
type Configured<Options, Filled extends keyof Options> = Omit<Options, Filled | GatewayOwn> &
  Required<Pick<Options, Filled>> & {
    readonly state: SupervisionOptions['state'];
    readonly check?: SupervisionOptions['check'];
  };

type GatewayOwn =
  | 'name'
  | 'log'
  | 'clock'
  | 'random'
  | 'environment'
  | 'runtimeDir'
  | 'documentRoot'
  | 'runs'
  | 'runAs'
  | 'search'
  | 'prepare'
  | 'isRepeated'
  | 'adapt'
  | 'description';
type FilledLimits = 'connectTimeoutMs' | 'readTimeoutMs' | 'sendTimeoutMs' | 'totalTimeoutMs' | 'holdMs';
type FilledStart = 'spawnTimeoutMs' | 'env' | 'inheritEnv';

/** PHP, found and run by us. Paths are absolute. */
export interface PhpSourceConfig extends Configured<PhpSourceOptions, FilledLimits | FilledStart | 'ini'> {
  readonly kind: 'php';
}

/** A FastCGI server that somebody else runs. */
export interface RemoteSourceConfig extends Configured<RemoteSourceOptions, FilledLimits> {
  readonly kind: 'remote';
}

/** A FastCGI server that we start when nothing answers at the address. Paths are absolute. */
export interface LocalSourceConfig extends Configured<LocalSourceOptions, FilledLimits | FilledStart> {
  readonly kind: 'local';
}

/** As whom, and with how much, a program that we start runs; all strings are text. */
export interface RightsConfig
  extends Pick<RunAsOptions, 'user' | 'group' | 'groups'>,
    Omit<LaunchOptions, 'chroot'> {}

export interface VirtualServerConfig
  extends Required<Pick<Site, 'name' | 'directoryIndex' | 'encodedSlashes' | 'errorPages' | 'mediaTypes'>> {
  /** Lower case: a name, `*.example.com`, or `*`. */
  readonly hosts: readonly string[];
  /** Absolute, no trailing slash; a byte string. */
  readonly documentRoot: string;
  readonly symlinks: SymlinkPolicy;
  readonly guard: boolean;
  readonly accessLog: AccessLogConfig | false;
  readonly rules: readonly RuleConfig[];
}

export interface RuleConfig {
  readonly match: Match;
  /** Asked in this order before the handler. */
  readonly authorize: readonly AuthorizeConfig[];
  readonly handler: HandlerConfig;
}

/** A FastCGI Authorizer that must say 200. */
export interface AuthorizeConfig extends Pick<AuthorizerOptions, 'env' | 'cacheMs' | 'cacheKey'> {
  readonly balancer: BalancerConfig;
}

export type HandlerConfig =
  | FastcgiHandlerConfig
  | CgiHandlerConfig
  | FilterHandlerConfig
  | FilesHandlerConfig
  | RedirectHandlerConfig
  | ErrorHandlerConfig;

/** Of every handler that asks an application. */
export interface ApplicationConfig extends ApplicationSettings {
  /** Absolute; a byte string. */
  readonly documentRoot: string | undefined;
  /** Undefined: the virtual server's. */
  readonly symlinks?: SymlinkPolicy | undefined;
  /** Undefined: the virtual server's. */
  readonly guard?: boolean | undefined;
  /** Undefined: the top level's. */
  readonly realIp: TrustedProxies | undefined;
}

export interface FastcgiHandlerConfig extends ApplicationConfig, ScriptSettings {
  readonly type: 'fastcgi';
  readonly upgrade: boolean;
  readonly balancer: BalancerConfig;
}

/** A FastCGI Filter, which makes the answer out of a file. */
export interface FilterHandlerConfig extends ApplicationConfig {
  readonly type: 'filter';
  readonly balancer: BalancerConfig;
}

/** A program per request. */
export interface CgiHandlerConfig
  extends ApplicationConfig,
    ScriptSettings,
    RightsConfig,
    Pick<ProgramSourceOptions, 'timeoutMs' | 'capacity'> {
  readonly type: 'cgi';
}

export interface BalancerConfig {
  readonly policy: BalancerPolicy;
  /** Never empty; each names an existing source once. */
  readonly sources: readonly { readonly source: string; readonly weight: number }[];
}

export const balancerPolicies = ['round-robin', 'ip-hash', 'failover', 'least-busy'] as const;
export type BalancerPolicy = (typeof balancerPolicies)[number];

export interface FilesHandlerConfig extends Pick<FilesHandlerOptions, 'sendLeftovers' | 'precompressed'> {
  readonly type: 'files';
  /** Absolute; a byte string. */
  readonly documentRoot: string | undefined;
  /** Undefined: the virtual server's. */
  readonly symlinks?: SymlinkPolicy | undefined;
  /** Undefined: the virtual server's. */
  readonly guard?: boolean | undefined;
}

export interface RedirectHandlerConfig extends RedirectHandlerOptions {
  readonly type: 'redirect';
  readonly status: 301 | 302 | 303 | 307 | 308;
  /** Where `exists` and `nearest` of the match look, in place of the rule's directory. Absolute; a byte string. */
  readonly documentRoot: string | undefined;
}

export interface ErrorHandlerConfig {
  readonly type: 'error';
  /** 400 to 599. */
  readonly status: number;
  /** As a redirect's. */
  readonly documentRoot: string | undefined;
}

export const presetNames = ['php', 'wordpress', 'laravel', 'symfony', 'drupal', 'django', 'rails'] as const;
/** Rules that somebody else wrote for you. */
export type PresetName = (typeof presetNames)[number];

/** What a configuration file holds: every key has a default but `documentRoot`. */
export interface ConfigInput {
  readonly $schema?: string | undefined;
  readonly listen?: readonly ListenInput[] | undefined;
  readonly sources?: Readonly<Record<string, SourceInput>> | undefined;
  readonly virtualServers?: readonly VirtualServerInput[] | undefined;
  readonly realIp?: RealIpInput | undefined;
  readonly limits?: Partial<LimitsConfig> | undefined;
  readonly log?: Partial<LogConfig> | undefined;
  readonly metrics?: Partial<MetricsConfig> | false | undefined;
  readonly runtimeDir?: string | undefined;
  readonly user?: Account | undefined;
  readonly group?: Account | undefined;
}

/** A user or group, by its name or number. */
type Account = string | number;

/** A part as it is written: `Keys` as they stand there, the others optional. */
type Written<Part, Keys> = Keys & {
  readonly [Key in Exclude<keyof Part, keyof Keys | 'kind'>]?: WrittenValue<Part[Key]> | undefined;
};
type WrittenValue<Value> =
  Value extends ReadonlyMap<unknown, infer Inner>
    ? Readonly<Record<string, Inner>>
    : Value extends RegExp
      ? string
      : Value;

export type ListenInput =
  | { readonly host?: string | undefined; readonly port?: number | undefined }
  | { readonly path: string; readonly mode?: string | undefined };

export interface RealIpInput {
  readonly trusted?: readonly string[] | undefined;
  readonly field?: string | undefined;
  readonly protoField?: string | false | undefined;
  readonly hostField?: string | false | undefined;
  readonly portField?: string | false | undefined;
}

interface CheckInput {
  readonly check?: Partial<HealthCheckOptions> | undefined;
}

export type RightsInput = Written<
  RightsConfig,
  {
    readonly user?: Account | undefined;
    readonly group?: Account | undefined;
    readonly groups?: readonly Account[] | undefined;
    readonly umask?: string | undefined;
  }
>;

/** `php`: found and run by us. `interpreter`: started by us. `address` alone: run by somebody else. */
export type SourceInput =
  | Written<
      PhpSourceConfig,
      CheckInput &
        RightsInput & {
          /** A number is a version, as 8.4. */
          readonly php: string | number;
          readonly ini?: Readonly<Record<string, string | number | boolean>> | undefined;
        }
    >
  | Written<
      LocalSourceConfig,
      CheckInput &
        RightsInput & {
          readonly interpreter: readonly string[];
          readonly processes?: Partial<ProcessesOptions> | undefined;
        }
    >
  | Written<
      RemoteSourceConfig,
      CheckInput & { readonly address: string; readonly statusAddress?: string | undefined }
    >;

export type VirtualServerInput = Written<
  VirtualServerConfig,
  {
    readonly documentRoot: string;
    readonly accessLog?: Partial<AccessLogConfig> | false | undefined;
    /** Writes rules after your own ones. */
    readonly preset?: PresetName | undefined;
    /** The source for the preset's rules. */
    readonly source?: string | undefined;
    readonly rules?: readonly RuleInput[] | undefined;
  }
>;

export interface RuleInput {
  readonly match?: MatchInput | undefined;
  readonly authorize?: AuthorizeInput | readonly AuthorizeInput[] | undefined;
  readonly handler: HandlerInput;
}

/** Several keys in one match mean "and". */
export interface MatchInput {
  /** This path and everything below it, whole segments. */
  readonly directory?: string | undefined;
  readonly extensions?: string | readonly string[] | undefined;
  /** The exact path, decoded. */
  readonly path?: string | undefined;
  /** A regular expression over the decoded path. */
  readonly request?: string | undefined;
  /**
   * True: the path names a file or directory. `file`: a file, or a directory that has an index. `request`, `extensions`: its part
   * up to the end of what that key found does. Names: one of them lies in the directory of the path, or in the root with a leading slash.
   */
  readonly exists?: true | 'file' | 'request' | 'extensions' | readonly string[] | undefined;
  /** A folder on the way to the path holds this file: `$nearest` in a redirect is its path. */
  readonly nearest?: string | undefined;
  readonly header?: Readonly<Record<string, ValueMatchInput>> | undefined;
  readonly method?: string | readonly string[] | undefined;
  /** Addresses and CIDR blocks of the client. */
  readonly from?: string | readonly string[] | undefined;
  /** Query parameter, decoded -> what its value must be. */
  readonly query?: Readonly<Record<string, ValueMatchInput>> | undefined;
  readonly all?: readonly MatchInput[] | undefined;
  readonly any?: readonly MatchInput[] | undefined;
  readonly not?: MatchInput | undefined;
}

/** Text: equal. `regex`: the expression is found in it. True: it is there, whatever its value. */
export type ValueMatchInput = string | true | { readonly regex: string };

export interface BalancerInput {
  readonly policy?: BalancerPolicy | undefined;
  readonly sources: readonly (string | { readonly source: string; readonly weight?: number | undefined })[];
}

/** One of the two. */
interface SourceChoiceInput {
  readonly balancer?: BalancerInput | undefined;
  /** Short for a balancer with this one source. */
  readonly source?: string | undefined;
}

export type AuthorizeInput = Written<AuthorizeConfig, SourceChoiceInput>;

interface RootInput {
  readonly documentRoot?: string | null | undefined;
}

interface ApplicationInput extends RootInput {
  readonly realIp?: RealIpInput | null | undefined;
}

interface ScriptInput extends ApplicationInput {
  readonly scriptAlias?: string | null | undefined;
  readonly scriptRoot?: string | null | undefined;
}

export type HandlerInput =
  | Written<FastcgiHandlerConfig, ScriptInput & SourceChoiceInput & { readonly type: 'fastcgi' }>
  | Written<FilterHandlerConfig, ApplicationInput & SourceChoiceInput & { readonly type: 'filter' }>
  | Written<CgiHandlerConfig, ScriptInput & RightsInput & { readonly type: 'cgi' }>
  | Written<FilesHandlerConfig, RootInput & { readonly type: 'files' }>
  | Written<RedirectHandlerConfig, RootInput & { readonly type: 'redirect'; readonly to: string }>
  | Written<ErrorHandlerConfig, RootInput & { readonly type: 'error'; readonly status: number }>;

/** What a configuration module may export. */
export type ConfigExport = ConfigInput | Promise<ConfigInput> | (() => ConfigInput | Promise<ConfigInput>);

/** Gives a configuration in TypeScript or JavaScript its types; returns it as it is. */
export function defineConfig<T extends ConfigExport>(config: T): T {
  return config;
}
