/** A hostile client that wants a source, a copy, or a program that is none: real php-fpm and php-cgi, over HTTP. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type GatewayProcess, runFastway, waitForLine } from '../support/gateway-process.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { createGatewayStarter, writeSite } from '../support/site.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const start = createGatewayStarter();

async function ask(gateway: GatewayProcess, target: string, fields = 'Host: a\r\n') {
  const { responses } = await exchangeRaw(
    gateway.port,
    `GET ${target} HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`,
  );
  return responses[0]!;
}

const secret = 'SECRET-OF-THE-SITE';

describe('what a folder of PHP never sends', () => {
  it('S24: copies, logs, databases, keys and descriptions, in any spelling; what is not there is the application’s', async () => {
    const left = [
      'config.BAK', 'a.OLD', 'dump.SQL', 'dump.sql.gz', 'x.php.save.1', 'x.php.1', 'x.php_bak', 'x.php-', 'x.php~',
      'x.php.copy', 'x.php.rej', 'x.php.bk', 'x.phps', 'x.pht', 'x.inc', 'X.PHP.ORIG', '#x.php#', '.x.php.swp', 'x.php.txt~',
      'auth.json', 'composer.json', 'COMPOSER.LOCK', 'db.sqlite', 'db.sqlite-wal', 'db.sqlite3-journal', 'a.db', 'debug.log',
      'debug.log.1', 'error_log', 'server.key', 'server.pem', 'id_rsa', 'web.config', 'fastway.config.json', '.env',
      '.git/config', 'a/.htpasswd', 'prod.env', 'site.htpasswd', 'php.ini', 'core.4711', 'nohup.out', 'a.accdb', 'users.MYD', 'dump.rdb', 'id.ppk',
    ]; // biome-ignore format: a list
    const sent = [
      'a.css',
      'saved.php.html',
      'photo.php.jpg',
      'inc.js',
      'catalog.html',
      'key.svg',
      '.well-known/a.txt',
    ];
    const root = writeSite(Object.fromEntries([...left, ...sent].map((name) => [name, secret])));
    writeFileSync(join(root, 'index.php'), '<?php echo "APPLICATION ", $_SERVER["REQUEST_URI"];');
    // By the name of what they lead to.
    symlinkSync('.env', join(root, 'link.txt'));
    symlinkSync('dump.SQL', join(root, 'linked.txt'));
    symlinkSync('.git', join(root, 'versions'));
    left.push('link.txt', 'linked.txt', 'versions/config');
    const gateway = await start({
      sources: { php: { php: 'fpm', workers: 1 } },
      virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
    });
    for (const name of left) {
      const { status, body } = await ask(gateway, `/${name.replaceAll('#', '%23')}`);
      assert.ok(!body.includes(secret), name);
      assert.ok(status === 404 || status === 403, `${name} is ${status}`);
    }
    for (const name of sent) assert.equal((await ask(gateway, `/${name}`)).body, secret, name);
    for (const target of [
      '/tag/.net',
      '/t/report.old',
      '/wiki/Dump.sql',
      '/repo/tree/.gitignore',
      '/index.php/u/1/.file',
    ])
      assert.equal((await ask(gateway, target)).body, `APPLICATION ${target}`);
  });

  it('S24: scripts of packages and of hidden folders do not run, with or without path info', async () => {
    const root = writeSite({
      'index.php': '<?php echo "APPLICATION";',
      'sub/vendor/tool/run.php': '<?php echo "RAN";',
      'vendor/run.php': '<?php echo "RAN";',
      '.git/run.php': '<?php echo "RAN";',
    });
    const gateway = await start({
      sources: { php: { php: 'cgi', workers: 1 } },
      virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
    });
    for (const script of ['/sub/vendor/tool/run.php', '/vendor/run.php', '/.git/run.php'])
      for (const target of [script, `${script}/x`, `${script}/x.php`, `${script}?a`])
        assert.ok(!(await ask(gateway, target)).body.includes('RAN'), target);
  });
});

it('S24: scripts behind a link to a hidden folder, or to a hidden script, do not run', async () => {
  const root = writeSite({
    '.hidden/run.php': "<?php echo 'RAN';",
    '.hidden/a.txt': secret,
    'open/run.php': "<?php echo 'RAN';",
  });
  const elsewhere = writeSite({ '.run.php': "<?php echo 'RAN';" });
  symlinkSync('.hidden', join(root, 'link'));
  symlinkSync('open', join(root, 'way'));
  symlinkSync(join(elsewhere, '.run.php'), join(root, 'named.php'));
  const gateway = await start({
    sources: { php: { php: 'cgi', workers: 1 } },
    virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
  });
  assert.equal((await ask(gateway, '/way/run.php')).body, 'RAN');
  for (const path of ['/link/run.php', '/link/run.php/x', '/link/a.txt', '/named.php', '/link/', '/link']) {
    const { status, body } = await ask(gateway, path);
    assert.ok(
      status === 404 && !body.includes('RAN') && !body.includes(secret),
      `${path}: ${status} ${body}`,
    );
  }
});

describe('what a rule runs', () => {
  it('S24: its source is sent to nobody, however deep the rule names it (T31)', async () => {
    const root = writeSite({
      'cgi/a.pl': `#!/usr/bin/perl\n# ${secret}\nprint "Content-Type: text/plain\\n\\nRAN";`,
      'cgi/plain.txt': 'text',
    });
    chmodSync(join(root, 'cgi/a.pl'), 0o755);
    const others = { not: { from: ['192.0.2.0/24'] } };
    const matches: readonly object[] = [
      { all: [{ extensions: ['pl'] }, { from: ['192.0.2.0/24'] }] },
      { any: [{ extensions: ['pl'], method: ['POST'] }] },
      { not: { any: [{ not: { extensions: ['pl'] } }, others] } },
      { request: '\\.pl$', from: ['192.0.2.0/24'] },
      { path: '/cgi/a.pl', method: ['POST'] },
      { directory: '/cgi', method: ['POST'] },
    ];
    for (const match of matches) {
      const gateway = await start({
        virtualServers: [
          {
            documentRoot: root,
            rules: [{ match, handler: { type: 'cgi' } }, { handler: { type: 'files' } }],
          },
        ],
      });
      const { status, body } = await ask(gateway, '/cgi/a.pl');
      assert.ok(status === 403 && !body.includes(secret), JSON.stringify(match));
      await gateway.stop();
    }
  });

  for (const php of ['fpm', 'cgi'])
    it(`S15: a PHP of ours (${php}) runs only what the rules let it, without a look at the disk too`, async () => {
      const root = writeSite({
        'avatar.jpg': '<?php echo "EXECUTED THE PICTURE";',
        'index.php': '<?php echo "RAN ", $_SERVER["PATH_INFO"] ?? "";',
        'sub/page.phtml': '<?php echo "PHTML";',
      });
      const gateway = await start({
        sources: { php: { php, workers: 1 } },
        virtualServers: [
          {
            documentRoot: root,
            rules: [
              {
                match: { extensions: ['php', 'phtml'] },
                handler: { type: 'fastcgi', source: 'php', checkFile: false },
              },
              { handler: { type: 'fastcgi', source: 'php', checkFile: false } },
            ],
          },
        ],
      });
      for (const target of [
        '/avatar.jpg/x.php',
        '/avatar.jpg/x/y.php/z',
        '/avatar.jpg',
        '/avatar.jpg/',
        '/avatar.jpg%20/x.php',
      ])
        assert.ok(!(await ask(gateway, target)).body.includes('EXECUTED'), target);
      assert.equal((await ask(gateway, '/index.php/a')).body, 'RAN /a');
      assert.equal((await ask(gateway, '/sub/page.phtml')).body, 'PHTML');
    });

  it('S27: a rule for a host is asked for the host that is routed on', async () => {
    const gateway = await start({
      virtualServers: [
        {
          documentRoot: writeSite({ 'a.txt': 'open' }),
          rules: [
            { match: { header: { host: 'admin.example' } }, handler: { type: 'error', status: 403 } },
            { handler: { type: 'files' } },
          ],
        },
      ],
    });
    const absolute = 'http://admin.example/a.txt';
    assert.equal((await ask(gateway, absolute, 'Host: other\r\n')).status, 403);
    assert.equal((await ask(gateway, '/a.txt', 'Host: admin.example\r\n')).status, 403);
    assert.equal((await ask(gateway, 'http://other/a.txt', 'Host: admin.example\r\n')).status, 200);
    assert.equal((await ask(gateway, absolute, 'Host: ../junk <x>\r\n')).status, 400);
  });
});

it('S13: an error page that becomes a link or a pipe is not read', async () => {
  const root = writeSite({ '404.html': 'the page' });
  const outside = join(writeSite({ secret }), 'secret');
  const gateway = await start({
    virtualServers: [
      {
        documentRoot: root,
        symlinks: 'deny',
        errorPages: { 404: '404.html' },
        rules: [{ handler: { type: 'files' } }],
      },
    ],
  });
  const page = join(root, '404.html');
  const exchanges: readonly (() => void)[] = [
    () => symlinkSync(outside, join(root, 'next')),
    () => execFileSync('mkfifo', [join(root, 'next')]),
  ];
  for (const make of exchanges) {
    rmSync(page);
    writeFileSync(page, 'the page');
    // Found as a file within the second for which a look at the disk counts, then exchanged.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    assert.equal((await ask(gateway, '/none')).body, 'the page');
    make();
    renameSync(join(root, 'next'), page);
    for (let look = 0; look < 3; look++) {
      const { status, body } = await ask(gateway, '/none');
      assert.ok(status === 404 && !body.includes(secret), body);
    }
  }
});

it('S24: an access log that could become a program is refused, and one below a root is warned of', async () => {
  const root = writeSite({ 'index.php': '', 'linked/a.txt': '' });
  const elsewhere = createTestDirectory();
  symlinkSync(root, join(elsewhere, 'link'));
  const check = async (file: string) => {
    const config = join(createTestDirectory(), 'fastway.config.json');
    const server = { documentRoot: root, preset: 'php', source: 'php', accessLog: { file } };
    writeFileSync(config, JSON.stringify({ sources: { php: { php: 'auto' } }, virtualServers: [server] }));
    return runFastway(['check', '--config', config]);
  };
  for (const file of [
    join(root, 'access.php'),
    join(root, 'logs.PHTML'),
    join(elsewhere, 'link', 'access.php'),
  ]) {
    const { code, stderr } = await check(file);
    assert.equal(code, 1, file);
    assert.match(stderr, /accessLog\.file: .*would become a program/, file);
  }
  const below = await check(join(root, 'access.log'));
  assert.equal(below.code, 0);
  assert.match(below.stderr, /below the document root/);
  const outside = await check(join(elsewhere, 'access.log'));
  assert.deepEqual([outside.code, outside.stderr.includes('document root')], [0, false]);
});

describe('links in a document root', () => {
  const [owner, script] = [4001, 4002];
  const link = (target: string, path: string, uid: number) => {
    symlinkSync(target, path);
    lchownSync(path, uid, uid);
  };

  it('S38: those of a script, or to what their maker may not read, are not followed by a server that is root', {
    skip: process.getuid?.() !== 0 && 'only root gives files away',
  }, async () => {
    const base = createTestDirectory();
    chmodSync(base, 0o755);
    const root = join(base, 'releases/1/public');
    const shared = join(base, 'shared/uploads');
    const roots = join(base, 'roots.txt');
    for (const folder of [root, shared, join(base, 'package')]) mkdirSync(folder, { recursive: true });
    for (const [path, text] of [
      [join(shared, 'photo.txt'), 'PHOTO'],
      [join(base, 'package/style.css'), 'STYLE'],
      [join(root, 'index.html'), 'HOME'],
      [join(root, '.env'), secret],
      [join(root, 'dump.sql'), secret],
      [roots, secret],
    ] as const)
      writeFileSync(path, text);
    chmodSync(roots, 0o600);
    for (const path of [root, join(root, 'index.html')]) chownSync(path, owner, owner);
    chownSync(shared, script, script);
    // What a deploy and a package make.
    link('../../../shared/uploads', join(root, 'uploads'), owner);
    link(join(base, 'package'), join(root, 'phpmyadmin'), 0);
    // What an attacker would.
    link('/etc', join(root, 'etc'), script);
    link('/etc/passwd', join(root, 'uploads/passwd.txt'), script);
    link(roots, join(root, 'roots.txt'), owner);
    link('/etc', join(root, 'all-of-etc'), owner);
    link('.env', join(root, 'env.txt'), script);
    link('dump.sql', join(root, 'dump.txt'), script);

    const virtualServers = [
      {
        documentRoot: root,
        rules: [
          { match: { directory: '/etc' }, handler: { type: 'files', symlinks: 'allow' } },
          { handler: { type: 'files' } },
        ],
      },
    ] as const;
    const gateway = await start({ virtualServers });
    assert.equal((await ask(gateway, '/')).body, 'HOME');
    assert.equal((await ask(gateway, '/uploads/photo.txt')).body, 'PHOTO');
    assert.equal((await ask(gateway, '/phpmyadmin/style.css')).body, 'STYLE');
    for (const path of ['/uploads/passwd.txt', '/roots.txt', '/all-of-etc/shadow'])
      assert.equal((await ask(gateway, path)).status, 403, path);
    for (const path of ['/env.txt', '/dump.txt']) assert.equal((await ask(gateway, path)).status, 404, path);
    // One rule may say otherwise.
    assert.match((await ask(gateway, '/etc/passwd')).body, /^root:/);
    const said = await waitForLine(gateway, /passwd\.txt is a symbolic link/);
    assert.match(
      said,
      /passwd\.txt is a symbolic link to \/etc\/passwd, which is not followed: .* was made by user 4002/,
    );
    assert.match(said, /set "symlinks" of the virtual server or of the rule's handler to "owner" or "allow"/);

    const flagged = await start(undefined, { args: ['--port', '0', '--symlinks', 'deny', root] });
    assert.equal((await ask(flagged, '/')).body, 'HOME');
    assert.equal((await ask(flagged, '/uploads/photo.txt')).status, 403);
  });
});
