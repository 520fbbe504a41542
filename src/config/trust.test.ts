import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { findImportedFiles } from './trust.ts';

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'fastway-test-')));
after(() => rmSync(directory, { recursive: true }));

function write(name: string, text = ''): string {
  const file = join(directory, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, 0o644);
  return file;
}

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
