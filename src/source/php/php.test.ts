import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { silentLog } from '../../base/log.ts';
import { createPhpSource } from './php.ts';
import { printIni } from './php-ini.ts';
import { findPhp, machineSearch } from './php-search.ts';

/** A folder of programs that answer `-v` like PHP does. */
function makePrograms(t: TestContext, programs: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'fastway-php-'));
  t.after(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  for (const [name, answer] of Object.entries(programs))
    writeFileSync(join(folder, name), `#!/bin/sh\necho '${answer}'\n`, { mode: 0o755 });
  return folder;
}

const fpm = (version: string) => `PHP ${version} (fpm-fcgi) (built: Mar  1 2026 10:00:00)`;
const cgi = (version: string) => `PHP ${version} (cgi-fcgi) (built: Mar  1 2026 10:00:00)`;
const withEmbedded = (version = '8.4') => ({ version, loader: '/loader.js', universal: '/universal.js' });
const withoutEmbedded = () => undefined;

test('auto takes php-fpm before php-cgi, and of several versions the newest', (t) => {
  const path = makePrograms(t, {
    'php-cgi': cgi('8.9.1'),
    'php-fpm7.4': fpm('7.4.33'),
    'php-fpm8.4': fpm('8.4.2'),
    'php8.10-fpm': fpm('8.10.0'),
    'php-fpm8.9-notes': 'no PHP',
  });
  assert.deepEqual(findPhp('auto', { path, embedded: withEmbedded }), {
    kind: 'fpm',
    path: join(path, 'php8.10-fpm'),
    version: '8.10',
  });
  assert.equal(findPhp('cgi', { path, embedded: withEmbedded }).kind, 'cgi');
});

test('the source says which PHP it is, and why', (t) => {
  const cgiOnly = makePrograms(t, {
    php: 'PHP 8.2.36 (cli) (built: Mar  1 2026 10:00:00)',
    'php-cgi': cgi('8.2.36'),
  });
  const both = makePrograms(t, { 'php-cgi': cgi('8.2.36'), 'php-fpm8.2': fpm('8.2.36') });
  const describe = (php: string, path: string) =>
    createPhpSource({
      name: 'php',
      php,
      workers: 2,
      user: process.getuid?.() === 0 ? 'root' : undefined,
      search: { path, embedded: withEmbedded },
      log: silentLog,
      clock: new ManualClock(),
      random: () => 0,
    })
      .describe()
      .replace(' as root', '');
  const embedded = 'the embedded PHP 8.4 (WebAssembly) with up to 2 workers, because';
  assert.equal(describe('auto', '/nowhere'), `${embedded} no php-fpm or php-cgi was found`);
  assert.equal(describe('embedded', both), `${embedded} it was asked for`);
  assert.equal(
    describe('auto', cgiOnly),
    `php-cgi 8.2 with 2 workers, because no php-fpm was found, only ${cgiOnly}/php-cgi`,
  );
  assert.equal(
    describe('cgi', both),
    `php-cgi 8.2 with 2 workers, because it was asked for, at ${both}/php-cgi`,
  );
  const fpmPath = join(both, 'php-fpm8.2');
  assert.equal(describe('auto', both), `php-fpm 8.2 with 2 workers, because it was found at ${fpmPath}`);
  assert.equal(describe(fpmPath, ''), `php-fpm 8.2 with 2 workers, because it was asked for, at ${fpmPath}`);
});

test('nothing at all: one sentence with what to install', (t) => {
  const path = makePrograms(t, {});
  const search = { path, embedded: withoutEmbedded };
  assert.throws(() => findPhp('auto', search), {
    code: 'GW_ERR_SOURCE_NO_INTERPRETER',
    message:
      'There is no php-fpm and no php-cgi on this machine, and the embedded PHP is not installed; install one of them: apt install php-fpm, or npm install @php-wasm/node-8-4@3.1.54',
  });
  assert.throws(
    () => findPhp('fpm', search),
    /There is no php-fpm in .*; install it \(apt install php-fpm\)/,
  );
  assert.throws(() => findPhp('embedded', search), /run npm install @php-wasm/);
});

