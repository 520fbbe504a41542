/** Makes the HTTP fronts of a gateway; they listen later, and outlive its generations. */
import { createRequestListener, type NodeRequestListener } from '../adapters/node.ts';
import type { Clock } from '../base/clock.ts';
import { printThrown } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { MetricFormat } from '../base/metrics.ts';
import type { Config } from '../config/types.ts';
import type { ExchangeHandler } from '../http/exchange.ts';
import { MetricsServer } from '../server/metrics-server.ts';
import { Server, type ServerOptions } from '../server/server.ts';

export interface FrontParts {
  readonly config: Pick<Config, 'listen' | 'limits' | 'metrics'>;
  readonly log: Log;
  readonly clock: Clock;
  readonly handle: ExchangeHandler;
  readonly refused: ServerOptions['refused'];
  readonly dropped: NonNullable<ServerOptions['dropped']>;
  readonly print: (format: MetricFormat) => string;
  readonly isReady: () => boolean;
}

export interface Fronts {
  /** Our own listeners. */
  readonly server: Server;
  /** For somebody else's server. */
  readonly listener: NodeRequestListener;
  /** Undefined: nobody is told over HTTP. */
  readonly metricsServer: MetricsServer | undefined;
}

export function buildFronts(parts: FrontParts): Fronts {
  const { config, log, clock, handle, refused, dropped, print, isReady } = parts;
  const { listen, limits, metrics } = config;
  return {
    server: new Server({
      listen,
      limits,
      handle: (exchange) => handle(exchange),
      refused,
      dropped,
      log,
      clock,
    }),
    listener: createRequestListener(handle, {
      bodyIdleMs: limits.bodyIdleTimeoutMs,
      writeIdleMs: limits.sendIdleTimeoutMs,
      clock,
      failed: (error) => log.error('A request was ended by an error of ours', { error: printThrown(error) }),
    }),
    metricsServer: metrics === false ? undefined : new MetricsServer({ ...metrics, print, isReady }),
  };
}
