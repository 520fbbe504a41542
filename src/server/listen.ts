/** Opening and closing a node:http server's listener, with one clear sentence when an address cannot be had. */
import type { Server as HttpServer } from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { removeDeadSocket } from '../base/dead-socket.ts';
import { ConfigError } from '../base/errors.ts';
import { listenWithRights, setSocketRights } from '../base/private-files.ts';

export type ListenAddress =
  /** Port 0 lets the system choose. */
  | { readonly host: string; readonly port: number }
  /** A unix socket and its permissions. */
  | { readonly path: string; readonly mode: number };

/**
 * Listens; a socket file that nobody listens on any more gives way.
 * @param path where the address stands in the configuration
 * @throws {ConfigError} for an address that is taken, forbidden or does not exist (the cause is the system's error)
 */
export async function listenOn(server: HttpServer, address: ListenAddress, path: string): Promise<void> {
  if ('path' in address) await removeDeadSocket(address.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explainListenError(error, address, path)));
    const listening = () => {
      server.removeAllListeners('error');
      // An error of a listening server (EMFILE on accept) is survived: the next connection may do better.
      server.on('error', () => {});
      resolve();
    };
    if ('path' in address)
      listenWithRights(address.mode, () => server.listen({ path: address.path }, listening));
    else server.listen(address, listening);
  });
  if ('path' in address) setSocketRights(address.path, address.mode);
}

function explainListenError(error: NodeJS.ErrnoException, address: ListenAddress, path: string): ConfigError {
  const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
  const problem = { path, message: listenFault(error, address, where) };
  return new ConfigError([problem], { cause: error });
}

function listenFault(error: NodeJS.ErrnoException, address: ListenAddress, where: string): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return 'path' in address
        ? `Something listens on ${where} already; stop it, or choose another path`
        : `Port ${address.port} of ${address.host} is in use by another program; stop it, or choose another port`;
    case 'EACCES':
      return 'port' in address && address.port < 1024
        ? `Port ${address.port} is for root only; choose one above 1023, or grant CAP_NET_BIND_SERVICE`
        : `${where} may not be opened by this user; check the permissions of its directory`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${where} is no address of this machine; write 127.0.0.1, or 0.0.0.0 for all`;
    case 'ENOENT':
      return `${where} is in a directory that does not exist; create it first`;
    default:
      return `Cannot listen on ${where}: ${error.message}`;
  }
}

/** What to type into a browser; `unix:/path` for a socket. */
export function printUrl(server: HttpServer): string {
  const address = server.address() as AddressInfo | string;
  if (typeof address === 'string') return `unix:${address}`;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}/`;
}

/**
 * Stops accepting; resolves when no connection is left. Not by `close` of node:http alone: from Node 26 on that disconnects
 * connections on which nothing has come yet, with the request that is on its way.
 */
export async function closeServer(server: HttpServer): Promise<void> {
  if (server.listening) {
    await new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
  }
  // Ends node:http's own timer.
  server.close();
}
