/**
 * The configuration's types, from both sides: `ConfigInput` is what people write, `Config` what the program runs on.
 * In a `Config` everything is present, checked and absolute. Strings that stand for request bytes, variables or paths
 * below a document root are byte strings (latin1); what the system starts or listens on (sources, log files) is text.
 * Types only: the defaults with their reasons, and the JSON Schema, are in `definition.ts`, which loads zod.
 */
import type { Address } from '../base/address.ts';
import type { LogLevel } from '../base/log.ts';
import type { TrustedProxies } from '../http/real-ip.ts';
import type { ProcessLimits } from '../process/launch.ts';
import type { HealthCheckOptions } from '../source/health/health-check.ts';
import type { ProcessesOptions, RecycleOptions } from '../source/interpreter/local-options.ts';
import type { SourceProfile } from '../source/remote/profile.ts';
import type { Match } from './match.ts';

export interface Config {
  readonly listen: readonly ListenConfig[];
  /** By name. */
  readonly sources: Readonly<Record<string, SourceConfig>>;
  /** Never empty. */
  readonly virtualServers: readonly VirtualServerConfig[];
  readonly realIp: TrustedProxies;
  readonly limits: LimitsConfig;
  readonly log: LogConfig;
  /** False: no listener for those who watch. */
  readonly metrics: MetricsConfig | false;
  /** Absolute; undefined: a private directory of our own below the system's temporary directory. */
  readonly runtimeDir?: string | undefined;
  /** Whom the process becomes once it listens: name or number, as text. */
  readonly user?: string | undefined;
  readonly group?: string | undefined;
}

/** Port 0 lets the system choose one; a `path` is a unix socket. */
export type ListenConfig =
  | { readonly host: string; readonly port: number }
  | { readonly path: string; readonly mode: number };

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
}

/** Where metrics, liveness and readiness are told. */
export interface MetricsConfig {
  readonly host: string;
  readonly port: number;
  /** Lower case. */
  readonly hosts: readonly string[];
}

/** Bounds of the HTTP front: bytes, milliseconds, counts. */
export interface LimitsConfig {
  readonly headerBytesMax: number;
  readonly headerLinesMax: number;
  readonly headerTimeoutMs: number;
  readonly bodyIdleTimeoutMs: number;
  readonly sendIdleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly requestsPerConnectionMax: number;
  /** For handlers that do not name their own. */
  readonly maxBodyBytes: number;
  readonly shutdownGraceMs: number;
}

export type SourceConfig = PhpSourceConfig | RemoteSourceConfig | LocalSourceConfig;

/** What every kind of source has. */
export interface SourceLimits {
  /** Set by an operator. */
  readonly state: 'active' | 'drain' | 'maintenance';
  readonly check?: HealthCheckOptions | undefined;
  /** Idle connections kept to the application; 0 closes each after its request. Undefined: by the profile. */
  readonly keepConnections?: number | undefined;
  /** Most requests in flight; undefined: as many as come (for PHP: its workers). */
  readonly capacity?: number | undefined;
  readonly connectTimeoutMs: number;
  /** Longest silence of the application. */
  readonly readTimeoutMs: number;
  /** Longest wait for the application to take more of the request. */
  readonly sendTimeoutMs: number;
  /** Longest time for a whole request. */
  readonly totalTimeoutMs: number;
  /** How long requests wait while nobody listens; 0: not at all. */
  readonly holdMs: number;
}

/** Of an application that may be php-fpm, or another one. */
export interface ProfileConfig {
  /** Undefined: found out. */
  readonly profile?: SourceProfile | undefined;
  /** php-fpm's `pm.status_path`, which tells the capacity; text. */
  readonly statusPath?: string | undefined;
}

/** As whom, and with how much, a program that we start runs; all strings are text. */
export interface RightsConfig {
  /** Name or number. */
  readonly user?: string | undefined;
  /** Name or number. */
  readonly group?: string | undefined;
  /** Supplementary ones; undefined: those that list the user. */
  readonly groups?: readonly string[] | undefined;
  readonly umask?: number | undefined;
  readonly nice?: number | undefined;
  readonly limits?: ProcessLimits | undefined;
}

/** How an interpreter that we start lives; all strings are text. */
export interface InterpreterLimits extends RightsConfig {
  readonly spawnTimeoutMs: number;
  readonly recycle?: RecycleOptions | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly inheritEnv: boolean;
  /** Absolute. */
  readonly workingDirectory?: string | undefined;
}

/** PHP, found and run by us. */
export interface PhpSourceConfig extends SourceLimits, InterpreterLimits {
  readonly kind: 'php';
  /** A kind, or the absolute path of a php-fpm or php-cgi. */
  readonly php: 'auto' | 'fpm' | 'cgi' | 'embedded' | (string & {});
  /** Undefined: chosen by the machine. */
  readonly workers?: number | undefined;
  readonly ini: Readonly<Record<string, string>>;
}

