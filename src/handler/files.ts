/**
 * The `files` handler: sends what lies below the document root, and only what is meant to be sent.
 * Never a dot file (but `/.well-known/`), a backup, or the source of a script, whatever the rules before it say (T31).
 */
import { GatewayError, HttpRequestError } from '../base/errors.ts';
import { acceptsCoding } from '../http/accept-encoding.ts';
import type { Fields } from '../http/message.ts';
import { encodePath, extensionOf } from '../http/target.ts';
import type { DocumentRoot, FileEntry, PinnedRoot } from './document-root.ts';
import { sendFile } from './file-answer.ts';
import type { Explanation, Handler, RoutedRequest } from './handler.ts';
import { mediaTypeOf } from './media-type.ts';

export { sendFile } from './file-answer.ts';

export interface FilesHandlerOptions {
  /** In place of the rule's directory: with `directory: /static`, `/static/a.css` is root + `/a.css`. */
  readonly documentRoot: DocumentRoot | undefined;
  /** Send `name.br` or `name.gz` when it lies beside the file, is not older, and the client takes it. */
  readonly precompressed: boolean;
}

/** What a request comes to, decided alike for `handle` and `explain`. */
type Decision =
  | { readonly kind: 'file'; readonly entry: FileEntry }
  | { readonly kind: 'index'; readonly name: string }
  | { readonly kind: 'slash'; readonly to: string }
  | { readonly kind: 'options' }
  | { readonly kind: 'method' }
  | { readonly kind: 'refused'; readonly error: HttpRequestError };

const allow: Fields = ['Allow', 'GET, HEAD, OPTIONS'];

export function createFilesHandler(options: FilesHandlerOptions): Handler {
  return {
    handle(request) {
      const decision = decide(request, options);
      switch (decision.kind) {
        case 'file':
          sendEntry(request, decision.entry, options);
          return;
        case 'index':
          request.serveIndex(decision.name);
          return;
        case 'slash':
          respondEmpty(request, 301, ['Location', decision.to]);
          return;
        case 'options':
          respondEmpty(request, 204, allow);
          return;
        case 'method':
          request.answerStatus(405, allow);
          return;
        case 'refused':
          request.fail(decision.error);
      }
    },
    explain(request): Explanation {
      const decision = decide(request, options);
      switch (decision.kind) {
        case 'file':
          return { action: 'file', path: decision.entry.path };
        case 'index':
          return { action: 'index', name: decision.name };
        case 'slash':
          return { action: 'redirect', status: 301, to: decision.to };
        case 'options':
          return { action: 'error', status: 204, reason: 'OPTIONS is answered with the allowed methods' };
        case 'method':
          return { action: 'error', status: 405, reason: `Method ${request.method} means nothing to a file` };
        case 'refused':
          return {
            action: 'error',
            status: decision.error.code === 'GW_ERR_HTTP_FORBIDDEN' ? 403 : 404,
            reason: decision.error.message,
          };
      }
    },
  };
}

function decide(request: RoutedRequest, options: FilesHandlerOptions): Decision {
  const { method, target, site } = request;
  if (method === 'OPTIONS') return { kind: 'options' };
  if (method !== 'GET' && method !== 'HEAD') return { kind: 'method' };
  const root = request.pin(options.documentRoot ?? site.documentRoot);
  const path = options.documentRoot === undefined ? target.path : target.path.slice(request.directory.length);
  if (target.encodedSlash !== -1) {
    return refuse('GW_ERR_HTTP_NOT_FOUND', `File ${path} cannot be: no file name has an (encoded) slash`);
  }
  if (isHidden(path))
    return refuse('GW_ERR_HTTP_NOT_FOUND', `File ${path} is hidden: a dot file or a backup`);
  const entry = root.find(path === '' ? '/' : path);
  if (entry === undefined) return refuse('GW_ERR_HTTP_NOT_FOUND', `File ${root.path}${path} does not exist`);
  if (entry === 'forbidden') {
    return refuse(
      'GW_ERR_HTTP_FORBIDDEN',
      `File ${root.path}${path} is not readable, or a link out of the root`,
    );
  }
  if (entry.kind === 'directory') return decideDirectory(request, root, path);
  if (isScript(entry.path, site.scriptExtensions) || isScript(entry.realPath, site.scriptExtensions)) {
    return refuse(
      'GW_ERR_HTTP_FORBIDDEN',
      `File ${entry.path} is a script, and no rule before this one runs it`,
    );
  }
  return { kind: 'file', entry };
}

