/** Pages that are open reload when a script or template of the application changes. */
import { sep } from 'node:path';
import type { ViteDevServer } from 'vite';

/** Patterns from Vite's root, or a test of absolute paths with forward slashes. */
export type WatchOption = string | readonly string[] | ((file: string) => boolean);

const templates: readonly string[] = ['**/*.php', '**/*.phtml', '**/*.twig'];
/** Written by Composer, or while a page is made. From Vite's root, for that may lie below `/var` itself. */
const generated = ['vendor', 'storage', 'var', 'cache'].map((name) => `./**/${name}/**`);

/** @param folders absolute; those outside Vite's root are watched too */
export async function reloadOnChange(
  server: ViteDevServer,
  watch: WatchOption | undefined,
  folders: readonly string[],
): Promise<void> {
  const { root } = server.config;
  // Loaded already, by the program that loaded us.
  const { createFilter, normalizePath } = await import('vite');
  const matches =
    typeof watch === 'function'
      ? watch
      : createFilter(watch ?? templates, watch === undefined ? generated : [], { resolve: root });
  server.watcher.add(folders.filter((folder) => !`${folder}${sep}`.startsWith(`${root}${sep}`)));
  server.watcher.on('all', (event, path) => {
    const file = normalizePath(path);
    if (!/^(add|change|unlink)$/.test(event) || !matches(file)) return;
    server.config.logger.info(`[fastway] page reload ${file.replace(`${root}/`, '')}`, { timestamp: true });
    server.ws.send({ type: 'full-reload', path: '*' });
  });
}
