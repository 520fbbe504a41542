import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../test/support/random.ts';
import { findScript, type ScriptMapping, type ScriptPath } from './script-path.ts';

/** A root of these files (`/a/b.php`); a name that ends with `!` is forbidden. Counts the questions it gets. */
function rootOf(path: string, ...files: string[]) {
  const entries = new Map<string, { kind: 'file' | 'directory' } | 'forbidden'>([
    ['/', { kind: 'directory' }],
  ]);
  for (const file of files) {
    const name = file.replace('!', '');
    for (let at = name.indexOf('/', 1); at !== -1; at = name.indexOf('/', at + 1)) {
      entries.set(name.slice(0, at), { kind: 'directory' });
    }
    entries.set(name, file.endsWith('!') ? 'forbidden' : { kind: 'file' });
  }
  return {
    path,
    asked: 0,
    find(name: string) {
      this.asked++;
      return entries.get(name);
    },
  };
}

const www = rootOf(
  '/srv/www',
  '/index.php',
  '/a/b.php',
  '/a.b/c.php',
  '/avatar.jpg',
  '/test.php.bak',
  '/secret!',
  '/E.PHP',
);

function map(
  path: string,
  options: Partial<ScriptMapping> & { directory?: string; extensions?: string[]; isWhole?: boolean } = {},
): ScriptPath {
  const mapping: ScriptMapping = {
    checkFile: true,
    guard: true,
    scriptAlias: undefined,
    isFile: () => true,
    root: www,
    rootIsDirectory: false,
    scriptRoot: undefined,
    ...options,
  };
  return findScript(mapping, path, options.directory ?? '', options.extensions, options.isWhole);
}

/** [SCRIPT_NAME, PATH_INFO, SCRIPT_FILENAME, PATH_TRANSLATED, DOCUMENT_ROOT] */
function runs(found: ScriptPath, ...expected: (string | undefined)[]): void {
  assert.equal(found.kind, 'script', JSON.stringify(found));
  const { scriptName, pathInfo, scriptFilename, pathTranslated, documentRoot } = found as never;
  const all = [scriptName, pathInfo, scriptFilename, pathTranslated, documentRoot];
  assert.deepEqual(all.slice(0, expected.length), expected);
}

test('checkFile: the first regular file is the script, the rest PATH_INFO', () => {
  runs(map('/index.php'), '/index.php', '', '/srv/www/index.php', undefined, '/srv/www');
  runs(map('/index.php/x y'), '/index.php', '/x y', '/srv/www/index.php', '/srv/www/x y', '/srv/www');
  runs(map('/index.php/'), '/index.php', '/', '/srv/www/index.php', '/srv/www/');
  runs(map('/index.php/foo.bar/a.b.c'), '/index.php', '/foo.bar/a.b.c');
  runs(map('/a/b.php/c/'), '/a/b.php', '/c/');
  runs(map('/a.b/c.php/d.php'), '/a.b/c.php', '/d.php');
});

test('checkFile: a plain script costs one question', () => {
  const root = rootOf('/r', '/a/b/c/d.php');
  runs(map('/a/b/c/d.php', { root }), '/a/b/c/d.php');
  assert.equal(root.asked, 1);
});

test('checkFile: nothing there, and a deep path into nothing is soon given up', () => {
  assert.deepEqual(map('/no.php'), { kind: 'not-found', reason: 'missing', filename: '/srv/www/no.php' });
  const root = rootOf('/r', '/a/b.php');
  const deep = map(`/a${'/x'.repeat(1000)}`, { root });
  assert.deepEqual(deep, { kind: 'not-found', reason: 'missing', filename: '/r/a/x' });
  assert.equal(root.asked, 3);
});

test('checkFile: a rule with extensions runs no other file (T17, T21)', () => {
  const extensions = ['php'];
  runs(map('/a/b.php/x.jpg', { extensions }), '/a/b.php', '/x.jpg');
  runs(map('/E.PHP', { extensions }), '/E.PHP', '');
  for (const path of ['/avatar.jpg/x.php', '/avatar.jpg', '/test.php.bak', '/test.php.bak/x.php']) {
    const found = map(path, { extensions });
    assert.equal(found.kind === 'not-found' && found.reason, 'extension', path);
  }
  runs(map('/avatar.jpg'), '/avatar.jpg', '');
});

