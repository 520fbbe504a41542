import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  createDocumentRoot,
  type DocumentRootOptions,
  type FileEntry,
  pinPath,
  resolveSendfile,
} from './document-root.ts';

const isRoot = process.getuid?.() === 0;
const base = realpathSync(mkdtempSync(join(tmpdir(), 'document-root-')));
after(() => rmSync(base, { recursive: true }));

/** base/site: files, links in and out; base/outside: what must not be reached. */
const site = join(base, 'site');
mkdirSync(join(site, 'a/b'), { recursive: true });
mkdirSync(join(base, 'outside'));
mkdirSync(join(base, 'site-2'));
writeFileSync(join(site, 'index.php'), 'hello');
writeFileSync(join(site, 'a/b/c.txt'), '');
writeFileSync(Buffer.from(`${site}/\xe4`, 'latin1'), 'byte');
writeFileSync(join(site, 'ü'), 'text');
writeFileSync(join(base, 'outside/secret'), 'secret');
writeFileSync(join(base, 'site-2/x'), '');
symlinkSync('index.php', join(site, 'inside'));
symlinkSync('a', join(site, 'folder'));
symlinkSync('../outside/secret', join(site, 'secret'));
symlinkSync('../outside', join(site, 'out'));
symlinkSync('../site-2', join(site, 'neighbour'));
symlinkSync('nowhere', join(site, 'dangling'));
symlinkSync('loop', join(site, 'loop'));
symlinkSync('.', join(site, 'self'));

function createRoot(options: Partial<DocumentRootOptions> = {}) {
  return createDocumentRoot({ path: site, symlinks: 'deny', now: () => 0, ...options });
}

function kindOf(path: string, options: Partial<DocumentRootOptions> = {}): string | undefined {
  const found = createRoot(options).pin().find(path);
  return typeof found === 'object' ? found.kind : found;
}

test('a file and its facts', () => {
  const stats = statSync(join(site, 'index.php'));
  const { kind, path, realPath, size, modifiedMs, hidden } = createRoot()
    .pin()
    .find('/index.php') as FileEntry;
  assert.deepEqual(
    { kind, path, realPath, size, modifiedMs, hidden },
    {
      kind: 'file',
      path: join(site, 'index.php'),
      realPath: join(site, 'index.php'),
      size: 5,
      modifiedMs: stats.mtimeMs,
      hidden: undefined,
    },
  );
});

test('files, directories, and what is not there', () => {
  const root = createRoot();
  const cases = [
    ['/', 'directory'],
    ['/a', 'directory'],
    ['/a/', 'directory'],
    ['/a/b/c.txt', 'file'],
    ['/index.php/', undefined],
    ['/index.php/x', undefined],
    ['/no', undefined],
    ['/no/x/y', undefined],
    ['/a/b/c.txt/x', undefined],
    [`/${'x'.repeat(300)}`, undefined],
    ['/x'.repeat(10_000), undefined],
    ['/dangling', undefined],
    ['/loop', undefined],
    ['/loop/x', undefined],
    ['', undefined],
    ['index.php', undefined],
  ] as const;
  for (let round = 0; round < 2; round++) {
    for (const [path, kind] of cases) {
      const found = root.pin().find(path);
      assert.equal(typeof found === 'object' ? found.kind : found, kind, path.slice(0, 40));
    }
  }
});

test('paths that no canonical path looks like lead nowhere', () => {
  for (const path of [
    '/..',
    '/../outside/secret',
    '/a/../index.php',
    '/./index.php',
    '//index.php',
    '/a\0',
    '/a/\0/x',
  ]) {
    assert.equal(kindOf(path), undefined, JSON.stringify(path));
  }
});

test('names are bytes', () => {
  assert.equal(kindOf('/\xe4'), 'file');
  assert.equal(kindOf('/\xc3\xbc'), 'file');
  const found = createRoot().pin().find('/\xc3\xbc');
  assert.equal(typeof found === 'object' && found.realPath, `${site}/\xc3\xbc`);
});

