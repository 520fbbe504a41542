/**
 * What is counted of requests at the HTTP front. Label values are words of ours, and names from the configuration: what a
 * client says becomes no label (T106). A request costs a few additions to arrays, and one look at the clock.
 */
import { errorFacts } from '../base/error-facts.ts';
import { type ErrorCode, errorCodes } from '../base/errors.ts';
import { durationBounds, type Histogram, type MetricRegistry, type Series } from '../base/metrics.ts';
import type { ExchangeEnd, HttpExchange } from '../http/exchange.ts';
import type { Reply } from '../http/reply.ts';

/**
 * Why what came did not become a request. `connections`: as many were open as there may be. `pipelined`: as many requests
 * waited on a connection as there may be.
 */
const refusalReasons = [
  'malformed',
  'head_too_large',
  'head_timeout',
  'connect',
  'connections',
  'pipelined',
] as const;
export type RefusalReason = (typeof refusalReasons)[number];

const methods = ['GET', 'HEAD', 'POST', 'other'] as const;

/** `499`: the client left before it got a head, as in the access log. */
const statuses = ['1xx', '2xx', '3xx', '4xx', '5xx', '499'] as const;
const goneStatus = statuses.length - 1;

const requestCodes = errorCodes.filter((code) => errorFacts[code].counted !== 'nowhere');

/** The part of an exchange that is counted. */
export type CountedExchange = Pick<HttpExchange, 'request' | 'bodyBytesReceived'> & {
  readonly reply: Pick<Reply, 'status' | 'bodyBytesSent'>;
};

export class RequestMetrics {
  readonly #registry: MetricRegistry;
  readonly #families: ServerFamilies;
  readonly #failed: Series;
  readonly #refused: Series;
  /** Requests that have not ended. */
  inFlight = 0;

  constructor(registry: MetricRegistry) {
    this.#registry = registry;
    this.#families = addServerFamilies(registry);
    registry.gauge({
      name: 'fastway_http_requests_in_flight',
      help: 'Requests that have not ended',
      read: (values) => {
        values[0] = this.inFlight;
      },
    });
    this.#failed = registry.counter({
      name: 'fastway_http_errors_total',
      help: 'Requests that failed, by the error code that is in the log',
      labels: { code: requestCodes },
    });
    this.#refused = registry.counter({
      name: 'fastway_http_refused_total',
      help: 'What came and did not become a request, by the reason',
      labels: { reason: refusalReasons },
    });
  }

  /** @param server name of a virtual server; those of one name are counted together */
  meterOf(server: string): ServerMeter {
    return new ServerMeter(this.#families, this.#registry.declare('server', server));
  }

  failed(code: ErrorCode): void {
    this.#failed.add(requestCodes.indexOf(code), 1);
  }

  refused(reason: RefusalReason): void {
    this.#refused.add(refusalReasons.indexOf(reason), 1);
  }
}

interface ServerFamilies {
  readonly requests: Series;
  readonly duration: Histogram;
  readonly bytesReceived: Series;
  readonly bytesSent: Series;
  readonly gone: Series;
  readonly cut: Series;
}

function addServerFamilies(registry: MetricRegistry): ServerFamilies {
  const labels = { server: 'declared' } as const;
  const add = (name: string, help: string) => registry.counter({ name, help, labels });
  return {
    requests: registry.counter({
      name: 'fastway_http_requests_total',
      help: 'Requests that ended, by virtual server, method and class of status; 499: the client left before the head',
      labels: { ...labels, method: methods, status: statuses },
    }),
    duration: registry.histogram(
      {
        name: 'fastway_http_request_duration_seconds',
        help: 'From the end of the request head to the end of the answer; upgraded connections are left out',
        labels,
      },
      durationBounds,
    ),
    bytesReceived: add('fastway_http_request_body_bytes_total', 'Body bytes of requests that ended'),
    bytesSent: add('fastway_http_response_body_bytes_total', 'Body bytes of answers that ended'),
    gone: add('fastway_http_client_aborts_total', 'Requests whose client left before the end of the answer'),
    cut: add('fastway_http_cut_answers_total', 'Answers that were broken off, as what followed was lost'),
  };
}

/** Counts for one virtual server. */
export class ServerMeter {
  readonly #families: ServerFamilies;
  readonly #index: number;

  constructor(families: ServerFamilies, index: number) {
    this.#families = families;
    this.#index = index;
  }

  ended(
    { request, bodyBytesReceived, reply: { status, bodyBytesSent } }: CountedExchange,
    how: ExchangeEnd,
    durationMs: number,
  ): void {
    const families = this.#families;
    const index = this.#index;
    const methodIndex = index * methods.length + indexOfMethod(request.method);
    families.requests.add(methodIndex * statuses.length + indexOfStatus(status), 1);
    if (status !== 101) families.duration.observe(index, durationMs / 1000);
    families.bytesSent.add(index, bodyBytesSent);
    families.bytesReceived.add(index, bodyBytesReceived);
    if (how === 'gone') families.gone.add(index, 1);
    else if (how === 'cut') families.cut.add(index, 1);
  }
}

function indexOfMethod(method: string): number {
  switch (method) {
    case 'GET':
      return 0;
    case 'HEAD':
      return 1;
    case 'POST':
      return 2;
    default:
      return 3;
  }
}

function indexOfStatus(status: number): number {
  return status === 0 ? goneStatus : Math.min(4, Math.floor(status / 100) - 1);
}
