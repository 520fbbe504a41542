/**
 * An access rule: before a handler sees a request, a FastCGI Authorizer decides (FastCGI 6.3). Its 200 lets the request
 * through, with its `Variable-*` fields as variables for the application; anything else that it says is the answer.
 * Closed when in doubt: a source that fails, an answer that is cut, an exit status that is not 0 let nobody through.
 */

import { createHash } from 'node:crypto';
import type { Balancer } from '../balancer/balancer.ts';
import type { Clock } from '../base/clock.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { MetaVariables } from '../cgi/meta-variables.ts';
import type { Script } from '../cgi/script-path.ts';
import type { Fields } from '../http/message.ts';
import { authorizedVariable, handlersOwn } from './authorizer-variables.ts';
import { describeChoice, explainError } from './explain-run.ts';
import type { Explanation, Handler, RoutedRequest } from './handler.ts';
import { withoutScript } from './script-options.ts';
import { metaVariablesInput } from './script-plan.ts';
import { createScriptContext, runScript, type ScriptContext } from './script-request.ts';

export interface AuthorizerOptions {
  readonly balancer: Balancer;
  /** Configured variables for the Authorizer; they win over everything. */
  readonly env: ReadonlyMap<string, string>;
  /** How long a 200 is remembered; 0: every request is asked about. */
  readonly cacheMs: number;
  /** Variables that the decision depends on; undefined: all but REMOTE_PORT. */
  readonly cacheKey: readonly string[] | undefined;
  readonly serverSoftware: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly spoolDir: string;
}

/**
 * Puts an Authorizer before a handler. Several are put one before the other.
 * It owns no source: the caller that made them closes them.
 */
export function createAuthorizer(options: AuthorizerOptions, next: Handler): Handler {
  return new AuthorizedHandler(options, next);
}

class AuthorizedHandler implements Handler {
  readonly #options: AuthorizerOptions;
  readonly #next: Handler;
  readonly #variables: MetaVariables;
  readonly #context: ScriptContext;
  readonly #decisions = new Map<string, Decision>();

  constructor(options: AuthorizerOptions, next: Handler) {
    this.#options = options;
    this.#next = next;
    this.#variables = new MetaVariables({ ...options, passRequestHeaders: true });
    this.#context = createScriptContext({ ...asGenerated, ...options }, this, 'Authorizer');
  }