test('links: inside always, outside by policy; a root with a similar name is outside', () => {
  const cases = [
    ['/inside', 'file', 'file'],
    ['/folder/b/c.txt', 'file', 'file'],
    ['/self/self/index.php', 'file', 'file'],
    ['/secret', 'forbidden', 'file'],
    ['/out', 'forbidden', 'directory'],
    ['/out/', 'forbidden', 'directory'],
    ['/out/secret', 'forbidden', 'file'],
    ['/out/no', 'forbidden', undefined],
    ['/neighbour/x', 'forbidden', 'file'],
  ] as const;
  for (const [path, deny, allow] of cases) {
    assert.equal(kindOf(path, { symlinks: 'deny' }), deny, path);
    assert.equal(kindOf(path, { symlinks: 'allow' }), allow, path);
    // All was made by one owner.
    assert.equal(kindOf(path, { symlinks: 'owner' }), allow, path);
  }
  const inside = createRoot().pin().find('/folder/b/c.txt');
  assert.ok(typeof inside === 'object');
  assert.equal(inside.path, join(site, 'folder/b/c.txt'));
  assert.equal(inside.realPath, join(site, 'a/b/c.txt'));
});

test('owner: a link of one to a file of another is forbidden', () => {
  // Only the superuser can give a link away; others have one from the system, whose files are the superuser's.
  const link = join(site, 'of-another');
  if (isRoot) {
    symlinkSync('../outside/secret', link);
    lchownSync(link, 12_345, 12_345);
  } else symlinkSync('/etc/passwd', link);
  assert.equal(kindOf('/of-another', { symlinks: 'owner' }), 'forbidden');
  assert.equal(kindOf('/of-another', { symlinks: 'allow' }), 'file');
});

test('what is neither file nor directory is not there', async () => {
  const server = createServer();
  const path = join(site, 'socket');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  assert.equal(kindOf('/socket'), undefined);
  await new Promise((resolve) => server.close(resolve));
});

test('a directory that may not be searched is forbidden', () => {
  const closed = join(base, 'closed');
  mkdirSync(join(closed, 'd'), { recursive: true });
  writeFileSync(join(closed, 'd/x'), '');
  chmodSync(join(closed, 'd'), 0o000);
  // The superuser may search everything, so for this look the test is somebody else.
  const asNobody = <T>(look: () => T): T => {
    if (!isRoot) return look();
    chmodSync(base, 0o755);
    process.seteuid?.(65_534);
    try {
      return look();
    } finally {
      process.seteuid?.(0);
    }
  };
  assert.equal(
    asNobody(() => kindOf('/d/x', { path: closed })),
    'forbidden',
  );
  chmodSync(join(closed, 'd'), 0o755);
});

test('the cache: an answer is at most cacheMs old, and so is the link that the root is', () => {
  const releases = join(base, 'releases');
  mkdirSync(join(releases, '1'), { recursive: true });
  mkdirSync(join(releases, '2'));
  writeFileSync(join(releases, '1/a'), '1');
  writeFileSync(join(releases, '2/a'), '22');
  symlinkSync('1', join(releases, 'current'));
  let now = 5000;
  const root = createRoot({ path: join(releases, 'current'), now: () => now });
  const look = (path: string) => {
    const found = root.pin().find(path);
    return typeof found === 'object' ? `${found.realPath.slice(releases.length)} ${found.size}` : found;
  };
  assert.equal(look('/a'), '/1/a 1');
  const pinned = root.pin();
  assert.deepEqual([pinned.path, pinned.configuredPath], [join(releases, '1'), join(releases, 'current')]);
  assert.equal(pinPath(join(releases, 'current/a.php'), pinned), join(releases, '1/a.php'));
  assert.equal(pinPath(join(releases, 'currently/a.php'), pinned), join(releases, 'currently/a.php'));
  pinned.use.requests += 1;
  symlinkSync('2', join(releases, 'next'));
  renameSync(join(releases, 'next'), join(releases, 'current'));
  writeFileSync(join(releases, '2/b'), '');
  now += 999;
  assert.equal(look('/a'), '/1/a 1');
  assert.equal(look('/b'), undefined);
  now += 1;
  assert.equal(look('/a'), '/2/a 2');
  assert.equal(look('/b'), '/2/b 0');

  // A request that began before the switch keeps its release, and is waited for.
  assert.equal(pinned.find('/b'), undefined);
  assert.deepEqual((pinned.find('/a') as FileEntry).path, join(releases, '1/a'));
  assert.deepEqual(root.outdated(), [join(releases, '1')]);
  pinned.use.requests -= 1;
  assert.deepEqual(root.outdated(), []);
});

