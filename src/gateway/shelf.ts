/**
 * What outlives a configuration: the sources, access logs and document roots that generations share, what is counted, and
 * the private directory. A generation takes what its plan names, and releases it when its last request has ended.
 */
import { type Clock, systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { MetricRegistry } from '../base/metrics.ts';
import { readVersion } from '../base/version.ts';
import type { DocumentRoot } from '../handler/document-root.ts';
import { RuntimeDirectory } from '../process/runtime-directory.ts';
import type { AccessLog } from '../server/access-log.ts';
import { GatewayMetrics } from '../server/gateway-metrics.ts';
import { SourceMetrics } from '../source/source-metrics.ts';
import type { ShelvedSource } from './build-sources.ts';
import type { GatewayOptions } from './options.ts';
import { SharedThings } from './shared-things.ts';

export interface ShelfOptions {
  /** As configured. */
  readonly runtimeDir: string | undefined;
  readonly log: Log;
  readonly environment: NonNullable<GatewayOptions['environment']>;
  /** Of all that lives here. Default: that of the machine. */
  readonly clock?: Clock;
}

export class Shelf {
  readonly log: Log;
  readonly clock: Clock;
  readonly environment: ShelfOptions['environment'];
  readonly runtimeDirectory: RuntimeDirectory;
  /** SERVER_SOFTWARE. */
  readonly serverSoftware: string;
  readonly metrics: GatewayMetrics;
  readonly sourceMetrics: SourceMetrics;
  readonly sources: SharedThings<ShelvedSource>;
  readonly accessLogs: SharedThings<AccessLog>;
  readonly documentRoots: SharedThings<DocumentRoot> = new SharedThings(() => {});
  /** Of access logs that are closed. */
  #droppedLines = 0;

  /** Opens nothing. */
  constructor({ runtimeDir, log, environment, clock = systemClock }: ShelfOptions) {
    const version = readVersion();
    const registry = new MetricRegistry();
    this.log = log;
    this.clock = clock;
    this.environment = environment;
    this.runtimeDirectory = new RuntimeDirectory(runtimeDir, log);
    this.serverSoftware = `fastway/${version}`;
    this.metrics = new GatewayMetrics(registry, {
      countDroppedLines: () =>
        this.accessLogs.all.reduce((sum, { dropped }) => sum + dropped, this.#droppedLines),
      version,
      clock,
    });
    this.sourceMetrics = new SourceMetrics(registry);
    this.sources = new SharedThings(async ({ source }) => {
      await source.close();
      this.sourceMetrics.hide(source);
    });
    this.accessLogs = new SharedThings(async (accessLog) => {
      await accessLog.close();
      this.#droppedLines += accessLog.dropped;
    });
  }
}
