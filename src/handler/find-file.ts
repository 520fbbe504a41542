/**
 * Which file a request names, for handlers that give files away: only what is meant to be given.
 * Never a dot file (but `/.well-known/`), what is left by mistake, what its folder or its application keeps, or the source of a
 * program, whatever the rules before say (T31).
 */
import { HttpRequestError } from '../base/errors.ts';
import { isDotFile, isLeftover } from '../http/hidden-names.ts';
import type { Fields } from '../http/message.ts';
import { extensionOf } from '../http/target.ts';
import type { DocumentRoot, FileEntry, PinnedRoot } from './document-root.ts';
import { explainError } from './explain-run.ts';
import type { Explanation, RoutedRequest } from './handler.ts';
import { findMissingSlash, type MissingSlash } from './missing-slash.ts';

export interface FileRules {
  /** The rule's own; undefined: the site's. */
  readonly documentRoot: DocumentRoot | undefined;
  /** It takes the place of the rule's directory: with `directory: /static`, `/static/a.css` is root + `/a.css`. As it does when left out. */
  readonly rootIsDirectory?: boolean | undefined;
  /** Besides OPTIONS. */
  readonly methods: readonly string[];
  /** Also what `isLeftover`; never dot files and scripts. */
  readonly sendLeftovers: boolean;
  /** On: what is `hidden` is not there. */
  readonly guard: boolean;
  /** The file at a canonical path is a program for a rule before this one, if that had matched: its source is not sent. */
  readonly isProgram: (path: string) => boolean;
}

/** What a request comes to, decided alike for `handle` and `explain`. */
export type FoundFile = { readonly kind: 'file'; readonly entry: FileEntry } | NoFile;

export type NoFile =
  | { readonly kind: 'index'; readonly name: string }
  | ({ readonly kind: 'slash' } & MissingSlash)
  | { readonly kind: 'options' }
  | { readonly kind: 'method' }
  | { readonly kind: 'refused'; readonly error: HttpRequestError };

/** Looks for the file of a request. */
export function findFile(request: RoutedRequest, rules: FileRules): FoundFile {
  const found = lookUp(request, rules);
  // An index may be a program, which takes any method: a form may well be sent to `/`.
  if (found.kind === 'index') return found;
  if (request.method === 'OPTIONS') return { kind: 'options' };
  return found.kind !== 'file' || rules.methods.includes(request.method) ? found : { kind: 'method' };
}

function lookUp(request: RoutedRequest, rules: FileRules): FoundFile {
  const { documentRoot, sendLeftovers, guard, isProgram } = rules;
  const { target, site } = request;
  const root = request.pin(documentRoot ?? site.documentRoot);
  const path =
    (rules.rootIsDirectory ?? documentRoot !== undefined)
      ? target.path.slice(request.directory.length)
      : target.path;
  if (target.encodedSlash !== -1) {
    return refuse('GW_ERR_HTTP_NOT_FOUND', `File ${path} cannot be: no file name has an (encoded) slash`);
  }
  if (isDotFile(path)) return refuse('GW_ERR_HTTP_NOT_FOUND', `File ${path} is hidden: a dot file`);
  const entry = root.find(path === '' ? '/' : path);
  if (entry === undefined && root.find('/') === undefined)
    return refuse(
      'GW_ERR_HTTP_NOT_FOUND',
      `Document root ${root.path} does not exist; make it, or correct documentRoot`,
    );
  if (entry === undefined) return refuse('GW_ERR_HTTP_NOT_FOUND', `File ${root.path}${path} does not exist`);
  if (entry === 'forbidden') {
    return refuse('GW_ERR_HTTP_FORBIDDEN', root.explainForbidden(path === '' ? '/' : path));
  }
  if (guard && entry.hidden !== undefined)
    return { kind: 'refused', error: hiddenFile(entry.path, entry.hidden) };
  if (entry.kind === 'directory') return decideDirectory(request, root, path);
  if (!sendLeftovers && isLeftover(path)) {
    return refuse(
      'GW_ERR_HTTP_NOT_FOUND',
      `File ${path} is hidden: a copy, a log, a database or a key by its name; set "sendLeftovers" of the rule's handler to send such files`,
    );
  }
  // By a link a file has another name, under which it is just as hidden.
  if (entry.realPath !== entry.path && isHiddenThere(root, entry, sendLeftovers))
    return refuse(
      'GW_ERR_HTTP_NOT_FOUND',
      `File ${entry.path} is a link to ${entry.realPath}, which is hidden`,
    );
  const { scriptExtensions } = site;
  if (
    isScript(entry.path, scriptExtensions) ||
    isScript(entry.realPath, scriptExtensions) ||
    isProgram(target.path)
  ) {
    return refuse(
      'GW_ERR_HTTP_FORBIDDEN',
      `File ${entry.path} is a script, and no rule before this one runs it`,
    );
  }
  return { kind: 'file', entry };
}