test('a path is taken for what it says it is', (t) => {
  const folder = makePrograms(t, { one: cgi('8.3.1'), two: 'something else' });
  const search = { path: '', embedded: withEmbedded };
  assert.deepEqual(findPhp(join(folder, 'one'), search), {
    kind: 'cgi',
    path: join(folder, 'one'),
    version: '8.3',
  });
  assert.throws(() => findPhp(join(folder, 'two'), search), /two is no php-fpm and no php-cgi/);
  assert.throws(() => findPhp(join(folder, 'three'), search), /There is no program at .*three/);
});

test('php.ini directives: words and constants plain, all else quoted, no line added', () => {
  assert.equal(
    printIni({
      memory_limit: '256M',
      'session.save_path': '/var/lib/php sessions',
      error_reporting: 'E_ALL & ~E_DEPRECATED & ~E_STRICT',
      display_errors: 'On',
      'date.timezone': 'Europe/Berlin',
      sendmail_path: '/usr/bin/msmtp -t "a" $b \\ c\nextension=evil',
      open_basedir: '',
    }),
    [
      'memory_limit=256M',
      'session.save_path="/var/lib/php sessions"',
      'error_reporting=E_ALL & ~E_DEPRECATED & ~E_STRICT',
      'display_errors=On',
      'date.timezone=Europe/Berlin',
      'sendmail_path="/usr/bin/msmtp -t \\"a\\" \\$b \\\\ c extension=evil"',
      'open_basedir=',
      '',
    ].join('\n'),
  );
});

test('a version takes php-fpm, php-cgi, then the embedded PHP of that version', (t) => {
  const path = makePrograms(t, {
    'php-fpm8.2': fpm('8.2.1'),
    'php-fpm8.4': fpm('8.4.2'),
    'php-cgi8.1': cgi('8.1.3'),
  });
  const search = {
    path,
    embedded: (version?: string) => (version === '8.3' ? withEmbedded('8.3') : undefined),
  };
  assert.deepEqual(findPhp('8.2', search), { kind: 'fpm', path: join(path, 'php-fpm8.2'), version: '8.2' });
  assert.deepEqual(findPhp('8.1', search), { kind: 'cgi', path: join(path, 'php-cgi8.1'), version: '8.1' });
  assert.equal(findPhp('8.3', search).version, '8.3');
  assert.throws(
    () => findPhp('7.4', search),
    /^SourceError: There is no php-fpm and no php-cgi 7\.4 on this machine, and no embedded PHP 7\.4; install it \(apt install php7\.4-fpm, or npm install @php-wasm\/node-7-4@3\.1\.\d+\), or use "php": "auto"$/,
  );
  assert.throws(() => findPhp('9.1', search), /install it \(apt install php9\.1-fpm\), or use/);
});

test('the embedded PHP is found in the project before beside us, the newest of several', (t) => {
  const project = mkdtempSync(join(tmpdir(), 'fastway-project-'));
  t.after(() => rmSync(project, { recursive: true }));
  const install = (name: string) => {
    const folder = join(project, 'node_modules/@php-wasm', name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'package.json'),
      '{ "type": "module", "exports": { "require": "./index.cjs" } }',
    );
    writeFileSync(join(folder, 'index.cjs'), '');
    return join(folder, 'index.js');
  };
  const [older, newer, universal] = ['node-8-1', 'node-8-5', 'universal'].map(install) as [
    string,
    string,
    string,
  ];
  mkdirSync(join(project, 'public'));
  const { embedded } = machineSearch('', ['/nowhere', join(project, 'public')]);
  assert.deepEqual(embedded(), { version: '8.5', loader: newer, universal });
  assert.deepEqual(embedded('8.1'), { version: '8.1', loader: older, universal });
  assert.equal(embedded('8.0'), undefined);
  // Ours, for development.
  assert.equal(machineSearch('').embedded('8.4')?.version, '8.4');
});
