import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ResolvedConfig } from 'vite';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { createDevelopmentTest, createPreviewTest } from './requests.ts';

const root = createTestDirectory();
const isPrivate = (path: string) => path.includes('.php');

/** As much of Vite's configuration as is looked at. */
const vite = (base: string, proxy = {}) =>
  ({
    base,
    root,
    server: { proxy },
    preview: { proxy },
    build: { outDir: 'dist' },
  }) as unknown as ResolvedConfig;

test("in development what is private is never Vite's, whatever is asked of it", () => {
  const isOurs = createDevelopmentTest(vite('/'), isPrivate);
  for (const url of [
    '/a.php',
    '/@fs/srv/a.php',
    '/a.php?html-proxy&index=0.js',
    '/a.php?import',
    '/a.php?raw#?',
  ])
    assert.ok(isOurs(url), url);
  for (const url of ['/', '/src/main.ts?import', '/page?a.php', '/%zz']) assert.ok(!isOurs(url), url);
});

test("outside the base nothing is Vite's; what is proxied is neither's", () => {
  const isOurs = createDevelopmentTest(
    vite('/shop/', { '/api': 'http://127.0.0.1:1', '^/v\\d/': 'http://127.0.0.1:1' }),
    isPrivate,
  );
  for (const url of ['/', '/shop', '/page', '/shop/a.php', '/@vite/client']) assert.ok(isOurs(url), url);
  for (const url of ['/shop/', '/shop/page', '/shop/@vite/client', '/api/a.php', '/v2/a.php'])
    assert.ok(!isOurs(url), url);
});

test('in a preview everything but the files of the build', () => {
  mkdirSync(join(root, 'dist/assets'), { recursive: true });
  writeFileSync(join(root, 'dist/assets/a b.js'), '');
  writeFileSync(join(root, 'dist/copied.php'), '');
  writeFileSync(join(root, 'distant'), '');
  const isOurs = createPreviewTest(vite('/', { '/api': 'http://127.0.0.1:1' }), isPrivate);
  assert.ok(!isOurs('/assets/a%20b.js?v=1'));
  assert.ok(!isOurs('/api/x'));
  for (const url of [
    '/',
    '/assets',
    '/assets/c.js',
    '/copied.php',
    '/../distant',
    '/%2e%2e/distant',
    '/%00',
    '/assets/a%20b.js/x',
  ])
    assert.ok(isOurs(url), url);
});
