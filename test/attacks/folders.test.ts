/**
 * A hostile client that wants what a site keeps for itself: the private pages, settings and includes of applications in the folder
 * that is served, as their packages lay them out, over HTTP.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { RuleInput } from '../../src/config/types.ts';
import { type GatewayProcess, runFastway } from '../support/gateway-process.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { createGatewayStarter, writeSite } from '../support/site.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const start = createGatewayStarter();

const secret = 'SECRET-OF-THE-SITE';
const page = 'A-PAGE-FOR-ALL';
const run = "<?php echo 'RAN';";

/** A folder as `fastway FOLDER` serves it. */
const preset = (root: string): Promise<GatewayProcess> =>
  start({
    sources: { php: { php: 'cgi', workers: 1 } },
    virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
  });

async function ask(gateway: GatewayProcess, target: string, method = 'GET', fields = '') {
  const { responses } = await exchangeRaw(
    gateway.port,
    `${method} ${target} HTTP/1.1\r\nHost: a\r\n${fields}Connection: close\r\n\r\n`,
  );
  return responses[0]!;
}

/** Refused by each way that a client has to ask. */
async function assertHidden(gateway: GatewayProcess, path: string): Promise<void> {
  const last = path.lastIndexOf('/') + 1;
  const encoded =
    path.slice(0, last) + path.slice(last).replace(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  const ways: readonly (readonly [string, string?, string?])[] = [
    [path],
    [path, 'HEAD'],
    [path, 'POST', 'Content-Length: 0\r\n'],
    [path, 'GET', 'Range: bytes=0-3\r\n'],
    [path, 'GET', 'If-None-Match: *\r\n'],
    [path, 'GET', 'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n'],
    [path, 'GET', 'Accept-Encoding: gzip, br\r\n'],
    [encoded],
    [`/.${path}`],
    [`/x/..${path}`],
    [`/${path}`],
    [`${path}?a=b`],
    [`${path}/`],
    [`${path}/x`],
    [`${path}/x.php`],
    [path.replace(/\/(?=[^/]*$)/, '%2f')],
    [path.toUpperCase()],
    [`http://a${path}`],
  ];
  for (const way of ways) {
    const { status, body } = await ask(gateway, ...way);
    assert.ok(!body.includes(secret) && !body.includes('RAN'), `${way.join(' ')}: ${status} ${body}`);
    if (way[0] === path && way[1] !== 'POST') assert.equal(status, 404, way.join(' '));
  }
}

const denied = {
  both: '<IfModule mod_authz_core.c>\n    Require all denied\n</IfModule>\n<IfModule !mod_authz_core.c>\n    Order allow,deny\n    Deny from all\n</IfModule>\n',
  windows: '# keep out\r\nORDER Deny,Allow\r\ndeny \\\r\n  from all\r\n',
  files: '<FilesMatch ".*">\nRequire all denied\n</FilesMatch>\n',
  password: 'AuthType Basic\nAuthName x\nAuthUserFile /etc/x\nRequire valid-user\n',
};

it('S39: a folder whose .htaccess denies everything, and all below it', async () => {
  const root = writeSite({ 'index.html': page, 'a/open.txt': page });
  for (const [name, text] of Object.entries(denied))
    writeSite(
      {
        [`${name}/.htaccess`]: text,
        [`${name}/page.txt`]: secret,
        [`${name}/index.html`]: secret,
        [`${name}/run.php`]: run,
        [`${name}/deep/er/page.txt`]: secret,
        [`${name}/deep/er/page.txt.gz`]: secret,
        [`${name}/open/.htaccess`]: 'Order allow,deny\nAllow from all\nRequire all granted\n',
        [`${name}/open/page.txt`]: page,
      },
      root,
    );
  symlinkSync('both/page.txt', join(root, 'link.txt'));
  symlinkSync('both/deep', join(root, 'linked'));
  writeSite(
    {
      'some/.htaccess': '<Files *.inc.txt>\nDeny from all\n</Files>\n',
      'some/a.txt': page,
      'some/a.inc.txt': secret,
    },
    root,
  );
  const gateway = await preset(root);
  for (const name of Object.keys(denied)) {
    for (const path of ['page.txt', 'run.php', 'deep/er/page.txt', 'index.html', ''])
      await assertHidden(gateway, `/${name}/${path}`);
    assert.equal((await ask(gateway, `/${name}`)).status, 404, name);
    assert.equal((await ask(gateway, `/${name}/nothing.txt`)).status, 404);
    const { body } = await ask(gateway, `/${name}/open/page.txt`);
    // By a section for names, which counts after all folders.
    if (name === 'files') assert.ok(!body.includes(page));
    else assert.equal(body, page, name);
  }
  for (const path of ['/link.txt', '/linked/er/page.txt', '/some/a.inc.txt'])
    await assertHidden(gateway, path);
  for (const path of ['/', '/a/open.txt', '/some/a.txt'])
    assert.equal((await ask(gateway, path)).body, page, path);
});

it('S39: what is not on disk is the application’s, also below such a folder', async () => {
  const root = writeSite({
    'index.php': '<?php echo "APPLICATION ", $_SERVER["REQUEST_URI"];',
    'data/.htaccess': denied.both,
    'data/page.txt': secret,
    'data/index.php': run,
  });
  const gateway = await preset(root);
  for (const path of ['/data/page', '/data/x/page.txt', '/data/other.php', '/conf/a', '/vendor/b', '/id_rsa'])
    assert.equal((await ask(gateway, path)).body, `APPLICATION ${path}`);
  for (const path of ['/data/page.txt', '/data/', '/data', '/data/index.php', '/data/index.php/x'])
    assert.equal((await ask(gateway, path)).status, 404, path);
});

it('S39: a .htaccess that cannot be read, is no file or is too much closes its folder, and stops nobody', async () => {
  const root = writeSite({ 'index.html': page });
  const names = [
    'huge',
    'binary',
    'fifo',
    'loop',
    'dangling',
    'folder',
    'device',
    'unclosed',
    'slow',
    'unreadable',
  ];
  for (const name of names) writeSite({ [`${name}/page.txt`]: secret, [`${name}/run.php`]: run }, root);
  const at = (name: string) => join(root, name, '.htaccess');
  writeFileSync(at('huge'), '# nothing\n'.repeat(100_000));
  writeFileSync(at('binary'), Buffer.from([0, 1, 2, 255, 10, 0]));
  execFileSync('mkfifo', [at('fifo')]);
  symlinkSync('.htaccess', at('loop'));
  symlinkSync('nowhere', at('dangling'));
  mkdirSync(at('folder'));
  symlinkSync('/dev/zero', at('device'));
  writeFileSync(at('unclosed'), '<IfModule x>\n');
  writeFileSync(
    at('slow'),
    `<FilesMatch "${'(a|aa)+'.repeat(300)}$">\nDeny from all\n</FilesMatch>\n`.repeat(40),
  );
  writeFileSync(at('unreadable'), '');
  chmodSync(at('unreadable'), 0);
  writeSite({ 'null/page.txt': page, 'empty/page.txt': page, 'empty/.htaccess': '' }, root);
  symlinkSync('/dev/null', at('null'));
  const gateway = await preset(root);
  // Root reads everything.
  for (const name of names.filter((one) => one !== 'unreadable' || process.getuid?.() !== 0)) {
    assert.equal((await ask(gateway, `/${name}/page.txt`)).status, 404, name);
    assert.equal((await ask(gateway, `/${name}/run.php`)).status, 404, name);
  }
  for (const path of ['/', '/null/page.txt', '/empty/page.txt'])
    assert.equal((await ask(gateway, path)).body, page, path);
});

it('S39: a .htaccess that comes, changes or goes counts within two seconds', async () => {
  const root = writeSite({ 'a/page.txt': page });
  const gateway = await preset(root);
  const becomes = (status: number) =>
    until(async () => (await ask(gateway, '/a/page.txt')).status === status, `status ${status}`);
  const file = join(root, 'a/.htaccess');
  await becomes(200);
  writeFileSync(file, 'Deny from all\n');
  await becomes(404);
  const old = new Date(1_000_000_000_000);
  utimesSync(file, old, old);
  writeFileSync(file, 'Allow from all');
  utimesSync(file, old, old);
  await becomes(200);
  writeFileSync(file, 'Require all denied');
  await becomes(404);
  rmSync(file);
  await becomes(200);
});

const layouts: Readonly<Record<string, { signs: readonly string[]; kept: readonly string[]; sent: readonly string[] }>> = {
  DokuWiki: {
    signs: ['doku.php', 'inc/init.php'],
    kept: ['data/pages/private.txt', 'data/media/a.png', 'conf/users.auth.php', 'conf/local.conf', 'bin/x.php', 'inc/lang/a.txt', 'inc/io.php', 'vendor/a/b.txt'],
    sent: ['lib/tpl/a.css', 'lib/images/a.png', 'README'],
  },
  MediaWiki: {
    signs: ['load.php', 'includes/WebStart.php'],
    kept: ['includes/a.txt', 'includes/Foo.php', 'languages/i18n/en.json', 'maintenance/update.php', 'cache/l10n.cdb', 'vendor/x.json', 'images/deleted/a.png', 'images/a/shell.php', 'LocalSettings.php'],
    sent: ['resources/a.js', 'skins/Vector/a.css', 'images/a/b.png', 'extensions/A/modules/a.js'],
  },
  Roundcube: {
    signs: ['index.php', 'program/include/iniset.php'],
    kept: ['config/config.inc.php', 'config/mimetypes.txt', 'config/config.inc.php.sample', 'logs/errors', 'temp/a.txt', 'SQL/mysql.initial.txt', 'bin/update.sh.txt', 'program/lib/a.txt', 'program/localization/de_DE/a.txt', 'plugins/x/config.inc.php'],
    sent: ['skins/elastic/a.css', 'program/js/app.js', 'program/resources/a.html', 'plugins/x/x.js'],
  },
  WordPress: {
    signs: ['wp-load.php', 'wp-includes/version.php'],
    kept: ['wp-config.php', 'wp-content/uploads/2026/shell.php', 'wp-content/uploads/2026/shell.PHTML', 'wp-content/debug.log', 'wp-content/updraft/a.zip'],
    sent: ['wp-content/uploads/2026/a.jpg', 'wp-content/themes/a/style.css', 'wp-includes/js/a.js'],
  },
  Drupal: {
    signs: ['index.php', 'core/lib/Drupal.php'],
    kept: ['sites/default/settings.php', 'sites/default/private/a.txt', 'sites/default/files/x.php', 'core/core.services.yml', 'modules/a/a.module', 'vendor/a/b.txt', 'autoload.php', 'core/lib/x.php', 'modules/a/run.php', 'profiles/a/a.profile', 'themes/a/a.html.twig'],
    sent: ['sites/default/files/a.jpg', 'core/misc/drupal.js', 'modules/a/a.css', 'profiles/a/a.js'],
  },
  'Drupal 7': {
    signs: ['includes/bootstrap.inc', 'modules/system/system.module'],
    kept: ['sites/default/settings.php', 'includes/a.txt', 'scripts/a.txt', 'modules/a/a.tpl.php', 'profiles/a/a.info', 'themes/a/a.make'],
    sent: ['misc/jquery.js', 'modules/a/a.css', 'themes/a/logo.png'],
  },
  Grav: {
    signs: ['bin/grav', 'system/defines.php'],
    kept: ['user/accounts/admin.yaml', 'user/pages/01.home/default.md', 'user/data/a.json', 'user/config/system.yaml', 'user/plugins/a/a.php', 'cache/a.txt', 'logs/grav.log', 'backup/a.zip'],
    sent: ['user/pages/01.home/a.jpg', 'user/accounts/avatars/a.png', 'user/themes/a/theme.json', 'user/themes/a/css/a.css', 'system/assets/a.js', 'images/a.jpg'],
  },
  Matomo: {
    signs: ['matomo.php', 'core/Piwik.php'],
    kept: ['config/config.ini.txt', 'tmp/a.txt', 'core/a.php', 'lang/en.json', 'plugins/A/a.php', 'plugins/A/a.twig', 'libs/a.php', 'vendor/a/a.php'],
    sent: ['plugins/A/a.css', 'plugins/A/vue/dist/A.umd.min.js', 'libs/a.js', 'vendor/a/a.js', 'js/tracker.js'],
  },
  TYPO3: {
    signs: ['typo3conf/LocalConfiguration.php', 'index.php'],
    kept: ['typo3conf/ext/a/Resources/Private/a.html', 'typo3/sysext/core/Configuration/a.txt', 'fileadmin/_temp_/a.txt', 'fileadmin/user_upload/_recycler_/a.jpg', 'fileadmin/shell.php', 'typo3temp/var/log/a.txt', 'vendor/a/b.txt'],
    sent: ['typo3conf/ext/a/Resources/Public/a.css', 'typo3/sysext/core/Resources/Public/a.js', 'fileadmin/a.jpg', 'typo3temp/assets/a.css'],
  },
  Joomla: {
    signs: ['administrator/index.php', 'libraries/loader.php'],
    kept: ['configuration.php', 'tmp/a.txt', 'logs/error.txt', 'cli/x.php', 'images/shell.php', 'language/en-GB/en-GB.ini', 'libraries/a.xml'],
    sent: ['images/a.jpg', 'media/system/a.js', 'cache/thumb/a.jpg', 'templates/a/a.css'],
  },
  Laravel: {
    signs: ['artisan', 'bootstrap/app.php'],
    kept: ['app/Models/a.txt', 'config/app.php', 'storage/logs/a.txt', 'storage/framework/sessions/abc', 'database/a.csv', 'resources/views/a.html', 'vendor/a/b.json', 'artisan'],
    sent: ['public/a.css', 'storage/app/public/a.jpg', 'css/a.css', 'vendor/a/dist/a.js'],
  },
  Symfony: {
    signs: ['bin/console', 'src/Kernel.php'],
    kept: ['config/packages/a.yaml', 'var/cache/a.txt', 'src/a.txt', 'templates/a.html.twig', 'bin/console'],
    sent: ['public/bundles/a.css'],
  },
  Nextcloud: {
    signs: ['lib/versioncheck.php', 'ocs/v1.php'],
    kept: ['data/admin/files/a.txt', 'config/config.php', 'lib/a.txt', '3rdparty/a.txt', 'occ', 'core/shipped.json', 'package.json'],
    sent: ['core/css/a.css', 'apps/files/js/a.js'],
  },
  phpBB: {
    signs: ['viewtopic.php', 'phpbb/di/container_builder.php'],
    kept: ['config.php', 'files/abcdef', 'store/backup.txt', 'cache/a.txt', 'includes/a.txt', 'images/avatars/upload/a.jpg'],
    sent: ['styles/prosilver/a.css', 'images/smilies/a.gif', 'ext/a/b/styles/a.css'],
  },
  Cacti: {
    signs: ['graph_view.php', 'include/global.php'],
    kept: ['include/config.php', 'include/cacti_version', 'lib/functions.php', 'log/cacti.txt', 'cache/a.txt', 'rra/a.rrd', 'scripts/a.txt', 'include/vendor/a/README.md'],
    sent: ['include/themes/modern/images/favicon.ico', 'include/themes/modern/main.css', 'include/js/a.js', 'include/fa/a.woff2', 'include/themes/a/photo.jpg', 'images/a.png'],
  },
  packages: {
    signs: ['lib/vendor/autoload.php'],
    kept: ['lib/vendor/a/README.md', 'lib/vendor/composer/installed.json', 'lib/vendor/a/run.php', 'node_modules/a/package.json', 'node_modules/flatted/php/a.php'],
    sent: ['lib/vendor/a/a.css', 'node_modules/a/dist/a.js', 'node_modules/a/a.woff2'],
  },
}; // biome-ignore format: a table

for (const [name, { signs, kept, sent }] of Object.entries(layouts)) {
  it(`S40: what ${name} keeps for itself, in the root, in a subfolder and behind an alias`, async () => {
    const files: Record<string, string> = {};
    const isScript = (path: string) => /\.(?:php|phtml)$/i.test(path);
    for (const path of kept) files[path] = isScript(path) ? run : secret;
    for (const path of sent) files[path] = page;
    for (const path of signs) files[path] ??= '<?php';
    const root = writeSite({
      ...files,
      ...Object.fromEntries(Object.entries(files).map(([path, text]) => [`sub/it/${path}`, text])),
    });
    const phpFiles: RuleInput[] = [
      {
        match: { directory: '/alias', extensions: ['php', 'phtml'], exists: 'extensions' },
        handler: { type: 'fastcgi', source: 'php', documentRoot: root },
      },
      { match: { directory: '/alias' }, handler: { type: 'files', documentRoot: root } },
    ];
    const gateway = await start({
      sources: { php: { php: 'cgi', workers: 1 } },
      virtualServers: [{ documentRoot: root, preset: 'php', source: 'php', rules: phpFiles }],
    });
    for (const folder of ['', '/sub/it', '/alias']) {
      for (const path of kept) {
        const { status, body } = await ask(gateway, `${folder}/${path}`);
        assert.deepEqual(
          [status, body.includes(secret) || body.includes('RAN')],
          [404, false],
          `${folder}/${path}`,
        );
      }
      for (const path of sent) {
        // Composer's folder in the root is hidden whole by the preset.
        if (folder === '' && path.startsWith('vendor/')) continue;
        assert.equal((await ask(gateway, `${folder}/${path}`)).body, page, `${folder}/${path}`);
      }
    }
    await assertHidden(gateway, `/sub/it/${kept[0]!}`);
    rmSync(join(root, 'sub/it', signs[0]!));
    assert.ok(!existsSync(join(root, 'sub/it', signs[0]!)));
  });
}

it('S40: a folder of such a name that is nothing of the kind is sent', async () => {
  const names = ['data/a.txt', 'conf/a.txt', 'inc/a.txt', 'bin/a.txt', 'config/a.txt', 'includes/a.txt', 'app/a.txt', 'storage/a.txt', 'files/a.txt', 'vendors/a.txt', 'var/a.txt', 'templates/a.txt', 'lib/a.txt', 'src/a.txt', 'x/vendor/a.txt']; // biome-ignore format: a list
  const gateway = await preset(writeSite(Object.fromEntries(names.map((name) => [name, page]))));
  for (const name of names) assert.equal((await ask(gateway, `/${name}`)).body, page, name);
});

it('S39: "guard": false sends and runs it, and the log and explain name the folder and the key', async () => {
  const root = writeSite({
    'open/.htaccess': 'Deny from all',
    'open/a.txt': page,
    'open/a.php': run,
    'doku.php': '',
    'inc/init.php': '',
    'data/a.txt': page,
  });
  const rule = (guard: boolean): RuleInput[] => [
    { match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php', guard } },
    { handler: { type: 'files', guard } },
  ];
  const config = (guard: boolean) => ({
    log: { level: 'debug' as const },
    sources: { php: { php: 'cgi', workers: 1 } },
    virtualServers: [{ documentRoot: root, rules: rule(guard) }],
  });
  const gateway = await start(config(false));
  for (const path of ['/open/a.txt', '/data/a.txt']) assert.equal((await ask(gateway, path)).body, page);
  assert.equal((await ask(gateway, '/open/a.php')).body, 'RAN');
  // A preset's handlers heed what the virtual server says, as all do that say nothing themselves.
  const server = { documentRoot: root, source: 'php', guard: false };
  const loosened = await start({ ...config(true), virtualServers: [{ ...server, preset: 'php' }] });
  for (const path of ['/open/a.txt', '/data/a.txt']) assert.equal((await ask(loosened, path)).body, page);
  assert.equal((await ask(loosened, '/open/a.php')).body, 'RAN');
  const closedBelow = { match: { directory: '/open' }, handler: { type: 'files' as const, guard: true } };
  const partly = await start({
    ...config(true),
    virtualServers: [{ ...server, preset: 'php', rules: [closedBelow] }],
  });
  assert.equal((await ask(partly, '/open/a.txt')).status, 404);
  assert.equal((await ask(partly, '/data/a.txt')).body, page);
  const closed = await start(config(true));
  for (const path of ['/open/a.txt', '/open/a.php', '/data/a.txt'])
    assert.equal((await ask(closed, path)).status, 404);
  const file = join(createTestDirectory(), 'fastway.config.json');
  writeFileSync(file, JSON.stringify(config(true)));
  for (const [path, reason] of [
    [
      '/open/a.txt',
      /open\/\.htaccess denies it; set "guard" of the rule's handler, or of the virtual server, to false/,
    ],
    ['/open/a.php', /open\/\.htaccess denies it; set "guard"/],
    ['/data/a.txt', /DokuWiki keeps it for itself; set "guard"/],
  ] as const) {
    const { stdout } = await runFastway(['explain', path, '--config', file]);
    assert.match(stdout, reason);
    assert.match(stdout, /404/);
  }
});

it('S39: an application sends such a file on purpose; the page of an error is the operator’s', async () => {
  const root = writeSite({
    'data/.htaccess': denied.both,
    'data/a.txt': page,
    'data/404.html': 'THE-PAGE',
    'data/by-url.html': secret,
    'fetch.php': '<?php header("X-Sendfile: " . __DIR__ . "/data/a.txt");',
  });
  const gateway = await start({
    sources: { php: { php: 'cgi', workers: 1 } },
    virtualServers: [
      {
        documentRoot: root,
        errorPages: { 404: 'data/404.html', 410: '/data/by-url.html' },
        rules: [
          { match: { path: '/gone' }, handler: { type: 'error', status: 410 } },
          {
            match: { extensions: ['php'] },
            handler: { type: 'fastcgi', source: 'php', xSendfile: true, sendfileRoots: [join(root, 'data')] },
          },
          { handler: { type: 'files' } },
        ],
      },
    ],
  });
  assert.equal((await ask(gateway, '/fetch.php')).body, page);
  const missing = await ask(gateway, '/data/a.txt');
  assert.deepEqual([missing.status, missing.body], [404, 'THE-PAGE']);
  const gone = await ask(gateway, '/gone');
  assert.deepEqual([gone.status, gone.body.includes(secret)], [410, false]);
});
