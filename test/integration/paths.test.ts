/**
 * What a path comes to with the presets' rules and with people's own, on a real php-fpm: which script runs with which
 * SCRIPT_NAME, what is a file's, and what is the front controller's.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { RuleInput, VirtualServerInput } from '../../src/config/types.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { createGatewayStarter, writeSite } from '../support/site.ts';

/** Says who runs, and with what; each of the variables in brackets. */
const teller = (name: string) =>
  `<?php echo '${name}';
foreach (['REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'REQUEST_URI'] as $v) echo ' [', $_SERVER[$v] ?? '', ']';
echo ' ', json_encode($_GET), ' ', file_get_contents('php://input');`;

const silence = '<?php\n// Silence is golden.\n';
/** As PrestaShop lays one in each folder. */
const sentBack = `<?php
/**
 * 2007-2024 A shop
 */
header('Expires: Mon, 26 Jul 1997 05:00:00 GMT');
header('Location: ../');
exit;
`;

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly location: string | undefined;
}

async function ask(gateway: GatewayProcess, line: string, host = 'a', body = ''): Promise<Answer> {
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  const { responses } = await exchangeRaw(
    gateway.port,
    `${line} HTTP/1.1\r\nHost: ${host}\r\n${length}Connection: close\r\n\r\n${body}`,
  );
  const [answer] = responses;
  return { status: answer!.status, body: answer!.body, location: answer!.fields.get('location')?.[0] };
}

const preset = (
  documentRoot: string,
  name: VirtualServerInput['preset'],
  more: Partial<VirtualServerInput> = {},
): VirtualServerInput => ({
  documentRoot,
  preset: name,
  source: 'php',
  name,
  hosts: [`${name}.test`],
  ...more,
});

