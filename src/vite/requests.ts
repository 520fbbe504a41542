/** Which requests the application gets before Vite sees them. */
import { statSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import type { ResolvedConfig } from 'vite';
import type { PrivateTest } from './private-files.ts';

/** @param url of a request, whole */
export type UrlTest = (url: string) => boolean;

/** Of a development server: what lies outside Vite's base, where Vite says 404, and what is private. */
export function createDevelopmentTest({ base, server }: ResolvedConfig, isPrivate: PrivateTest): UrlTest {
  const isProxied = createProxyTest(server.proxy);
  return (url) => {
    const path = pathOf(url);
    return !isProxied(url) && (!path.startsWith(base) || isPrivate(path));
  };
}

/** Of a preview server: everything but the files of the build. Vite's compression, which comes next, is no place to stream through. */
export function createPreviewTest(
  { base, preview, root, build }: ResolvedConfig,
  isPrivate: PrivateTest,
): UrlTest {
  const isProxied = createProxyTest(preview.proxy);
  const folder = resolve(root, build.outDir);
  return (url) => {
    const path = pathOf(url);
    if (isProxied(url)) return false;
    if (!path.startsWith(base) || isPrivate(path)) return true;
    const file = resolve(folder, decode(path.slice(base.length)));
    return !(file.startsWith(folder + sep) && isFile(file));
  };
}

/** As Vite reads the keys of its proxy. */
function createProxyTest(proxy: ResolvedConfig['server']['proxy']): UrlTest {
  const contexts = Object.keys(proxy ?? {});
  return (url) =>
    contexts.some((context) =>
      context.startsWith('^') ? new RegExp(context).test(url) : url.startsWith(context),
    );
}

export function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '');
}

/** What cannot be decoded stays: the handler that answers will say so. */
function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // There is none, or none can be: a file in its place of a folder, a NUL, a name that is too long.
    return false;
  }
}