test('the cache is bounded, and right when it is full', () => {
  const root = createRoot({ entriesMax: 3 });
  for (let i = 0; i < 100; i++) {
    assert.equal(root.pin().find(`/no-${i}`), undefined);
    assert.equal(typeof root.pin().find('/a/b/c.txt'), 'object');
  }
});

test('a root that is not there holds nothing, and one that appears is found', () => {
  let now = 0;
  const path = join(base, 'later');
  const root = createRoot({ path, now: () => now });
  assert.equal(root.pin().find('/'), undefined);
  assert.equal(root.pin().find('/x'), undefined);
  mkdirSync(path);
  now = 1000;
  assert.equal(typeof root.pin().find('/'), 'object');
});

test('the whole file system as a root', () => {
  const found = createRoot({ path: '', symlinks: 'allow' }).pin().find(join(site, 'index.php'));
  assert.equal(typeof found === 'object' && found.path, join(site, 'index.php'));
});

/** Who is meant by the numbers: the root's owner, and somebody else. */
const [owner, other] = [4001, 4002];

test('S38: a link leads as far as who made it may go (T30)', {
  skip: !isRoot && 'only root gives files away',
}, () => {
  const root = join(base, 'owned/site');
  const shared = join(base, 'owned/shared');
  mkdirSync(root, { recursive: true });
  mkdirSync(join(shared, 'uploads'), { recursive: true });
  const write = (path: string, mode: number, uid: number) => {
    writeFileSync(path, '');
    chownSync(path, uid, uid);
    chmodSync(path, mode);
  };
  write(join(shared, 'uploads/a.jpg'), 0o644, other);
  write(join(shared, 'roots'), 0o600, 0);
  write(join(shared, 'own'), 0o600, owner);
  write(join(shared, 'groups'), 0o640, 0);
  write(join(shared, 'others'), 0o600, other);
  chownSync(join(shared, 'groups'), 0, owner);
  mkdirSync(join(shared, 'closed'), { mode: 0o700 });
  write(join(shared, 'closed/readable'), 0o644, 0);
  chownSync(root, owner, owner);
  chmodSync(base, 0o755);
  const link = (name: string, target: string, uid: number) => {
    symlinkSync(target, join(root, name));
    lchownSync(join(root, name), uid, uid);
  };
  for (const [name, uid] of [
    ['root', 0],
    ['owner', owner],
    ['other', other],
  ] as const)
    link(name, '../shared', uid);
  link('chain', 'other', owner);
  link('chain-of-root', '../site/other/uploads', 0);
  link('absolute', join(shared, 'uploads'), owner);
  link('own-file', '../shared/others', other);
  link('inside', '../site', other);
  link('in-closed', '../shared/closed/readable', owner);
  link('loop', '../site/loop/x', owner);
  symlinkSync('../roots', join(shared, 'uploads/of-root'));

  const cases: readonly (readonly [path: string, trusted: string | undefined, byOwner?: string])[] = [
    ['/root/uploads/a.jpg', 'file'],
    ['/root/roots', 'file'],
    ['/root/closed/readable', 'file'],
    ['/owner/uploads/a.jpg', 'file'],
    ['/absolute/a.jpg', 'file'],
    ['/owner/own', 'file'],
    ['/owner/groups', 'file'],
    ['/owner/roots', 'forbidden'],
    ['/owner/others', 'forbidden'],
    ['/owner/closed/readable', 'forbidden'],
    ['/in-closed', 'forbidden'],
    ['/owner/uploads/of-root', 'forbidden'],
    ['/other/uploads/a.jpg', 'forbidden'],
    ['/chain/uploads/a.jpg', 'forbidden'],
    ['/chain-of-root/a.jpg', 'forbidden'],
    ['/own-file', 'forbidden', 'file'],
    ['/inside', 'directory'],
    ['/owner/nothing', undefined],
    ['/loop', undefined],
  ];
  for (const [path, trusted, byOwner = trusted] of cases) {
    assert.equal(kindOf(path, { path: root, symlinks: 'trusted' }), trusted, `trusted ${path}`);
    assert.equal(kindOf(path, { path: root, symlinks: 'owner' }), byOwner, `owner ${path}`);
    const outside = path === '/inside' || path === '/loop' ? trusted : 'forbidden';
    assert.equal(kindOf(path, { path: root, symlinks: 'deny' }), outside, `deny ${path}`);
    const any = trusted === 'forbidden' ? 'file' : trusted;
    assert.equal(kindOf(path, { path: root, symlinks: 'allow' }), any, `allow ${path}`);
  }
  const why = (path: string) => createRoot({ path: root, symlinks: 'trusted' }).pin().explainForbidden(path);
  const remedy =
    /; if it is meant to be followed, set "symlinks" of the virtual server or of the rule's handler to "owner" or "allow"$/;
  for (const path of ['/other/uploads/a.jpg', '/owner/roots', '/in-closed']) assert.match(why(path), remedy);
  assert.match(
    why('/other/uploads/a.jpg'),
    /owned\/site\/other is a symbolic link to \.\.\/shared, which is not followed: .*\/other was made by user 4002, who is neither root nor the owner of the document root \(4001\);/,
  );
  assert.match(
    why('/owner/roots'),
    /reached by a symbolic link of user 4001, who may not read .*\/shared\/roots itself;/,
  );
  assert.match(
    why('/in-closed'),
    /is a symbolic link to .*: user 4001, who made the link, may not read .*\/shared\/closed itself;/,
  );
});