test('checkFile: directories', () => {
  assert.deepEqual(map('/a'), { kind: 'directory', needsSlash: true, localPath: '/a' });
  assert.deepEqual(map('/a/'), { kind: 'directory', needsSlash: false, localPath: '/a' });
  assert.deepEqual(map('/'), { kind: 'directory', needsSlash: false, localPath: '' });
});

test('checkFile: forbidden, on the path or at its end', () => {
  assert.deepEqual(map('/secret'), { kind: 'forbidden', filename: '/srv/www/secret' });
  assert.deepEqual(map('/secret/x.php'), { kind: 'forbidden', filename: '/srv/www/secret' });
});

test('checkFile off: the directory is SCRIPT_NAME, the rest PATH_INFO, and the disk is not asked', () => {
  const root = rootOf('/srv/www');
  const off = { checkFile: false, root };
  runs(map('/admin/x', off), '', '/admin/x', '/srv/www', '/srv/www/admin/x', '/srv/www');
  runs(map('/', off), '', '/', '/srv/www', '/srv/www/');
  runs(map('/app/x/y', { ...off, directory: '/app' }), '/app', '/x/y', '/srv/www/app', '/srv/www/x/y');
  runs(map('/app/', { ...off, directory: '/app' }), '/app', '/');
  runs(map('/app', { ...off, directory: '/app' }), '/app', '');
  assert.equal(root.asked, 0);
});

test('checkFile off in a rule with extensions: the name itself says where the script ends', () => {
  const options = { checkFile: false, extensions: ['php'], root: rootOf('/srv/www'), scriptRoot: '/app' };
  runs(map('/a/b.php/c', options), '/a/b.php', '/c', '/app/a/b.php', '/app/c', '/app');
  runs(map('/a.php', options), '/a.php', '', '/app/a.php', undefined);
  assert.deepEqual(map('/a.php.jpg', options), {
    kind: 'not-found',
    reason: 'extension',
    filename: '/srv/www/a.php.jpg',
  });
  assert.equal(options.root.asked, 0);
});

test('scriptAlias: one script for all; it must exist when checkFile is on', () => {
  const alias = { scriptAlias: '/srv/www/index.php' };
  runs(map('/any/thing', alias), '', '/any/thing', '/srv/www/index.php', '/srv/www/any/thing');
  runs(map('/blog/x', { ...alias, directory: '/blog' }), '/blog', '/x', '/srv/www/index.php');
  runs(map('/x', { scriptAlias: '/usr/lib/cgi-bin/x.cgi' }), '', '/x', '/usr/lib/cgi-bin/x.cgi');
  runs(map('/blog', { ...alias, directory: '/blog' }), '/blog', '', '/srv/www/index.php', undefined);
  runs(map('/x', { ...alias, isWhole: true }), '/x', '');
  runs(map('/x/y/', { ...alias, isWhole: true }), '/x/y', '/');
  runs(map('/', { ...alias, isWhole: true }), '', '/');
  const asked: string[] = [];
  const isFile = (path: string) => asked.push(path) < 0;
  assert.deepEqual(map('/x', { ...alias, isFile }), {
    kind: 'not-found',
    reason: 'missing',
    filename: '/srv/www/index.php',
  });
  assert.deepEqual(asked, ['/srv/www/index.php']);
  runs(map('/x', { ...alias, isFile, checkFile: false }), '', '/x', '/srv/www/index.php');
});

test('a rule’s own document root takes the place of its directory', () => {
  const root = rootOf('/opt/static', '/a.php', '/d/b.php');
  const own = { root, rootIsDirectory: true, directory: '/static' };
  runs(
    map('/static/a.php/x', own),
    '/static/a.php',
    '/x',
    '/opt/static/a.php',
    '/opt/static/x',
    '/opt/static',
  );
  assert.deepEqual(map('/static/d', own), { kind: 'directory', needsSlash: true, localPath: '/d' });
  assert.deepEqual(map('/static/', own), { kind: 'directory', needsSlash: false, localPath: '' });
  assert.deepEqual(map('/static', own), { kind: 'directory', needsSlash: true, localPath: '' });
  runs(
    map('/static/x.php', { ...own, checkFile: false, extensions: ['php'] }),
    '/static/x.php',
    '',
    '/opt/static/x.php',
  );
  runs(map('/static/x', { ...own, checkFile: false }), '/static', '/x', '/opt/static');
});

