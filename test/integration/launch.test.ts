/** What an interpreter is started with: user, groups, limits, environment, descriptors; read from the living process. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { getPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { copyApplication } from '../support/applications.ts';
import { ask } from '../support/ask.ts';
import { openInterpreter, pageRequest } from '../support/local-source.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const isRoot = process.getuid?.() === 0;
const perl = ['perl', join(copyApplication('perl'), 'pid.pl')] as const;
const request = pageRequest('/nowhere', '/x');

/** A running interpreter's number. */
async function start(
  t: TestContext,
  options: Partial<Parameters<typeof openInterpreter>[1]>,
): Promise<number> {
  const { source } = openInterpreter(t, { interpreter: perl, ...options });
  const { stdout, error } = await ask(source, request);
  assert.equal(error, undefined);
  return Number(/pid=(\d+)/.exec(stdout)?.[1]);
}

/** Files that the loader opens for a program. */
function librariesOf(program: string): string[] {
  return execFileSync('ldd', [program], { encoding: 'latin1' }).match(/\/\S+/g) ?? [];
}

/** A line of /proc/PID/status, its words. */
function statusOf(pid: number, name: string): string[] {
  const line = readFileSync(`/proc/${pid}/status`, 'latin1')
    .split('\n')
    .find((text) => text.startsWith(`${name}:`));
  return line?.split(/\s+/).slice(1).filter(Boolean) ?? [];
}

test('user, group and supplementary groups', { skip: !isRoot }, async (t) => {
  const pid = await start(t, { user: 'www-data', group: 'daemon', groups: ['mail', '4711'] });
  const idOf = (file: string, name: string) =>
    readFileSync(file, 'latin1')
      .split('\n')
      .map((line) => line.split(':'))
      .find(([account]) => account === name)?.[2];
  assert.deepEqual([...new Set(statusOf(pid, 'Uid'))], [idOf('/etc/passwd', 'www-data')]);
  assert.deepEqual([...new Set(statusOf(pid, 'Gid'))], [idOf('/etc/group', 'daemon')]);
  assert.deepEqual(statusOf(pid, 'Groups').sort(), [idOf('/etc/group', 'mail'), '4711'].sort());
});

test('umask, nice and limits', async (t) => {
  const limits = { openFiles: 77, memoryMb: 500, cpuSeconds: 60, processes: 200, fileMb: 3 };
  const pid = await start(t, { umask: 0o027, nice: 7, limits });
  assert.deepEqual(statusOf(pid, 'Umask'), ['0027']);
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '');
  // On top of ours.
  assert.equal(Number(stat.split(' ')[16]), getPriority() + 7);
  const set = readFileSync(`/proc/${pid}/limits`, 'latin1');
  const limitOf = (name: string) => new RegExp(`^${name} +(\\S+) +(\\S+)`, 'm').exec(set)?.slice(1);
  assert.deepEqual(limitOf('Max open files'), ['77', '77']);
  assert.deepEqual(limitOf('Max address space'), ['524288000', '524288000']);
  assert.deepEqual(limitOf('Max cpu time'), ['60', '60']);
  assert.deepEqual(limitOf('Max processes'), ['200', '200']);
  assert.deepEqual(limitOf('Max file size'), ['3145728', '3145728']);
});

test('a chroot', { skip: !isRoot }, async (t) => {
  const jail = createTestDirectory();
  for (const file of ['/bin/sh', ...librariesOf('/bin/sh')]) {
    mkdirSync(dirname(join(jail, file)), { recursive: true });
    cpSync(file, join(jail, file), { dereference: true });
  }
  const { source } = openInterpreter(t, {
    interpreter: ['/bin/sh', '-c', 'echo sees /* >&2; exit 3'],
    chroot: jail,
    user: 'www-data',
  });
  const { error } = await ask(source, request);
  const seen = readdirSync(jail).map((name) => `/${name}`);
  assert.match(error?.message ?? '', new RegExp(`ended with exit code 3.*sees ${seen.sort().join(' ')}`));

  const missing = openInterpreter(t, { interpreter: ['/usr/bin/perl'], chroot: jail }).source;
  assert.equal((await ask(missing, request)).error?.code, 'GW_ERR_SOURCE_NO_INTERPRETER');
});

test('the environment is the configured one (T16)', async (t) => {
  const environment = { PATH: process.env.PATH, LANG: 'C', CANARY: 'secret', LD_PRELOAD: '' };
  const pid = await start(t, { environment, env: { MODE: 'test', WHERE: '{runtimeDir}/{process}' } });
  const names = readFileSync(`/proc/${pid}/environ`, 'latin1')
    .split('\0')
    .map((pair) => pair.split('=')[0])
    .filter((name) => name !== '' && name !== '_' && name !== 'PWD');
  assert.deepEqual(names.sort(), ['LANG', 'MODE', 'PATH', 'WHERE']);
});

test('characters are UTF-8 where nobody says which they are, as in services and containers', async (t) => {
  const localeOf = async (environment: Record<string, string>, env: Record<string, string> = {}) => {
    const pid = await start(t, { environment: { PATH: process.env.PATH, ...environment }, env });
    const all = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    return all.filter((pair) => /^(LANG|LC_)/.test(pair));
  };
  assert.deepEqual(await localeOf({}), ['LC_CTYPE=C.UTF-8']);
  assert.deepEqual(await localeOf({ LC_CTYPE: 'C' }), ['LC_CTYPE=C']);
  assert.deepEqual(await localeOf({}, { LANG: 'C' }), ['LANG=C']);
});

test('no descriptor of ours, nor one that we were started with (T98)', async (t) => {
  const ours = openSync('/etc/passwd', 'r');
  t.after(() => closeSync(ours));
  const pid = await start(t, { keepConnections: 0 });
  const foreign = () =>
    readdirSync(`/proc/${pid}/fd`)
      .filter((descriptor) => Number(descriptor) > 2)
      .map((descriptor) => readlinkSync(`/proc/${pid}/fd/${descriptor}`))
      // What covers those that we were started with, and the script.
      .filter((path) => path !== '/dev/null' && !path.endsWith('/pid.pl'));
  // Until it has closed our connection.
  await until(() => !foreign().some((path) => path.startsWith('socket:')), 'the end of the connection');
  assert.deepEqual(foreign(), []);
});

test('a folder of PATH in which it may not be looked for is passed over', async (t) => {
  const folder = createTestDirectory();
  // A link to itself: stat fails with ELOOP for everybody, as it does with EACCES in another user's folder.
  symlinkSync('perl', join(folder, 'perl'));
  const pid = await start(t, { environment: { PATH: `${folder}:${process.env.PATH}` } });
  assert.ok(pid > 0);
});