describe('paths of the presets', () => {
  let gateway: GatewayProcess;
  before(async () => {
    const root = writeSite({
      'index.php': teller('ROOT'),
      'real.php': teller('REAL'),
      'knows.php': `<?php
        $is_apache = str_contains($_SERVER['SERVER_SOFTWARE'], 'Apache') || str_contains($_SERVER['SERVER_SOFTWARE'], 'LiteSpeed');
        $is_nginx = str_contains($_SERVER['SERVER_SOFTWARE'], 'nginx');
        echo $is_nginx ? 'nginx' : '', ' ', $is_apache || $is_nginx ? 'permalinks' : 'index.php';`,
      'style.css': 'css',
      'page/index.html': 'page',
      'form/index.php': teller('FORM'),
      'assets/a.css': 'css',
      'guarded/index.php': silence,
      'guarded/deep/a.css': 'css',
      'shop/img/index.php': sentBack,
      'empty/index.php': '',
      'blog/index.php': teller('BLOG'),
      'blog/wp-content/index.php': silence,
      'blog/wp-content/uploads/a.txt': 'text',
      'blog/wp-content/uploads/shell.php': teller('SHELL'),
      'cloud/index.php': teller('CLOUD'),
      'cloud/remote.php': teller('DAV'),
      '.env': 'SECRET',
      'vendor/package/run.php': teller('VENDOR'),
      'sub/vendor/package/run.php': teller('VENDOR'),
      'dump.sql': 'SECRET',
      'private/AC/DC': 'SECRET',
    });
    const bare = writeSite({ 'a.css': 'css', 'sub/index.html': 'page', 'x.php': teller('X') });
    gateway = await startGateway({
      config: {
        sources: { php: { php: 'fpm', workers: 1 } },
        virtualServers: [
          preset(root, 'php'),
          preset(root, 'wordpress'),
          preset(root, 'drupal'),
          preset(root, 'laravel'),
          preset(bare, 'php', { name: 'bare', hosts: ['bare.test'] }),
          preset(bare, 'wordpress', { name: 'bare-wordpress', hosts: ['bare-wordpress.test'] }),
        ],
      },
    });
  });
  after(() => gateway?.stop());

  const who = async (line: string, host: string) => {
    const { status, body } = await ask(gateway, line, host);
    return status === 200 ? body.split(' ')[0]! : status;
  };

  it('a name that ends as a script, a hidden file, a copy or a dump is the application’s where no such file is', async () => {
    for (const host of ['php.test', 'wordpress.test', 'drupal.test', 'laravel.test'])
      for (const line of [
        'GET /project/blob/master/contact.php',
        'GET /project/blob/master/contact.php/history',
        'GET /project/contact.PHP',
        'GET /style.css/x.php',
        'GET /tag/.net',
        'GET /tag/c%23',
        'GET /t/report.old',
        'GET /wiki/Dump.sql',
        'GET /repo/tree/.gitignore',
        'GET /vendors',
        'POST /api/users.php',
        'PROPFIND /dav/x',
        'OPTIONS /api/x',
      ])
        assert.equal(await who(line, host), 'ROOT', `${host} ${line}`);
    const moved = await ask(gateway, 'MOVE /cloud/remote.php/dav/uploads/u/1/.file', 'php.test');
    assert.equal(moved.body.split(' [')[0], 'DAV');
    for (const line of ['GET /wp-content/uploads/x.php', 'GET /a/wp-content/uploads/2026/x.php'])
      assert.equal(await who(line, 'wordpress.test'), 'ROOT', line);
    assert.equal(await who('GET /sites/default/files/x.php', 'drupal.test'), 'ROOT');
  });

  it('WordPress finds a server that it knows, and offers permalinks', async () => {
    // WordPress's own words: wp-includes/vars.php, and got_url_rewrite() of wp-admin/includes/misc.php.
    const { body } = await ask(gateway, 'GET /knows.php', 'wordpress.test');
    assert.equal(body, 'nginx permalinks');
    assert.equal((await ask(gateway, 'GET /knows.php', 'php.test')).body, ' index.php');
  });

  it('what is there is refused as before', async () => {
    for (const host of ['php.test', 'wordpress.test', 'drupal.test', 'laravel.test']) {
      for (const path of ['/.env', '/dump.sql', '/%2eenv', '/./.env'])
        assert.equal(await who(`GET ${path}`, host), 404, `${host} ${path}`);
    }
    for (const path of ['/vendor/package/run.php', '/sub/vendor/package/run.php/x'])
      assert.equal(await who(`GET ${path}`, 'php.test'), 404, path);
    assert.equal(await who('GET /blog/wp-content/uploads/shell.php', 'wordpress.test'), 403);
    assert.equal(await who('GET /real.php', 'php.test'), 'REAL');
    assert.equal(await who('GET /real.php', 'laravel.test'), 404);
  });

  it('the front controller is that of the nearest folder, and no script that only refuses', async () => {
    for (const host of ['php.test', 'wordpress.test', 'drupal.test']) {
      const { body } = await ask(gateway, 'GET /blog/2026/11/hello?a=1', host);
      assert.match(
        body,
        /^BLOG \[GET\] \[\/blog\/index\.php\] \[\] \[a=1\] \[\/blog\/2026\/11\/hello\?a=1\]/,
      );
      assert.equal(await who('GET /blog/wp-content/missing.jpg', host), 'BLOG');
      assert.equal(await who('GET /blog/wp-content/uploads/2026/missing.jpg', host), 'BLOG');
      assert.equal(await who('GET /cloud/apps/files', host), 'CLOUD');
      assert.equal(await who('GET /guarded/deep/missing', host), 'ROOT');
      assert.equal(await who('GET /shop/img/missing.jpg', host), 'ROOT');
      assert.equal(await who('GET /empty/missing', host), 'ROOT');
    }
  });

  it('a directory: with an index it gets its slash by any method, without one it is the front controller’s', async () => {
    const cases: readonly (readonly [line: string, status: number, location: string | undefined])[] = [
      ['GET /page', 301, '/page/'],
      ['HEAD /page', 301, '/page/'],
      ['POST /form?a=1', 308, '/form/?a=1'],
      ['PROPFIND /form', 308, '/form/'],
      ['DELETE /page', 308, '/page/'],
    ];
    for (const host of ['php.test', 'wordpress.test', 'drupal.test', 'laravel.test'])
      for (const [line, status, location] of cases) {
        const answer = await ask(gateway, line, host);
        assert.deepEqual([answer.status, answer.location], [status, location], `${host} ${line}`);
      }
    for (const host of ['php.test', 'wordpress.test', 'drupal.test', 'laravel.test'])
      for (const line of [
        'GET /assets',
        'GET /assets/',
        'POST /assets',
        'PROPFIND /assets',
        'MKCOL /assets/',
      ])
        assert.equal(await who(line, host), 'ROOT', `${host} ${line}`);
    assert.equal(await who('POST /form/', 'php.test'), 'FORM');
    assert.equal(await who('OPTIONS /form/', 'php.test'), 'FORM');
    assert.equal(await who('PROPFIND /', 'php.test'), 'ROOT');
  });

  it('without a front controller: 404 by any method, and no directory is listed', async () => {
    for (const host of ['bare.test', 'bare-wordpress.test']) {
      for (const line of [
        'GET /missing',
        'POST /missing',
        'PROPFIND /missing',
        'GET /missing.php',
        'GET /index.php',
      ])
        assert.equal((await ask(gateway, line, host)).status, 404, `${host} ${line}`);
      assert.equal((await ask(gateway, 'GET /', host)).status, 403);
      assert.equal((await ask(gateway, 'POST /a.css', host)).status, 405);
      assert.equal((await ask(gateway, 'POST /sub', host)).status, 308);
      assert.equal((await ask(gateway, 'POST /sub/', host)).status, 405);
      assert.equal(await who('GET /x.php', host), 'X');
    }
  });
});