/** Answers a request that comes to no file. */
export function answerWithoutFile(request: RoutedRequest, found: NoFile, { methods }: FileRules): void {
  switch (found.kind) {
    case 'index':
      request.serveIndex(found.name);
      return;
    case 'slash':
      respondEmpty(request, found.status, ['Location', found.to]);
      return;
    case 'options':
      respondEmpty(request, 204, allowOf(methods));
      return;
    case 'method':
      request.answerStatus(405, allowOf(methods));
      return;
    case 'refused':
      request.fail(found.error);
  }
}

/** What `answerWithoutFile` would do. */
export function explainWithoutFile(request: RoutedRequest, found: NoFile): Explanation {
  switch (found.kind) {
    case 'index':
      return { action: 'index', name: found.name };
    case 'slash':
      return { action: 'redirect', status: found.status, to: found.to };
    case 'options':
      return { action: 'error', status: 204, reason: 'OPTIONS is answered with the allowed methods' };
    case 'method':
      return { action: 'error', status: 405, reason: `Method ${request.method} means nothing to a file` };
    case 'refused':
      return explainError(found.error);
  }
}

function allowOf(methods: readonly string[]): Fields {
  return ['Allow', [...methods, 'OPTIONS'].join(', ')];
}

function decideDirectory(request: RoutedRequest, root: PinnedRoot, path: string): FoundFile {
  const { target, site } = request;
  const hasSlash = target.path.endsWith('/');
  const missing = hasSlash ? undefined : findMissingSlash(request);
  if (missing !== undefined) return { kind: 'slash', ...missing };
  const folder = hasSlash ? path : `${path}/`;
  for (const name of site.directoryIndex) {
    const index = root.find(folder + name);
    if (index !== undefined && index !== 'forbidden' && index.kind === 'file') return { kind: 'index', name };
  }
  const wanted =
    site.directoryIndex.length === 0 ? 'directoryIndex is empty' : site.directoryIndex.join(', ');
  return refuse('GW_ERR_HTTP_FORBIDDEN', `Directory ${root.path}${folder} has no index file (${wanted})`);
}

/** The one message for what nobody should ask for; `not found`, as for what is not there. */
export function hiddenFile(path: string, reason: string): HttpRequestError {
  return new HttpRequestError(
    'GW_ERR_HTTP_NOT_FOUND',
    `${path} is hidden: ${reason}; set "guard" of the rule's handler, or of the virtual server, to false to send or run it`,
  );
}

function refuse(code: 'GW_ERR_HTTP_NOT_FOUND' | 'GW_ERR_HTTP_FORBIDDEN', message: string): FoundFile {
  return { kind: 'refused', error: new HttpRequestError(code, message) };
}

/** Where a link leads out of the root, only the file's own name counts: folders there are nobody's URL. */
function isHiddenThere(root: PinnedRoot, { realPath }: FileEntry, sendLeftovers: boolean): boolean {
  const isInside = realPath.startsWith(`${root.path}/`);
  const path = realPath.slice(isInside ? root.path.length : realPath.lastIndexOf('/'));
  return isDotFile(path) || (!sendLeftovers && isLeftover(path));
}

function isScript(path: string, extensions: ReadonlySet<string>): boolean {
  return extensions.has(extensionOf(lastSegment(path).slice(1)));
}

/** With its slash. */
function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf('/'));
}

function respondEmpty({ reply }: RoutedRequest, status: number, fields: Fields): void {
  reply.respond(status, '', [...fields, 'Content-Length', '0']);
  reply.end();
}
