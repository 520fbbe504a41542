/** Fastway inside Koa, as a middleware: what no rule matches goes on to the next one. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NodeRequestListener } from './node.ts';
import { carryParsedBody } from './parsed-body.ts';

/** What is used of Koa's context. */
export interface KoaContext {
  readonly req: IncomingMessage & { originalUrl?: string };
  readonly res: ServerResponse;
  /** Body parsers put `body` and `rawBody` there. */
  readonly request: object;
  readonly originalUrl: string;
  respond?: boolean | undefined;
}

/** A Koa middleware. */
export type KoaMiddleware = (context: KoaContext, next: () => Promise<unknown>) => Promise<void>;

/**
 * Mount it before body parsers: it reads the body by itself, and can send again only some of what they have read. Its
 * promise is kept when the answer has left, or when the middleware after it is done.
 * @param gateway made by `createGateway`; the caller closes it
 */
export function createKoaMiddleware(gateway: { readonly listener: NodeRequestListener }): KoaMiddleware {
  return async (context, next) => {
    const { req, res } = context;
    // A mounted application rewrites `url`; the application sees the whole one.
    req.originalUrl ??= context.originalUrl;
    carryParsedBody(req, context.request);
    const isTaken = await new Promise<boolean>((resolve) => {
      res.once('close', () => resolve(true));
      gateway.listener(req, res, () => resolve(false));
    });
    // Koa has nothing to add to an answer that has left.
    if (isTaken) context.respond = false;
    else await next();
  };
}
