/** What a gateway is told, and what it can be asked: the public types. */
import type { NodeRequestListener } from '../adapters/node.ts';
import type { Log } from '../base/log.ts';
import type { MetricFormat } from '../base/metrics.ts';
import type { DeployOptions, DeployReport } from '../deploy/deploy.ts';
import type { ExchangeHandler, HttpExchange } from '../http/exchange.ts';
import type { RequestHead } from '../http/message.ts';
import type { RouteStep } from '../server/explain.ts';
import type { SourceState, SourceStatus } from '../source/health/supervised.ts';

export interface GatewayOptions {
  /** Where faults, application errors and starts are told; nothing is said by default. */
  readonly log?: Log | undefined;
  /** Our environment, for `inheritEnv` and to find PHP by its PATH. Default: `process.env`; `{}` gives nothing of it. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** Puts something between the HTTP front and the rules, which sees each request and may change its answer. */
  readonly wrapExchange?: ((exchange: HttpExchange) => HttpExchange) | undefined;
}

/**
 * A gateway: its own listeners, or a request listener for somebody else's server. Until it is started, by `start`, `listen`
 * or its first request, nothing on disk is made, opened or cleared away, and no process runs: to `explain` and to
 * `describeSources` needs no more rights than to read.
 */
export interface Gateway {
  /** For node:http, Express 5 and Connect; below the latter two a request that no rule matches goes to `next`. */
  readonly listener: NodeRequestListener;
  /** For any other HTTP front, as `fastway/adapters/fetch`. A request that no rule matches goes to `next`; without one it is a 404. */
  readonly handle: ExchangeHandler;
  /**
   * Opens the private directory and the access logs, ends what a killed gateway left there, and starts what is to run
   * without a request (the minimum of `processes`, health checks). `listen` and the first request do that too: a gateway below another
   * server calls it to hear of faults before a client does. May be called twice, and again after it has failed.
   * @throws {ConfigError} GW_ERR_CONFIG for a file or folder that cannot be written
   * @throws {SourceError} GW_ERR_SOURCE_SPAWN: only root may run programs as the configured user
   */
  start(): Promise<void>;
  /**
   * Starts, and listens on every configured address, or on none.
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
  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
