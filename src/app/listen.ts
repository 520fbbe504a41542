/**
 * Where an application waits for web servers: an address, or a listening socket inherited from the program that started it.
 * A socket file is made so that nobody replaces somebody else's: only a socket that nobody answers at is removed.
 */
import { fstatSync } from 'node:fs';
import type { Server } from 'node:net';
import { type Address, printAddress, toSocketOptions } from '../base/address.ts';
import { removeDeadSocket } from '../base/dead-socket.ts';
import { GatewayError } from '../base/errors.ts';
import { listenWithRights, setSocketRights } from '../base/private-files.ts';

/** A listening socket that the process was started with: 0 by FastCGI 2.2 (FCGI_LISTENSOCK_FILENO), 3 by systemd. */
export interface InheritedSocket {
  readonly fd: number;
}

/** Connections that wait to be accepted. */
export const backlogDefault = 511;

/**
 * Listens on an address; a dead socket file in the way is removed.
 * @param mode permissions of a socket file
 * @throws {GatewayError} GW_ERR_ADDRESS
 */
export async function listen(
  server: Server,
  address: Address,
  backlog: number,
  mode?: number,
): Promise<void> {
  if (address.kind === 'unix') await removeDeadSocket(address.path);
  await startListening(
    server,
    { ...toSocketOptions(address), backlog },
    address.kind === 'unix' ? mode : undefined,
    (cause) =>
      `Could not listen on ${printAddress(address)}: ${
        cause.code === 'EADDRINUSE' ? 'somebody else listens there; choose another address' : cause.message
      }`,
  );
  if (address.kind === 'unix' && mode !== undefined) setSocketRights(address.path, mode);
}

/**
 * Listens on a socket that was handed down, and says at which address it is: undefined for a unix socket, whose path Node
 * does not tell.
 * @throws {GatewayError} GW_ERR_ADDRESS: it is none, as when the program was started by hand
 */
export async function listenInherited(
  server: Server,
  { fd }: InheritedSocket,
  backlog: number,
): Promise<Address | undefined> {
  const byHand =
    `File descriptor ${fd} is no listening socket: the program was started by hand, not by a web server or process ` +
    'manager; give it an address to listen on, as `listen: "unix:/run/app.sock"`, or start it with spawn-fcgi';
  // Node would take a terminal or a pipe for something to read.
  if (!isSocket(fd)) throw new GatewayError('GW_ERR_ADDRESS', byHand);
  await startListening(server, { fd, backlog }, undefined, () => byHand);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return undefined;
  return { kind: 'tcp', host: bound.address, port: bound.port };
}

function startListening(
  server: Server,
  options: object,
  mode: number | undefined,
  explain: (cause: NodeJS.ErrnoException) => string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException) =>
      reject(new GatewayError('GW_ERR_ADDRESS', explain(cause), { cause }));
    server.once('error', failed);
    const listen = () =>
      void server.listen(options, () => {
        server.removeListener('error', failed);
        resolve();
      });
    if (mode === undefined) listen();
    else listenWithRights(mode, listen);
  });
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
