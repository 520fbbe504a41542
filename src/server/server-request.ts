/**
 * A request on its way through the rules: what handlers see of it, and what they ask of the router. Made anew for an internal
 * redirect, over the same exchange.
 * Everything that decides anything looks at the one canonical path of the target (T29).
 */
import { errorFacts } from '../base/error-facts.ts';
import { GatewayError, HttpRequestError, toGatewayError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { DocumentRoot, PinnedRoot } from '../handler/document-root.ts';
import { respondError, respondStatus } from '../handler/error-response.ts';
import type {
  AnswerRecord,
  Authorization,
  BackgroundWork,
  ErrorPage,
  RoutedRequest,
  Site,
} from '../handler/handler.ts';
import type { ExchangeEnd, ExchangeObserver, HttpExchange } from '../http/exchange.ts';
import { findField, parseHost } from '../http/fields.ts';
import { checkRequestHead } from '../http/head-check.ts';
import type { RequestHead } from '../http/message.ts';
import { generalMethods } from '../http/method.ts';
import { peerOf, type ResolvedClient, resolveClient, type TrustedProxies } from '../http/real-ip.ts';
import type { Reply } from '../http/reply.ts';
import { parseTarget, type Target, withoutEncodedSlashes } from '../http/target.ts';
import type { AccessLogEntry } from './access-log-line.ts';
import type { RequestMetrics } from './request-metrics.ts';
import type { MatchResult, MatchSubject, Rule } from './rule.ts';
import type { VirtualServer, VirtualServers } from './virtual-server.ts';

/** What all requests of a router share. */
export interface RoutingContext {
  readonly servers: VirtualServers;
  /** Whose word on the client is taken; undefined for nobody's. */
  readonly proxies: TrustedProxies | undefined;
  readonly log: Log;
  /** Undefined: nothing is counted. */
  readonly metrics?: RequestMetrics | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Begins every request id, so that ids of two processes differ. */
  readonly idPrefix: string;
  /** Most field lines in a request; 128 when left out. */
  readonly fieldLinesMax?: number;
  /** Most bytes of target and fields of a request: only for `explain`, as the front refuses more. 32 KiB when left out. */
  readonly headerBytesMax?: number;
  /** Requests so far, for their ids. */
  count: number;
  /** Requests under way, with those behind whose answers an application works on. */
  active: number;
  /** What works on behind answers. */
  readonly working: Set<BackgroundWork>;
  /** Hears that none is left: at once, so that the last one may not have been logged yet. */
  whenIdle?: (() => void) | undefined;
}

/** Internal redirects and directory indexes in one exchange. */
export const internalRedirectsMax = 10;

const noTarget: Target = { path: '/', encodedSlash: -1, query: '', hasQuery: false, authority: undefined };
/** Of a request that was not looked at. */
const noClient: ResolvedClient = { address: '', port: 0, secure: false, authority: undefined, serverPort: 0 };
const noResult: MatchResult = {
  directory: '',
  captures: [],
  extensions: undefined,
  isWholePath: false,
  nearest: '',
};

/** A request on its way through the rules; the one object that a plain request costs here. */
export class ServerRequest implements RoutedRequest, MatchSubject, ExchangeObserver, AccessLogEntry {
  readonly exchange: HttpExchange;
  reply: Reply;
  readonly record: AnswerRecord;
  target: Target = noTarget;
  redirectedFrom: Target | undefined;
  errorPage: ErrorPage | undefined;
  host = '';
  client: ResolvedClient = noClient;
  method: string;
  hasBody: boolean;
  authorization: Authorization | undefined;
  durationMs = 0;
  readonly #context: RoutingContext;
  readonly #number: number;
  /** The client's own request: what was pinned is kept there. */
  readonly #first: ServerRequest;
  #root: PinnedRoot | undefined;
  #otherRoots: Map<DocumentRoot, PinnedRoot> | undefined;
  readonly startedMs: number;
  /** What it pins is kept from being removed. False once it is over, and for one that is only explained. */
  isUnderWay = true;
  #redirects = 0;
  /** Applications that work on. Kept in the client's own request, as the next. */
  #works = 0;
  /** The client has its answer, or has gone. */
  #isAnswered = false;
  server: VirtualServer;
  #result: MatchResult = noResult;

  constructor(context: RoutingContext, exchange: HttpExchange, previous?: ServerRequest) {
    this.#context = context;
    this.exchange = exchange;
    this.#first = previous === undefined ? this : previous.#first;
    if (previous === undefined) {
      this.reply = exchange.reply;
      this.record = { source: undefined, tries: 0 };
      this.method = exchange.request.method;
      this.hasBody = exchange.bodyLength !== 0;
      this.startedMs = context.now();
      this.#number = context.count++;
      this.server = context.servers.default;
    } else {
      this.reply = previous.reply;
      this.record = previous.record;
      this.method = previous.method;
      this.hasBody = previous.hasBody;
      this.startedMs = previous.startedMs;
      this.host = previous.host;
      this.client = previous.client;
      this.errorPage = previous.errorPage;
      this.redirectedFrom = previous.redirectedFrom;
      this.authorization = previous.authorization;
      this.#number = previous.#number;
      this.#redirects = previous.#redirects + 1;
      this.server = previous.server;
    }
  }

  get id(): string {
    return this.#context.idPrefix + this.#number.toString(36);
  }

  get log(): Log {
    return this.#context.log;
  }

  get site(): Site {
    return this.server.site;
  }

  pin(root: DocumentRoot): PinnedRoot {
    const first = this.#first;
    // The site's own root is what nearly every request needs, and needs only.
    if (root === this.server.site.documentRoot) {
      first.#root ??= first.#take(root);
      return first.#root;
    }
    first.#otherRoots ??= new Map();
    const pinned = first.#otherRoots.get(root) ?? first.#take(root);
    first.#otherRoots.set(root, pinned);
    return pinned;
  }

  get clientAddress(): string {
    return this.client.address;
  }

  get authority(): string | undefined {
    return this.client.authority ?? this.target.authority;
  }

  get clientTarget(): Target {
    return this.#first.target;
  }

  get directory(): string {
    return this.#result.directory;
  }

  get captures(): readonly string[] {
    return this.#result.captures;
  }

  get extensions(): readonly string[] | undefined {
    return this.#result.extensions;
  }

  get isWholePath(): boolean {
    return this.#result.isWholePath;
  }

  get nearest(): string {
    return this.#result.nearest;
  }

  /**
   * Reads head, target, client and host. False when that already answered the request.
   * @throws {HttpRequestError} what the client did wrong
   */
  prepare(): boolean {
    const head = this.exchange.request;
    const fault = this.exchange.headFault ?? checkRequestHead(head, this.#context.fieldLinesMax);
    if (fault !== undefined) throw fault;
    this.client = resolveClient(head, this.#context.proxies);
    this.target = parseTarget(head.target);
    this.host = readHost(head, this.authority);
    this.server = this.#context.servers.choose(this.host);
    if (this.target.path !== '*') return true;
    if (head.method !== 'OPTIONS') {
      throw new HttpRequestError('GW_ERR_HTTP_TARGET', `Request-target is *, which is for OPTIONS only`);
    }
    this.reply.respond(204, 'No Content', ['Allow', generalMethods]);
    this.reply.end();
    return false;
  }

  /** Hands the request to the first rule that matches. */
  run(next?: () => void): void {
    const rule = this.match();
    if (rule !== undefined) rule.handler.handle(this);
    else if (next === undefined) this.fail(noRule(this.site));
    else {
      this.#leaveFlight();
      this.#release();
      next();
    }
  }

  fail(error: GatewayError, errorPages?: ReadonlyMap<number, string>): void {
    this.#context.metrics?.failed(error.code);
    // It was refused before anybody asked who it is.
    if (this.client === noClient) this.client = peerOf(this.exchange.request);
    if (errorFacts[error.code].closesConnection && !this.reply.headSent) this.exchange.closeAfterAnswer();
    respondError(this, error, errorPages);
  }

  answerStatus(status: number, fields: readonly string[] = []): void {
    respondStatus(this, status, fields);
  }

  serveIndex(name: string): void {
    this.#follow(() => this.forIndex(name));
  }

  redirect(target: string, options: { readonly keepMethod: boolean; readonly errorPage?: ErrorPage }): void {
    // From here on: a page that cannot be reached is not asked for again, and our own tells the error.
    this.errorPage ??= options.errorPage;
    this.#follow(() => this.forTarget(target, options.keepMethod));
  }

  worksOn(work: BackgroundWork): void {
    this.#context.working.add(work);
    this.#first.#works += 1;
  }

  worksNoMore(work: BackgroundWork): void {
    const first = this.#first;
    this.#context.working.delete(work);
    first.#works -= 1;
    if (first.#isAnswered && first.#works === 0) first.#release();
  }

  /** The exchange is over: it is counted, and is one line in the access log. Its application may work on. */
  ended(how: ExchangeEnd): void {
    this.#isAnswered = true;
    this.#leaveFlight();
    if (this.#works === 0) this.#release();
    this.durationMs = this.#context.now() - this.startedMs;
    this.server.meter?.ended(this.exchange, how, this.durationMs);
    this.server.accessLog?.write(this);
  }

  #leaveFlight(): void {
    const { metrics } = this.#context;
    if (metrics !== undefined) metrics.inFlight -= 1;
  }

  /** Nobody works for it any more. */
  #release(): void {
    this.isUnderWay = false;
    if (this.#root !== undefined) this.#root.use.requests -= 1;
    if (this.#otherRoots !== undefined) {
      for (const root of this.#otherRoots.values()) root.use.requests -= 1;
    }
    const context = this.#context;
    context.active -= 1;
    if (context.active === 0 && context.whenIdle !== undefined) context.whenIdle();
  }

  /** The same request, for a file of the directory that was asked for. */
  forIndex(name: string): ServerRequest {
    const next = new ServerRequest(this.#context, this.exchange, this);
    const { path } = this.target;
    next.target = { ...this.target, path: path.endsWith('/') ? path + name : `${path}/${name}` };
    return next;
  }

  /** The same request, redirected. */
  forTarget(target: string, keepMethod: boolean): ServerRequest {
    const next = new ServerRequest(this.#context, this.exchange, this);
    // The host stays the one that was routed on (T15).
    next.target = { ...parseOwnTarget(target), authority: this.target.authority };
    next.redirectedFrom = this.target;
    // The authorizer that let this target through has not seen the next.
    if (this.authorization !== undefined) next.authorization = { ...this.authorization, by: [] };
    if (!keepMethod) {
      next.method = 'GET';
      next.hasBody = false;
    }
    return next;
  }

  #take(root: DocumentRoot): PinnedRoot {
    const pinned = root.pin();
    if (this.isUnderWay) pinned.use.requests += 1;
    return pinned;
  }

  /**
   * The first rule that matches; what its match found is told from here on.
   * @throws {HttpRequestError} GW_ERR_HTTP_NOT_FOUND: an encoded slash in the path, where `encodedSlashes` does not let it pass
   */
  match(): Rule | undefined {
    const rule = this.#findRule();
    if (this.target.encodedSlash !== -1) this.#checkEncodedSlashes(rule);
    return rule;
  }

  #checkEncodedSlashes(rule: Rule | undefined): void {
    const { encodedSlashes } = this.site;
    if (encodedSlashes === true) return;
    const target = encodedSlashes === false ? undefined : withoutEncodedSlashes(this.target);
    if (target !== undefined && this.server.rules.find(({ match }) => match(this.#seenAs(target))) === rule)
      return;
    throw new HttpRequestError(
      'GW_ERR_HTTP_NOT_FOUND',
      `Path ${this.target.path} holds an encoded slash, and ${encodedSlashes === false ? '"encodedSlashes" of the virtual server is off' : 'another rule is for it with a slash in its place; set "encodedSlashes" of the virtual server to true if its application means it'}`,
    );
  }

  /** This request, for rules alone, as if it had come for another path. */
  #seenAs(target: Target): MatchSubject {
    const { exchange, method, authority, clientAddress, site } = this;
    return { exchange, method, target, authority, clientAddress, site, pin: (root) => this.pin(root) };
  }

  #findRule(): Rule | undefined {
    for (const rule of this.server.rules) {
      const result = rule.match(this);
      if (result !== undefined) {
        this.#result = result;
        return rule;
      }
    }
    return undefined;
  }

  #follow(make: () => ServerRequest): void {
    let next: ServerRequest = this;
    try {
      if (this.#redirects >= internalRedirectsMax) throw redirectLoop();
      next = make();
      next.run();
    } catch (error) {
      next.fail(toGatewayError(error));
    }
  }
}

export function noRule({ name }: Site): GatewayError {
  return new HttpRequestError('GW_ERR_HTTP_NOT_FOUND', `No rule of ${name} matches`);
}

export function redirectLoop(): GatewayError {
  const message = `More than ${internalRedirectsMax} internal redirects`;
  return new GatewayError('GW_ERR_CGI_REDIRECT_LOOP', message);
}

/** Where the configuration leads: what is wrong with that is not the client's fault. */
function parseOwnTarget(target: string): Target {
  try {
    return parseTarget(target);
  } catch (error) {
    const message = `An internal redirect leads nowhere: ${(error as Error).message}; mend the "to" of the rule, or the error page`;
    throw new GatewayError('GW_ERR_INTERNAL', message);
  }
}

/** Lower case, without port; empty when HTTP/1.0 named none. */
function readHost(head: RequestHead, authority: string | undefined): string {
  const field = findField(head.fields, 'host');
  // Beside an absolute target the field decides nothing, and is refused all the same when it is none (RFC 9112 3.2).
  const own = field === undefined ? '' : parseWrittenHost(field);
  return authority === undefined ? own : parseWrittenHost(authority);
}

function parseWrittenHost(written: string): string {
  const host = parseHost(written);
  if (host !== undefined) return host.host;
  const message = `Host is ${JSON.stringify(written)}, which names no host`;
  throw new HttpRequestError('GW_ERR_HTTP_REQUEST', message);
}
