/** Who runs PHP, which pages, and what a page costs each of them. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startMariaDb } from '../../test/apps/services.ts';
import { type GatewayProcess, startGateway } from '../../test/support/gateway-process.ts';
import { fetchAnswer } from '../../test/support/http-client.ts';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { readCpuSeconds, readMemory } from '../process-tree.ts';

export interface Contestant {
  readonly title: string;
  readonly kind: 'embedded' | 'cgi' | 'fpm';
  /** Runs the gateway and, if it is the embedded PHP, that too. */
  readonly node: string;
}

export interface BenchPage {
  readonly title: string;
  readonly documentRoot: string;
  readonly path: string;
  /** Of the document root. */
  readonly script: string;
  readonly contains: RegExp;
}

export interface PhpFigures {
  readonly contestant: string;
  readonly page: string;
  /** From the start of Fastway to the end of the first page, which is asked for as soon as it listens. */
  readonly firstMs: number;
  /** CPU of Fastway and all that it started, for that. */
  readonly firstCpuMs: number;
  /** One page after the other. */
  readonly pageMs: number;
  readonly pageCpuMs: number;
  /** Resident memory of Fastway and all that it started, at most, with one page at a time and with four. */
  readonly bytes: number;
  readonly bytesOfFour: number;
  readonly pagesPerSecond: number;
}

/** @param nodes programs; the first one runs what needs only one */
export function contestants(nodes: readonly string[]): readonly Contestant[] {
  const [node] = nodes as [string];
  return [
    { title: 'php-fpm', kind: 'fpm', node },
    { title: 'php-cgi, one for each request', kind: 'cgi', node },
    ...nodes.map((node) => ({ title: `embedded, Node ${versionOf(node)}`, kind: 'embedded' as const, node })),
  ];
}

/** Installs WordPress in a copy of Debian's, through its pages. */
export async function preparePages(atEnd: (undo: () => unknown) => void): Promise<readonly BenchPage[]> {
  const folder = createTestDirectory();
  const { port } = await startMariaDb({ folder, atEnd });
  const wordpress = join(folder, 'wordpress');
  cpSync('/usr/share/wordpress', wordpress, { recursive: true, dereference: true });
  writeFileSync(join(wordpress, 'wp-config.php'), wordpressConfiguration(port));
  const hello = join(folder, 'hello');
  mkdirSync(hello);
  writeFileSync(join(hello, 'index.php'), '<?php echo "hello world\n";');
  const pages: readonly BenchPage[] = [
    { title: 'hello world', documentRoot: hello, path: '/', script: 'index.php', contains: /^hello world$/m },
    {
      title: 'WordPress, front page',
      documentRoot: wordpress,
      path: '/',
      script: 'index.php',
      contains: /Hello world!/,
    },
  ];
  const gateway = await start({ title: '', kind: 'fpm', node: process.execPath }, pages[1]!);
  try {
    const { text } = await fetchAnswer(gateway.origin, '/wp-admin/install.php?step=2', {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(installation.toString()),
      timeoutMs: 120_000,
    });
    if (!text.includes('Success!')) throw new Error(`WordPress was not installed: ${text}`);
  } finally {
    await gateway.stop();
  }
  return pages;
}

const installation = new URLSearchParams({
  weblog_title: 'Bench',
  user_name: 'ann',
  admin_password: 'correct horse battery',
  admin_password2: 'correct horse battery',
  admin_email: 'ann@example.org',
  blog_public: '0',
  language: '',
});

function wordpressConfiguration(port: number): string {
  return `<?php
define('DB_NAME', 'app');
define('DB_USER', 'app');
define('DB_PASSWORD', 'app');
define('DB_HOST', '127.0.0.1:${port}');
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']);
define('WP_SITEURL', WP_HOME);
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require ABSPATH . 'wp-settings.php';
`;
}

export async function measure(contestant: Contestant, page: BenchPage, count: number): Promise<PhpFigures> {
  const started = performance.now();
  const gateway = await start(contestant, page);
  let bytes = 0;
  const look = () => {
    bytes = Math.max(bytes, readMemory(gateway.pid).residentBytes);
  };
  const sample = setInterval(look, 20);
  try {
    await load(gateway, page);
    const firstMs = performance.now() - started;
    const firstCpuMs = readCpuSeconds(gateway.pid) * 1_000;
    // Caches of PHP and compilers.
    for (let at = 0; at < 10; at++) await load(gateway, page);
    const cpuBefore = readCpuSeconds(gateway.pid);
    const times: number[] = [];
    for (let at = 0; at < count; at++) times.push(await load(gateway, page));
    const pageCpuMs = ((readCpuSeconds(gateway.pid) - cpuBefore) * 1_000) / count;
    look();
    const bytesOfOne = bytes;
    // Until as many workers run as will.
    await loadFour(gateway, page, count);
    const pagesPerSecond = await loadFour(gateway, page, count);
    look();
    return {
      contestant: contestant.title,
      page: page.title,
      firstMs,
      firstCpuMs,
      pageMs: times.sort((one, other) => one - other)[Math.floor(count / 2)]!,
      pageCpuMs,
      bytes: bytesOfOne,
      bytesOfFour: bytes,
      pagesPerSecond,
    };
  } finally {
    clearInterval(sample);
    await gateway.stop();
  }
}

/** @returns pages a second */
async function loadFour(gateway: GatewayProcess, page: BenchPage, count: number): Promise<number> {
  const started = performance.now();
  let left = count;
  const one = async () => {
    while (left-- > 0) await load(gateway, page);
  };
  await Promise.all([one(), one(), one(), one()]);
  return (count * 1_000) / (performance.now() - started);
}

/** @returns milliseconds @throws {Error} it is not the page */
async function load(gateway: GatewayProcess, { path, contains, title }: BenchPage): Promise<number> {
  const started = performance.now();
  const { status, text } = await fetchAnswer(gateway.origin, path, { timeoutMs: 120_000 });
  if (status === 200 && contains.test(text)) return performance.now() - started;
  throw new Error(`${title}: ${status} ${text.slice(0, 500)}\n${gateway.lines.slice(-10).join('\n')}`);
}

function start({ kind, node }: Contestant, { documentRoot, script }: BenchPage): Promise<GatewayProcess> {
  const file = join(documentRoot, script);
  return startGateway({
    node,
    config:
      kind === 'cgi'
        ? {
            sources: {},
            virtualServers: [
              { documentRoot, rules: [{ handler: { type: 'cgi', scriptAlias: phpCgi(file), capacity: 4 } }] },
            ],
          }
        : {
            sources: { php: { php: kind, workers: 4 } },
            virtualServers: [{ documentRoot, preset: 'wordpress', source: 'php' }],
          },
  });
}

/** A CGI program that runs one script of PHP. */
function phpCgi(file: string): string {
  const program = join(createTestDirectory(), 'php.cgi');
  writeFileSync(program, `#!/bin/sh\nREDIRECT_STATUS=200 SCRIPT_FILENAME=${file} exec php-cgi\n`, {
    mode: 0o755,
  });
  return program;
}

function versionOf(node: string): string {
  return spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1);
}
