/**
 * What a script handler does with a request before anybody is contacted: which script runs, with which variables, or
 * which other answer is due. `handle` and `explain` share it, so that the explanation is the truth.
 */
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import { MetaVariables, type MetaVariablesInput, type VariableOrigin } from '../cgi/meta-variables.ts';
import { findScript, type Script, type ScriptMapping, type ScriptPath } from '../cgi/script-path.ts';
import type { RequestHead } from '../http/message.ts';
import type { ResolvedClient } from '../http/real-ip.ts';
import { extensionOf } from '../http/target.ts';
import { createDocumentRoot, type PinnedRoot, pinPath } from './document-root.ts';
import { hiddenFile } from './find-file.ts';
import type { RoutedRequest } from './handler.ts';
import { findMissingSlash, type MissingSlash } from './missing-slash.ts';
import { refuseBody } from './request-body.ts';
import type { ScriptOptions } from './script-options.ts';

export type ScriptPlan =
  | { readonly action: 'run'; readonly script: Script }
  | ({ readonly action: 'slash' } & MissingSlash)
  | { readonly action: 'index'; readonly name: string }
  | { readonly action: 'fail'; readonly error: GatewayError };

/** What a Filter hears of its file. */
export type FilteredFile = NonNullable<MetaVariablesInput['data']>;

/** Plans the requests of one rule. */
export class ScriptPlanner {
  readonly #options: ScriptOptions;
  readonly #variables: MetaVariables;
  readonly #mappings = new WeakMap<PinnedRoot, ScriptMapping>();

  constructor(options: ScriptOptions) {
    this.#options = options;
    this.#variables = new MetaVariables(options);
  }

  /** Who asks, by the rule's own `realIp` when it has one. Does not throw after `plan` let the request run. */
  clientOf(request: RoutedRequest): ResolvedClient {
    return this.#options.clientOf?.(request.exchange) ?? request.client;
  }

  plan(request: RoutedRequest): ScriptPlan {
    const { path, encodedSlash } = request.target;
    try {
      this.clientOf(request);
    } catch (error) {
      return { action: 'fail', error: error as GatewayError };
    }
    const found = findScript(
      this.#mappingOf(this.#rootOf(request)),
      path,
      request.directory,
      request.extensions,
      request.isWholePath,
    );
    if (encodedSlash !== -1 && !this.#mayHold(encodedSlash, path, found)) {
      const message = `Path ${path} holds an encoded slash where a file would be looked up`;
      return { action: 'fail', error: new HttpRequestError('GW_ERR_HTTP_NOT_FOUND', message) };
    }
    switch (found.kind) {
      case 'script': {
        const refusal = this.#refuse(found, this.#rootOf(request));
        return refusal === undefined ? { action: 'run', script: found } : { action: 'fail', error: refusal };
      }
      case 'directory': {
        const missing = found.needsSlash ? findMissingSlash(request) : undefined;
        return missing === undefined
          ? this.#index(request, found.localPath)
          : { action: 'slash', ...missing };
      }
      case 'not-found':
        return {
          action: 'fail',
          error: new HttpRequestError('GW_ERR_HTTP_NOT_FOUND', missing(request, found)),
        };
      case 'hidden':
        return { action: 'fail', error: hiddenFile(found.filename, found.reason) };
      case 'forbidden': {
        const root = this.#rootOf(request);
        const message = root.explainForbidden(found.filename.slice(root.path.length) || '/');
        return { action: 'fail', error: new HttpRequestError('GW_ERR_HTTP_FORBIDDEN', message) };
      }
    }
  }

