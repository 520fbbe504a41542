/** What Vite adds to a page of PHP in development: its client, by which modules and pages reload, and the error overlay. */
import { isUtf8 } from 'node:buffer';
import { sep } from 'node:path';
import type { ViteDevServer } from 'vite';
import type { Fault } from './faults.ts';
import { addOverlay, toOverlayError } from './overlay.ts';
import type { Pages } from './page-exchange.ts';

/** @param readable absolute folders whose sources the overlay may show, besides those that Vite itself serves */
export function createPages(server: ViteDevServer, readable: readonly string[]): Pages {
  const { base, logger, server: options, html: htmlOptions } = server.config;
  const folders = [...options.fs.allow, ...readable];
  const hasOverlay = typeof options.hmr !== 'object' || options.hmr.overlay !== false;
  const toError = (fault: Fault) =>
    toOverlayError(fault, (file) => folders.some((folder) => file.startsWith(folder + sep)));
  const transform = async (target: string, html: string): Promise<string> => {
    try {
      // Vite wants the path without its base.
      const { pathname } = new URL(target, 'http://localhost');
      const path = pathname.startsWith(base) ? pathname.slice(base.length - 1) : pathname;
      return await server.transformIndexHtml(path, html, target);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn(`[fastway] ${target} was sent without Vite's client: ${reason}`, { timestamp: true });
      return html;
    }
  };
  return {
    announce(fault) {
      // Without a page Vite would keep the error for the next one, which has nothing to do with it.
      if (server.ws.clients.size > 0) server.ws.send({ type: 'error', err: toError(fault) });
    },
    async finish(target, body, fault) {
      // UTF-16, which is no place for bytes of ours.
      if (body.includes(0)) return body;
      // Any other charset has ASCII in it, which is all that is added, and goes through byte by byte.
      const encoding = isUtf8(body) ? 'utf8' : 'latin1';
      const page = await transform(target, body.toString(encoding));
      const shown =
        fault === undefined || !hasOverlay
          ? page
          : addOverlay(page, toError(fault), `${base}@vite/client`, htmlOptions?.cspNonce);
      return Buffer.from(shown, encoding);
    },
  };
}