/** A FastCGI server that somebody else runs. */
export interface RemoteSourceConfig extends SourceLimits, ProfileConfig {
  readonly kind: 'remote';
  readonly address: Address;
  /** php-fpm's `pm.status_listen`; undefined: asked as everything else. */
  readonly statusAddress?: Address | undefined;
}

/** A FastCGI server that we start when nothing answers at the address. */
export interface LocalSourceConfig extends SourceLimits, ProfileConfig, InterpreterLimits {
  readonly kind: 'local';
  /** As `address`. */
  readonly statusAddress?: string | undefined;
  /** May hold `{runtimeDir}` and `{process}`; undefined: a unix socket of our choice. */
  readonly address?: string | undefined;
  /** Program and arguments, no shell; may hold `{address}`, `{path}`, `{host}`, `{port}`, `{runtimeDir}`, `{process}`. */
  readonly interpreter: readonly string[];
  /** Undefined: decided by whether the interpreter is told an address. */
  readonly socket?: 'inherit' | 'own' | undefined;
  /** Absolute. */
  readonly chroot?: string | undefined;
  /** Undefined: one, from the first request on. */
  readonly processes?: ProcessesOptions | undefined;
}

export interface VirtualServerConfig {
  readonly name: string;
  /** Lower case: a name, `*.example.com`, or `*`. */
  readonly hosts: readonly string[];
  /** Absolute, no trailing slash; a byte string. */
  readonly documentRoot: string;
  readonly directoryIndex: readonly string[];
  readonly symlinks: 'deny' | 'owner' | 'allow';
  /** Paths with `%2F` reach applications. `alike`: where the rules say the same with a slash in its place. Off: 404. */
  readonly encodedSlashes: boolean | 'alike';
  /** Status -> `https://...` (redirect), `/path` (URL of this virtual server), else a file relative to the document root. */
  readonly errorPages: Readonly<Record<string, string>>;
  readonly accessLog: AccessLogConfig | false;
  readonly rules: readonly RuleConfig[];
}

export interface AccessLogConfig {
  readonly format: 'combined' | 'json';
  /** Absolute path, or `-` for stdout; text. */
  readonly file: string;
}

export interface RuleConfig {
  readonly match: Match;
  /** Asked in this order before the handler. */
  readonly authorize: readonly AuthorizeConfig[];
  readonly handler: HandlerConfig;
}

/** A FastCGI Authorizer that must say 200. */
export interface AuthorizeConfig {
  readonly balancer: BalancerConfig;
  /** Byte strings. */
  readonly env: Readonly<Record<string, string>>;
  /** How long a 200 is remembered; 0: not at all. */
  readonly cacheMs: number;
  /** Variables that a remembered 200 hangs on; undefined: all but REMOTE_PORT. */
  readonly cacheKey: readonly string[] | undefined;
}

export type HandlerConfig =
  | FastcgiHandlerConfig
  | CgiHandlerConfig
  | FilterHandlerConfig
  | FilesHandlerConfig
  | RedirectHandlerConfig
  | ErrorHandlerConfig;

/** Of every handler that asks an application. */
export interface ApplicationHandlerConfig {
  readonly errorHandler: boolean;
  readonly passRequestHeaders: boolean;
  /** In lower case. */
  readonly underscoreHeaders: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute; a byte string. */
  readonly documentRoot: string | undefined;
  /** Undefined: the top level's. */
  readonly realIp: TrustedProxies | undefined;
  readonly bufferRequest: boolean;
  readonly bufferResponse: boolean;
  readonly maxBodyBytes: number;
  readonly errorPages: Readonly<Record<string, string>>;
  /** Found in a message of the error output, as text. */
  readonly failurePattern: RegExp | undefined;
}

/** The five Common CGI Options and how bodies are handled. */
export interface ScriptHandlerConfig extends ApplicationHandlerConfig {
  readonly checkFile: boolean;
  /** Absolute; a byte string. */
  readonly scriptAlias: string | undefined;
  readonly xSendfile: boolean;
  /** Absolute directories; byte strings. Empty: nothing is sent. */
  readonly sendfileRoots: readonly string[];
  /** Prefixes of X-Accel-Redirect, as `/protected/`, and their absolute directories; byte strings. */
  readonly accelRoots: Readonly<Record<string, string>>;
  /** Absolute; a byte string. */
  readonly scriptRoot: string | undefined;
  readonly localRedirect: boolean;
}

export interface FastcgiHandlerConfig extends ScriptHandlerConfig {
  readonly type: 'fastcgi';
  readonly upgrade: boolean;
  readonly balancer: BalancerConfig;
}

/** A FastCGI Filter, which makes the answer out of a file. */
export interface FilterHandlerConfig extends ApplicationHandlerConfig {
  readonly type: 'filter';
  readonly balancer: BalancerConfig;
}

/** A program per request. */
export interface CgiHandlerConfig extends ScriptHandlerConfig, RightsConfig {
  readonly type: 'cgi';
  /** Longest silence of a program. */
  readonly timeoutMs: number;
  /** Programs that run at the same time. */
  readonly capacity: number;
}

