/** An application that listens for web servers, answers their requests, and stops without losing one. */
import { createServer, type Socket } from 'node:net';
import { type Address, parseAddress } from '../base/address.ts';
import { systemClock } from '../base/clock.ts';
import { type Log, silentLog } from '../base/log.ts';
import { canonicalAddress } from '../http/address-set.ts';
import { ApplicationConnection, type ApplicationHandler, type ConnectionOptions } from './connection.ts';
import { ApplicationLoad } from './limits.ts';
import { backlogDefault, type InheritedSocket, listen, listenInherited } from './listen.ts';

export interface ServeOptions extends ConnectionOptions {
  /**
   * `tcp://127.0.0.1:9000`, `unix:/run/app.sock`, `unix:@name`, or a socket that the process was started with.
   * Default: the socket at file descriptor 0, which web servers and spawn-fcgi hand down (FastCGI 2.2).
   */
  readonly listen?: Address | string | InheritedSocket;
  /** Connections that wait to be accepted, default 511. */
  readonly backlog?: number;
  /** Permissions of a socket file, as 0o660. Default: what the process's umask leaves. */
  readonly mode?: number;
  /**
   * IP addresses of web servers that may connect; all others are turned away, and so is a unix socket.
   * Default: the environment's FCGI_WEB_SERVER_ADDRS (FastCGI 3.2), where it is set.
   */
  readonly webServerAddresses?: readonly string[];
}

/** A listening application. */
export interface ApplicationServer {
  /** Undefined when it is a unix socket that the process was started with. */
  readonly address: Address | undefined;
  /**
   * Accepts no more connections, closes each as soon as it carries no request, and resolves when the last has closed;
   * after `graceMs` (default 0) they are cut.
   */
  close(graceMs?: number): Promise<void>;
  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Answers FastCGI requests at an address.
 * @throws {GatewayError} GW_ERR_ADDRESS: the address is invalid, cannot be listened on, or no socket was handed down
 */
export async function serve(
  handler: ApplicationHandler,
  options: ServeOptions = {},
): Promise<ApplicationServer> {
  const { log = silentLog, clock = systemClock } = options;
  const named = options.webServerAddresses ?? webServerAddressesOf(process.env);
  const webServers = named?.map((address) => canonicalAddress(address) ?? address);
  const load = new ApplicationLoad(options);
  const connections = new Set<ApplicationConnection>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    if (webServers !== undefined && !isFrom(socket, webServers, log)) return;
    const connection = new ApplicationConnection(socket, handler, load, options, () =>
      connections.delete(connection),
    );
    connections.add(connection);
    connection.start();
  });
  const address = await listenAt(options.listen ?? { fd: 0 });
  // A connection that cannot be accepted, for want of descriptors perhaps, shall not end the application.
  server.on('error', (error) => log.error('A connection could not be accepted', { reason: error.message }));

  async function listenAt(where: Address | string | InheritedSocket): Promise<Address | undefined> {
    const backlog = options.backlog ?? backlogDefault;
    if (typeof where === 'object' && 'fd' in where) return listenInherited(server, where, backlog);
    const parsed = typeof where === 'string' ? parseAddress(where) : where;
    await listen(server, parsed, backlog, options.mode);
    return parsed;
  }

  let closing: Promise<void> | undefined;
  const close = (graceMs = 0): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => resolve());
      for (const connection of connections) connection.stop();
      const cut = clock.setTimer(() => {
        for (const connection of connections) connection.destroy();
      }, graceMs);
      server.once('close', () => clock.clearTimer(cut));
    });
    return closing;
  };
  return { address, close, [Symbol.asyncDispose]: () => close() };
}

/** FCGI_WEB_SERVER_ADDRS: IP addresses with commas between (FastCGI 3.2); undefined when it names none. */
function webServerAddressesOf(env: NodeJS.ProcessEnv): readonly string[] | undefined {
  const names = (env.FCGI_WEB_SERVER_ADDRS ?? '').split(',').map((name) => name.trim());
  const named = names.filter((name) => name !== '');
  return named.length === 0 ? undefined : named;
}

/** The connection comes from one of these addresses; else it is closed and logged. */
function isFrom(socket: Socket, addresses: readonly string[], log: Log): boolean {
  const from = canonicalAddress(socket.remoteAddress ?? '');
  if (from !== undefined && addresses.includes(from)) return true;
  log.warn('A connection was closed: it comes from no web server that FCGI_WEB_SERVER_ADDRS names', {
    from: from ?? 'a unix socket',
  });
  socket.destroy();
  return false;
}
