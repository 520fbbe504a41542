import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import {
  choosePrivateName,
  HeldDirectory,
  isPrivateDirectory,
  listenWithRights,
  makeDirectory,
  makePrivateDirectory,
  openForAppending,
  openNamelessFile,
  removeFile,
  removeTree,
  replaceLink,
  setSocketRights,
  withFileForAll,
  writePrivateFile,
} from './private-files.ts';

const isRoot = process.getuid?.() === 0;
const skip = process.platform === 'win32';

const stranger = 65_534;

function createFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'private-files-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const modeOf = (path: string) => lstatSync(path).mode & 0o7777;

test('a private directory is ours, has a new name, and keeps its rights under every umask', { skip }, (t) => {
  const folder = createFolder(t);
  const before = process.umask(0o077);
  try {
    const one = join(folder, choosePrivateName());
    const two = join(folder, choosePrivateName());
    makePrivateDirectory(one);
    makePrivateDirectory(two);
    assert.throws(() => makePrivateDirectory(one), { code: 'EEXIST' });
    assert.notEqual(one, two);
    assert.equal(modeOf(one), 0o711);
    assert.ok(isPrivateDirectory(one));
    chmodSync(two, 0o755);
    assert.equal(isPrivateDirectory(two), false, 'others may list it');
    symlinkSync(one, join(folder, 'link'));
    assert.equal(isPrivateDirectory(join(folder, 'link')), false);
    writePrivateFile(join(one, 'file'), 'first, longer', { mode: 0o640 });
    writePrivateFile(join(one, 'file'), 'second', { mode: 0o640 });
    assert.equal(readFileSync(join(one, 'file'), 'utf8'), 'second');
    assert.equal(modeOf(join(one, 'file')), 0o640);
    assert.deepEqual(readdirSync(one), ['file']);
    assert.throws(() => makeDirectory(join(folder, 'link'), { mode: 0o700 }), { code: 'EEXIST' });
  } finally {
    process.umask(before);
  }
});

test('what is written replaces a link, and leaves what it led to', { skip }, (t) => {
  const folder = createFolder(t);
  writeFileSync(join(folder, 'target'), 'kept');
  symlinkSync('target', join(folder, 'file'));
  writePrivateFile(join(folder, 'file'), 'new', { mode: 0o600 });
  assert.equal(readFileSync(join(folder, 'target'), 'utf8'), 'kept');
  assert.ok(lstatSync(join(folder, 'file')).isFile());
});

test('a spool file has no name, and is ours', { skip }, (t) => {
  const folder = join(createFolder(t), 'größe');
  mkdirSync(folder);
  const descriptor = openNamelessFile(folder);
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(fstatSync(descriptor).mode & 0o777, 0o600);
  closeSync(descriptor);
});

test('a held folder stays the same one when its path leads elsewhere', {
  skip: process.platform !== 'linux',
}, (t) => {
  const folder = createFolder(t);
  mkdirSync(join(folder, 'one'));
  mkdirSync(join(folder, 'two'));
  writeFileSync(join(folder, 'one', 'gr\u00f6\u00dfe'), '');
  writeFileSync(join(folder, 'two', 'x'), '');
  const held = new HeldDirectory(join(folder, 'one'));
  try {
    const [name] = held.names;
    replaceFolder(folder);
    assert.deepEqual(held.names, [name]);
    removeFile(held.at(name!));
    removeFile(held.at('x'));
    assert.deepEqual(held.names, []);
    assert.deepEqual(readdirSync(join(folder, 'two')), ['x']);
    assert.equal(held.realPath, join(folder, 'old'));
  } finally {
    held.close();
  }
  assert.throws(() => new HeldDirectory(join(folder, 'one')), /ELOOP|ENOTDIR/, 'a link');
});

/** `one` becomes a link to `two`. */
function replaceFolder(folder: string): void {
  symlinkSync('two', join(folder, 'next'));
  renameSync(join(folder, 'one'), join(folder, 'old'));
  renameSync(join(folder, 'next'), join(folder, 'one'));
}

test('a tree of ours is removed: links as links, whatever they lead to', { skip }, (t) => {
  const folder = createFolder(t);
  mkdirSync(join(folder, 'kept', 'deep'), { recursive: true });
  writeFileSync(join(folder, 'kept', 'file'), '');
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'a', 'b', '\u00e4'), { recursive: true });
  writeFileSync(join(tree, 'a', 'b', '\u00e4', 'file'), '');
  symlinkSync(join(folder, 'kept'), join(tree, 'a', 'folder'));
  symlinkSync(join(folder, 'kept', 'file'), join(tree, 'a', 'file'));
  symlinkSync('nowhere', join(tree, 'dangling'));
  assert.equal(removeTree(tree), true);
  assert.equal(existsSync(tree), false);
  assert.deepEqual(readdirSync(join(folder, 'kept')).sort(), ['deep', 'file']);
  assert.equal(removeTree(tree), true, 'it is not there');
});

test('a tree too deep is left in part, a link for a tree whole, and nothing is thrown', {
  skip: process.platform !== 'linux',
}, (t) => {
  const folder = createFolder(t);
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, ...Array.from({ length: 100 }, () => 'd')), { recursive: true });
  symlinkSync(tree, join(folder, 'link'));
  assert.equal(removeTree(join(folder, 'link')), false);
  assert.equal(removeTree(tree), false);
  assert.ok(existsSync(tree));
});

