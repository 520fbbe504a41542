/**
 * The whole gateway as a process of its own, as people run it, on a free port of the loopback interface.
 * Runs what is built (dist) when it is there and up to date, else the sources. Nothing outlives the test file that started it.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ConfigInput } from '../../src/config/types.ts';
import { createTestDirectory } from './test-directory.ts';
import { until } from './until.ts';

export const repository: string = resolve(fileURLToPath(import.meta.url), '../../..');

export interface GatewayOptions {
  /** Written to a file of its own; `listen` is added unless it is there. */
  readonly config?: Omit<ConfigInput, '$schema'>;
  /** Command-line arguments; with `config`, `--config FILE` goes before. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Program and arguments that become the gateway in the end, as `setpriv` or `sh -c 'ulimit ...; exec "$@"' sh`. */
  readonly through?: readonly string[];
  readonly startTimeoutMs?: number;
  /** Path of the Node that it runs on, unless GATEWAY_NODE names one. Without it the Node that runs the tests. */
  readonly node?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface GatewayProcess {
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  readonly port: number;
  readonly pid: number;
  /** Lines of stdout and stderr, growing. */
  readonly lines: readonly string[];
  readonly exited: Promise<Exit>;
  /** Signals (SIGTERM) and waits; kills after a minute. May be called twice. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

/**
 * The command that runs Fastway here: program and first arguments. GATEWAY_NODE names another Node for it (npm sets NODE
 * itself).
 */
export function gatewayCommand(otherwise: string = process.execPath): readonly string[] {
  const node = process.env.GATEWAY_NODE ?? otherwise;
  const built = join(repository, 'dist/cli.js');
  if (existsSync(built) && !isOutdated(built)) return [node, built];
  return [node, '--import', import.meta.resolve('tsx'), join(repository, 'src/cli.ts')];
}

/** Builds the package (dist) unless it is built, for programs that import it by its name, as users do. */
export function ensureBuilt(): void {
  const built = join(repository, 'dist/cli.js');
  if (existsSync(built) && !isOutdated(built)) return;
  const build = spawnSync('npm', ['run', 'build'], { cwd: repository, encoding: 'utf8' });
  if (build.status !== 0) throw new Error(`npm run build failed:\n${build.stdout}${build.stderr}`);
}

const running = new Set<ChildProcess>();

/** Starts the gateway and waits until it names the address that it listens on. */
export async function startGateway(options: GatewayOptions): Promise<GatewayProcess> {
  const { config, args = [], env = {}, through = [], startTimeoutMs = 60_000, node } = options;
  const all = [...through, ...gatewayCommand(node)];
  if (config !== undefined) {
    const file = join(createTestDirectory(), 'fastway.config.json');
    writeFileSync(file, JSON.stringify({ listen: [{ host: '127.0.0.1', port: 0 }], ...config }));
    all.push('serve', '--config', file);
  }
  all.push(...args);
  const child = spawn(all[0]!, all.slice(1), {
    cwd: repository,
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (running.size === 0) process.once('exit', killAll);
  running.add(child);

  const lines: string[] = [];
  const exited = new Promise<Exit>((resolve) =>
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    }),
  );
  const port = await new Promise<number>((resolve, reject) => {
    const fail = (reason: string) => reject(new Error(`${reason}\n${lines.join('\n')}`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`The gateway named no address within ${startTimeoutMs} ms`);
    }, startTimeoutMs);
    const read = (line: string) => {
      lines.push(line);
      const match = /http:\/\/(?:127\.0\.0\.1|localhost):(\d+)/.exec(line);
      if (match === null) return;
      clearTimeout(timer);
      resolve(Number(match[1]));
    };
    createInterface(child.stdout!).on('line', read);
    createInterface(child.stderr!).on('line', read);
    child.once('error', (error) => fail(`The gateway could not be started: ${error.message}`));
    void exited.then(({ code, signal }) => {
      clearTimeout(timer);
      fail(`The gateway ended at start with ${signal ?? code}`);
    });
  });

  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    pid: child.pid!,
    lines,
    exited,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
  };
}

/** Runs one command of Fastway to its end. @param ids as another user: root's to choose */
export async function runFastway(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  ids: { readonly uid?: number; readonly gid?: number } = {},
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [...gatewayCommand().slice(1), ...args], {
    cwd: repository,
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    ...ids,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Waits until a line of the log matches. @param from the first line that counts */
export async function waitForLine(gateway: GatewayProcess, pattern: RegExp, from = 0): Promise<string> {
  let line: string | undefined;
  await until(
    () => {
      line = gateway.lines.find((candidate, index) => index >= from && pattern.test(candidate));
      return line !== undefined;
    },
    `A line that matches ${pattern}`,
    () => gateway.lines.join('\n'),
  );
  return line!;
}

/** Some source is younger than what was built from it. A build leaves files as they are that come out the same, but for its notes. */
function isOutdated(built: string): boolean {
  const { mtimeMs } =
    statSync(join(dirname(built), '.tsbuildinfo'), { throwIfNoEntry: false }) ?? statSync(built);
  const sources = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' });
  return sources.some((name) => statSync(join(repository, 'src', name)).mtimeMs > mtimeMs);
}

function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}
