/** A php-fpm that somebody else runs: started by the test, reached at its address, reloaded and killed as on a server. */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findPhp, machineSearch } from '../../src/source/php/php-search.ts';
import { descendants, isAlive } from './process-facts.ts';
import { createTestDirectory } from './test-directory.ts';
import { until } from './until.ts';

export interface PhpFpm {
  readonly address: string;
  /** Ids of the living workers. */
  workers(): number[];
  /** As `systemctl reload php-fpm`; resolves when all workers are new ones. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

export interface PhpFpmOptions {
  /** Default: static. Another one starts with less than all its workers. */
  readonly manager?: 'static' | 'dynamic' | 'ondemand';
  /** Of the loopback interface; default: a unix socket. */
  readonly port?: number;
  /** More lines for its pool. */
  readonly settings?: readonly string[];
}

/** Starts it with its defaults: nothing of ours in the pool, a reload kills what runs (process_control_timeout 0). */
export async function startPhpFpm(workers: number, options: PhpFpmOptions = {}): Promise<PhpFpm> {
  const { manager = 'static', port, settings = [] } = options;
  const found = findPhp('fpm', machineSearch(process.env.PATH));
  if (found.kind === 'embedded') throw new Error('There is no php-fpm');
  const directory = createTestDirectory();
  const path = join(directory, 'fpm.sock');
  const isRoot = process.getuid?.() === 0;
  writeFileSync(
    join(directory, 'fpm.conf'),
    [
      '[global]',
      `error_log = ${directory}/fpm.log`,
      '[www]',
      `listen = ${port === undefined ? path : `127.0.0.1:${port}`}`,
      ...(isRoot ? ['user = www-data', 'group = www-data'] : []),
      `pm = ${manager}`,
      `pm.max_children = ${workers}`,
      ...settings,
    ].join('\n'),
  );
  const child = spawn(found.path, ['--nodaemonize', '--fpm-config', join(directory, 'fpm.conf')], {
    stdio: 'ignore',
    detached: true,
  });
  const pid = child.pid!;
  const kill = () => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  process.once('exit', kill);
  const list = () =>
    descendants(pid)
      .filter(({ command }) => command.includes('pool www'))
      .map((worker) => worker.pid);
  if (manager === 'ondemand') await until(() => existsSync(path), 'the start of php-fpm');
  else await until(() => list().length === (manager === 'static' ? workers : 1), 'the start of php-fpm');
  return {
    address: port === undefined ? `unix:${path}` : `tcp://127.0.0.1:${port}`,
    workers: list,
    async reload() {
      const old = list();
      process.kill(pid, 'SIGUSR2');
      await until(
        () => !old.some(isAlive) && list().filter((worker) => !old.includes(worker)).length === workers,
        'the reload',
      );
    },
    async stop() {
      process.removeListener('exit', kill);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      kill();
      await ended;
    },
  };
}