  handle(request: RoutedRequest): void {
    // A directory's index is the same request.
    if (request.authorization?.by.includes(this)) {
      this.#next.handle(request);
      return;
    }
    const script = this.#scriptOf(request);
    let key: string | undefined;
    try {
      key = this.#keyOf(request, script);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      request.fail(error);
      return;
    }
    const known = key === undefined ? undefined : this.#decisions.get(key);
    if (known !== undefined && this.#options.clock.now() < known.expiresMs) {
      this.#allow(request, known.variables);
      return;
    }
    const allowed = (fields: Fields) => {
      const variables = readVariables(fields, request);
      if (key !== undefined) this.#remember(key, variables);
      this.#allow(request, variables);
    };
    runScript(this.#context, request, script, { allowed });
  }

  explain(request: RoutedRequest): Explanation {
    let own: string;
    try {
      this.variables(request, this.#scriptOf(request));
      own = describeChoice(this.#options.balancer, request.client.address);
    } catch (error) {
      return explainError(toGatewayError(error));
    }
    const explanation = this.#next.explain(request);
    return { ...explanation, authorizers: [own, ...(explanation.authorizers ?? [])] };
  }

  clientOf({ client }: RoutedRequest) {
    return client;
  }

  /** @throws {HttpRequestError} GW_ERR_HTTP_REQUEST */
  variables(request: RoutedRequest, script: Script): string[] {
    const all = this.#variables.build(metaVariablesInput(request, request.client, script, undefined));
    const { env } = this.#options;
    return all.filter((_, i) => {
      const name = all[i - (i % 2)]!;
      return !handlersOwn.has(name) || env.has(name);
    });
  }

  #allow(request: RoutedRequest, variables: readonly string[]): void {
    const before = request.authorization;
    request.authorization = {
      variables: before === undefined ? variables : merge(before.variables, variables),
      by: [...(before?.by ?? []), this],
    };
    const { record } = request;
    // Only the source that answers counts: asking an authorizer is not another try.
    record.source = undefined;
    record.tries = 0;
    record.user = findVariable(request.authorization.variables, 'REMOTE_USER');
    this.#next.handle(request);
  }

  /**
   * Digested, since credentials must not stay in memory, nor long keys. Undefined: nothing is remembered, as of a request
   * that has none of the variables.
   * @throws {HttpRequestError} GW_ERR_HTTP_REQUEST
   */
  #keyOf(request: RoutedRequest, script: Script): string | undefined {
    const { cacheMs, cacheKey } = this.#options;
    if (cacheMs === 0) return undefined;
    const variables = this.variables(request, script);
    const parts = variables.filter((_, i) => {
      const name = variables[i - (i % 2)]!;
      return cacheKey === undefined ? name !== 'REMOTE_PORT' : cacheKey.includes(name);
    });
    if (parts.length === 0) return undefined;
    return createHash('sha256').update(JSON.stringify(parts), 'latin1').digest('base64url');
  }

  #remember(key: string, variables: readonly string[]): void {
    const { cacheMs, clock } = this.#options;
    if (this.#decisions.size >= decisionsMax) this.#decisions.clear();
    this.#decisions.set(key, { variables, expiresMs: clock.now() + cacheMs });
  }

  /** An Authorizer speaks of the request and not of a script; one that needs a file (PHP) finds it in its `env`. */
  #scriptOf(request: RoutedRequest): Script {
    const scriptFilename = this.#options.env.get('SCRIPT_FILENAME') ?? '';
    return {
      kind: 'script',
      scriptName: '',
      scriptFilename,
      pathInfo: '',
      pathTranslated: undefined,
      documentRoot: request.pin(request.site.documentRoot).path,
      localFilename: scriptFilename,
    };
  }
}

interface Decision {
  readonly variables: readonly string[];
  readonly expiresMs: number;
}

/** Then all are forgotten: some 2 MB. */
const decisionsMax = 10_000;

/** The answer of an Authorizer that denies is sent as it comes. */
const asGenerated = {
  ...withoutScript,
  errorHandler: true,
  passRequestHeaders: true,
  underscoreHeaders: [],
  guard: true,
  documentRoot: undefined,
  clientOf: undefined,
  bufferRequest: true,
  bufferResponse: true,
  maxBodyBytes: 0,
  errorPages: new Map<number, string>(),
  failurePattern: undefined,
};

const prefix = /^variable-/i;

/** `Variable-AUTH_METHOD: database lookup` is AUTH_METHOD. The last of several counts; other fields of a 200 are dropped. */
function readVariables(fields: Fields, { log, id }: RoutedRequest): readonly string[] {
  let variables: readonly string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (!prefix.test(fields[i]!)) continue;
    const asked = fields[i]!.slice('variable-'.length);
    const name = authorizedVariable(asked);
    if (name !== undefined) {
      variables = merge(variables, [name, fields[i + 1]!]);
    } else {
      log.warn(`An authorizer may not set the variable ${asked}; it was left out`, { request: id });
    }
  }
  return variables;
}

function findVariable(variables: readonly string[], name: string): string | undefined {
  for (let i = 0; i < variables.length; i += 2) if (variables[i] === name) return variables[i + 1];
  return undefined;
}

/** Each name once, the later value. */
function merge(earlier: readonly string[], later: readonly string[]): readonly string[] {
  const merged = new Map<string, string>();
  for (const variables of [earlier, later]) {
    for (let i = 0; i < variables.length; i += 2) merged.set(variables[i]!, variables[i + 1]!);
  }
  return [...merged].flat();
}
