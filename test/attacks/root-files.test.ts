/**
 * Files of root: Fastway started as root, beside a local user and the script of a site who turn the names that root is about to use.
 * Where a race is the attack, a run in which nothing went wrong is no proof; how often it is tried, and that the mended code
 * cannot lose it, is said at the test.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { resetOpcache } from '../../src/deploy/opcache.ts';
import { reapLeftovers } from '../../src/process/leftovers.ts';
import { createListeningSocket } from '../../src/source/interpreter/listening-socket.ts';
import { runFastway, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { recordLog } from '../support/local-source.ts';
import { createTestDirectory, giveAway, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
const isFull = process.env.ATTACKS === 'full';
/** As Debian numbers www-data. */
const siteUser = 33;
const localUser = 65_534;

/** A file of root that nobody else may read. */
function createSecret(): string {
  const file = join(createTestDirectory(), 'secret.conf');
  writeFileSync(file, 'SECRET OF ROOT\n', { mode: 0o600 });
  return file;
}

/** All that lies in a temporary folder but the cache of the loader that runs us from the sources. */
function namesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => !name.startsWith('tsx-')).sort();
}

function assertUntouched(secret: string): void {
  const { uid, mode, size } = lstatSync(secret);
  assert.deepEqual({ uid, mode: mode & 0o7777, size }, { uid: 0, mode: 0o600, size: 15 });
  assert.equal(readFileSync(secret, 'latin1'), 'SECRET OF ROOT\n');
}

