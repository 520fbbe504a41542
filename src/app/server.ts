/**
 * Listens for web servers, from the application's side.
 * A socket file is made so that nobody replaces somebody else's: only a socket that nobody answers at is removed.
 */
import { lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Address, parseAddress, printAddress, toSocketOptions } from '../base/address.ts';
import { GatewayError } from '../base/errors.ts';
import { type ApplicationHandler, type ConnectionOptions, serveConnection } from './connection.ts';

export interface ServeOptions extends ConnectionOptions {
  /** `tcp://127.0.0.1:9000`, `unix:/run/app.sock`, `unix:@name`; port 0 is not an address, name one. */
  readonly listen: Address | string;
  /** Connections that wait to be accepted, default 511. */
  readonly backlog?: number;
}

/** A listening application. */
export interface ApplicationServer {
  readonly address: Address;
  /** Accepts no more, and resolves when the last connection has closed; after `graceMs` (default 0) they are cut. */
  close(graceMs?: number): Promise<void>;
}

/**
 * Answers FastCGI requests at an address.
 * @throws {GatewayError} GW_ERR_ADDRESS: the address is invalid, or cannot be listened on
 */
export async function serve(handler: ApplicationHandler, options: ServeOptions): Promise<ApplicationServer> {
  const address = typeof options.listen === 'string' ? parseAddress(options.listen) : options.listen;
  const sockets = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    void serveConnection(socket, handler, options).then(() => sockets.delete(socket));
  });
  await listen(server, address, options.backlog ?? 511);
  let closing: Promise<void> | undefined;
  return {
    address,
    close(graceMs = 0) {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        const cut = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, graceMs);
        server.once('close', () => clearTimeout(cut));
      });
      return closing;
    },
  };
}

/**
 * Listens on an address; a dead socket file in the way is removed.
 * @throws {GatewayError} GW_ERR_ADDRESS
 */
export async function listen(server: Server, address: Address, backlog: number): Promise<void> {
  if (address.kind === 'unix') await removeDeadSocket(address.path);
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException) =>
      reject(
        new GatewayError(
          'GW_ERR_ADDRESS',
          `Could not listen on ${printAddress(address)}: ${
            cause.code === 'EADDRINUSE'
              ? 'somebody else listens there; choose another address'
              : cause.message
          }`,
          { cause },
        ),
      );
    server.once('error', failed);
    server.listen({ ...toSocketOptions(address), backlog }, () => {
      server.removeListener('error', failed);
      resolve();
    });
  });
}

/** Removes the file only when it is a socket that refuses connections (T101); else leaves it to `listen` to fail. */
async function removeDeadSocket(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (!status?.isSocket()) return;
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
  if (refused) await unlink(path).catch(() => {});
}