test('scriptAlias below a root of the rule’s own: SCRIPT_NAME is the URL of the script', () => {
  const own = {
    root: rootOf('/opt/icinga', '/index.php'),
    rootIsDirectory: true,
    directory: '/icinga',
    scriptAlias: '/opt/icinga/index.php',
  };
  runs(map('/icinga/host/list', own), '/icinga/index.php', '/host/list', '/opt/icinga/index.php');
  runs(map('/icinga/index.php/host', own), '/icinga/index.php', '/host', '/opt/icinga/index.php');
  runs(map('/icinga/index.php', own), '/icinga/index.php', '', '/opt/icinga/index.php');
  runs(map('/icinga/index.phpx', own), '/icinga/index.php', '/index.phpx', '/opt/icinga/index.php');
  runs(map('/icinga', own), '/icinga/index.php', '', '/opt/icinga/index.php');
  runs(
    map('/icinga/x', { ...own, scriptAlias: '/opt/icinga2/i.php' }),
    '/icinga',
    '/x',
    '/opt/icinga2/i.php',
  );
});

test('scriptRoot: the same files as the application sees them', () => {
  const scriptRoot = '/app/public';
  runs(
    map('/a/b.php/c', { scriptRoot }),
    '/a/b.php',
    '/c',
    '/app/public/a/b.php',
    '/app/public/c',
    scriptRoot,
  );
  const alias = map('/x', { scriptRoot, scriptAlias: '/srv/www/index.php' });
  runs(alias, '', '/x', '/app/public/index.php', '/app/public/x', scriptRoot);
  assert.equal(alias.kind === 'script' && alias.localFilename, '/srv/www/index.php');
  runs(map('/x', { scriptRoot, scriptAlias: '/srv/www2/i.php' }), '', '/x', '/srv/www2/i.php');
});

test('a root that is the whole file system', () => {
  const root = rootOf('', '/srv/a.php');
  runs(map('/srv/a.php/x', { root }), '/srv/a.php', '/x', '/srv/a.php', '/x', '');
});

test('SCRIPT_NAME + PATH_INFO is the decoded path: 100 000 random paths', () => {
  const random = createRandom(3);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!;
  const names = [
    'a',
    'a.b',
    'b.php',
    'index.php',
    'c.PHP',
    'x\n.php',
    '\xff',
    'php',
    '.php',
    'app',
    'test.php.bak',
    ' ',
  ];
  const root = rootOf(
    '/r',
    '/index.php',
    '/a/b.php',
    '/a/a.b/c.PHP',
    '/app/index.php',
    '/\xff/.php',
    '/b.php/never',
  );
  let scripts = 0;
  for (let round = 0; round < 100_000; round++) {
    const directory = random() < 0.3 ? '/app' : '';
    let path = directory;
    for (let count = Math.floor(random() * 6); count > 0; count--) path += `/${pick(names)}`;
    if (path === '' || random() < 0.2) path += '/';
    const rootIsDirectory = random() < 0.3;
    const scriptAlias = random() < 0.2 ? '/r/index.php' : undefined;
    const isOwnAlias = rootIsDirectory && scriptAlias !== undefined;
    const found = map(path, {
      root,
      directory,
      checkFile: random() < 0.7,
      rootIsDirectory,
      extensions: random() < 0.5 ? ['php'] : undefined,
      scriptAlias,
      scriptRoot: random() < 0.3 ? '/other' : undefined,
    });
    if (found.kind !== 'script') continue;
    scripts++;
    if (!isOwnAlias) assert.equal(found.scriptName + found.pathInfo, path);
    assert.ok(found.pathInfo === '' || found.pathInfo.startsWith('/'), path);
    assert.equal(
      found.pathTranslated,
      found.pathInfo === '' ? undefined : found.documentRoot + found.pathInfo,
    );
  }
  assert.ok(scripts > 30_000);
});
