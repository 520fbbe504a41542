/**
 * FastCGI applications that others wrote, and ours, started for a test on a unix socket of their own. Each echoes its
 * variables as `NAME=VALUE` lines, an empty line and its STDIN (test/applications/echo and c/echo.c).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApplicationRequest, serve } from '../../src/app/index.ts';
import { parseAddress } from '../../src/base/address.ts';
import { isListedAsListening } from '../../src/source/interpreter/listening.ts';
import { findPhp, machineSearch } from '../../src/source/php/php-search.ts';
import { interpreterUser } from './applications.ts';
import { repository } from './gateway-process.ts';
import { createTestDirectory, openToAll } from './test-directory.ts';

export interface RunningProgram {
  /** `unix:/...` */
  readonly address: string;
  /** The script to ask for; undefined when the application is one program. */
  readonly script: string | undefined;
  stop(): Promise<void>;
}

export const programNames = [
  'php-fpm',
  'php-cgi',
  'libfcgi (C)',
  'libfcgi (Perl)',
  'ruby-fcgi',
  'uwsgi',
  'fastway',
] as const;
export type ProgramName = (typeof programNames)[number];

/** Starts the echo of one of them with two workers, and waits until it listens. */
export async function startEcho(name: ProgramName): Promise<RunningProgram> {
  const folder = createTestDirectory();
  openToAll(folder);
  cpSync(join(repository, 'test/applications/echo'), folder, { recursive: true });
  const socket = join(folder, 'app.sock');
  switch (name) {
    case 'php-fpm':
      return { ...(await startProgram(phpFpm(folder, socket), socket)), script: join(folder, 'echo.php') };
    case 'php-cgi': {
      const command = [phpPath('cgi'), '-b', socket];
      const program = await startProgram(command, socket, { PHP_FCGI_CHILDREN: '2' });
      return { ...program, script: join(folder, 'echo.php') };
    }
    case 'libfcgi (C)':
      return startProgram([compile('echo'), socket], socket);
    case 'libfcgi (Perl)':
      return startProgram(['perl', join(folder, 'echo.pl'), socket, '2'], socket);
    case 'ruby-fcgi':
      return startProgram(['ruby', join(folder, 'echo.rb'), socket, '2'], socket);
    case 'uwsgi':
      return startProgram(
        [
          ...[
            'uwsgi',
            '--fastcgi-socket',
            socket,
            '--plugin',
            'python3',
            '--wsgi-file',
            join(folder, 'echo.py'),
          ],
          ...[
            '--master',
            '--processes',
            '2',
            '--die-on-term',
            '--need-app',
            '--disable-logging',
            '--buffer-size',
            '65535',
          ],
        ],
        socket,
      );
    case 'fastway': {
      const server = await serve(echo, { listen: `unix:${socket}` });
      return { address: `unix:${socket}`, script: undefined, stop: () => server.close() };
    }
  }
}

/** Compiles `test/applications/c/NAME.c`, once for each test process, and gives the program's path. */
export function compile(name: 'echo' | 'authorizer' | 'filter' | 'threaded' | 'deaf'): string {
  const program = join(createTestDirectory(), name);
  const source = join(repository, 'test/applications/c', `${name}.c`);
  execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-o', program, source, '-lfcgi', '-lpthread']);
  return program;
}

/** Starts a program that listens on `socket`, as an ordinary user where the tests run as root. */
export async function startProgram(
  command: readonly string[],
  socket: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProgram> {
  const [program, ...args] = asOrdinaryUser(command);
  const child = spawn(program!, args, {
    // A process group of its own, so that its workers can be stopped with it.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
  });
  let words = '';
  child.stderr!.on('data', (chunk) => {
    words = (words + chunk).slice(-2_000);
  });
  const kill = () => signalGroup(child, 'SIGKILL');
  process.once('exit', kill);
  const address = parseAddress(`unix:${socket}`);
  const deadline = performance.now() + 20_000;
  while (!isListedAsListening(address)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      kill();
      throw new Error(`${command[0]} did not listen: ${words}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    address: `unix:${socket}`,
    script: undefined,
    async stop() {
      process.removeListener('exit', kill);
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit');
        signalGroup(child, 'SIGTERM');
        const timer = setTimeout(kill, 5_000);
        await exited;
        clearTimeout(timer);
      }
      // Children that outlived their parent.
      kill();
    },
  };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal);
  } catch {
    // It is gone.
  }
}

function asOrdinaryUser(command: readonly string[]): readonly string[] {
  const { user, group } = interpreterUser();
  if (user === undefined || command.includes('--nodaemonize')) return command;
  return ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups', ...command];
}

function phpPath(kind: 'fpm' | 'cgi'): string {
  const found = findPhp(kind, machineSearch(process.env.PATH));
  if (found.kind === 'embedded') throw new Error('not a program');
  return found.path;
}

function phpFpm(folder: string, socket: string): string[] {
  const { user, group } = interpreterUser();
  const file = join(folder, 'fpm.conf');
  const owner = user === undefined ? '' : `user = ${user}\ngroup = ${group}\nlisten.mode = 0666\n`;
  writeFileSync(
    file,
    `[global]\nerror_log = ${join(folder, 'fpm.log')}\n[www]\n${owner}listen = ${socket}\npm = static\npm.max_children = 2\n`,
  );
  return [phpPath('fpm'), '--nodaemonize', '--fpm-config', file];
}

/** Our own application side. */
async function echo(request: ApplicationRequest): Promise<void> {
  request.write('Content-Type: text/plain\r\n\r\n');
  for (const [name, value] of request.params) request.write(Buffer.from(`${name}=${value}\n`, 'latin1'));
  request.write('\n');
  for (const input of [request.stdin, request.data]) {
    for await (const chunk of input) if (!request.write(chunk as Buffer)) await request.drained();
  }
}
