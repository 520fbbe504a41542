/** What the plugin serves: its options, as a checked configuration. */
import { resolve } from 'node:path';
import { toByteString, toText } from '../base/byte-string.ts';
import { recogniseFolder, type SiteFolder } from '../config/folder.ts';
import { loadConfig, resolveConfig } from '../config/load.ts';
import type { Config, ConfigInput, PresetName, RuleInput, SourceInput } from '../config/types.ts';

export interface SiteOptions {
  /**
   * The folder of PHP, from Vite's root. Default: Vite's root itself, or the `public/`, `web/` or `webroot/` of a framework
   * that is recognised there.
   */
  readonly root?: string | undefined;
  /** Default: `php`, or that of the framework. */
  readonly preset?: PresetName | undefined;
  /**
   * `auto`, `fpm`, `cgi`, `embedded`, or the path of a PHP; or a whole source, as `{ address: 'tcp://127.0.0.1:9000' }` for
   * a PHP that runs already. Default: `auto`, the first that is found.
   */
  readonly php?: string | SourceInput | undefined;
  /** In place of the three above: a whole configuration, or the name of its file, from Vite's root. Its `listen` is not used. */
  readonly config?: ConfigInput | string | undefined;
}

/** The folder of options that name no configuration; for the others undefined. @param viteRoot absolute */
export function findFolder(options: SiteOptions, viteRoot: string): SiteFolder | undefined {
  if (options.config !== undefined) return undefined;
  const folder = recogniseFolder(resolve(viteRoot, options.root ?? '.'));
  return { ...folder, preset: options.preset ?? folder.preset };
}

/**
 * @param viteRoot absolute
 * @param base where Vite's URLs begin: `/`, or as `/shop/`
 * @throws {ConfigError} GW_ERR_CONFIG with every problem
 * @throws {TypeError} options that exclude each other
 */
export async function loadSite(options: SiteOptions, viteRoot: string, base: string): Promise<Config> {
  const { config, php = 'auto' } = options;
  const folder = findFolder(options, viteRoot);
  if (folder !== undefined) {
    const { documentRoot, preset } = folder;
    return resolveConfig(
      {
        sources: { php: typeof php === 'string' ? { php } : php },
        virtualServers: [{ documentRoot, preset, rules: withoutBase(base) }],
      },
      viteRoot,
    );
  }
  const excluded = (['root', 'preset', 'php'] as const).find((name) => options[name] !== undefined);
  if (excluded !== undefined) {
    throw new TypeError(
      `fastway() has both config and ${excluded}: the configuration says that itself, remove one`,
    );
  }
  if (typeof config === 'string') return (await loadConfig(resolve(viteRoot, config))).config;
  return resolveConfig(config!, viteRoot);
}

/** Absolute, one for each virtual server. */
export function documentRootsOf({ virtualServers }: Config): string[] {
  return virtualServers.map(({ documentRoot }) => toText(documentRoot));
}

/** Below the base lies the whole folder; REQUEST_URI keeps what was asked for. */
function withoutBase(base: string): RuleInput[] {
  if (base === '/') return [];
  const path = decodeURI(base)
    .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .slice(0, -1);
  return [
    {
      match: { request: `^${path}/(.*)$`, not: { exists: true } },
      handler: { type: 'redirect', to: '/$1', internal: true },
    },
  ];
}

/** In CGI's variables during development, and only then: where Vite serves modules, as `/`. */
const devBaseVariable = 'VITE_DEV_BASE';

/** What development changes: a saved script runs at once, and the application knows where modules come from. */
export function forDevelopment(config: Config, base: string): Config {
  const sources = Object.entries(config.sources).map(([name, source]) => [
    name,
    // Else PHP looks only every 2 seconds whether a script has changed, and the page would reload as it was.
    source.kind === 'php' ? { ...source, ini: { 'opcache.revalidate_freq': '0', ...source.ini } } : source,
  ]);
  const virtualServers = config.virtualServers.map((server) => ({
    ...server,
    rules: server.rules.map((rule) => ({
      ...rule,
      handler:
        'env' in rule.handler
          ? { ...rule.handler, env: new Map([[devBaseVariable, toByteString(base)], ...rule.handler.env]) }
          : rule.handler,
    })),
  }));
  return { ...config, sources: Object.fromEntries(sources), virtualServers };
}
