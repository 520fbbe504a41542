/** Which requests the application gets before Vite sees them. */
import { statSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import type { ResolvedConfig } from 'vite';
import type { Config } from '../config/schema.ts';
import { findScriptExtensions } from '../config/script-extensions.ts';

/** @param url of a request, whole */
export type UrlTest = (url: string) => boolean;

/**
 * Of a development server: what lies outside Vite's base, where Vite says 404, and what names a script, of which Vite would
 * send the source.
 */
export function createDevelopmentTest({ base, server }: ResolvedConfig, config: Config): UrlTest {
  const namesScript = createScriptTest(config);
  const isProxied = createProxyTest(server.proxy);
  return (url) => {
    const path = pathOf(url);
    if (isProxied(url)) return false;
    if (!path.startsWith(base)) return true;
    return !path.startsWith(`${base}@`) && !moduleQuery.test(url) && namesScript(path);
  };
}

/** Vite's own URLs begin with `@`; these are modules, whatever they are made from. */
const moduleQuery = /[?&](?:import|html-proxy)(?:[=&]|$)/;

/** Of a preview server: everything but the files of the build. Vite's compression, which comes next, is no place to stream through. */
export function createPreviewTest({ base, preview, root, build }: ResolvedConfig, config: Config): UrlTest {
  const namesScript = createScriptTest(config);
  const isProxied = createProxyTest(preview.proxy);
  const folder = resolve(root, build.outDir);
  return (url) => {
    const path = pathOf(url);
    if (isProxied(url)) return false;
    if (!path.startsWith(base) || namesScript(path)) return true;
    const file = resolve(folder, decode(path.slice(base.length)));
    return !(file.startsWith(folder + sep) && isFile(file));
  };
}

function createScriptTest({ virtualServers }: Config): UrlTest {
  const extensions = new Set(virtualServers.flatMap((server) => [...findScriptExtensions(server)]));
  const isScript = (name: string) => extensions.has(/\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? '');
  return (path) => decode(path).split('/').some(isScript);
}

/** As Vite reads the keys of its proxy. */
function createProxyTest(proxy: ResolvedConfig['server']['proxy']): UrlTest {
  const contexts = Object.keys(proxy ?? {});
  return (url) =>
    contexts.some((context) =>
      context.startsWith('^') ? new RegExp(context).test(url) : url.startsWith(context),
    );
}

function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '');
}

/** What cannot be decoded stays: whoever answers will say so. */
function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function isFile(path: string): boolean {
  return !path.includes('\0') && (statSync(path, { throwIfNoEntry: false })?.isFile() ?? false);
}
