/** Presets are checked by what they do: each rule's match is asked about real paths. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Match } from '../http/match.ts';
import { recogniseSite } from './framework.ts';
import { parseConfig } from './parse.ts';
import type { PresetName } from './types.ts';

/** What a preset does with a path, over a set of files that exist. A reading of matches of our own. */
function decide(
  preset: PresetName,
  path: string,
  files: readonly string[] = [],
  scripts = ['/index.php'],
): string {
  const all = new Set([...scripts, ...files]);
  const config = parseConfig(
    {
      sources: { php: { php: 'auto' }, app: { address: 'unix:/a' } },
      virtualServers: [{ documentRoot: '/r', preset, source: 'app' }],
    },
    {
      directory: '/',
      kindOf: (name) => (name === '/r' ? 'directory' : all.has(name.slice(2)) ? 'file' : undefined),
    },
  );
  const rule = config.virtualServers[0]!.rules.find(({ match }) => holds(match, path, all));
  const { handler } = rule!;
  switch (handler.type) {
    case 'fastcgi':
      return `run${handler.checkFile ? '' : ' unchecked'} at ${handler.balancer.sources[0]!.source}`;
    case 'redirect':
      return `${handler.internal ? 'rewrite' : 'redirect'} to ${handler.to}`;
    case 'error':
      return String(handler.status);
    default:
      return handler.type;
  }
}

function holds(match: Match, path: string, files: ReadonlySet<string>): boolean {
  switch (match.kind) {
    case 'and':
      return match.parts.every((part) => holds(part, path, files));
    case 'or':
      return match.parts.some((part) => holds(part, path, files));
    case 'not':
      return !holds(match.part, path, files);
    case 'directory':
      return path === match.directory || path.startsWith(`${match.directory}/`);
    case 'extensions':
      return path
        .split('/')
        .some((part) => match.extensions.some((extension) => part.endsWith(`.${extension}`)));
    case 'path':
      return match.path === path;
    case 'request':
      return match.expression.test(path);
    case 'found':
      return isPartThere(path, match.expression.exec(path), files);
    case 'script': {
      const expression = new RegExp(`\\.(?:${match.extensions.join('|')})(?=/|$)`);
      return isPartThere(path, expression.exec(path), files);
    }
    case 'servable':
      return files.has(path) || files.has(path.replace(/\/?$/, '/index.php'));
    case 'nearest':
      return path
        .split('/')
        .some((_, end, parts) => files.has(`${parts.slice(0, end).join('/')}/${match.name}`));
    case 'exists':
      return match.names === undefined
        ? files.has(path) || [...files].some((file) => file.startsWith(path.replace(/\/?$/, '/')))
        : match.names.some((name) => files.has(name));
    default:
      assert.fail(`No preset asks for ${match.kind}`);
  }
}

function isPartThere(path: string, found: RegExpExecArray | null, files: ReadonlySet<string>): boolean {
  if (found === null) return false;
  const part = path.slice(0, found.index + found[0].length);
  return files.has(part) || [...files].some((file) => file.startsWith(`${part}/`));
}

test('php: files, scripts, the front controller, and what is never sent', () => {
  const files = ['/a.css', '/robots.txt'];
  assert.equal(decide('php', '/a.css', files), 'files');
  assert.equal(decide('php', '/', files), 'files');
  assert.equal(decide('php', '/index.php'), 'run at app');
  assert.equal(decide('php', '/missing.php'), 'rewrite to $nearest');
  assert.equal(decide('php', '/project/blob/contact.php'), 'rewrite to $nearest');
  assert.equal(decide('php', '/folder', ['/folder/a.css']), 'rewrite to $nearest');
  assert.equal(decide('php', '/index.php/info'), 'run at app');
  assert.equal(decide('php', '/blog/post-1'), 'rewrite to $nearest');
  assert.equal(decide('php', '/.well-known/acme-challenge/x'), 'rewrite to $nearest');
  for (const path of [
    '/.env',
    '/.git/config',
    '/a/.htaccess',
    '/vendor/autoload.php',
    '/sub/vendor/autoload.php',
    '/.index.php.swp',
  ]) {
    assert.equal(decide('php', path, [path]), '404', path);
    assert.equal(decide('php', `${path}/info.php`, [path]), '404', path);
  }
  // The files handler does not send these: handler/find-file.ts.
  for (const path of [
    '/composer.json',
    '/index.php~',
    '/config.php.bak',
    '/dump.sql',
    '/fastway.config.json',
  ])
    assert.equal(decide('php', path, [path]), 'files', path);
  // R1: what is not there is the application's.
  for (const path of ['/tag/.net', '/t/report.old', '/wiki/Dump.sql', '/repo/tree/.gitignore', '/vendor/x'])
    assert.equal(decide('php', path), 'rewrite to $nearest', path);
});

