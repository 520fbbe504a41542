/**
 * What Vite adds to a page of the application in development: its client, by which modules and pages reload, and the error
 * overlay. The page itself stays what it is in production, byte for byte: Vite would rewrite its URLs, styles and scripts.
 */
import { sep } from 'node:path';
import type { ViteDevServer } from 'vite';
import type { Fault } from './faults.ts';
import { printOverlay, toOverlayError } from './overlay.ts';
import type { Pages } from './page-exchange.ts';
import type { PrivateTest } from './private-files.ts';

/**
 * @param readable absolute folders whose sources the overlay may show, besides those that Vite itself serves
 * @param isPrivate URLs that Vite gets no request for
 */
export function createPages(
  server: ViteDevServer,
  readable: readonly string[],
  isPrivate: PrivateTest,
): Pages {
  const { base, logger, server: options, html } = server.config;
  const folders = [...options.fs.allow, ...readable];
  const hasOverlay = typeof options.hmr !== 'object' || options.hmr.overlay !== false;
  const toError = (fault: Fault) =>
    toOverlayError(fault, (file) => folders.some((folder) => file.startsWith(folder + sep)));
  const askVite = async (target: string): Promise<PageTags> => {
    try {
      // Vite wants the path without its base.
      const { pathname } = new URL(target, 'http://localhost');
      const path = pathname.startsWith(base) ? pathname.slice(base.length - 1) : pathname;
      // It makes modules of inline scripts that other plugins add, with URLs that begin with this path.
      const modulePath = isPrivate(path) ? path.replace(/[.%]/g, '_') : path;
      return readTags(await server.transformIndexHtml(modulePath, emptyPage, target));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn(`[fastway] ${target} was sent without Vite's client: ${reason}`, { timestamp: true });
      return { head: '', body: '' };
    }
  };
  return {
    announce(fault) {
      // Without a page Vite would keep the error for the next one, which has nothing to do with it.
      if (server.ws.clients.size > 0) server.ws.send({ type: 'error', err: toError(fault) });
    },
    async finish(target, page, fault) {
      const { head, body } = await askVite(target);
      const overlay =
        fault === undefined || !hasOverlay
          ? ''
          : printOverlay(toError(fault), `${base}@vite/client`, html?.cspNonce);
      return addTags(page, { head: head + overlay, body });
    },
  };
}

/** Elements for a page, as HTML. */
export interface PageTags {
  readonly head: string;
  readonly body: string;
}

const emptyPage = '<!doctype html><html><head></head><body></body></html>';

/** What was added to an empty page. */
export function readTags(html: string): PageTags {
  const [, head = '', body = ''] = /<head>(.*)<\/head>.*<body>(.*)<\/body>/s.exec(html) ?? [];
  return { head, body };
}

/**
 * Puts elements into a page. Those of the head come first in it, or after the doctype, which a browser takes for the same:
 * what a script that broke off has left open, as a tag or a comment, cannot swallow them there.
 */
export function addTags(page: Buffer, { head, body }: PageTags): Buffer {
  // UTF-16, which is no place for bytes of ours.
  if (page.includes(0)) return page;
  // In any other charset the names of elements are ASCII.
  const html = page.toString('latin1');
  const [before = ''] = /^.*?<head(?:\s[^>]*)?>/is.exec(html) ?? /^\s*<!doctype[^>]*>/i.exec(html) ?? [];
  const bodyEnd = html.toLowerCase().lastIndexOf('</body');
  const end = bodyEnd < before.length ? html.length : bodyEnd;
  return Buffer.concat([
    page.subarray(0, before.length),
    Buffer.from(head),
    page.subarray(before.length, end),
    Buffer.from(body),
    page.subarray(end),
  ]);
}
