/** A project of PHP and Vite in a directory of its own, and Vite's real servers for it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { InlineConfig, Logger, UserConfig } from 'vite';
import { type FastwayPluginOptions, fastway } from '../../src/vite/index.ts';
import { createTestDirectory } from './test-directory.ts';

/** Ours, or the one at the path in `VITE_MODULE`. */
export const vite: typeof import('vite') = await import(process.env.VITE_MODULE ?? 'vite');

export interface ViteProject {
  /** Vite's root. */
  readonly root: string;
  /** What Vite's logger was given, growing; without colors. */
  readonly lines: readonly string[];
  write(name: string, text: string): void;
  inline(options: FastwayPluginOptions, config?: UserConfig): InlineConfig;
  /** Listens on a free port; the caller closes it. */
  serve(options: FastwayPluginOptions, config?: UserConfig): Promise<ViteServer>;
  /** Of what was built before; the caller closes it. */
  preview(options: FastwayPluginOptions, config?: UserConfig): Promise<ViteServer>;
}

export interface ViteServer {
  /** Without a slash at its end. */
  readonly origin: string;
  close(): Promise<void>;
}

/** @param files by their names from the root */
export function createViteProject(files: Readonly<Record<string, string>>): ViteProject {
  // Below a `var`, as many a site is.
  const root = join(createTestDirectory(), 'var/site');
  const lines: string[] = [];
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  const inline = (options: FastwayPluginOptions, config: UserConfig = {}): InlineConfig => ({
    root,
    configFile: false,
    customLogger: recordingLogger(lines),
    plugins: [fastway(options)],
    ...config,
    server: { host: '127.0.0.1', port: 0, ...config.server },
    preview: { host: '127.0.0.1', port: 0, ...config.preview },
    build: { rollupOptions: { input: join(root, 'src/main.ts') }, ...config.build },
  });
  const toServer = (server: {
    printUrls(): void;
    close(): Promise<void>;
    resolvedUrls: { local: string[] } | null;
  }): ViteServer => {
    server.printUrls();
    return { origin: new URL(server.resolvedUrls!.local[0]!).origin, close: () => server.close() };
  };
  return {
    root,
    lines,
    write,
    inline,
    serve: async (options, config) =>
      toServer(await (await vite.createServer(inline(options, config))).listen()),
    preview: async (options, config) => toServer(await vite.preview(inline(options, config))),
  };
}

function recordingLogger(lines: string[]): Logger {
  const logger = vite.createLogger('silent');
  const record = (text: string) => void lines.push(text.replace(/\x1b\[\d+m/g, ''));
  return { ...logger, info: record, warn: record, error: record };
}