test('php without a front controller: what does not exist is for the files handler, which says 404', () => {
  assert.equal(decide('php', '/blog/post-1', ['/a.css'], []), 'files');
});

test('wordpress and drupal: uploads never run', () => {
  assert.equal(
    decide('wordpress', '/wp-content/uploads/2026/x.php', ['/wp-content/uploads/2026/x.php']),
    '403',
  );
  assert.equal(
    decide('wordpress', '/wp-content/uploads/2026/x.php/a.jpg', ['/wp-content/uploads/2026/x.php']),
    '403',
  );
  assert.equal(decide('wordpress', '/wp-content/uploads/x.jpg', ['/wp-content/uploads/x.jpg']), 'files');
  assert.equal(
    decide('wordpress', '/wp-content/plugins/a/vendor/a.js', ['/wp-content/plugins/a/vendor/a.js']),
    'files',
  );
  assert.equal(decide('wordpress', '/wp-login.php', ['/wp-login.php']), 'run at app');
  assert.equal(decide('wordpress', '/2026/11/hello/'), 'rewrite to $nearest');
  assert.equal(decide('wordpress', '/hello'), 'rewrite to $nearest');
  assert.equal(decide('wordpress', '/blog/wp-admin/images/none.png'), 'rewrite to /$1index.php');
  assert.equal(decide('drupal', '/sites/default/files/x.php', ['/sites/default/files/x.php']), '403');
  assert.equal(decide('drupal', '/sites/default/private/x.txt', ['/sites/default/private/x.txt']), '404');
  assert.equal(decide('drupal', '/core/core.services.yml', ['/core/core.services.yml']), '404');
  assert.equal(decide('drupal', '/node/1'), 'rewrite to $nearest');
});

test('laravel and symfony: only the front controller runs', () => {
  for (const preset of ['laravel', 'symfony'] as const) {
    assert.equal(decide(preset, '/index.php'), 'run at app');
    assert.equal(decide(preset, '/index.php/users'), 'run at app');
    assert.equal(decide(preset, '/shell.php', ['/shell.php']), '404');
    assert.equal(decide(preset, '/vendor/telescope/app.js', ['/vendor/telescope/app.js']), 'files');
    assert.equal(decide(preset, '/users'), 'rewrite to /index.php');
  }
  const options = { directory: '/r', kindOf: () => 'directory' as const };
  const symlinks = (preset: PresetName) =>
    parseConfig({ virtualServers: [{ documentRoot: '.', preset }] }, options).virtualServers[0]!.symlinks;
  assert.equal(symlinks('laravel'), 'owner');
  assert.equal(symlinks('symfony'), 'trusted');
});

test('django and rails: the application has every path but the files', () => {
  assert.equal(decide('django', '/static/a.css', ['/static/a.css']), 'files');
  assert.equal(decide('django', '/static/missing.css'), 'run unchecked at app');
  assert.equal(decide('django', '/settings.py', ['/settings.py']), 'run unchecked at app');
  assert.equal(decide('rails', '/'), 'run unchecked at app');
  assert.equal(decide('rails', '/robots.txt', ['/robots.txt']), 'files');
  assert.equal(decide('rails', '/posts/1'), 'run unchecked at app');
});

test('frameworks are recognised by files that only they have', () => {
  const recognise = (...files: string[]) => recogniseSite((path) => files.includes(path));
  assert.deepEqual(recognise('index.php'), { documentRoot: '', preset: 'php', reason: undefined });
  assert.deepEqual(recognise('artisan', 'composer.json', 'public/index.php'), {
    documentRoot: 'public',
    preset: 'laravel',
    reason: 'Laravel, recognised by artisan',
  });
  assert.equal(recognise('bin/console', 'composer.json', 'public/index.php').preset, 'symfony');
  assert.equal(recognise('wp-load.php', 'index.php').preset, 'wordpress');
  assert.equal(recognise('web/core/lib/Drupal.php', 'web/index.php').documentRoot, 'web');
  assert.equal(recognise('bin/cake', 'webroot/index.php').documentRoot, 'webroot');
  assert.equal(recognise('composer.json', 'public/index.php').documentRoot, 'public');
  assert.equal(recognise('composer.json', 'index.php').documentRoot, '');
});