test('a file for a moment in the folder of others: readable by all under every umask, then gone', {
  skip,
}, async (t) => {
  const folder = createFolder(t);
  const before = process.umask(0o077);
  try {
    const seen = await withFileForAll(folder, '.php', 'text', async (path) => {
      assert.equal(modeOf(path), 0o644);
      return readFileSync(path, 'utf8');
    });
    assert.equal(seen, 'text');
    await assert.rejects(
      withFileForAll(folder, '.php', '', async () => {
        throw new Error('ours');
      }),
      /ours/,
    );
  } finally {
    process.umask(before);
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('a link is made, and made to lead elsewhere; nothing else remains', { skip }, (t) => {
  const folder = createFolder(t);
  replaceLink(join(folder, 'current'), 'one');
  replaceLink(join(folder, 'current'), 'two');
  assert.equal(readlinkSync(join(folder, 'current')), 'two');
  mkdirSync(join(folder, 'real'));
  assert.throws(() => replaceLink(join(folder, 'real'), 'three'));
  assert.deepEqual(readdirSync(folder).sort(), ['current', 'real']);
});

test('a socket has its rights from the first moment, and the umask is back', { skip }, async (t) => {
  const folder = createFolder(t);
  const path = join(folder, 'a.sock');
  const before = process.umask(0);
  try {
    const server = createServer();
    t.after(() => server.close());
    listenWithRights(0o620, () => server.listen({ path }));
    assert.equal(modeOf(path), 0o620);
    assert.throws(() =>
      listenWithRights(0o600, () => {
        throw new Error('ours');
      }),
    );
    assert.equal(process.umask(), 0);
    setSocketRights(path, 0o660);
    assert.equal(modeOf(path), 0o660);
  } finally {
    process.umask(before);
  }
});

test('the rights of a socket are no way to those of another file', {
  skip: process.platform !== 'linux',
}, (t) => {
  const folder = createFolder(t);
  writeFileSync(join(folder, 'file'), '', { mode: 0o644 });
  symlinkSync('file', join(folder, 'link'));
  setSocketRights(join(folder, 'file'), 0o600);
  setSocketRights(join(folder, 'link'), 0o600);
  assert.equal(statSync(join(folder, 'file')).mode & 0o777, 0o644);
});

test('in a worker thread, which has no umask, a socket gets its rights all the same', { skip }, async (t) => {
  const path = join(createFolder(t), 'a.sock');
  const module = new URL('./private-files.ts', import.meta.url).href;
  const code = `
    const { createServer } = require('node:net');
    const { tsImport } = require(${JSON.stringify(fileURLToPath(import.meta.resolve('tsx/esm/api')))});
    tsImport(${JSON.stringify(module)}, ${JSON.stringify(import.meta.url)}).then(({ listenWithRights, setSocketRights }) => {
      const server = createServer();
      listenWithRights(0o660, () => server.listen(${JSON.stringify(path)}, () => {
        setSocketRights(${JSON.stringify(path)}, 0o660);
        require('node:worker_threads').parentPort.postMessage('listens');
      }));
    });`;
  const worker = new Worker(code, { eval: true });
  t.after(() => worker.terminate());
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  assert.equal(modeOf(path), 0o660);
});

test('a log of root: links of root are followed, links of others and second names are not', {
  skip: !isRoot || process.platform !== 'linux',
}, (t) => {
  const folder = createFolder(t);
  const append = (path: string) => {
    const descriptor = openForAppending(path, 0, 0o640);
    writeSync(descriptor, 'x');
    closeSync(descriptor);
  };
  mkdirSync(join(folder, 'logs'));
  symlinkSync('logs', join(folder, 'by-link'));
  append(join(folder, 'by-link', 'a.log'));
  append(join(folder, 'logs', 'a.log'));
  assert.equal(readFileSync(join(folder, 'logs', 'a.log'), 'utf8'), 'xx');
  append('/dev/null');
  mkdirSync(join(folder, 'theirs'));
  symlinkSync('../logs/a.log', join(folder, 'theirs', 'a.log'));
  symlinkSync('../logs', join(folder, 'theirs', 'logs'));
  append(join(folder, 'theirs', 'a.log'));
  for (const name of ['a.log', 'logs']) lchownSync(join(folder, 'theirs', name), stranger, stranger);
  assert.throws(() => append(join(folder, 'theirs', 'a.log')), /a\.log is a link of user 65534/);
  assert.throws(() => append(join(folder, 'theirs', 'logs', 'a.log')), /logs is a link of user 65534/);
  assert.throws(() => append(join(folder, 'theirs', 'logs', 'new.log')), { code: 'ELOOP' });
  linkSync(join(folder, 'logs', 'a.log'), join(folder, 'theirs', 'hard.log'));
  assert.throws(() => append(join(folder, 'theirs', 'hard.log')), /second name/);
  assert.equal(readFileSync(join(folder, 'logs', 'a.log'), 'utf8'), 'xxx');
  assert.deepEqual(readdirSync(join(folder, 'logs')), ['a.log']);
  assert.throws(() => append(join(folder, 'nowhere', 'a.log')), { code: 'ENOENT' });
});
