/** The `redirect` handler: sends the client elsewhere, or, when internal, runs the rules again for another URL. */
import type { Handler } from './handler.ts';
import { RedirectTarget } from './redirect-target.ts';

export interface RedirectHandlerOptions {
  /** With the variables of `RedirectTarget`; a byte string. */
  readonly to: string;
  /** Of an external redirect: 301, 302, 303, 307, 308. */
  readonly status: number;
  /** Rules run again for `to`; method, body and REQUEST_URI stay. */
  readonly internal: boolean;
}

export function createRedirectHandler({ to, status, internal }: RedirectHandlerOptions): Handler {
  const target = new RedirectTarget(to);
  return {
    handle(request) {
      const expanded = target.expand(request);
      if (internal) {
        request.redirect(expanded, { keepMethod: true });
        return;
      }
      request.reply.respond(status, '', ['Location', expanded, 'Content-Length', '0']);
      request.reply.end();
    },
    explain(request) {
      const expanded = target.expand(request);
      return internal ? { action: 'rewrite', to: expanded } : { action: 'redirect', status, to: expanded };
    },
  };
}
