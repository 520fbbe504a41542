/**
 * Why a connection to an application could not be made, as one sentence that says what to do.
 */
import { readFile, stat } from 'node:fs';
import { type Address, printAddress } from '../base/address.ts';
import { SourceError } from '../base/errors.ts';

/** Codes that say that we, not the application, have no file descriptors left (F6). */
function isOutOfDescriptors(code: string | undefined): boolean {
  return code === 'EMFILE' || code === 'ENFILE';
}

/** What a restart of the application looks like: nobody listens yet, no socket yet, or a close at once (no code). */
const passingCodes: ReadonlySet<string | undefined> = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'ECONNRESET',
  undefined,
]);

/**
 * Makes the error of a failed connect; looks at the socket's file when its permissions are the reason.
 * `done` is called once, now or later.
 */
export function explainConnectError(
  address: Address,
  cause: NodeJS.ErrnoException,
  done: (error: SourceError) => void,
): void {
  const where = printAddress(address);
  if (isOutOfDescriptors(cause.code)) {
    const message = `Could not connect to ${where}: this process has no file descriptors left; raise the limit (ulimit -n)`;
    done(new SourceError('GW_ERR_SOURCE_DESCRIPTORS', message, { cause, delivery: 'unsent' }));
    return;
  }
  const fail = (reason: string) =>
    done(
      new SourceError('GW_ERR_SOURCE_CONNECT', `Could not connect to ${where}: ${reason}`, {
        cause,
        delivery: 'unsent',
        retryAfterSeconds: 1,
        isTransient: passingCodes.has(cause.code),
      }),
    );
  if (cause.code === 'EACCES' && address.kind === 'unix') explainPermissions(address.path, fail);
  else fail(explainCode(address, cause));
}

/**
 * A connect that took longer than its limit.
 * @param isQueueFull the application listens, but its queue of connections was full all the time (F3)
 */
export function connectTimeout(address: Address, limitMs: number, isQueueFull: boolean): SourceError {
  const reason = isQueueFull
    ? "the application's queue of connections is full. Give it more workers or a longer listen.backlog"
    : 'the application is overloaded or unreachable';
  return new SourceError(
    isQueueFull ? 'GW_ERR_SOURCE_OVERLOADED' : 'GW_ERR_SOURCE_CONNECT_TIMEOUT',
    `Could not connect to ${printAddress(address)} within ${limitMs} ms: ${reason}`,
    { delivery: 'unsent', retryAfterSeconds: 1, isTransient: isQueueFull },
  );
}

function explainCode(address: Address, cause: NodeJS.ErrnoException): string {
  switch (cause.code) {
    case 'ECONNREFUSED':
      return `connection refused. ${nobodyThere[address.kind]}`;
    case 'ENOENT':
      return 'there is no such socket. Is the application (php-fpm?) running, and is the path right?';
    case 'ENOTSOCK':
      return 'the path is not a socket. Write the path of the listening socket of the application';
    case 'ECONNRESET':
      return 'it was closed at once. The application ended, or was killed, while it had the connection; look into its log';
    case 'EACCES':
      return 'permission denied. Run Fastway as a user that may open it';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${address.kind === 'tcp' ? address.host : ''} has no address (${cause.code}). Check the name and the resolver`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `the host cannot be reached (${cause.code}). Check the address and the route`;
    default:
      return cause.message;
  }
}

const nobodyThere: Readonly<Record<Address['kind'], string>> = {
  tcp: 'Nothing listens there; is the application (php-fpm?) running, and is the address right?',
  unix: 'The socket file is there but nobody listens; is the application (php-fpm?) running?',
  abstract:
    'Nothing listens on that abstract name. Under Node 20 only other programs of Node can be met there, since it fills a name with NUL bytes to its full length: use a path, or Node 22',
};

function explainPermissions(path: string, fail: (reason: string) => void): void {
  stat(path, (statError, status) => {
    if (statError) {
      fail('permission denied. A folder above the socket may not be entered; run Fastway as a user that may');
      return;
    }
    readFile('/etc/passwd', 'utf8', (_, accounts) => {
      const owner = findAccount(accounts ?? '', status.uid) ?? `user id ${status.uid}`;
      const mode = (status.mode & 0o7777).toString(8).padStart(4, '0');
      fail(
        `permission denied. The socket belongs to ${owner} (mode ${mode}); run Fastway as that user or change listen.mode`,
      );
    });
  });
}

function findAccount(accounts: string, uid: number): string | undefined {
  const line = accounts.split('\n').find((entry) => entry.split(':')[2] === String(uid));
  return line?.split(':')[0];
}
