import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { findDistrust, findImportedFiles } from './trust.ts';

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'fastway-test-')));
after(() => rmSync(directory, { recursive: true }));

function write(name: string, text = ''): string {
  const file = join(directory, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, 0o644);
  return file;
}

// Folders above belong to root, or to whoever runs the tests: only below them the modes are ours to choose.
const own = process.getuid!();
const distrustOf = (file: string) =>
  findDistrust(file, own)
    ?.replace(`${directory}/`, '')
    .replace(/^\/ .*/, 'the root folder is not ours');
const nothing = own === 0 ? undefined : 'the root folder is not ours';

test('the file, and every folder above it, may be written by nobody else', () => {
  const file = write('site/config/a.json');
  assert.equal(distrustOf(file), nothing);
  if (own !== 0) return;
  chmodSync(file, 0o646);
  assert.equal(distrustOf(file), 'site/config/a.json can be written by everybody');
  chmodSync(file, 0o600);
  chmodSync(join(directory, 'site'), 0o777);
  assert.equal(distrustOf(file), 'site can be written by everybody');
  chmodSync(join(directory, 'site'), 0o1777);
  assert.equal(distrustOf(file), undefined);
});

test('who is not trusted owns nothing on the way', () => {
  const file = write('own.json');
  assert.equal(findDistrust(file, own + 1), `/ belongs to user 0`);
});

test('links are followed one by one, and a loop ends', () => {
  const file = write('real/a.json');
  symlinkSync('../real/../real/a.json', join(dirname(write('links/x')), 'a.json'));
  assert.equal(distrustOf(join(directory, 'links/a.json')), nothing);
  symlinkSync(join(directory, 'loop'), join(directory, 'loop'));
  assert.doesNotThrow(() => findDistrust(join(directory, 'loop'), own));
  if (own !== 0) return;
  chmodSync(dirname(file), 0o777);
  assert.equal(distrustOf(join(directory, 'links/a.json')), 'real can be written by everybody');
});

test('nothing there, nothing to distrust', () => {
  assert.equal(distrustOf(join(directory, 'none/at/all.json')), nothing);
});

test('what a module imports: by paths, on and on; of a package its folder', () => {
  const pack = dirname(write('code/node_modules/@a/pack/index.js'));
  const deep = write('code/deep.cjs', "require('./config.mjs')");
  const typed = write('code/lib/typed.ts', "export * from '../deep.cjs';");
  const config = write(
    'code/config.mjs',
    `import fs from 'node:fs'; import x from "./lib/typed.js"; import('@a/pack/sub.js'); import 'none';`,
  );
  assert.deepEqual([...findImportedFiles(config)].sort(), [config, deep, typed, pack].sort());
  assert.deepEqual(findImportedFiles(write('data.json', '{"a": "import \'./config.mjs\'"}')), [
    join(directory, 'data.json'),
  ]);
});
