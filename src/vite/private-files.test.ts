import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { resolveConfig } from '../config/load.ts';
import { createPrivateTest } from './private-files.ts';

const root = createTestDirectory();
const config = await resolveConfig(
  {
    sources: { perl: { address: 'tcp://127.0.0.1:1' } },
    virtualServers: [
      {
        documentRoot: root,
        rules: [{ match: { extensions: 'pl' }, handler: { type: 'fastcgi', source: 'perl' } }],
      },
    ],
  },
  root,
);
const isPrivate = await createPrivateTest(config);

test('a script is private in whatever folder, and however it is spelt', () => {
  for (const path of [
    '/a.php',
    '/A.PHP',
    '/b.pl/path',
    '/%61.ph%70',
    '/a%252Ephp',
    '/a%25252Ephp',
    '/sub/c.phtml',
    '/a.php/',
    '/a.php.',
    '/a.php%20',
    '/a.php%00.js',
    '/a.php.map',
    '/a.php~',
    '/a.php_',
    '/%zz/..%2fa%2ephp',
    '/sub%5ca.php',
    '/@fs/srv/a.php',
    '/@id/__x00__/srv/a.php',
    '/lib/a.inc',
    '/artisan',
    '/bin/console',
    '/vendor/bin/tool',
  ])
    assert.ok(isPrivate(path), path);
});

test('so is what only its owner should see', () => {
  for (const path of [
    '/.env',
    '/sub/%2eenv.local',
    '/.env/',
    '/.git/config',
    '/composer.json',
    '/COMPOSER.LOCK',
    '/@fs/srv/key.pem',
    '/src/a.ts~',
    '/data.sqlite-wal',
    '/dump.sql.gz',
    '/vendor/composer/installed.json',
  ])
    assert.ok(isPrivate(path), path);
});

test('modules and pages are not', () => {
  for (const path of [
    '/',
    '/page',
    '/php',
    '/src/main.ts',
    '/src/style.module.css',
    '/src/composer.ts',
    '/@vite/client',
    '/@id/__x00__virtual:a',
    '/@fs/srv/src/main.ts',
    '/node_modules/.vite/deps/a.js',
    '/node_modules/.pnpm/a@1/a.js',
    '/vendor/package/widget.js',
    '/package.json',
    '/%zz',
  ])
    assert.ok(!isPrivate(path), path);
});
