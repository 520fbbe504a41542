/** The `redirect` handler: sends the client elsewhere, or, when internal, runs the rules again for another URL. */
import { encodePath } from '../http/target.ts';
import type { Handler, RoutedRequest } from './handler.ts';

export interface RedirectHandlerOptions {
  /** May hold `$0` to `$9`, groups of the match's `request` expression, and `$$` for a dollar; a byte string. */
  readonly to: string;
  /** Of an external redirect: 301, 302, 303, 307, 308. */
  readonly status: number;
  /** Rules run again for `to`; method, body and REQUEST_URI stay. */
  readonly internal: boolean;
}

export function createRedirectHandler({ to, status, internal }: RedirectHandlerOptions): Handler {
  return {
    handle(request) {
      const target = expand(to, request);
      if (internal) {
        request.redirect(target, { keepMethod: true });
        return;
      }
      request.reply.respond(status, '', ['Location', target, 'Content-Length', '0']);
      request.reply.end();
    },
    explain(request) {
      const target = expand(to, request);
      return internal ? { action: 'rewrite', to: target } : { action: 'redirect', status, to: target };
    },
  };
}

/**
 * Groups are decoded path, so that they are encoded again: a `?`, a `#` or a line break in one stays in the path.
 * The request's query is kept when `to` has none.
 */
function expand(to: string, request: RoutedRequest): string {
  const expanded = to.replace(/\$([0-9$])/g, (_, group: string) =>
    group === '$' ? '$' : encodePath(request.captures[Number(group)] ?? ''),
  );
  // `$1` alone could begin with two slashes and name another host; a target that began with one slash keeps one.
  const target = to.startsWith('//') ? expanded : expanded.replace(/^\/{2,}/, '/');
  return target.includes('?') || !request.target.hasQuery ? target : withQuery(target, request.target.query);
}

function withQuery(target: string, query: string): string {
  const fragment = target.indexOf('#');
  return fragment === -1
    ? `${target}?${query}`
    : `${target.slice(0, fragment)}?${query}${target.slice(fragment)}`;
}
