/** A handler: produces the response. And what it is given: the request, routed. */
import type { GatewayError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ReceivedRequest } from '../http/exchange.ts';
import type { Fields } from '../http/message.ts';
import type { ResolvedClient } from '../http/real-ip.ts';
import type { Reply } from '../http/reply.ts';
import type { Target } from '../http/target.ts';
import type { DocumentRoot, PinnedRoot } from './document-root.ts';

export interface Handler {
  /** Takes the exchange and ends it, now or later. Never throws for what a client or an application did. */
  handle(request: RoutedRequest): void;
  /** What `handle` would do, without contacting anybody: for `fastway explain`. */
  explain(request: RoutedRequest): Explanation;
}

/** A meta-variable, and who decided its value. */
export interface ExplainedVariable {
  readonly name: string;
  readonly value: string;
  /** As `configuration`, `request field X-Foo`, `listener`, `script path`, `RFC 3875`. */
  readonly origin: string;
}

/** What a handler would do with a request, and whom it would ask for leave before, in this order. */
export type Explanation = ExplainedAction & { readonly authorizers?: readonly string[] };

type ExplainedAction =
  | {
      readonly action: 'run';
      readonly script: string;
      readonly source: string;
      readonly variables: readonly ExplainedVariable[];
    }
  | { readonly action: 'file'; readonly path: string }
  | { readonly action: 'redirect'; readonly status: number; readonly to: string }
  /** The rules run again for this path and query. */
  | { readonly action: 'rewrite'; readonly to: string }
  | { readonly action: 'index'; readonly name: string }
  | { readonly action: 'error'; readonly status: number; readonly reason: string };

/** What a handler knows of its virtual server. */
export interface Site {
  readonly name: string;
  readonly documentRoot: DocumentRoot;
  readonly directoryIndex: readonly string[];
  /** Status -> `https://...` (redirect), `/path` (URL of this virtual server), else a file relative to the document root. */
  readonly errorPages: ReadonlyMap<number, string>;
  /**
   * Whether a path with an encoded slash reaches an application, in which it stays `%2F`; `alike`: where the rules decide the same
   * about the path with a slash in its place (T26).
   */
  readonly encodedSlashes: boolean | 'alike';
  /** Content-Type by extension (lower case, without dot), before those that everybody knows. */
  readonly mediaTypes?: ReadonlyMap<string, string>;
  /** Lower case, without dot: files that end so are programs, and are never sent as files (T31). */
  readonly scriptExtensions: ReadonlySet<string>;
}

/** What the answer that carries an error page says besides the page. */
export interface ErrorPage {
  /** In place of the page's own 200. */
  readonly status: number;
  /** As WWW-Authenticate, Retry-After or Allow. */
  readonly fields: Fields;
}

/** How an answer came about, for the access log; handlers fill it in. One for all internal redirects of an exchange. */
export interface AnswerRecord {
  /** Name of the source that answered, or was tried last. */
  source: string | undefined;
  /** How often a source was asked. */
  tries: number;
  /** Milliseconds of waiting for a place at a source; the rest of the time is the application's. Undefined: none. */
  waitedMs?: number | undefined;
  /** REMOTE_USER by the word of an authorizer; a byte string. */
  user?: string | undefined;
  /**
   * What the application that was asked last ended with (FastCGI 5.5), when not 0; 32 bits unsigned. Of one that works on when the
   * client has its answer it is not known in time for the access log.
   */
  appStatus?: number | undefined;
}

/** What authorizers said of a request. */
export interface Authorization {
  /** Variables for the application, flat: name, value, name, value ...; byte strings; each name once. */
  readonly variables: readonly string[];
  /** Who let it through as it is; nobody is asked twice. */
  readonly by: readonly object[];
}

/** An application that works on behind an answer which its client has. */
export interface BackgroundWork {
  /** The gateway stops, and has waited long enough. */
  abandon(): void;
}

/** One request that a rule matched. Made anew for an internal redirect, over the same exchange. */
export interface RoutedRequest {
  readonly exchange: ReceivedRequest;
  /** What the client gets: the front's, or what a handler before this one has put around it. */
  reply: Reply;
  /** Short, unique within the process: ties log lines of one request together. */
  readonly id: string;
  /** The canonical path and query that the rules saw: the one spelling for routing, access and files (T29). */
  readonly target: Target;
  /** Of an internally redirected request: the target before; undefined for the client's own. */
  readonly redirectedFrom: Target | undefined;
  /** The client's own target: the same as `target` unless an internal redirect or an index lies between. */
  readonly clientTarget: Target;
  /** The error whose page is being produced; undefined for the client's own request. */
  readonly errorPage: ErrorPage | undefined;
  /** Host the request was routed on, lower case, without port; IPv6 in brackets; empty if HTTP/1.0 named none. */
  readonly host: string;
  readonly client: ResolvedClient;
  readonly site: Site;
  /** The `directory` of the rule's match, without trailing slash; `` for `/` or no directory match. */
  readonly directory: string;
  /** Groups of the rule's `request` expression, `[0]` the whole match; empty without one. */
  readonly captures: readonly string[];
  /** The `extensions` of the rule's match: only files that end so may run (G5). Undefined: the rule names none, any file may. */
  readonly extensions: readonly string[] | undefined;
  /** The rule's match names exactly this path. */
  readonly isWholePath: boolean;
  /** Path of the file that the rule's `nearest` found; `` without one. */
  readonly nearest: string;
  /** GET after a redirect that did not keep the method; else the exchange's. */
  readonly method: string;
  /** The exchange's body is this request's to read. False without one, and after a redirect that did not keep the method. */
  readonly hasBody: boolean;
  readonly log: Log;
  /** When its head was read, in monotonic milliseconds. */
  readonly startedMs: number;
  readonly record: AnswerRecord;
  /** What a root leads to: the same for the whole request, internal redirects included. */
  pin(root: DocumentRoot): PinnedRoot;
  /** Undefined: no authorizer was asked. Authorizers write it; its variables stay with an internal redirect. */
  authorization: Authorization | undefined;
  /**
   * The client's answer does not wait for this application: until `worksNoMore` what the request has pinned stays, and a stop waits.
   * Call it before the answer ends.
   */
  worksOn(work: BackgroundWork): void;
  /** Once, after `worksOn`. */
  worksNoMore(work: BackgroundWork): void;
  /**
   * Answers with an error: a page of `errorPages`, the site's or our own. Cuts when the head was sent. The one place that
   * logs it.
   */
  fail(error: GatewayError, errorPages?: ReadonlyMap<number, string>): void;
  /** Answers with the error page of a status, for a decision rather than a fault (rule `error`, replaced bodies). Logs nothing. */
  answerStatus(status: number, fields?: readonly string[]): void;
  /** Runs the rules again for the index of the directory that the path names; method, body and REQUEST_URI stay. */
  serveIndex(name: string): void;
  /**
   * Runs the rules again for another target (an origin-form request-target), as GET unless `keepMethod`; at most 10 times.
   * `errorPage`: the target is the page of an error.
   */
  redirect(target: string, options: { readonly keepMethod: boolean; readonly errorPage?: ErrorPage }): void;
}
