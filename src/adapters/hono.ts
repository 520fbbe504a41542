/**
 * Fastway inside Hono, as a middleware: what no rule matches goes on to the next one.
 * On node:http the gateway answers there itself, past Request and Response: the target's bytes, the client's address, interim
 * heads and a cut connection are then real. Everywhere else, and over HTTP/2, it goes through the Fetch API.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { ExchangeHandler } from '../http/exchange.ts';
import { createFetchHandler, type FetchConnection, type FetchHandlerOptions, targetOf } from './fetch.ts';
import { isWithinMount } from './mount.ts';
import type { NodeRequestListener } from './node.ts';
import { connectionOf } from './node-connection.ts';
import { encodeParsedBody } from './parsed-body.ts';

/** What is used of Hono's context. */
export interface HonoContext {
  // biome-ignore lint/suspicious/noExplicitAny: whatever the program says of its environment
  readonly env: any;
  readonly req: {
    readonly raw: Request;
    /** What Hono's router has read, partly decoded. */
    readonly path: string;
    /** Where the handler that runs was put, as `/php/*`. */
    readonly routePath?: string;
    /** What was read of the body, by the names of the methods that read it. */
    readonly bodyCache: object;
    text(): Promise<string>;
    arrayBuffer(): Promise<ArrayBuffer>;
  };
  get res(): Response;
  set res(response: Response | undefined);
}

/** A Hono middleware or handler. */
export type HonoMiddleware<Context extends HonoContext = HonoContext> = (
  context: Context,
  next: () => Promise<void>,
) => Promise<Response | undefined>;

export interface HonoOptions<Context extends HonoContext = HonoContext> extends FetchHandlerOptions {
  /** What is known of the client's connection, where Hono does not run on Node: as `getConnInfo` of `hono/bun` tells it. */
  readonly connection?: (context: Context) => FetchConnection;
}

/**
 * `app.use(createHonoMiddleware(gateway))` or `app.all('/php/*', ...)`; applications see the whole URL. One that leads out of the
 * route's path (`/php//../admin`) goes on to the next middleware.
 * On node:http the answer has left when the next middleware outwards goes on: what was set on `context.res` before is
 * sent with it, and what is set after is not. Where that matters, use `createFetchHandler` of `fastway/adapters/fetch`.
 * @param gateway made by `createGateway`; the caller closes it
 */
export function createHonoMiddleware<Context extends HonoContext = HonoContext>(
  gateway: { readonly handle: ExchangeHandler; readonly listener: NodeRequestListener },
  options: HonoOptions<Context> = {},
): HonoMiddleware<Context> {
  const handle = createFetchHandler(gateway, options);
  return async (context, next) => {
    const node = nodeObjects(context.env);
    const isDirect = node !== undefined && isUntouched(context.req.raw, node);
    const target = isDirect ? node.incoming.url! : targetOf(context.req.raw.url);
    if (!isBelowRoute(target, context, options.mount)) {
      await next();
      return undefined;
    }
    if (isDirect) {
      if (await answerOnNode(gateway.listener, context, node)) return context.res;
    } else {
      const known = options.connection?.(context) ?? (node && connectionOf(node.incoming.socket));
      const response = await handle(await unreadRequest(context), known);
      if (response !== undefined) return response;
    }
    await next();
    return undefined;
  };
}

/** Hono's router reads a path that the URL has normalised, and the gateway the client's. */
function isBelowRoute(target: string, { req }: HonoContext, mount: string | undefined): boolean {
  const path = req.path.replace(/[^\x21-\x7e]/gu, encodeURIComponent);
  return isWithinMount(target, path, mount ?? req.routePath?.replace(/\/?\*$/, ''));
}

/** The bindings of `@hono/node-server`; below another environment they are its `server`. */
interface NodeObjects {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

function nodeObjects(env: { server?: Partial<NodeObjects> } & Partial<NodeObjects>): NodeObjects | undefined {
  const bindings = env?.server ?? env;
  return bindings?.incoming === undefined ? undefined : (bindings as NodeObjects);
}

/** Nobody has read the body or put another Request in place of the first, and the answer will not be wrapped. */
function isUntouched(request: Request, { incoming, outgoing }: NodeObjects): boolean {
  // Hono wraps answers to HEAD, and @hono/node-server would then take the wrapped mark for an answer of its own.
  if (request.method === 'HEAD' || request.method !== incoming.method) return false;
  return outgoing instanceof ServerResponse && !incoming.readableDidRead;
}

/** The request, with its body made anew where somebody has read it through Hono, which keeps bytes and texts. */
async function unreadRequest({ req }: HonoContext): Promise<Request> {
  const { raw, bodyCache } = req;
  if (!raw.bodyUsed) return raw;
  const hasBytes = 'arrayBuffer' in bodyCache || 'blob' in bodyCache;
  if (!hasBytes && !('text' in bodyCache)) return raw;
  const rawBody = hasBytes ? Buffer.from(await req.arrayBuffer()) : await req.text();
  const announced = raw.headers.get('content-length');
  const body = encodeParsedBody(
    { rawBody },
    [...raw.headers].flat(),
    announced === null ? undefined : Number(announced),
  );
  // A caller that wants the body is told that it was read.
  if (!(body instanceof Uint8Array)) return raw;
  return new Request(raw.url, { method: raw.method, headers: raw.headers, signal: raw.signal, body });
}

/** @returns false when no rule matches; true when the answer has left, or the client. `context.res` says so to the server. */
async function answerOnNode(
  listener: NodeRequestListener,
  context: HonoContext,
  { incoming, outgoing }: NodeObjects,
): Promise<boolean> {
  const { headers } = context.res;
  for (const [name, value] of headers) outgoing.appendHeader(name, value);
  const isTaken = await new Promise<boolean>((resolve) => {
    outgoing.once('close', () => resolve(true));
    listener(incoming, outgoing, () => resolve(false));
  });
  if (isTaken) {
    // Set twice, since Hono would merge the one with the other.
    context.res = undefined;
    context.res = alreadySent(outgoing.statusCode);
  } else {
    for (const name of headers.keys()) outgoing.removeHeader(name);
  }
  return isTaken;
}

/** The mark by which @hono/node-server knows that it has nothing to send (its RESPONSE_ALREADY_SENT). */
function alreadySent(status: number): Response {
  const isFinal = status >= 200 && status <= 599;
  const init = { status: isFinal ? status : 200, headers: { 'x-hono-already-sent': 'true' } };
  // A clone is the runtime's own Response; @hono/node-server sends its light one without looking at the fields.
  return new Response(null, init).clone();
}
