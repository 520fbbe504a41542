/** What a program that embeds Fastway imports. */
export type { NodeRequestListener } from './adapters/node.ts';
export {
  CgiError,
  ConfigError,
  type ConfigProblem,
  type Delivery,
  type ErrorCode,
  GatewayError,
  HttpRequestError,
  ProtocolError,
  SourceError,
} from './base/errors.ts';
export { createLog, type Log, type LogFields, type LogLevel } from './base/log.ts';
export type { MetricFormat } from './base/metrics.ts';
export {
  type Config,
  type ConfigExport,
  type ConfigInput,
  defineConfig,
  type HandlerInput,
  type MatchInput,
  type RuleInput,
  type SourceInput,
  type VirtualServerInput,
} from './config/types.ts';
export type { DeployOptions, DeployReport, WarmedUrl } from './deploy/deploy.ts';
export type { OpcacheReset } from './deploy/opcache.ts';
export { createGateway } from './gateway/gateway.ts';
export type { Gateway, GatewayOptions } from './gateway/options.ts';
export type { ExplainedVariable, Explanation } from './handler/handler.ts';
export type {
  ExchangeEnd,
  ExchangeHandler,
  ExchangeObserver,
  HttpExchange,
  ReceivedRequest,
} from './http/exchange.ts';
export type { BodyReader, BodyReceiver, Fields, RequestHead } from './http/message.ts';
export { ForwardingReply, type Reply, type ReplyFacts, type ReplyListener } from './http/reply.ts';
export type { Target } from './http/target.ts';
export type { RouteStep } from './server/explain.ts';
export type { SourceState, SourceStatus } from './source/health/supervised.ts';
