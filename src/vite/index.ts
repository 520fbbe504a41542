/**
 * A plugin for Vite: PHP, or any FastCGI application, beside a front end. In development modules come from Vite and pages
 * from the application, which reload when it changes and show why it failed; `vite preview` serves a build in the same way.
 */
import type { IncomingMessage } from 'node:http';
import { resolve } from 'node:path';
import type { Plugin } from 'vite';
import type { NodeRequestListener } from '../adapters/node.ts';
import type { Gateway } from '../gateway/options.ts';
import { Faults } from './faults.ts';
import { reloadOnChange, type WatchOption } from './live-reload.ts';
import { PageExchange } from './page-exchange.ts';
import { createPages } from './pages.ts';
import { createPrivateTest, type PrivateTest, privatePatterns } from './private-files.ts';
import { createDevelopmentTest, createPreviewTest, pathOf, type UrlTest } from './requests.ts';
import { openServerGateway } from './server-gateway.ts';
import { documentRootsOf, findFolder, forDevelopment, loadSite, type SiteOptions } from './site.ts';

export type { WatchOption } from './live-reload.ts';
export type { SiteOptions } from './site.ts';

export interface FastwayPluginOptions extends SiteOptions {
  /** Files whose change reloads the pages. Default: PHP and Twig files, but for those of Composer and of caches. */
  readonly watch?: WatchOption | undefined;
}

/**
 * `plugins: [fastway({ root: 'public' })]` in vite.config.ts. PHP is found or started with the first request, and stopped
 * with Vite's server. Where you have not decided otherwise it sets `appType: 'custom'` and `build.manifest`, and no
 * `publicDir` when that is the folder of PHP, of which a build would make a copy. Sources and hidden files are added to
 * `server.fs.deny`.
 * @throws {ConfigError} GW_ERR_CONFIG, when Vite starts
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER, when Vite starts: no PHP is there, with what to install
 */
export function fastway(options: FastwayPluginOptions = {}): Plugin {
  /** By an object of the server that each belongs to: a restart makes the new one before it closes the old one. */
  const gateways = new WeakMap<object, Pick<Gateway, 'close'>>();
  return {
    name: 'fastway',

    async config({ root = '.', appType = 'custom', publicDir, build }, { command }) {
      // Vite wants its list now, and says only later what its base is, which does not matter for extensions.
      const deny = command === 'serve' ? privatePatterns(await loadSite(options, resolve(root), '/')) : [];
      const folder = findFolder(options, resolve(root));
      const isPublic = publicDir === undefined && folder?.documentRoot === resolve(root, 'public');
      return {
        appType,
        build: { manifest: build?.manifest ?? true },
        server: { fs: { deny: [...deny] } },
        ...(isPublic && { publicDir: false }),
      };
    },

    async configureServer(server) {
      const { root, base, logger } = server.config;
      const config = forDevelopment(await loadSite(options, root, base), base);
      const folders = documentRootsOf(config);
      const faults = new Faults(logger, root);
      const isPrivate = await createPrivateTest(config);
      const pages = createPages(server, folders, isPrivate);
      const gateway = await openServerGateway(server, config, {
        log: faults.log,
        wrapExchange: (exchange) => new PageExchange(exchange, pages, faults),
      });
      gateways.set(server.environments.client, gateway);
      await reloadOnChange(server, options.watch, folders);
      const isOurs = createDevelopmentTest(server.config, isPrivate);
      server.middlewares.use(only(isOurs, keepFrom(isPrivate, gateway.listener)));
      return () => {
        server.middlewares.use(gateway.listener);
      };
    },

    async closeBundle() {
      await gateways.get(this.environment)?.close();
    },

    async configurePreviewServer(server) {
      const { root, base, logger } = server.config;
      const config = await loadSite(options, root, base);
      const gateway = await openServerGateway(server, config, { log: new Faults(logger, root).log });
      const isPrivate = await createPrivateTest(config);
      const isOurs = createPreviewTest(server.config, isPrivate);
      server.middlewares.use(only(isOurs, keepFrom(isPrivate, gateway.listener)));
      const close = server.close.bind(server);
      server.close = async () => {
        await close();
        await gateway.close();
      };
    },
  };
}

function only(isOurs: UrlTest, listener: NodeRequestListener): NodeRequestListener {
  return (req, res, next) => {
    if (isOurs(urlOf(req))) listener(req, res, next);
    else next?.();
  };
}

/** What no rule matches goes on to Vite, unless it is private. */
function keepFrom(isPrivate: PrivateTest, listener: NodeRequestListener): NodeRequestListener {
  return (req, res, next) => {
    const refuse = () => void res.writeHead(404).end();
    listener(req, res, isPrivate(pathOf(urlOf(req))) ? refuse : next);
  };
}

/** The whole URL, which the listener sees too. */
function urlOf(req: IncomingMessage & { readonly originalUrl?: string }): string {
  return req.originalUrl ?? req.url!;
}