test('exactNames: a name counts only as it is spelled on disk', () => {
  assert.equal(kindOf('/index.php', { exactNames: true }), 'file');
  assert.equal(kindOf('/a/b/c.txt', { exactNames: true }), 'file');
  assert.equal(kindOf('/folder/b', { exactNames: true }), 'directory');
});

test('resolveSendfile: a regular file whose real path is below a root', () => {
  const outside = join(base, 'outside');
  const entry = resolveSendfile(`${site}/a/../index.php`, [outside, site]);
  assert.equal(typeof entry === 'object' && entry.realPath, join(site, 'index.php'));
  assert.equal(typeof entry === 'object' && entry.size, 5);
  const cases = [
    [join(site, 'secret'), 'forbidden'],
    [join(site, '../outside/secret'), 'forbidden'],
    ['/etc/passwd', 'forbidden'],
    [`${site}/index.php\0.jpg`, 'forbidden'],
    ['index.php', 'forbidden'],
    ['', 'forbidden'],
    [join(base, 'site-2/x'), 'forbidden'],
    [join(site, 'a'), undefined],
    [join(site, 'no'), undefined],
    [join(site, 'loop'), undefined],
  ] as const;
  for (const [path, expected] of cases) assert.equal(resolveSendfile(path, [site]), expected, path);
  assert.equal(resolveSendfile(join(site, 'index.php'), []), 'forbidden');
  assert.equal(typeof resolveSendfile(join(site, 'secret'), [join(site, 'out')]), 'object');
  assert.equal(resolveSendfile(join(site, 'index.php'), [join(base, 'gone')]), 'forbidden');
});

test('what is hidden: asked for once a second at most, and no look at the disk unless somebody asks', () => {
  const folder = join(base, 'hidden');
  mkdirSync(join(folder, 'data/deep'), { recursive: true });
  for (const file of ['doku.php', 'data/a.txt', 'data/deep/b.txt', 'c.txt'])
    writeFileSync(join(folder, file), '');
  mkdirSync(join(folder, 'inc'));
  writeFileSync(join(folder, 'inc/init.php'), '');
  symlinkSync('data/a.txt', join(folder, 'link'));
  let now = 0;
  const root = createRoot({ path: folder, now: () => now });
  const hidden = (path: string) => (root.pin().find(path) as FileEntry).hidden;
  for (const path of ['/data', '/data/', '/data/a.txt', '/data/deep/b.txt', '/inc/init.php', '/link'])
    assert.equal(hidden(path), 'DokuWiki keeps it for itself', path);
  assert.equal(hidden('/c.txt'), undefined);
  const file = join(folder, '.htaccess');
  writeFileSync(file, 'Deny from all');
  assert.equal(hidden('/c.txt'), undefined);
  now = 1000;
  assert.equal(hidden('/c.txt'), `${file} denies it`);
  assert.equal(hidden('/'), `${file} denies it`);
  rmSync(file);
  now = 2000;
  assert.equal(hidden('/c.txt'), undefined);
});
