/** Fastway inside Fastify, as a plugin: it answers below its prefix; what no rule matches is Fastify's 404. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isWithinMount } from './mount.ts';
import type { NodeRequestListener } from './node.ts';
import { carryParsedBody } from './parsed-body.ts';

/** What is used of Fastify's instance; `raw` is node:http's. */
export interface FastifyLike {
  readonly prefix: string;
  removeAllContentTypeParsers(): void;
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null) => void) => void,
  ): unknown;
  all(
    path: string,
    handler: (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<unknown>,
  ): unknown;
}

export interface FastifyRequestLike {
  readonly raw: IncomingMessage;
}

export interface FastifyReplyLike {
  readonly raw: ServerResponse;
  hijack(): unknown;
  callNotFound(): unknown;
}

export interface FastifyPluginOptions {
  /** Made by `createGateway`; the caller closes it. */
  readonly gateway: { readonly listener: NodeRequestListener };
}

/**
 * `fastify.register(fastwayPlugin, { gateway, prefix: '/php' })`. Applications see the whole URL, prefix included; one that leads
 * out of the prefix (`/php/../admin`) is Fastify's 404.
 * Bodies are left to the gateway: inside the plugin Fastify parses none. What a hook has read is sent again if it kept the bytes
 * as `request.rawBody`.
 */
export async function fastwayPlugin(fastify: FastifyLike, { gateway }: FastifyPluginOptions): Promise<void> {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', (_request, _payload, done) => done(null));
  const answer = async (request: FastifyRequestLike, reply: FastifyReplyLike): Promise<unknown> => {
    if (fastify.prefix !== '' && !isBelow(request.raw, fastify.prefix)) return reply.callNotFound();
    carryParsedBody(request.raw, request);
    const isTaken = await new Promise<boolean>((resolve) => {
      reply.raw.once('close', () => resolve(true));
      gateway.listener(request.raw, reply.raw, () => resolve(false));
    });
    return isTaken ? reply.hijack() : reply.callNotFound();
  };
  fastify.all('/*', answer);
}

/** @param raw holds the client's URL as `originalUrl` where `rewriteUrl` has put another in its place */
function isBelow(raw: IncomingMessage & { readonly originalUrl?: string }, prefix: string): boolean {
  return isWithinMount(raw.originalUrl ?? raw.url!, raw.url!, prefix);
}