function decideDirectory(request: RoutedRequest, root: PinnedRoot, path: string): Decision {
  const { target, site } = request;
  if (!target.path.endsWith('/')) {
    // One slash at the front: two would send the browser to another host.
    return { kind: 'slash', to: `${encodePath(target.path)}/${target.hasQuery ? `?${target.query}` : ''}` };
  }
  for (const name of site.directoryIndex) {
    const index = root.find(path + name);
    if (index !== undefined && index !== 'forbidden' && index.kind === 'file') return { kind: 'index', name };
  }
  const wanted =
    site.directoryIndex.length === 0 ? 'directoryIndex is empty' : site.directoryIndex.join(', ');
  return refuse('GW_ERR_HTTP_FORBIDDEN', `Directory ${root.path}${path} has no index file (${wanted})`);
}

function refuse(code: 'GW_ERR_HTTP_NOT_FOUND' | 'GW_ERR_HTTP_FORBIDDEN', message: string): Decision {
  return { kind: 'refused', error: new HttpRequestError(code, message) };
}

const backup = /(?:~|#|\.(?:bak|orig|old|save|sw[a-p]))$/;

function isHidden(path: string): boolean {
  if (path.includes('/.') && /\/\./.test(path.startsWith('/.well-known/') ? path.slice(12) : path))
    return true;
  return backup.test(path);
}

function isScript(path: string, extensions: ReadonlySet<string>): boolean {
  return extensions.has(extensionOf(path.slice(path.lastIndexOf('/') + 1)));
}

function respondEmpty({ exchange }: RoutedRequest, status: number, fields: Fields): void {
  exchange.respond(status, '', [...fields, 'Content-Length', '0']);
  exchange.end();
}

function sendEntry(request: RoutedRequest, entry: FileEntry, options: FilesHandlerOptions): void {
  const root = request.pin(options.documentRoot ?? request.site.documentRoot);
  const { errorPage } = request;
  const fields: string[] = [...(errorPage?.fields ?? []), 'Content-Type', mediaTypeOf(entry.path)];
  const sent = options.precompressed ? chooseCoding(request, root, entry, fields) : entry;
  try {
    sendFile(request.exchange, sent, { status: errorPage?.status ?? 200, fields, log: request.log });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    request.fail(error);
  }
}

const codings = [
  { name: 'br', ending: '.br' },
  { name: 'gzip', ending: '.gz' },
] as const;

/** The file itself, or the variant beside it that the client takes; caches learn that the answer varies either way. */
function chooseCoding(
  request: RoutedRequest,
  root: PinnedRoot,
  entry: FileEntry,
  fields: string[],
): FileEntry {
  const path = entry.path.slice(root.path.length);
  let varies = false;
  for (const { name, ending } of codings) {
    const variant = root.find(path + ending);
    if (typeof variant !== 'object' || variant.kind !== 'file') continue;
    // One that is older than its file was made of another content.
    if (Math.floor(variant.modifiedMs / 1000) < Math.floor(entry.modifiedMs / 1000)) continue;
    if (!varies) fields.push('Vary', 'Accept-Encoding');
    varies = true;
    if (acceptsCoding(request.exchange.request.fields, name)) {
      fields.push('Content-Encoding', name);
      return variant;
    }
  }
  return entry;
}
