/**
 * Opens what a document root found. No link is followed at the last moment, and a path that leads elsewhere by now is
 * refused (T30).
 */
import { closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import { GatewayError, HttpRequestError } from '../base/errors.ts';
import type { FileEntry } from './document-root.ts';

/**
 * Opens a file for reading; the descriptor is the caller's to close.
 * @throws {HttpRequestError} GW_ERR_HTTP_FORBIDDEN, GW_ERR_HTTP_NOT_FOUND
 * @throws {GatewayError} GW_ERR_FILE: the system cannot, as without descriptors
 */
export function openFile(entry: FileEntry): number {
  const path = Buffer.from(entry.realPath, 'latin1');
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw openFault(entry, error as NodeJS.ErrnoException);
  }
  if (fstatSync(descriptor).isFile() && leadsTo(descriptor, path)) return descriptor;
  closeSync(descriptor);
  throw new HttpRequestError('GW_ERR_HTTP_FORBIDDEN', `File ${entry.path} was exchanged while it was opened`);
}

/** A folder on the way may have become a link meanwhile; the kernel knows where a descriptor came out (Linux). */
function leadsTo(descriptor: number, path: Buffer): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`, 'buffer').equals(path);
  } catch {
    return true;
  }
}

function openFault(entry: FileEntry, error: NodeJS.ErrnoException): GatewayError {
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new HttpRequestError('GW_ERR_HTTP_NOT_FOUND', `File ${entry.path} is gone`);
    case 'EACCES':
    case 'EPERM':
    case 'ELOOP':
      return new HttpRequestError(
        'GW_ERR_HTTP_FORBIDDEN',
        `File ${entry.path} may not be read by this user; check its permissions`,
      );
    case 'EMFILE':
    case 'ENFILE':
      return new GatewayError(
        'GW_ERR_FILE',
        `File ${entry.path} cannot be opened: no file descriptor is left; raise the limit (ulimit -n, LimitNOFILE= in systemd)`,
        { cause: error },
      );
    default:
      return new GatewayError(
        'GW_ERR_FILE',
        `File ${entry.path} cannot be opened: ${error.message}; look at the memory and the disk of this machine`,
        { cause: error },
      );
  }
}