  /**
   * @param contentLength exact bytes of the body; undefined without one
   * @throws {HttpRequestError} GW_ERR_HTTP_REQUEST
   */
  variables(
    request: RoutedRequest,
    script: Script,
    contentLength: number | undefined,
    data?: FilteredFile,
  ): string[] {
    return this.#variables.build(
      metaVariablesInput(request, this.clientOf(request), script, contentLength, data),
    );
  }

  /** Why the body of a request would not be read; undefined for nothing, and without one. */
  refuseBody({ exchange, hasBody }: RoutedRequest): HttpRequestError | undefined {
    return hasBody ? refuseBody(exchange.bodyLength, this.#options.maxBodyBytes) : undefined;
  }

  /** @throws {HttpRequestError} GW_ERR_HTTP_REQUEST */
  explainVariables(request: RoutedRequest, script: Script, data?: FilteredFile): VariableOrigin[] {
    const length = request.hasBody ? request.exchange.bodyLength : undefined;
    return this.#variables.explain(metaVariablesInput(request, this.clientOf(request), script, length, data));
  }

  /**
   * PHP looks for the first file on the way by itself, and would run `/avatar.jpg` for `/avatar.jpg/x.php`: where no look at the
   * disk has decided, what a PHP of ours would find is looked at here.
   */
  #refuse(script: Script, root: PinnedRoot): HttpRequestError | undefined {
    const { runs, checkFile, guard, scriptAlias, scriptRoot } = this.#options;
    if (runs === undefined || checkFile || scriptAlias !== undefined || scriptRoot !== undefined)
      return undefined;
    const path = script.localFilename.slice(root.path.length);
    let end = path.indexOf('/', 1);
    for (; end !== -1; end = path.indexOf('/', end + 1)) {
      const entry = root.find(path.slice(0, end));
      if (entry === 'forbidden' || entry?.kind === 'file') break;
    }
    const file = end === -1 ? path : path.slice(0, end);
    if (end === -1 && runs.has(extensionOf(file.slice(file.lastIndexOf('/') + 1)))) {
      const found = guard ? root.find(file) : undefined;
      return typeof found === 'object' && found.hidden !== undefined
        ? hiddenFile(found.path, found.hidden)
        : undefined;
    }
    const message = `${root.path}${file} must not run: the rules let this PHP run ${[...runs].map((name) => `.${name}`).join(', ')}`;
    return new HttpRequestError('GW_ERR_HTTP_NOT_FOUND', message);
  }

  #index(request: RoutedRequest, localPath: string): ScriptPlan {
    const root = this.#rootOf(request);
    for (const name of request.site.directoryIndex) {
      const entry = root.find(`${localPath}/${name}`);
      if (typeof entry === 'object' && entry.kind === 'file') return { action: 'index', name };
    }
    const wanted = request.site.directoryIndex.join(', ') || 'directoryIndex is empty';
    const message = `Directory ${root.path}${localPath}/ has no index file (${wanted})`;
    return { action: 'fail', error: new HttpRequestError('GW_ERR_HTTP_FORBIDDEN', message) };
  }

  /** An encoded slash is in no name on disk: it may be in PATH_INFO, or in a path that is not looked up at all. */
  #mayHold(encodedSlash: number, path: string, found: ScriptPath): boolean {
    if (found.kind !== 'script') return false;
    return this.#options.scriptAlias !== undefined || path.length - found.pathInfo.length <= encodedSlash;
  }

  #rootOf(request: RoutedRequest): PinnedRoot {
    return request.pin(this.#options.documentRoot ?? request.site.documentRoot);
  }

  #mappingOf(root: PinnedRoot): ScriptMapping {
    const known = this.#mappings.get(root);
    if (known !== undefined) return known;
    const {
      checkFile,
      guard,
      documentRoot,
      rootIsDirectory = documentRoot !== undefined,
      scriptRoot,
      clock,
    } = this.#options;
    const written = this.#options.scriptAlias;
    const scriptAlias = written === undefined ? undefined : pinPath(written, root);
    const slashAt = scriptAlias?.lastIndexOf('/') ?? 0;
    // The operator named this very file, so it may be a link to anywhere.
    const aliasFolder =
      scriptAlias === undefined
        ? undefined
        : createDocumentRoot({ path: scriptAlias.slice(0, slashAt), symlinks: 'allow', now: clock.now });
    const mapping: ScriptMapping = {
      checkFile,
      guard,
      scriptAlias,
      scriptRoot,
      root,
      rootIsDirectory,
      isFile(path) {
        const entry = aliasFolder?.pin().find(path.slice(slashAt));
        return typeof entry === 'object' && entry.kind === 'file';
      },
    };
    this.#mappings.set(root, mapping);
    return mapping;
  }
}

/** What the variables of a request are made from. */
export function metaVariablesInput(
  request: RoutedRequest,
  client: ResolvedClient,
  script: Script,
  contentLength: number | undefined,
  data?: FilteredFile,
): MetaVariablesInput {
  const { exchange, target, redirectedFrom } = request;
  const head = exchange.request;
  return {
    method: request.method,
    version: head.version,
    requestUri: requestUri(head.target),
    path: target.path,
    query: target.query,
    fields: head.fields,
    authority: client.authority ?? target.authority,
    host: request.host,
    secure: client.secure,
    // As nginx says it: RFC 3875 has no word for it, and an application that has let local addresses in must not take it for one.
    remoteAddress: client.address === '' ? 'unix:' : client.address,
    remotePort: client.port,
    localAddress: head.localAddress,
    localPort: portOf(client, head),
    script,
    contentLength,
    data,
    authorized: request.authorization?.variables,
    redirectedFrom,
    redirectStatus: request.errorPage?.status ?? 200,
  };
}

/** The client's idea of our port. When a proxy ends TLS, or tells the host, and not the port, it is in the host. */
function portOf(client: ResolvedClient, head: RequestHead): number {
  if (client.serverPort !== 0) return client.serverPort;
  return client.secure === head.secure && client.authority === undefined ? head.localPort : 0;
}

/** Path and query as the client sent them, whatever form the request-target has (RFC 9112 3.2). */
function requestUri(target: string): string {
  const scheme = target.startsWith('/') ? -1 : target.indexOf('://');
  if (scheme === -1) return target;
  const authorityEnd = target.slice(scheme + 3).search(/[/?]/);
  if (authorityEnd === -1) return '/';
  const rest = target.slice(scheme + 3 + authorityEnd);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function missing(request: RoutedRequest, found: ScriptPath & { kind: 'not-found' }): string {
  if (found.reason === 'missing') return `There is no script ${found.filename}`;
  return `${found.filename} does not end in ${(request.extensions ?? []).join(' or ')}, so it must not run`;
}
