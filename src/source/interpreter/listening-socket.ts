/**
 * The listening socket of an interpreter, made before it, from the starting side: the interpreter inherits it as
 * descriptor 0 (FCGI_LISTENSOCK_FILENO, FastCGI section 2.2), and requests that come before it accepts wait in the backlog.
 * Our own copy has to be closed at once: both share their flags, the child makes it blocking, and an `accept` of ours
 * would then stop this program (T99).
 */
import { lstatSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { type Address, printAddress, toSocketOptions } from '../../base/address.ts';
import { SourceError } from '../../base/errors.ts';
import { listenWithRights, moveFile, removeFile, setSocketRights } from '../../base/private-files.ts';

/** Connections that wait for the interpreter, as for php-fpm. */
const backlog = 511;

export interface ListeningSocket {
  /** For the child; ours until `close`. */
  readonly descriptor: number;
  /** Closes our copy. Before the event loop turns, so that we accept nothing; a socket file stays. */
  close(): void;
}

/**
 * Listens; a socket file is replaced in one step, so that a predecessor's clients notice nothing.
 * @throws {SourceError} GW_ERR_SOURCE_SPAWN: the address is taken, forbidden, or a file that is not a socket (T101)
 */
export async function createListeningSocket(name: string, address: Address): Promise<ListeningSocket> {
  const file = address.kind === 'unix' ? address.path : undefined;
  const fail = (reason: string, cause?: unknown) =>
    new SourceError(
      'GW_ERR_SOURCE_SPAWN',
      `Could not listen at ${printAddress(address)} for source ${name}: ${reason}`,
      { cause, delivery: 'unsent' },
    );
  if (file !== undefined && lstatSync(file, { throwIfNoEntry: false })?.isSocket() === false) {
    throw fail('there is a file that is no socket; remove it, or choose another address');
  }
  const server = createServer();
  // Closing removes the file of the name that it listened on, so it gets another one.
  const where = file === undefined ? toSocketOptions(address) : { path: `${file}~` };
  // From a gateway that died in between.
  if (file !== undefined) removeFile(`${file}~`);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        fail(cause.code === 'EADDRINUSE' ? 'the address is taken; choose another one' : cause.message, cause),
      ),
    );
    // Nobody but us connects, and root may always (T87).
    listenWithRights(0o600, () => server.listen({ ...where, backlog, exclusive: true }, resolve));
  });
  if (file !== undefined) {
    try {
      setSocketRights(`${file}~`, 0o600);
      moveFile(`${file}~`, file);
    } catch (cause) {
      server.close();
      throw fail((cause as Error).message, cause);
    }
  }
  return { descriptor: descriptorOf(server), close: () => void server.close() };
}

/** Node tells the descriptor of a listening server in no documented way. */
function descriptorOf(server: Server): number {
  return (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}
