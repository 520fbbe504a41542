/**
 * Attacks on the rights that Fastway was started with: by who may write the site, or a configuration, and by who may
 * signal it. Most need a root to attack; started as another user they say so.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { gatewayCommand, repository } from '../support/gateway-process.ts';
import { createTestDirectory, giveAway, openToAll } from '../support/test-directory.ts';

const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? {} : { skip: 'only root has rights to lose: run as root' };
/** `www-data` and `nobody`, as on every Debian. */
const siteUser = 33;
const stranger = 65_534;

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs Fastway to its end, or until it has said that it listens: then it is stopped. */
function runIn(cwd: string, args: readonly string[], uid?: number): Promise<Ended> {
  const [file, ...words] = gatewayCommand();
  const child = spawn(file!, [...words, ...args], {
    cwd,
    uid,
    gid: uid,
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let output = '';
  const hear = (text: string): void => {
    output += text;
    if (output.includes('Ctrl+C')) child.kill('SIGTERM');
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** A site whose configuration leaves a mark when it is run. */
function createTrap(
  uid: number,
  name = 'fastway.config.mjs',
): { site: string; config: string; wasRun: () => boolean } {
  const site = createTestDirectory();
  const marks = createTestDirectory();
  openToAll(marks);
  const mark = join(marks, 'was-run');
  const config = join(site, name);
  writeFileSync(join(site, 'index.html'), 'hello');
  writeFileSync(
    config,
    `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(mark)}, ''); export default {};`,
  );
  giveAway(site, uid, uid);
  return { site, config, wasRun: () => existsSync(mark) };
}

const port = ['--port', '0', '--source', 'unix:/none.sock'];

test('S9: a configuration of code in the folder that is served is not run, and named', async () => {
  const { site, config, wasRun } = createTrap(isRoot ? siteUser : process.getuid!());
  for (const command of ['serve', 'print-config']) {
    const { code, output } = await runIn('/', [command, site, ...port]);
    assert.equal(wasRun(), false, output);
    assert.equal(code, 0, output);
    assert.ok(output.includes(`${config} is not run`) && output.includes(`--config ${config}`), output);
  }
});

test('S9: nor by another user than root', needsRoot, async () => {
  const { site, wasRun } = createTrap(stranger);
  const { code, output } = await runIn('/', ['serve', site, ...port], stranger);
  assert.equal(wasRun(), false, output);
  assert.equal(code, 0, output);
});

test('S9: data in the folder that is served names no program', async () => {
  const marks = createTestDirectory();
  const site = createTestDirectory();
  const source = { interpreter: ['/bin/sh', '-c', `touch ${marks}/was-run`], processes: { min: 1 } };
  const config = join(site, 'fastway.config.json');
  writeFileSync(config, JSON.stringify({ sources: { php: source }, listen: [{ port: 0 }] }));
  const { code, output } = await runIn('/', ['serve', site]);
  assert.deepEqual(readdirSync(marks), [], output);
  assert.equal(code, 1, output);
  assert.match(output, /sources\.php\.interpreter: Names a program/);
});

test('S9: what root reads, somebody else could not have written', needsRoot, async () => {
  const { site, config, wasRun } = createTrap(siteUser);
  for (const [cwd, args] of [
    [site, ['serve']],
    [site, ['check', '.']],
    ['/', ['serve', '--config', config]],
  ] as const) {
    const { code, output } = await runIn(cwd, args);
    assert.equal(wasRun(), false, output);
    assert.equal(code, 1, output);
    assert.match(output, /Cannot be trusted by root: \/\S+ belongs to user 33; /);
  }
  // The folder is root's, then everybody's; the file is root's all the time.
  chownSync(site, 0, 0);
  chownSync(config, 0, 0);
  chmodSync(site, 0o777);
  assert.match((await runIn('/', ['check', '--config', config])).output, / can be written by everybody; /);
  assert.equal(wasRun(), false);
  chmodSync(site, 0o755);
  const { code, output } = await runIn('/', ['check', '--config', config]);
  assert.equal(code, 0, output);
  assert.equal(wasRun(), true);
});

test('S9: nor what that imports', needsRoot, async () => {
  const { site, config, wasRun } = createTrap(siteUser, 'lib/rules.mjs'.replace('/', '-'));
  chownSync(site, 0, 0);
  const importing = join(site, 'fastway.config.ts');
  writeFileSync(
    importing,
    `import rules from './${config.slice(dirname(config).length + 1)}';\nexport default rules;`,
  );
  const { code, output } = await runIn('/', ['check', '--config', importing]);
  assert.equal(wasRun(), false, output);
  assert.equal(code, 1, output);
  assert.match(output, /Imports \/\S+, which cannot be trusted by root: /);
});

test('S9: data of somebody else in the folder that is served', needsRoot, async () => {
  const site = createTestDirectory();
  writeFileSync(join(site, 'fastway.config.json'), '{"log": {"level": "error"}}');
  giveAway(site, siteUser, siteUser);
  const { code, output } = await runIn('/', ['serve', site, ...port]);
  assert.equal(code, 1, output);
  assert.match(output, /Cannot be trusted by root/);
});

test('S31: a signal from before the first line opens no inspector', async () => {
  const [file, ...words] = gatewayCommand();
  const site = createTestDirectory();
  const child = spawn(file!, [...words, 'serve', site, ...port], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const until = async (isSo: () => boolean) => {
      while (!isSo()) {
        assert.equal(child.exitCode, null, output);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    // Node's own handler is there once the signal is caught at all, long before our program is read.
    await until(() => isCaught(child.pid!, 10));
    child.kill('SIGUSR1');
    await until(() => output.includes('Ctrl+C'));
    assert.equal(countListeners(child.pid!), 1, output);
  } finally {
    child.kill('SIGKILL');
  }
});

function isCaught(pid: number, signal: number): boolean {
  try {
    const caught = /^SigCgt:\s+([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
    return (BigInt(`0x${caught}`) & (1n << BigInt(signal - 1))) !== 0n;
  } catch {
    return false;
  }
}

/** Sockets on which a process listens for TCP over IPv4. */
function countListeners(pid: number): number {
  const own = readdirSync(`/proc/${pid}/fd`).map((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
    } catch {
      return '';
    }
  });
  return readFileSync(`/proc/${pid}/net/tcp`, 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[3] === '0A' && own.includes(`socket:[${words[9]}]`)).length;
}

test('S36: a configuration of 50,000 nested objects is a sentence', async () => {
  const folder = createTestDirectory();
  mkdirSync(join(folder, 'a'));
  const depth = 50_000;
  for (const [name, text] of [
    ['a/deep.json', `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`],
    ['a/deep.yaml', `${'{a: '.repeat(depth / 10)}1${'}'.repeat(depth / 10)}`],
  ] as const) {
    const file = join(folder, name);
    writeFileSync(file, text);
    const { code, output } = await runIn(repository, ['check', '--config', file]);
    assert.equal(code, 1, output);
    assert.match(output, /^\S+deep\.(json|yaml)\S* Is nested deeper than 100 levels; [^\n]*\n$/);
  }
});
