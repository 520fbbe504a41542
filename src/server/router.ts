/**
 * From an exchange to a handler: checks the head, makes the target canonical, finds the virtual server and the first
 * rule that matches. `ServerRequest` is what it routes.
 */
import { type GatewayError, toGatewayError } from '../base/errors.ts';
import type { HttpExchange } from '../http/exchange.ts';
import type { RequestHead } from '../http/message.ts';
import { explainRequest, type RouteStep } from './explain.ts';
import type { Refusal } from './server.ts';
import { type RoutingContext, ServerRequest } from './server-request.ts';
import { type VirtualServer, VirtualServers } from './virtual-server.ts';

export interface RouterOptions
  extends Omit<RoutingContext, 'servers' | 'count' | 'active' | 'working' | 'whenIdle'> {
  /** At least one. */
  readonly virtualServers: readonly VirtualServer[];
}

export class Router {
  readonly #context: RoutingContext;
  /** One for all who wait. */
  #idle: Promise<void> | undefined;

  constructor(options: RouterOptions) {
    const servers = new VirtualServers(options.virtualServers);
    this.#context = { ...options, servers, count: 0, active: 0, working: new Set() };
  }

  /** Answers a request. Without a rule that matches: `next` if there is one, else 404. Never throws. */
  handle(exchange: HttpExchange, next?: () => void): void {
    const request = this.#begin(exchange);
    try {
      if (request.prepare()) request.run(next);
    } catch (error) {
      request.fail(toGatewayError(error));
    }
  }

  /** Answers a request that no rule is asked for. */
  fail(exchange: HttpExchange, error: GatewayError): void {
    this.#begin(exchange).fail(error);
  }

  /** Resolves when no request is under way, and no application works on behind an answer. */
  idle(): Promise<void> {
    const context = this.#context;
    if (context.active === 0) return Promise.resolve();
    this.#idle ??= new Promise((resolve) => {
      context.whenIdle = () => {
        context.whenIdle = undefined;
        this.#idle = undefined;
        resolve();
      };
    });
    return this.#idle;
  }

  /** Gives up what works on behind answers. */
  abandon(): void {
    for (const work of [...this.#context.working]) work.abandon();
  }

  #begin(exchange: HttpExchange): ServerRequest {
    const context = this.#context;
    const request = new ServerRequest(context, exchange);
    exchange.setObserver(request);
    context.active += 1;
    if (context.metrics !== undefined) context.metrics.inFlight += 1;
    return request;
  }

  /** Counts what never became a request, and writes a line in the default virtual server's access log. */
  refused({ reason, status, bodyBytes, remoteAddress }: Refusal): void {
    const { servers, metrics, idPrefix } = this.#context;
    metrics?.refused(reason);
    servers.default.accessLog?.write({
      exchange: { request: noRequest, reply: { status, bodyBytesSent: bodyBytes } },
      id: idPrefix + (this.#context.count++).toString(36),
      host: '',
      client: { address: remoteAddress },
      record: { source: undefined, tries: 0 },
      durationMs: 0,
    });
  }

  /** What `handle` would do, without contacting anybody: each pass through the rules, the last one decides. */
  explain(head: RequestHead): readonly RouteStep[] {
    return explainRequest(this.#context, head);
  }
}

const noRequest: RequestHead = {
  method: '',
  target: '',
  version: '1.1',
  fields: [],
  secure: false,
  remoteAddress: '',
  remotePort: 0,
  localAddress: '',
  localPort: 0,
};
