/** What applications need beside a web server, each for one trial: databases, directories, mail. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../support/free-port.ts';
import type { Place } from './application.ts';
import { command } from './system-files.ts';

/** Starts a program that stays, and waits until something is so. It ends with the trial. */
export async function startService(
  place: Place,
  line: readonly string[],
  ready: () => boolean | Promise<boolean>,
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Promise<void> {
  const [program, ...args] = line;
  const child = spawn(program!, args, {
    cwd: options.cwd ?? place.folder,
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      said = (said + chunk).slice(-4000);
    });
  const kill = (signal: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, signal);
    } catch {
      // It has ended.
    }
  };
  const killAtExit = () => kill('SIGKILL');
  process.once('exit', killAtExit);
  let ended = false;
  const exit = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      said += error.message;
      ended = true;
      resolve();
    });
    child.once('exit', () => {
      ended = true;
      resolve();
    });
  });
  place.atEnd(async () => {
    kill('SIGTERM');
    const timer = setTimeout(killAtExit, 10_000);
    await exit;
    clearTimeout(timer);
    killAtExit();
    process.removeListener('exit', killAtExit);
  });
  const deadline = performance.now() + 60_000;
  while (!(await ready())) {
    if (ended || performance.now() > deadline) throw new Error(`${line.join(' ')} did not start: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Whether somebody listens at a port of the loopback interface, or at a unix socket. */
export function accepts(address: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = typeof address === 'number' ? connect(address, '127.0.0.1') : connect(address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export interface Database {
  readonly socket: string;
  readonly port: number;
  sql(statements: string): string;
}

/** A MariaDB of its own, with the database `app` and for it the user `app` with the password `app`. */
export async function startMariaDb(place: Place): Promise<Database> {
  const data = join(place.folder, 'mysql');
  mkdirSync(data);
  const socket = join(place.folder, 'mysql.sock');
  const port = await freePort();
  const isRoot = process.getuid!() === 0;
  if (isRoot) command(['chown', 'mysql:mysql', data]);
  const common = ['--no-defaults', `--datadir=${data}`, ...(isRoot ? ['--user=mysql'] : [])];
  command(['mariadb-install-db', ...common, '--auth-root-authentication-method=normal', '--skip-test-db']);
  command(['chmod', '1777', place.folder]);
  await startService(
    place,
    [
      'mariadbd',
      ...common,
      `--socket=${socket}`,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      '--innodb-flush-log-at-trx-commit=0',
    ],
    () => accepts(socket),
  );
  const sql = (statements: string) =>
    command(['mariadb', '--no-defaults', `--socket=${socket}`, '--user=root'], { input: statements });
  sql(
    "CREATE DATABASE app; CREATE USER app@localhost IDENTIFIED BY 'app'; CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'; GRANT ALL ON app.* TO app@localhost; GRANT ALL ON app.* TO app@'127.0.0.1';",
  );
  return { socket, port, sql };
}
