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
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ConfigInput, VirtualServerInput } from '../../src/config/types.ts';
import {
  type GatewayProcess,
  gatewayCommand,
  repository,
  startGateway,
  waitForLine,
} from '../support/gateway-process.ts';
import { descendants, groupsOf, groupsOfUser, isAlive } from '../support/process-facts.ts';
import { createTestDirectory, giveAway, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

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
  let isStopped = false;
  const hear = (text: string): void => {
    output += text;
    // A second signal would mean: at once.
    if (!isStopped && output.includes('Ctrl+C')) isStopped = child.kill('SIGTERM');
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

/** A gateway that root runs, with a site of root's that everybody may read. */
async function serveSite(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  config: Omit<ConfigInput, 'virtualServers'>,
  server: Partial<VirtualServerInput>,
  through: readonly string[] = [],
): Promise<{ readonly gateway: GatewayProcess; readonly site: string }> {
  const site = createTestDirectory();
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(site, name), text);
    chmodSync(join(site, name), 0o755);
  }
  writeFileSync(join(site, 'secret.txt'), 'of root');
  chmodSync(join(site, 'secret.txt'), 0o600);
  const virtualServers = [{ documentRoot: site, ...server }];
  const gateway = await startGateway({ config: { ...config, virtualServers }, through });
  t.after(() => gateway.stop());
  return { gateway, site };
}

const textOf = async (url: string) => (await fetch(url)).text();

/** `Uid`, `Gid` and `Groups` of a process (proc(5)). */
function idsOf(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, 'latin1')
    .split('\n')
    .filter((line) => /^(Uid|Gid|Groups):/.test(line))
    .map((line) => line.trim().split(/\s+/).join(' '))
    .join('\n');
}

const cgiHead = '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\n';
const everythingByCgi = { match: { extensions: ['cgi'] }, handler: { type: 'cgi' } } as const;

test(
  'S8: a CGI program of root runs as nobody important, without the descriptors of others',
  needsRoot,
  async (t) => {
    const program = `${cgiHead}grep -E "^(Uid|Gid|Groups)" /proc/self/status; ls -l /proc/self/fd; umask\n`;
    const { gateway, site } = await serveSite(
      t,
      { 'id.cgi': program, 'own.cgi': program },
      {},
      {
        rules: [
          { match: { path: '/own.cgi' }, handler: { type: 'cgi', user: 'daemon', groups: [], umask: '077' } },
          everythingByCgi,
        ],
      },
      ['sh', '-c', 'exec 7</etc/shadow; exec "$@"', 'sh'],
    );
    const answer = await textOf(`${gateway.origin}/id.cgi`);
    assert.match(answer, /^Uid:(\s+33){4}$/m);
    assert.match(answer, /^Gid:(\s+33){4}$/m);
    assert.doesNotMatch(answer, /shadow/);
    const own = await textOf(`${gateway.origin}/own.cgi`);
    assert.match(own, /^Uid:(\s+1){4}$/m);
    assert.match(own, /^Groups:\s*$/m);
    assert.match(own, /^0077$/m);
    // What cannot be run is a sentence that names the user, though another program said so.
    chmodSync(join(site, 'id.cgi'), 0o644);
    assert.equal((await fetch(`${gateway.origin}/id.cgi`)).status, 403);
    await waitForLine(gateway, /permission denied.*user www-data/);
  },
);

test('S8: what a CGI program started ends with it', needsRoot, async (t) => {
  const { gateway, site } = await serveSite(
    t,
    {
      // The leader ends at TERM; its child does not hear it.
      'stay.cgi': `#!/bin/sh\n(trap "" TERM; exec sleep 300) &\necho $! > "$PID_FILE"\nexec sleep 300\n`,
    },
    {},
    {
      rules: [
        {
          ...everythingByCgi,
          handler: {
            type: 'cgi',
            timeoutMs: 3_000,
            user: 'daemon',
            env: { PID_FILE: `/tmp/fastway-test-${process.pid}.pid` },
          },
        },
      ],
    },
  );
  assert.ok(site);
  const file = `/tmp/fastway-test-${process.pid}.pid`;
  t.after(() => rmSync(file, { force: true }));
  assert.equal((await fetch(`${gateway.origin}/stay.cgi`)).status, 504);
  const pid = Number(readFileSync(file, 'utf8'));
  await until(() => !isAlive(pid), 'the end of its child');
});

