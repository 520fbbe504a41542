/**
 * X-Sendfile and X-Accel-Redirect: a file that the application names is sent in place of its output.
 * Only below `sendfileRoots`, decided by the disk with every link resolved (T71). Range, validators and the file's
 * length are the file's; Content-Type, Content-Disposition, cookies and caching are the application's.
 */
import { CgiError, HttpRequestError } from '../base/errors.ts';
import type { ResponseHead } from '../cgi/response-parser.ts';
import type { Script } from '../cgi/script-path.ts';
import { withoutFields } from '../http/fields.ts';
import { isWithin } from '../http/target.ts';
import { type FileEntry, type PinnedRoot, pinPath, resolveSendfile } from './document-root.ts';
import { sendFile } from './files.ts';
import type { RoutedRequest } from './handler.ts';
import type { ScriptOptions } from './script-options.ts';

/**
 * Sends the file that the head names.
 * - `X-Sendfile` is an absolute path, as the application sees it: `scriptRoot` is translated.
 * - `X-Accel-Redirect` is a URL path: percent-decoded, without its query. It names an absolute path below a root, or
 *   else a file below one of the roots by the path that is left: `/protected/a.zip` is root + `/protected/a.zip`, as with
 *   nginx's `internal` location and `root`; behind a prefix of `accelRoots` it is a file below that directory alone, as
 *   with `alias`. It never reaches the rules, so it opens nothing that is not below these directories.
 * @throws {CgiError} GW_ERR_CGI_SENDFILE: nothing was sent
 */
export function sendApplicationFile(
  request: RoutedRequest,
  head: ResponseHead,
  script: Script,
  options: ScriptOptions,
): void {
  const root = request.pin(options.documentRoot ?? request.site.documentRoot);
  const roots = options.sendfileRoots.map((path) => pinPath(path, root));
  const entry =
    head.sendfile !== undefined
      ? findSendfile(localPath(head.sendfile, root, script, options), roots)
      : findAccelRedirect(head.accelRedirect!, roots, (path) => findAlias(path, options.accelRoots, root));
  try {
    sendFile(request, entry, {
      status: head.status,
      fields: withoutFields(head.fields, (name) => fileFields.has(name)),
      mediaTypes: request.site.mediaTypes,
      log: request.log,
    });
  } catch (error) {
    // Gone or swapped since it was found: the client did nothing wrong.
    if (!(error instanceof HttpRequestError)) throw error;
    throw new CgiError('GW_ERR_CGI_SENDFILE', error.message, { cause: error });
  }
}

function findSendfile(path: string, roots: readonly string[]): FileEntry {
  const entry = resolveSendfile(path, roots);
  if (typeof entry === 'object') return entry;
  throw refusal('X-Sendfile', path, entry, roots);
}

function findAccelRedirect(
  value: string,
  roots: readonly string[],
  aliasOf: (path: string) => Alias | undefined,
): FileEntry {
  const path = decode(value.replace(/\?.*$/, ''));
  if (path === undefined || !path.startsWith('/')) {
    throw new CgiError(
      'GW_ERR_CGI_SENDFILE',
      `X-Accel-Redirect names ${JSON.stringify(value)}, which is no path; it begins with a slash`,
    );
  }
  const alias = aliasOf(path);
  if (alias !== undefined) {
    const below = resolveSendfile(alias.directory + path.slice(alias.prefix.length - 1), [alias.directory]);
    if (typeof below === 'object') return below;
    throw refusal('X-Accel-Redirect', path, below, [alias.directory]);
  }
  const absolute = resolveSendfile(path, roots);
  if (typeof absolute === 'object') return absolute;
  for (const root of roots) {
    const below = resolveSendfile(root + path, [root]);
    if (typeof below === 'object') return below;
  }
  throw refusal('X-Accel-Redirect', path, absolute, roots);
}

/** What a prefix of `accelRoots` stands for. */
interface Alias {
  readonly prefix: string;
  readonly directory: string;
}

/** By the longest prefix. */
function findAlias(
  path: string,
  accelRoots: ScriptOptions['accelRoots'],
  root: PinnedRoot,
): Alias | undefined {
  let prefix = '';
  for (const other of Object.keys(accelRoots)) {
    if (path.startsWith(other) && other.length > prefix.length) prefix = other;
  }
  return prefix === '' ? undefined : { prefix, directory: pinPath(accelRoots[prefix]!, root) };
}

/** The application's path as we see it. */
function localPath(path: string, root: PinnedRoot, script: Script, options: ScriptOptions): string {
  if (options.scriptRoot === undefined || !isWithin(path, script.documentRoot)) return path;
  return root.path + path.slice(script.documentRoot.length);
}

function refusal(
  field: string,
  path: string,
  found: 'forbidden' | undefined,
  allowed: readonly string[],
): CgiError {
  const roots = allowed.length === 0 ? 'sendfileRoots is empty' : `allowed: ${allowed.join(', ')}`;
  const problem =
    found === undefined ? 'no regular file is there' : 'it is below no allowed root, or may not be read';
  return new CgiError('GW_ERR_CGI_SENDFILE', `${field} names ${JSON.stringify(path)}: ${problem} (${roots})`);
}

/** Percent-decoded once; undefined for a bad escape. */
function decode(path: string): string | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) return undefined;
  return path.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** What the file itself decides, and what has been obeyed. */
const fileFields: ReadonlySet<string> = new Set([
  'accept-ranges',
  'content-encoding',
  'content-length',
  'content-range',
  'etag',
  'last-modified',
  'x-accel-redirect',
  'x-sendfile',
]);