describe('an encoded slash', () => {
  let gateway: GatewayProcess;
  before(async () => {
    const root = writeSite({
      'index.php': teller('ROOT'),
      'map.php': teller('MAP'),
      'AC/DC': 'file',
      'AC%2FDC': 'file',
    });
    const admin: RuleInput = { match: { directory: '/admin' }, handler: { type: 'error', status: 403 } };
    const mounted: RuleInput = {
      match: { directory: '/app' },
      handler: { type: 'fastcgi', source: 'php', scriptAlias: join(root, 'map.php') },
    };
    const wiki: RuleInput = {
      match: { request: '^/wiki/(.+)$' },
      handler: { type: 'redirect', to: '/map.php/$1?title=$1', internal: true },
    };
    const server = (name: string, encodedSlashes?: boolean): VirtualServerInput =>
      preset(root, 'php', {
        name,
        hosts: [name],
        rules: [admin, mounted, wiki],
        ...(encodedSlashes !== undefined && { encodedSlashes }),
      });
    gateway = await startGateway({
      config: {
        sources: { php: { php: 'fpm', workers: 1 } },
        virtualServers: [server('alike'), server('on', true), server('off', false)],
      },
    });
  });
  after(() => gateway?.stop());

  it('reaches the front controller, a mounted application and the query of a rewrite as it came', async () => {
    const cases = {
      '/page/AC%2FDC?a': 'ROOT [GET] [/index.php] [] [a] [/page/AC%2FDC?a] {"a":""} ',
      '/page/AC%2fDC': 'ROOT [GET] [/index.php] [] [] [/page/AC%2fDC] [] ',
      '/proxy/https:%2F%2Fa.test%2F': 'ROOT [GET] [/index.php] [] [] [/proxy/https:%2F%2Fa.test%2F] [] ',
      '/index.php/a%2Fb': 'ROOT [GET] [/index.php] [/a%2Fb] [] [/index.php/a%2Fb] [] ',
      '/app/AC%2FDC': 'MAP [GET] [/app] [/AC%2FDC] [] [/app/AC%2FDC] [] ',
      '/wiki/AC%2FDC': 'MAP [GET] [/map.php] [/AC%2FDC] [title=AC%2FDC] [/wiki/AC%2FDC] {"title":"AC\\/DC"} ',
    };
    for (const [path, body] of Object.entries(cases)) {
      assert.equal((await ask(gateway, `GET ${path}`, 'alike')).body, body, path);
      assert.equal((await ask(gateway, `GET ${path}`, 'on')).body, body, path);
      assert.equal((await ask(gateway, `GET ${path}`, 'off')).status, 404, path);
    }
  });

  it('is 404 where a file would be looked up', async () => {
    for (const path of ['/AC%2FDC', '/AC%2fDC', '/map.php%2Fx'])
      assert.equal((await ask(gateway, `GET ${path}`, 'alike')).status, 404, path);
    // Two encodings of one name that is there.
    assert.equal((await ask(gateway, 'GET /AC%252FDC', 'alike')).body, 'file');
  });

  it('S37: passes no rule that a slash would not pass', async () => {
    for (const path of [
      '/admin%2Fusers',
      '/%2Fadmin/users',
      '/%2fadmin%2fusers',
      '/x/..%2fadmin',
      '/x%2F..%2Fadmin/users',
      '/x%2F%2e%2e/admin/users',
      '/x%2F./admin',
      '/app%2Fx',
      '/app%2F..%2Fadmin',
      '/..%2Fadmin',
    ]) {
      const { status, body } = await ask(gateway, `GET ${path}`, 'alike');
      assert.deepEqual([status, body.includes('[')], [404, false], path);
    }
    assert.equal((await ask(gateway, 'GET /admin/x%2Fy', 'alike')).status, 403);
  });
});

