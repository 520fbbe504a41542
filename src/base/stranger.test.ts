import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findStranger } from './stranger.ts';

const skip = process.platform === 'win32';
const isRoot = process.getuid?.() === 0;
const other = 65_534;

/** A folder of ours, and a function that makes a file below it. */
function createFolder(t: TestContext) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'stranger-')));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string) => {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '');
    chmodSync(file, 0o644);
    return file;
  };
  return { folder, write };
}

test('a file, and every folder above it, may be written by nobody else', { skip }, (t) => {
  const { folder, write } = createFolder(t);
  const file = write('site/a.json');
  const site = dirname(file);
  assert.equal(findStranger(file), undefined);
  chmodSync(file, 0o646);
  assert.equal(findStranger(file), `${file} can be written by everybody`);
  chmodSync(file, 0o600);
  chmodSync(site, 0o777);
  assert.equal(findStranger(file), `${site} can be written by everybody`);
  assert.equal(findStranger(site), `${site} can be written by everybody`, 'a folder itself');
  chmodSync(site, 0o1777);
  assert.equal(findStranger(file), undefined, 'as /tmp');
  chmodSync(site, 0o755);
  assert.equal(findStranger(join(folder, 'none/at/all')), undefined, 'nothing there');
});

test('a group may not write either, but for that of root', { skip: !isRoot }, (t) => {
  const { folder, write } = createFolder(t);
  const file = write('a.json');
  chmodSync(folder, 0o770);
  assert.equal(findStranger(file), undefined);
  chownSync(folder, 0, other);
  chmodSync(folder, 0o770);
  assert.equal(findStranger(file), `${folder} can be written by group ${other}`);
});

test('a file, or a folder above it, of another user', { skip: !isRoot }, (t) => {
  const { folder, write } = createFolder(t);
  const file = write('below/a.json');
  chownSync(file, other, other);
  assert.equal(findStranger(file), `${file} belongs to user ${other}`);
  assert.equal(findStranger(file, [0, other]), undefined, 'who is trusted');
  chownSync(folder, other, other);
  assert.equal(findStranger(file), `${folder} belongs to user ${other}`);
  assert.equal(findStranger(file, [other]), '/ belongs to user 0');
});

test('links are followed one by one, and a loop ends', { skip }, (t) => {
  const { folder, write } = createFolder(t);
  const file = write('real/a.json');
  const link = join(dirname(write('links/x')), 'a.json');
  symlinkSync('../real/../real/a.json', link);
  assert.equal(findStranger(link), undefined);
  symlinkSync(join(folder, 'loop'), join(folder, 'loop'));
  assert.doesNotThrow(() => findStranger(join(folder, 'loop')));
  chmodSync(dirname(file), 0o777);
  assert.equal(findStranger(link), `${dirname(file)} can be written by everybody`);
});
