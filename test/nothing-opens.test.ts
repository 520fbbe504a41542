/**
 * Nothing opens before the start: a gateway is composed, explains and is closed again, with every kind of source, handler
 * and listener configured, while all is watched that could open something.
 */
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import childProcess from 'node:child_process';
import fs, { chmodSync, mkdirSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { resolveConfig } from '../src/config/load.ts';
import type { ConfigInput } from '../src/config/types.ts';
import { composeGateway } from '../src/gateway/gateway.ts';
import type { Gateway } from '../src/gateway/options.ts';
import { createTestDirectory } from './support/test-directory.ts';

/** Everything that could be opened when it is used. */
function everything(root: string, runtimeDir: string, logs: string): ConfigInput {
  const address = 'tcp://127.0.0.1:1';
  const check = { path: '/ping' };
  const sources = { policy: 'least-busy', sources: ['remote', 'local'] } as const;
  return {
    listen: [{ port: 0 }, { path: join(runtimeDir, 'front.sock') }],
    metrics: { port: 0 },
    runtimeDir,
    sources: {
      remote: { address, check, profile: 'auto', statusPath: '/status', holdMs: 100 },
      local: { interpreter: ['perl', 'x.pl'], processes: { min: 2, max: 4 }, recycle: { ageMs: 10 }, check },
      single: { interpreter: ['perl', 'x.pl'], address: 'unix:{runtimeDir}/x.sock' },
      php: { php: 'embedded', check },
    },
    virtualServers: [
      {
        documentRoot: root,
        accessLog: { file: join(logs, 'access.log') },
        rules: [
          { match: { path: '/redirect' }, handler: { type: 'redirect', to: '/' } },
          { match: { path: '/error' }, handler: { type: 'error', status: 410 } },
          { match: { path: '/filter' }, handler: { type: 'filter', source: 'single' } },
          { match: { directory: '/cgi' }, handler: { type: 'cgi' } },
          {
            match: { extensions: ['py'] },
            authorize: { source: 'single', cacheMs: 100 },
            handler: { type: 'fastcgi', balancer: sources, upgrade: true },
          },
          { match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php' } },
          { handler: { type: 'files' } },
        ],
      },
    ],
  };
}

const head = {
  method: 'GET',
  version: '1.1',
  fields: ['host', 'site.test'],
  secure: false,
  remoteAddress: '192.0.2.7',
  remotePort: 5000,
  localAddress: '192.0.2.1',
  localPort: 80,
};

/** Names below the folders, and their own, with modes. */
function filesIn(folders: readonly string[]): string[] {
  return folders
    .flatMap((folder) => [
      folder,
      ...readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
    ])
    .map((name) => `${name} ${statSync(name).mode.toString(8)}`);
}

/** What is open: descriptors of this process by what they are. */
function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd')
    .map((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        return '';
      }
    })
    .filter((target) => target !== '' && !target.startsWith('/proc/'))
    .sort();
}

const { O_WRONLY, O_RDWR, O_CREAT } = fs.constants;
const writes = O_WRONLY | O_RDWR | O_CREAT;

/** Random bytes are asked for and had at once. */
const harmless = ['PROMISE', 'TickObject', 'RANDOMBYTESREQUEST'];

/** Runs it, and says what was opened meanwhile, but for files that are read and closed again: sockets, timers, processes, files for writing, and whatever else is asynchronous. */
async function openedBy(run: () => void): Promise<string[]> {
  const opened: string[] = [];
  // Sockets, timers (also those that keep nothing alive), processes, watchers, workers, requests to the file system.
  const hook = createHook({
    init: (_id, type) => {
      if (!harmless.includes(type)) opened.push(type);
    },
  });
  const note = (name: string) => (): never => {
    opened.push(name);
    throw new Error(`${name} was called`);
  };
  for (const name of ['spawn', 'spawnSync', 'exec', 'execFile', 'execFileSync', 'fork'] as const)
    mock.method(childProcess, name, note(name));
  for (const name of ['mkdirSync', 'mkdtempSync', 'writeFileSync', 'rmSync', 'unlinkSync'] as const)
    mock.method(fs, name, note(name));
  const { openSync } = fs;
  mock.method(fs, 'openSync', (path: string, flags: string | number = 'r', mode?: number) => {
    const isRead = flags === 'r' || (typeof flags === 'number' && (flags & writes) === 0);
    return isRead ? openSync(path, flags, mode) : note('openSync')();
  });
  syncBuiltinESMExports();
  const before = openDescriptors();
  hook.enable();
  try {
    run();
    // What was put off to the end of the tick comes too.
    await Promise.resolve();
  } finally {
    hook.disable();
    mock.restoreAll();
    syncBuiltinESMExports();
  }
  const after = openDescriptors();
  return [...opened, ...after.filter((target) => !before.includes(target))];
}

test('to compose a gateway, and to ask it, opens no descriptor, socket, timer, file or process', async () => {
  const [root, runtimeDir, logs] = [createTestDirectory(), createTestDirectory(), createTestDirectory()];
  mkdirSync(join(root, 'cgi'));
  // What a killed gateway left there is for the start to clear away, and a folder that only we may enter stays so.
  mkdirSync(join(runtimeDir, 'fastway-0123456789ab'), { mode: 0o700 });
  chmodSync(runtimeDir, 0o700);
  const before = filesIn([root, runtimeDir, logs]);
  const config = await resolveConfig(everything(root, runtimeDir, logs), root);
  const targets = ['/', '/redirect', '/error', '/filter', '/cgi/x', '/a.py', '/a.php', '/none.txt'];
  // What is loaded with the first one, and read once, is not what is looked for.
  composeGateway(config, { environment: {} });
  let gateway!: Gateway;
  const opened = await openedBy(() => {
    gateway = composeGateway(config, { environment: {} });
    for (const target of targets) gateway.explain({ ...head, target });
    gateway.describeSources();
  });
  assert.deepEqual(opened, []);
  assert.equal(gateway.metricsUrl, undefined);
  await gateway.close(1);
  assert.deepEqual(filesIn([root, runtimeDir, logs]), before);
});

test('what watches sees a timer that keeps nothing alive, a socket, a process, a worker and a file', async () => {
  const file = join(createTestDirectory(), 'file');
  const { spawn } = childProcess;
  const deeds: Record<string, () => void> = {
    Timeout: () => void clearTimeout(setTimeout(() => {}, 1).unref()),
    spawn: () => void assert.throws(() => childProcess.spawn('true')),
    openSync: () => void assert.throws(() => fs.openSync(file, 'w')),
    WORKER: () => void new Worker('', { eval: true }),
  };
  for (const [name, deed] of Object.entries(deeds)) assert.ok((await openedBy(deed)).includes(name), name);
  assert.equal(childProcess.spawn, spawn);
});