export interface BalancerConfig {
  readonly policy: BalancerPolicy;
  /** Never empty; each names an existing source once. */
  readonly sources: readonly { readonly source: string; readonly weight: number }[];
}

export const balancerPolicies = ['round-robin', 'ip-hash', 'failover', 'least-busy'] as const;
export type BalancerPolicy = (typeof balancerPolicies)[number];

export interface FilesHandlerConfig {
  readonly type: 'files';
  /** An alternative root for this rule, in place of the rule's directory. Absolute; a byte string. */
  readonly documentRoot: string | undefined;
  /** Also what is usually left by mistake: copies, logs, databases, keys. Dot files and scripts never. */
  readonly sendLeftovers: boolean;
  /** Send `name.br` or `name.gz` when it lies beside the file and the client takes it. */
  readonly precompressed: boolean;
}

export interface RedirectHandlerConfig {
  readonly type: 'redirect';
  /** May hold the variables of `redirect-variables.ts`. */
  readonly to: string;
  /** Of an external redirect. */
  readonly status: 301 | 302 | 303 | 307 | 308;
  /** The rules run again for `to`; method, body and REQUEST_URI stay. */
  readonly internal: boolean;
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

type SourceLimitsInput = Partial<Omit<SourceLimits, 'check'>> & {
  readonly check?: Partial<HealthCheckOptions> | undefined;
};
type ProfileInput = ProfileConfig & { readonly statusAddress?: string | undefined };
type RightsInput = Pick<RightsConfig, 'nice' | 'limits'> & {
  readonly user?: Account | undefined;
  readonly group?: Account | undefined;
  readonly groups?: readonly Account[] | undefined;
  readonly umask?: string | undefined;
};
type StartInput = Partial<Omit<InterpreterLimits, keyof RightsConfig>> & RightsInput;

/** `php`: found and run by us. `interpreter`: started by us. `address` alone: run by somebody else. */
export type SourceInput =
  | (SourceLimitsInput &
      StartInput & {
        readonly php: string;
        readonly workers?: number | undefined;
        readonly ini?: Readonly<Record<string, string | number | boolean>> | undefined;
      })
  | (SourceLimitsInput &
      ProfileInput &
      StartInput & {
        readonly interpreter: readonly string[];
        readonly address?: string | undefined;
        readonly socket?: 'inherit' | 'own' | undefined;
        readonly chroot?: string | undefined;
        readonly processes?: Partial<ProcessesOptions> | undefined;
      })
  | (SourceLimitsInput & ProfileInput & { readonly address: string });

export interface VirtualServerInput
  extends Partial<Omit<VirtualServerConfig, 'documentRoot' | 'accessLog' | 'rules'>> {
  readonly documentRoot: string;
  readonly accessLog?: Partial<AccessLogConfig> | false | undefined;
  /** Writes rules after your own ones. */
  readonly preset?: PresetName | undefined;
  /** The source for the preset's rules. */
  readonly source?: string | undefined;
  readonly rules?: readonly RuleInput[] | undefined;
}

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

interface ApplicationHandlerInput
  extends Partial<Omit<ApplicationHandlerConfig, 'documentRoot' | 'realIp' | 'failurePattern'>> {
  readonly failurePattern?: string | undefined;
  readonly documentRoot?: string | null | undefined;
  readonly realIp?: RealIpInput | null | undefined;
}

interface ScriptHandlerInput
  extends ApplicationHandlerInput,
    Partial<Omit<ScriptHandlerConfig, keyof ApplicationHandlerConfig | 'scriptAlias' | 'scriptRoot'>> {
  readonly scriptAlias?: string | null | undefined;
  readonly scriptRoot?: string | null | undefined;
}

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

export interface AuthorizeInput
  extends SourceChoiceInput,
    Partial<Pick<AuthorizeConfig, 'env' | 'cacheMs' | 'cacheKey'>> {}

export type HandlerInput =
  | (ScriptHandlerInput &
      SourceChoiceInput & { readonly type: 'fastcgi'; readonly upgrade?: boolean | undefined })
  | (ApplicationHandlerInput & SourceChoiceInput & { readonly type: 'filter' })
  | (ScriptHandlerInput &
      RightsInput & {
        readonly type: 'cgi';
        readonly timeoutMs?: number | undefined;
        readonly capacity?: number | undefined;
      })
  | (Partial<Omit<FilesHandlerConfig, 'documentRoot'>> & {
      readonly type: 'files';
      readonly documentRoot?: string | null | undefined;
    })
  | (Partial<Omit<RedirectHandlerConfig, 'documentRoot'>> & {
      readonly type: 'redirect';
      readonly to: string;
      readonly documentRoot?: string | null | undefined;
    })
  | (Omit<ErrorHandlerConfig, 'documentRoot'> & { readonly documentRoot?: string | null | undefined });

/** What a configuration module may export. */
export type ConfigExport = ConfigInput | Promise<ConfigInput> | (() => ConfigInput | Promise<ConfigInput>);

/** Gives a configuration in TypeScript or JavaScript its types; returns it as it is. */
export function defineConfig<T extends ConfigExport>(config: T): T {
  return config;
}