describe('paths of people’s own rules', () => {
  const startWith = createGatewayStarter();
  const start = (documentRoot: string, rules: readonly RuleInput[]) =>
    startWith({ sources: { php: { php: 'fpm', workers: 1 } }, virtualServers: [{ documentRoot, rules }] });

  it('a rewrite into a query: what the client wrote stays one value, and its own query is added', async () => {
    const root = writeSite({ 'index.php': teller('ROOT') });
    const gateway = await start(root, [
      { match: { path: '/index.php' }, handler: { type: 'fastcgi', source: 'php' } },
      {
        match: { request: '^/p/(.+)$' },
        handler: { type: 'redirect', to: '/index.php?p=$1', internal: true },
      },
      {
        match: { request: '^/only/(.+)$' },
        handler: { type: 'redirect', to: '/index.php?p=$1?', internal: true },
      },
      { match: { request: '^/out/(.+)$' }, handler: { type: 'redirect', to: 'https://$host/?p=$1' } },
      { match: { directory: '/secure' }, handler: { type: 'redirect', to: 'https://$host$path' } },
      { match: { directory: '/whole' }, handler: { type: 'redirect', to: '/new$0' } },
    ]);
    const got = async (path: string) => {
      const { body } = await ask(gateway, `GET ${path}`);
      return JSON.parse(/ (\{.*\}|\[\]) $/.exec(body)![1]!);
    };
    assert.deepEqual(await got('/p/AT%26T'), { p: 'AT&T' });
    assert.deepEqual(await got('/p/a%26b%3Dc'), { p: 'a&b=c' });
    assert.deepEqual(await got('/p/a+b'), { p: 'a+b' });
    assert.deepEqual(await got('/p/a%20b%25%23%3Fc;d'), { p: 'a b%#?c;d' });
    assert.deepEqual(await got('/p/x?y=1&z'), { p: 'x', y: '1', z: '' });
    assert.deepEqual(await got('/only/x?y=1'), { p: 'x' });
    assert.equal(
      (await ask(gateway, 'GET /out/a%26b+c?y=%31', 'x.test:8080')).location,
      'https://x.test/?p=a%26b%2Bc&y=%31',
    );
    assert.equal(
      (await ask(gateway, 'GET /secure/a%3Fb?c', 'x.test')).location,
      'https://x.test/secure/a%3Fb?c',
    );
    assert.equal((await ask(gateway, 'GET /whole/a%3Fb?c')).location, '/new/whole/a%3Fb?c');
  });

  it('a named script is a program and no folder: its own path has no slash added, and its body arrives', async () => {
    const root = writeSite({ 'map.php': teller('MAP') });
    const elsewhere = join(writeSite({ 'tool.php': teller('TOOL') }), 'tool.php');
    const gateway = await start(root, [
      {
        match: { directory: '/map' },
        handler: { type: 'fastcgi', source: 'php', scriptAlias: join(root, 'map.php') },
      },
      { match: { path: '/x' }, handler: { type: 'fastcgi', source: 'php', scriptAlias: elsewhere } },
    ]);
    const cases = [
      ['GET /map?x', '', 'MAP [GET] [/map] [] [x] [/map?x] {"x":""} '],
      ['POST /map', 'body', 'MAP [POST] [/map] [] [] [/map] [] body'],
      ['PROPFIND /map', '', 'MAP [PROPFIND] [/map] [] [] [/map] [] '],
      ['GET /map/', '', 'MAP [GET] [/map] [/] [] [/map/] [] '],
      ['GET /map/a%20b', '', 'MAP [GET] [/map] [/a b] [] [/map/a%20b] [] '],
      ['GET /x', '', 'TOOL [GET] [/x] [] [] [/x] [] '],
    ] as const;
    for (const [line, body, expected] of cases)
      assert.equal((await ask(gateway, line, 'a', body)).body, expected);
  });

  it('an application in a folder of its own with a front controller: `exists` sees the root of the handler', async () => {
    const root = writeSite({ 'index.html': 'home', 'icingaweb2/decoy.css': 'decoy' });
    const alias = writeSite({
      'index.php': teller('ICINGA'),
      'css/a.css': 'css',
      'other.php': teller('OTHER'),
      'docs/index.html': 'docs',
    });
    const at = { directory: '/icingaweb2' };
    const php = { type: 'fastcgi', source: 'php', documentRoot: alias } as const;
    const ways: readonly (readonly RuleInput[])[] = [
      [
        { match: { ...at, extensions: ['php'], exists: 'extensions' }, handler: php },
        { match: { ...at, exists: 'file' }, handler: { type: 'files', documentRoot: alias } },
        { match: at, handler: { ...php, scriptAlias: join(alias, 'index.php') } },
      ],
      [
        { match: { ...at, extensions: ['php'], exists: true }, handler: php },
        { match: { all: [{ exists: 'file' }, at] }, handler: { type: 'files', documentRoot: alias } },
        { match: at, handler: { type: 'redirect', to: '/icingaweb2/index.php', internal: true } },
      ],
      [
        {
          match: { ...at, not: { exists: 'file' } },
          handler: { type: 'redirect', to: '/icingaweb2/index.php', internal: true, documentRoot: alias },
        },
        { match: { ...at, extensions: ['php'] }, handler: php },
        { match: at, handler: { type: 'files', documentRoot: alias } },
      ],
    ];
    for (const [index, rules] of ways.entries()) {
      const gateway = await start(root, [...rules, { handler: { type: 'files' } }]);
      const first = async (path: string) =>
        (await ask(gateway, `GET ${path}`)).body.split('] [').slice(0, 2).join(' ');
      for (const path of [
        '/icingaweb2/host/list',
        '/icingaweb2/missing.css',
        '/icingaweb2/decoy.css',
        '/icingaweb2/',
      ])
        assert.equal(await first(path), 'ICINGA [GET /icingaweb2/index.php', `${index} ${path}`);
      assert.equal(await first('/icingaweb2/other.php'), 'OTHER [GET /icingaweb2/other.php', String(index));
      assert.equal((await ask(gateway, 'GET /icingaweb2/css/a.css')).body, 'css', String(index));
      assert.equal((await ask(gateway, 'GET /icingaweb2/docs/')).body, 'docs', String(index));
      assert.equal((await ask(gateway, 'GET /')).body, 'home', String(index));
    }
  });

  it('a root that is gone takes only its own rule down, and one that nobody reads is not asked for', async () => {
    const root = writeSite({ 'index.html': 'home', 'map.php': teller('MAP') });
    const gone = join(root, 'gone');
    const gateway = await startWith({
      sources: {
        php: { php: 'fpm', workers: 1 },
        away: { address: `unix:${gone}/away.sock` },
        started: { interpreter: ['/usr/bin/php-cgi'], address: `unix:${gone}/started.sock` },
      },
      virtualServers: [
        {
          documentRoot: root,
          rules: [
            { match: { directory: '/gone' }, handler: { type: 'files', documentRoot: gone } },
            {
              match: { directory: '/away' },
              handler: { type: 'fastcgi', source: 'away', checkFile: false, documentRoot: gone },
            },
            {
              match: { directory: '/started' },
              handler: { type: 'fastcgi', source: 'started', checkFile: false },
            },
            { handler: { type: 'files' } },
          ],
        },
        {
          name: 'tree',
          hosts: ['tree.test'],
          documentRoot: gone,
          rules: [{ handler: { type: 'fastcgi', source: 'php', scriptAlias: join(root, 'map.php') } }],
        },
      ],
    });
    assert.equal((await ask(gateway, 'GET /')).body, 'home');
    assert.equal((await ask(gateway, 'GET /gone/a')).status, 404);
    assert.equal((await ask(gateway, 'GET /away/a')).status, 503);
    assert.ok((await ask(gateway, 'GET /started/a')).status >= 502);
    assert.match((await ask(gateway, 'GET /a', 'tree.test')).body, /^MAP /);
    const warnings = gateway.lines.filter((line) => line.includes('documentRoot'));
    assert.equal(warnings.length, 1, warnings.join('\n'));
    assert.match(
      warnings[0]!,
      /The documentRoot .*\/gone of rule 1 of default does not exist or cannot be read, so that the rule finds nothing; name a directory/,
    );
  });

  it('a configuration’s own media types come before those that everybody knows', async () => {
    const root = writeSite({
      'a.GLB': 'x',
      'a.m3u8': 'x',
      'a.none': 'x',
      'a.md': 'x',
      'sent.php':
        '<?php header("X-Sendfile: " . __DIR__ . "/a.GLB"); header_remove("Content-Type"); ini_set("default_mimetype", "");',
    });
    const gateway = await startWith({
      sources: { php: { php: 'fpm', workers: 1 } },
      virtualServers: [
        {
          documentRoot: root,
          mediaTypes: { '.glb': 'model/own', md: 'text/plain; charset=utf-8' },
          rules: [
            {
              match: { extensions: ['php'] },
              handler: { type: 'fastcgi', source: 'php', xSendfile: true, sendfileRoots: [root] },
            },
            { handler: { type: 'files' } },
          ],
        },
      ],
    });
    const typeOf = async (path: string) =>
      (await fetch(`${gateway.origin}${path}`)).headers.get('content-type');
    assert.deepEqual(
      [
        await typeOf('/a.GLB'),
        await typeOf('/a.m3u8'),
        await typeOf('/a.none'),
        await typeOf('/a.md'),
        await typeOf('/sent.php'),
      ],
      [
        'model/own',
        'application/vnd.apple.mpegurl',
        'application/octet-stream',
        'text/plain; charset=utf-8',
        'model/own',
      ],
    );
  });

  it('a directory behind a rewrite: the client’s own prefix stays in its Location', async () => {
    const root = writeSite({ 'blog/index.html': 'blog', 'target/index.html': 'target' });
    const rewrite = (request: string, to: string): RuleInput => ({
      match: { request },
      handler: { type: 'redirect', to, internal: true },
    });
    const gateway = await start(root, [
      rewrite('^/x/(.*)$', '/$1'),
      rewrite('^/page$', '/target'),
      rewrite('^/(one|two)/', '/target'),
      { handler: { type: 'files' } },
    ]);
    const cases: readonly (readonly [string, number, string | undefined, string])[] = [
      ['GET /x/blog?a=1', 301, '/x/blog/?a=1', ''],
      ['POST /x/blog', 308, '/x/blog/', ''],
      ['GET /x/blog/', 200, undefined, 'blog'],
      ['GET /page', 301, '/target/', ''],
      // A slash that a rewrite took off is not asked for again, for ever.
      ['GET /one/x/', 200, undefined, 'target'],
      ['GET /blog', 301, '/blog/', ''],
    ];
    for (const [line, status, location, body] of cases) {
      const answer = await ask(gateway, line);
      assert.deepEqual([answer.status, answer.location, answer.body], [status, location, body], line);
    }
  });
});