/** Runs Perl as a local user until the test ends. */
async function startAttacker(t: TestContext, code: string, ...args: string[]): Promise<void> {
  const child = spawn('perl', ['-e', `$| = 1; print "ready\n"; ${code}`, ...args], {
    uid: localUser,
    gid: localUser,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
}

/** A site of www-data. */
function createSite(pages: Readonly<Record<string, string>>): string {
  const root = createTestDirectory();
  for (const [name, text] of Object.entries(pages)) writeFileSync(join(root, name), text);
  giveAway(root, siteUser, siteUser);
  return root;
}

/** The script finds the settings of its php-fpm, puts links in their place, and in all that it may write, and ends its master. */
const attack = `<?php
$parent = posix_getppid();
$words = explode("\\0", file_get_contents("/proc/$parent/cmdline"));
preg_match('#/\\S*/php-fpm\\.conf#', implode(' ', $words), $found);
$settings = dirname($found[0]);
$done = [];
foreach (['php-fpm.conf', 'fastway.ini', 'php-fpm.log', 'processes', 'new'] as $name) {
  foreach ([$settings, dirname($settings)] as $folder) {
    @unlink("$folder/$name");
    if (@symlink($_GET['target'], "$folder/$name")) $done[] = "link $folder/$name";
    if (@file_put_contents("$folder/$name", 'x') !== false) $done[] = "write $folder/$name";
  }
}
if (@rename($settings, "$settings-old")) $done[] = 'rename';
echo json_encode(['uid' => posix_getuid(), 'settings' => $settings, 'done' => $done]);
fastcgi_finish_request();
posix_kill($parent, 9);
`;

test('S2: a script that puts links in the place of its settings makes root write nowhere', {
  skip,
}, async () => {
  const secret = createSecret();
  const root = createSite({ 'attack.php': attack, 'pid.php': '<?php echo "pid ", posix_getppid();' });
  const folder = createTestDirectory();
  const gateway = await startGateway({
    config: {
      sources: { php: { php: 'fpm', workers: 1 } },
      virtualServers: [{ documentRoot: root, preset: 'php', source: 'php', accessLog: false }],
    },
    env: { TMPDIR: folder },
  });
  try {
    const answer = await fetchAnswer(gateway.origin, `/attack.php?target=${secret}`);
    const { uid, settings, done } = JSON.parse(answer.text);
    assert.equal(uid, siteUser);
    assert.match(settings, /fastway-/);
    await waitForLine(gateway, /interpreter of source php ended by SIGKILL/);
    // The start again writes the settings again.
    await until(
      async () =>
        /^pid \d+$/.test((await fetchAnswer(gateway.origin, '/pid.php')).text) ||
        lstatSync(secret).size !== 15,
      'an answer of the next php-fpm',
    );
    assertUntouched(secret);
    assert.deepEqual(done, [], 'the script changed what root writes');
  } finally {
    await gateway.stop();
  }
  assert.deepEqual(namesIn(folder), []);
});

test('S2: whatever the interpreter leaves in its folder, the stop removes it there and nothing behind a link', {
  skip,
}, async () => {
  const secret = createSecret();
  const root = createSite({});
  const folder = createTestDirectory();
  const program = `
    my $own = shift; mkdir "$own/a"; symlink $ARGV[0], "$own/a/folder"; symlink "$ARGV[0]/secret.conf", "$own/a/file"; mkfifo();
    sub mkfifo { require POSIX; POSIX::mkfifo("$own/a/fifo", 0600) }
    open my $mark, '>', "$own/done"; close $mark; sleep 3600;`;
  const gateway = await startGateway({
    config: {
      sources: {
        app: {
          interpreter: ['perl', '-e', program, '{runtimeDir}', join(secret, '..')],
          user: 'www-data',
          socket: 'inherit',
          processes: { min: 1, max: 1 },
        },
      },
      virtualServers: [
        {
          documentRoot: root,
          accessLog: false,
          rules: [{ handler: { type: 'fastcgi', checkFile: false, balancer: { sources: ['app'] } } }],
        },
      ],
    },
    env: { TMPDIR: folder },
  });
  try {
    await until(
      () => readdirSync(folder, { recursive: true, encoding: 'utf8' }).some((name) => name.endsWith('/done')),
      'what the interpreter makes',
    );
  } finally {
    await gateway.stop();
  }
  assert.deepEqual(namesIn(folder), []);
  assertUntouched(secret);
});

test('S6: what another user left in the temporary folder is not touched, and keeps nothing from starting', {
  skip,
}, async () => {
  const folder = createTestDirectory();
  openToAll(folder);
  const dead = JSON.stringify({
    boot: 'x',
    gateway: { pid: 1, startTime: 1 },
    source: 'x',
    interpreters: [],
  });
  const make = (name: string, mode: number, uid: number) => {
    const directory = join(folder, name);
    mkdirSync(join(directory, 'fastway-0123456789ab'), { recursive: true });
    for (const file of ['processes', 'fastway-0123456789ab.pids', 'fastway-0123456789ab/keep'])
      writeFileSync(join(directory, file), dead, { mode: 0o600 });
    chmodSync(directory, mode);
    giveAway(directory, uid, uid);
    // Root's own file in somebody else's folder is no list of ours.
    chownSync(join(directory, 'processes'), 0, 0);
  };
  make('fastway-stranA', 0o711, localUser);
  make('fastway-stranB', 0o700, localUser);
  make('fastway-opened', 0o777, 0);
  symlinkSync(join(folder, 'fastway-opened'), join(folder, 'fastway-linked'));
  writeFileSync(join(folder, 'fastway-afile1'), dead, { mode: 0o600 });
  const before = namesIn(folder);
  const gateway = await startGateway({
    config: { virtualServers: [{ documentRoot: folder, rules: [{ handler: { type: 'files' } }] }] },
    env: { TMPDIR: folder },
  });
  await gateway.stop();
  assert.deepEqual(namesIn(folder), before);
});

test('S6: a folder that is exchanged while root looks loses nothing', { skip }, async (t) => {
  // A race for the code as it was, which a few tries won; nothing is read in the stranger's folder any more.
  const folder = createTestDirectory();
  openToAll(folder);
  const mine = join(folder, 'fastway-abcdef');
  mkdirSync(mine);
  writeFileSync(join(mine, 'keep'), 'x');
  giveAway(mine, localUser, localUser);
  await startAttacker(
    t,
    'while (1) { open my $f, ">", "$ARGV[0]/x.pids"; close $f; unlink "$ARGV[0]/x.pids" }',
    mine,
  );
  const { log } = recordLog();
  for (let count = 0; count < (isFull ? 20_000 : 2_000) && existsSync(join(mine, 'keep')); count++)
    await reapLeftovers(folder, log);
  assert.ok(existsSync(join(mine, 'keep')), 'root removed what is in the folder of another user');
});

test('S6: what cannot be cleared away is told, and the start goes on', { skip }, async () => {
  const folder = createTestDirectory();
  const left = join(folder, 'fastway-abcdef');
  mkdirSync(left, { mode: 0o711 });
  const dead = JSON.stringify({
    boot: 'x',
    gateway: { pid: 1, startTime: 1 },
    source: 'x',
    interpreters: [],
  });
  writeFileSync(join(left, 'processes'), dead, { mode: 0o600 });
  // Deeper than anybody clears away.
  mkdirSync(join(left, ...Array.from({ length: 100 }, () => 'd')), { recursive: true });
  const gateway = await startGateway({
    config: { virtualServers: [{ documentRoot: folder, rules: [{ handler: { type: 'files' } }] }] },
    env: { TMPDIR: folder },
  });
  await gateway.stop();
  assert.ok(
    gateway.lines.some((line) =>
      /What an ended gateway left could not be cleared away; remove it/.test(line),
    ),
    gateway.lines.join('\n'),
  );
});

test('S6: explain, check and print-config clear nothing away, and make nothing', { skip }, async () => {
  const folder = createTestDirectory();
  const logs = createTestDirectory();
  const config = {
    virtualServers: [
      {
        documentRoot: logs,
        rules: [{ handler: { type: 'files' } }],
        accessLog: { file: join(logs, 'access.log') },
      },
    ],
  } as const;
  const gateway = await startGateway({ config, env: { TMPDIR: folder } });
  await gateway.stop('SIGKILL');
  const before = namesIn(folder);
  assert.notDeepEqual(before, [], 'a killed gateway leaves its directory');
  const file = join(createTestDirectory(), 'fastway.config.json');
  const other = { ...config.virtualServers[0], accessLog: { file: join(logs, 'never.log') } };
  writeFileSync(file, JSON.stringify({ virtualServers: [other] }));
  for (const args of [
    ['explain', '/x', '--config', file],
    ['check', '--config', file],
    ['print-config', '--config', file],
  ]) {
    const { code, stderr } = await runFastway(args, { TMPDIR: folder });
    assert.equal(code, 0, stderr);
    assert.deepEqual(namesIn(folder), before, args[0]);
  }
  assert.equal(existsSync(join(logs, 'never.log')), false);
  const next = await startGateway({ config, env: { TMPDIR: folder } });
  await next.stop();
  assert.deepEqual(namesIn(folder), [], 'the next gateway clears it away');
});

test('S7: the script of a deploy gives no file of root away', { skip }, async (t) => {
  // A race for the code as it was; now the rights are set by the descriptor of the file that was made.
  const secret = createSecret();
  const release = createTestDirectory();
  giveAway(release, localUser, localUser);
  await startAttacker(
    t,
    `while (1) { opendir my $d, $ARGV[0]; for (readdir $d) { next unless /^\\.fastway-/;
      unlink "$ARGV[0]/$_"; symlink $ARGV[1], "$ARGV[0]/$_" } closedir $d }`,
    release,
    secret,
  );
  for (let count = 0; count < (isFull ? 5_000 : 500); count++) {
    await resetOpcache('unix:/nowhere/php.sock', release);
    assertUntouched(secret);
  }
});

test('S7: the socket of an interpreter in the folder of another user changes no file of root', {
  skip,
}, async (t) => {
  // A race for the code as it was; now a socket has its rights from the first moment.
  const secret = createSecret();
  chmodSync(secret, 0o644);
  const folder = createTestDirectory();
  giveAway(folder, localUser, localUser);
  const path = join(folder, 'app.sock');
  await startAttacker(
    t,
    'while (1) { if (unlink "$ARGV[0]~") { symlink $ARGV[1], "$ARGV[0]~"; unlink $ARGV[0] } }',
    path,
    secret,
  );
  for (let count = 0; count < (isFull ? 20_000 : 2_000); count++) {
    // The attacker keeps root from listening in a folder of theirs; that is all.
    await createListeningSocket('app', { kind: 'unix', path }).then(
      (socket) => socket.close(),
      () => {},
    );
    assert.equal(statSync(secret).mode & 0o777, 0o644);
  }
});

test('S7: the socket that an interpreter inherits lies where its user can change nothing', {
  skip,
}, async () => {
  const root = createSite({});
  const folder = createTestDirectory();
  const gateway = await startGateway({
    config: {
      sources: {
        app: {
          interpreter: ['sleep', '3600'],
          socket: 'inherit',
          user: 'www-data',
          processes: { min: 1, max: 1 },
        },
      },
      virtualServers: [
        {
          documentRoot: root,
          accessLog: false,
          rules: [{ handler: { type: 'fastcgi', checkFile: false, balancer: { sources: ['app'] } } }],
        },
      ],
    },
    env: { TMPDIR: folder },
  });
  try {
    const find = () =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('.sock'));
    await until(() => find() !== undefined, 'the socket');
    const socket = join(folder, find()!);
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    for (let path = socket; path !== folder; path = join(path, '..')) {
      assert.equal(statSync(path).uid, 0, path);
      if (path !== socket) assert.equal(statSync(path).mode & 0o022, 0, path);
    }
  } finally {
    await gateway.stop();
  }
});

const filesOnly = (root: string) =>
  [{ documentRoot: root, rules: [{ handler: { type: 'files' } }] }] as const;

test('S22: a runtimeDir that was there keeps its rights, and a spool in it of another user is not used', {
  skip,
}, async () => {
  const runtimeDir = createTestDirectory();
  openToAll(runtimeDir);
  mkdirSync(join(runtimeDir, 'spool'));
  chmodSync(join(runtimeDir, 'spool'), 0o777);
  giveAway(join(runtimeDir, 'spool'), localUser, localUser);
  const gateway = await startGateway({
    config: { runtimeDir, virtualServers: filesOnly(createTestDirectory()) },
  });
  try {
    assert.equal(statSync(runtimeDir).mode & 0o7777, 0o1777);
    const [own, ...rest] = readdirSync(runtimeDir).filter((name) => name !== 'spool');
    assert.deepEqual(rest, []);
    const spool = statSync(join(runtimeDir, own!, 'spool'));
    assert.deepEqual([spool.uid, spool.mode & 0o777], [0, 0o700]);
    assert.deepEqual(statSync(join(runtimeDir, own!)).mode & 0o777, 0o711);
  } finally {
    await gateway.stop();
  }
  assert.deepEqual(readdirSync(runtimeDir), ['spool']);
});

for (const [what, spoil] of [
  ['belongs to another user', (folder: string) => giveAway(folder, localUser, localUser)],
  ['may be changed by everybody', (folder: string) => chmodSync(folder, 0o777)],
] as const) {
  test(`S22: root refuses a runtimeDir that ${what}, in one sentence`, { skip }, async () => {
    const runtimeDir = createTestDirectory();
    spoil(runtimeDir);
    const file = join(createTestDirectory(), 'fastway.config.json');
    const config = {
      listen: [{ host: '127.0.0.1', port: 0 }],
      runtimeDir,
      virtualServers: filesOnly(runtimeDir),
    };
    writeFileSync(file, JSON.stringify(config));
    const { code, stderr } = await runFastway(['serve', '--config', file]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /runtimeDir: Somebody else could exchange sockets and files in \/.*, because .*; make it yours alone/,
    );
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.deepEqual(readdirSync(runtimeDir), []);
  });
}

test('S7: an access log that became a link, or a second name, of another user is not written', {
  skip,
}, async () => {
  const secret = createSecret();
  const logs = createTestDirectory();
  giveAway(logs, localUser, localUser);
  const log = join(logs, 'access.log');
  const virtualServers = [{ ...filesOnly(logs)[0], accessLog: { file: log } }];
  const gateway = await startGateway({ config: { virtualServers } });
  try {
    await fetchAnswer(gateway.origin, '/first');
    // As the owner of the folder may do.
    const asOwner = (code: string) =>
      spawn('perl', ['-e', code, log, secret], { uid: localUser, gid: localUser, stdio: 'inherit' });
    const child = asOwner('rename $ARGV[0], "$ARGV[0].1" or die; symlink $ARGV[1], $ARGV[0] or die');
    assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 0);
    process.kill(gateway.pid, 'SIGUSR1');
    await waitForLine(gateway, /Access log cannot be opened anew: .* is a link of user 65534/);
    await fetchAnswer(gateway.origin, '/second');
  } finally {
    await gateway.stop();
  }
  assertUntouched(secret);
  assert.match(readFileSync(`${log}.1`, 'latin1'), /first[\s\S]*second/);

  const start = async (file: string) => {
    const config = join(createTestDirectory(), 'fastway.config.json');
    const listen = [{ host: '127.0.0.1', port: 0 }];
    writeFileSync(
      config,
      JSON.stringify({ listen, virtualServers: [{ ...filesOnly(logs)[0], accessLog: { file } }] }),
    );
    return runFastway(['serve', '--config', config]);
  };
  const refused = /The access log .* cannot be opened \(.*\); name a file/;
  assert.match((await start(log)).stderr, refused, 'a link of its owner');
  linkSync(secret, join(logs, 'hard.log'));
  assert.match((await start(join(logs, 'hard.log'))).stderr, refused, 'a second name');
  assertUntouched(secret);
});