test(
  'S8: with "user" the server itself gives up the rights of root, and does its work',
  needsRoot,
  async (t) => {
    const logs = createTestDirectory();
    const log = join(logs, 'access.log');
    chownSync(logs, siteUser, siteUser);
    const { gateway } = await serveSite(
      t,
      { 'index.php': '<?php echo getmypid(), " ", posix_getuid();', 'id.cgi': `${cgiHead}id -u\n` },
      { user: 'www-data', sources: { php: { php: 'fpm', workers: 1 } } },
      { preset: 'php', rules: [everythingByCgi], accessLog: { file: log } },
    );
    assert.match(await textOf(`${gateway.origin}/index.php`), /^\d+ 33$/);
    assert.equal(await textOf(`${gateway.origin}/id.cgi`), '33\n');
    for (const pid of [gateway.pid, ...descendants(gateway.pid).map((child) => child.pid)]) {
      assert.match(idsOf(pid), /^Uid: 33 33 33 33\nGid: 33 33 33 33\nGroups:/);
      // Of root none is left; what is there is the user's own by /etc/group.
      const others = groupsOf(pid).filter((group) => !groupsOfUser('www-data').includes(group));
      assert.deepEqual(others, []);
    }
    assert.equal((await fetch(`${gateway.origin}/secret.txt`)).status, 403);

    const [master] = descendants(gateway.pid);
    process.kill(master!.pid, 'SIGKILL');
    await until(async () => {
      const answer = await fetch(`${gateway.origin}/index.php`);
      return answer.status === 200 && descendants(gateway.pid)[0]?.pid !== master!.pid;
    }, 'the answer of another interpreter');

    renameSync(log, `${log}.1`);
    process.kill(gateway.pid, 'SIGUSR1');
    await until(async () => {
      await textOf(`${gateway.origin}/index.php`);
      return existsSync(log) && statSync(log).size > 0;
    }, 'a line in the new log');

    const children = descendants(gateway.pid).map((child) => child.pid);
    assert.equal((await gateway.stop()).code, 0);
    assert.deepEqual(children.filter(isAlive), []);
    assert.deepEqual(
      gateway.lines.filter((line) => /could not|cannot|EACCES|EPERM/i.test(line)),
      [],
    );
  },
);

test(
  'S8: root without "user" is told what to do; what only root could do beside it is refused',
  needsRoot,
  async (t) => {
    const { gateway } = await serveSite(t, {}, {}, { rules: [{ handler: { type: 'files' } }] });
    await waitForLine(gateway, /runs as root.*set "user"/);
    const config = join(createTestDirectory(), 'a.json');
    const source = { interpreter: ['/bin/true'], user: 'daemon', chroot: '/', nice: -1 };
    writeFileSync(
      config,
      JSON.stringify({
        user: 'www-data',
        sources: { php: source },
        virtualServers: [{ documentRoot: '/usr' }],
      }),
    );
    const { code, output } = await runIn('/', ['check', '--config', config]);
    assert.equal(code, 1);
    for (const key of ['user', 'chroot', 'nice']) {
      assert.match(
        output,
        new RegExp(`sources\\.php\\.${key}: Needs root, but Fastway itself becomes "www-data"`),
      );
    }
  },
);

test('S31: a signal from before the first line opens no inspector', async () => {
  const [file, ...words] = gatewayCommand();
  const site = createTestDirectory();
  const child = spawn(file!, [...words, 'serve', site, ...port], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const isHeard = (text: string) => {
      assert.equal(child.exitCode, null, output);
      return output.includes(text);
    };
    // Node's own handler is there once the signal is caught at all, long before our program is read.
    await until(() => isCaught(child.pid!, 10));
    child.kill('SIGUSR1');
    await until(() => isHeard('Ctrl+C'));
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
