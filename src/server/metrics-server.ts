/**
 * The listener for those who watch: `/metrics`, `/livez`, `/readyz`. Never the public one: what is here is not for
 * clients. It asks no application, so it answers while all workers are busy.
 * A page in a browser must not read it through a name that it lets point here (DNS rebinding, T90): a Host that is neither
 * known nor an address is answered with 421.
 */
import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { isIP, type Socket } from 'node:net';
import { type MetricFormat, metricMediaTypes } from '../base/metrics.ts';
import { weightOf } from '../http/accept.ts';
import { parseHost } from '../http/fields.ts';
import { closeServer, listenOn, printUrl } from './listen.ts';

export interface MetricsServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Further names in Host that are taken, lower case. */
  readonly hosts: readonly string[];
  readonly print: (format: MetricFormat) => string;
  /** Requests are welcome: the gateway listens, and does not stop. */
  readonly isReady: () => boolean;
}

/** Readers are few; when there are more, the one that has been silent for longest gives its place to the next. */
const connectionsMax = 64;
/** A connection that asks for nothing is closed after this time, and that is looked at so often. */
const headerTimeoutMs = 5_000;
const checkEveryMs = 1_000;
const headerBytesMax = 8_192;

export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #hosts: ReadonlySet<string>;
  /** The one that has been silent for longest comes first. */
  readonly #sockets = new Set<Socket>();
  #server: HttpServer | undefined;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
    this.#hosts = new Set(['localhost', options.host.toLowerCase(), ...options.hosts]);
  }

  /** Where metrics are told, as `http://127.0.0.1:9180/metrics`; undefined while it does not listen. */
  get url(): string | undefined {
    return this.#server === undefined ? undefined : `${printUrl(this.#server)}metrics`;
  }

  /** @throws {ConfigError} for an address that is taken or forbidden */
  async listen(): Promise<void> {
    const server = createServer(
      {
        maxHeaderSize: headerBytesMax,
        headersTimeout: headerTimeoutMs,
        requestTimeout: headerTimeoutMs,
        connectionsCheckingInterval: checkEveryMs,
        insecureHTTPParser: false,
      },
      (request, response) => {
        this.#heard(request.socket);
        this.#answer(request, response);
      },
    );
    server.on('connection', (socket) => this.#accept(socket));
    const { host, port } = this.#options;
    await listenOn(server, { host, port }, 'metrics');
    this.#server = server;
  }

  /** Disconnects everybody; resolves when that is done. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = closeServer(server);
    server.closeAllConnections();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    if (this.#sockets.size <= connectionsMax) return;
    const [silent] = this.#sockets;
    // Not only when it has closed: the next one may come before that.
    this.#sockets.delete(silent!);
    silent!.destroy();
  }

  #heard(socket: Socket): void {
    if (!this.#sockets.delete(socket)) return;
    this.#sockets.add(socket);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { isReady, print } = this.#options;
    const path = request.url!.split('?', 1)[0]!;
    const { host } = request.headers;
    if (host !== undefined && !this.#isKnown(host)) {
      respond(
        response,
        421,
        'Nothing is served under that name here; ask by address, or add the name to "metrics.hosts"\n',
      );
    } else if (path !== '/metrics' && path !== '/livez' && path !== '/readyz') {
      respond(response, 404, 'There are /metrics, /livez and /readyz here\n');
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      respond(response, 405, 'This can be read, with GET or HEAD, and nothing else\n');
    } else if (path === '/livez') respond(response, 200, 'alive\n');
    else if (path === '/readyz') {
      const ready = isReady();
      respond(response, ready ? 200 : 503, ready ? 'ready\n' : 'not ready: starting or stopping\n');
    } else {
      const format = chooseFormat(request.headers.accept);
      respond(response, 200, print(format), metricMediaTypes[format]);
    }
  }

  /** No name can be made to point here by being an address. */
  #isKnown(host: string): boolean {
    const name = parseHost(host)?.host;
    if (name === undefined) return false;
    return this.#hosts.has(name) || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
  }
}

function respond(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  // node:http drops the body where the method is HEAD.
  response.end(body);
}

/** OpenMetrics for a client that names it, and does not prefer plain text (RFC 9110 12.5.1). */
export function chooseFormat(accept = ''): MetricFormat {
  const openmetrics = weightOf(accept, ['application/openmetrics-text']) ?? 0;
  const plain = weightOf(accept, ['text/plain']) ?? 0;
  return openmetrics > 0 && openmetrics >= plain ? 'openmetrics' : 'text';
}
