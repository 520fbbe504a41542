import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toByteString } from '../base/byte-string.ts';
import { ConfigError } from '../base/errors.ts';
import { AddressSet } from '../http/address-set.ts';
import { type ParseOptions, parseConfig } from './parse.ts';
import { printConfig } from './print.ts';
import type { Config, FastcgiHandlerConfig } from './types.ts';

const files = new Set(['/srv/www/index.php', '/srv/app/index.php', '/srv/bin/php-cgi']);
const directories = new Set(['/srv', '/srv/www', '/srv/app', '/srv/static', '/srv/log', '/srv/\xc3\xa9']);
const options: ParseOptions = {
  directory: '/srv',
  kindOf: (path) => (files.has(path) ? 'file' : directories.has(path) ? 'directory' : undefined),
};

const parse = (input: unknown): Config => parseConfig(input, options);

function problemsOf(input: unknown): string {
  try {
    parse(input);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.equal(error.code, 'GW_ERR_CONFIG');
    return error.message;
  }
  return '';
}

/** One virtual server with these rules. */
const withRules = (...rules: unknown[]) => ({ virtualServers: [{ documentRoot: 'www', rules }] });
const withHandler = (handler: unknown) => withRules({ handler });
const withMatch = (match: unknown) => withRules({ match, handler: { type: 'files' } });
const withSource = (source: unknown) => ({ sources: { php: { php: 'auto' }, it: source } });

/** The sample of the product's description, comments aside. */
const sample = {
  listen: [{ host: '127.0.0.1', port: 8080 }],
  sources: {
    php: { php: 'auto', workers: 4, ini: { memory_limit: '256M' } },
    'php-old': { address: 'unix:/run/php/php7.4-fpm.sock' },
    shop: { address: 'tcp://10.0.0.7:9000' },
    django: {
      address: 'unix:{runtimeDir}/django.sock',
      interpreter: ['uwsgi', '--fastcgi-socket', '{address}', '--module', 'site.wsgi'],
      spawnTimeoutMs: 3000,
      user: 'www-data',
      group: 'www-data',
      env: { DJANGO_SETTINGS_MODULE: 'site.settings' },
      inheritEnv: false,
    },
  },
  virtualServers: [
    {
      name: 'default',
      hosts: ['*'],
      documentRoot: '/srv/www',
      directoryIndex: ['index.php', 'index.html'],
      rules: [
        { match: { directory: '/assets' }, handler: { type: 'files' } },
        {
          match: { extensions: ['php'] },
          handler: {
            type: 'fastcgi',
            balancer: { policy: 'round-robin', sources: ['php', { source: 'shop', weight: 2 }] },
            checkFile: true,
            scriptAlias: null,
            errorHandler: true,
            passRequestHeaders: true,
            xSendfile: false,
            env: { APP_ENV: 'production' },
            documentRoot: null,
            realIp: { trusted: ['10.0.0.0/8'] },
          },
        },
        {
          match: { all: [{ directory: '/admin' }, { not: { from: ['10.0.0.0/8', '::1'] } }] },
          handler: { type: 'error', status: 403 },
        },
        {
          match: { not: { exists: true } },
          handler: { type: 'fastcgi', balancer: { sources: ['php'] }, scriptAlias: '/srv/www/index.php' },
        },
        { handler: { type: 'files' } },
      ],
    },
  ],
};

test('the sample of the documentation is right, and everything in it arrives', () => {
  const config = parse(sample);
  const { php, shop, django, ...rest } = config.sources;
  assert.ok(php?.kind === 'php' && php.workers === 4 && php.ini.memory_limit === '256M');
  assert.deepEqual([php.keepConnections, php.state, php.check], [undefined, 'active', undefined]);
  assert.ok(shop?.kind === 'remote' && shop.connectTimeoutMs === 3000);
  assert.ok(django?.kind === 'local' && django.address === 'unix:{runtimeDir}/django.sock');
  assert.equal(rest['php-old']!.connectTimeoutMs, 1000);
  const [assets, script, admin, front] = config.virtualServers[0]!.rules;
  assert.deepEqual(assets!.match, { kind: 'directory', directory: '/assets' });
  const handler = script!.handler as FastcgiHandlerConfig;
  assert.deepEqual(handler.balancer.sources, [
    { source: 'php', weight: 1 },
    { source: 'shop', weight: 2 },
  ]);
  assert.deepEqual(handler.realIp, {
    trusted: new AddressSet(['10.0.0.0/8']),
    field: 'x-forwarded-for',
    protoField: 'x-forwarded-proto',
    hostField: undefined,
    portField: undefined,
  });
  assert.equal(handler.maxBodyBytes, 32 * 1024 * 1024);
  assert.equal(handler.scriptAlias, undefined);
  assert.deepEqual(admin!.match, {
    kind: 'and',
    parts: [
      { kind: 'directory', directory: '/admin' },
      { kind: 'not', part: { kind: 'from', addresses: new AddressSet(['10.0.0.0/8', '::1']) } },
    ],
  });
  assert.equal((front!.handler as FastcgiHandlerConfig).scriptAlias, '/srv/www/index.php');
});

test('nothing at all is a site of PHP on the loopback interface', () => {
  const config = parse({});
  assert.deepEqual(config.listen, [{ host: '127.0.0.1', port: 8080 }]);
  assert.equal(config.virtualServers[0]!.documentRoot, '/srv');
  assert.equal(config.virtualServers[0]!.symlinks, 'trusted');
  assert.equal(config.sources.php?.kind, 'php');
  assert.deepEqual(config.limits, {
    headerBytesMax: 32_768,
    headerLinesMax: 128,
    headerTimeoutMs: 15_000,
    bodyIdleTimeoutMs: 30_000,
    sendIdleTimeoutMs: 60_000,
    keepAliveTimeoutMs: 15_000,
    requestsPerConnectionMax: 1000,
    maxBodyBytes: 33_554_432,
    shutdownGraceMs: 30_000,
  });
});

test('text becomes byte strings where bytes are meant, and paths absolute', () => {
  const config = parse({
    limits: { maxBodyBytes: 5 },
    listen: [{ path: 'run.sock' }],
    sources: { a: { address: 'unix:./a.sock' }, b: { php: './bin/php-cgi' } },
    virtualServers: [
      {
        documentRoot: 'é/',
        errorPages: { 404: '/é.html' },
        accessLog: { file: 'log/é.log' },
        rules: [
          {
            match: { path: '/é', request: 'é+', header: { 'X-A': 'é' }, query: { é: true }, method: 'get' },
            handler: { type: 'fastcgi', source: 'a', env: { A: 'é' }, scriptRoot: '/app/' },
          },
        ],
      },
    ],
  });
  const server = config.virtualServers[0]!;
  assert.deepEqual(config.listen, [{ path: '/srv/run.sock', mode: 0o660 }]);
  assert.ok(config.sources.a?.kind === 'remote');
  assert.deepEqual(config.sources.a.address, { kind: 'unix', path: '/srv/a.sock' });
  assert.ok(config.sources.b?.kind === 'php' && config.sources.b.php === '/srv/bin/php-cgi');
  assert.equal(server.documentRoot, '/srv/\xc3\xa9');
  assert.deepEqual(server.errorPages, new Map([[404, '/\xc3\xa9.html']]));
  assert.deepEqual(server.accessLog, { format: 'combined', file: '/srv/log/é.log' });
  assert.deepEqual(server.rules[0]!.match, {
    kind: 'and',
    parts: [
      { kind: 'method', methods: ['GET'] },
      { kind: 'path', path: '/\xc3\xa9' },
      { kind: 'request', expression: new RegExp(toByteString('é+')) },
      { kind: 'header', values: { 'x-a': '\xc3\xa9' } },
      { kind: 'query', values: { '\xc3\xa9': true } },
    ],
  });
  const handler = server.rules[0]!.handler as FastcgiHandlerConfig;
  assert.deepEqual(handler.env, new Map([['A', '\xc3\xa9']]));
  assert.equal(handler.scriptRoot, '/app');
  assert.equal(handler.maxBodyBytes, 5);
});

test('an address is the same by its short form, and in what hangs on it', () => {
  const ofThese = (...sources: unknown[]) =>
    sources.map((source) => {
      const { it } = parse(withSource(source)).sources;
      return it!.connectTimeoutMs;
    });
  assert.deepEqual(
    ofThese(
      { address: '10.0.0.7:9000' },
      { address: 'tcp://10.0.0.7:9000' },
      { interpreter: ['x'], address: '127.0.0.1:900{process}' },
      { interpreter: ['x'], address: '/run/{process}.sock' },
      { interpreter: ['x'] },
      { address: '@name' },
      { php: 'auto' },
      { php: 'auto', connectTimeoutMs: 5 },
    ),
    [3000, 3000, 3000, 1000, 1000, 1000, 1000, 5],
  );
  const jail = { interpreter: ['x', '{address}'], chroot: '/srv', address: '127.0.0.1:9000' };
  assert.equal(problemsOf(withSource(jail)), '');
});

test('a printed configuration gives the same configuration, but for its secrets', () => {
  for (const input of [
    {},
    sample,
    { virtualServers: [{ name: 'é', documentRoot: 'é', preset: 'wordpress' }] },
    { listen: [{ path: '/run/f.sock', mode: '0600' }] },
    withSource({ address: '10.0.0.7:9000', statusPath: '/s', statusAddress: '@s', profile: 'php-fpm' }),
    withSource({ interpreter: ['x'], umask: '007', address: 'unix:./{process}.sock', processes: { max: 2 } }),
    withRules({ match: { path: '/a' }, handler: { type: 'cgi', umask: '027', failurePattern: '/é$' } }),
  ]) {
    const printed = printConfig(parse(input));
    assert.deepEqual(JSON.parse(printConfig(parse(JSON.parse(printed)))), JSON.parse(printed));
  }
  const secret = parse(
    withHandler({ type: 'fastcgi', source: 'php', env: { DB_PASSWORD: 'canary', A: 'b' } }),
  );
  assert.doesNotMatch(printConfig(secret), /canary/);
  assert.match(printConfig(secret), /"A": "b"/);
});

const golden: readonly (readonly [title: string, input: unknown, problems: string])[] = [
  ['no object', 3, 'Is 3, but must be an object with keys'],
  ['a list', [], 'Is a list, but must be an object with keys'],
  ['null', null, 'Is null, but must be an object with keys'],
  ['a mistyped key', { lisen: [] }, 'Unknown key "lisen"; did you mean "listen"?'],
  ['a strange key', { log: { colour: true } }, 'log: Unknown key "colour"; known are level, format'],
  [
    'several unknown keys, and what they do not hide',
    { lisen: [], sorces: {}, virtualServers: [{ documentRoot: 'nowhere' }] },
    `Unknown key "lisen"; did you mean "listen"?
Unknown key "sorces"; did you mean "sources"?
virtualServers[0].documentRoot: /srv/nowhere does not exist or cannot be read; name a directory`,
  ],
  [
    'wrong values of every kind, and what they do not hide',
    {
      listen: [{ port: 99_999 }],
      sources: { php: { php: 'auto', wokers: 4 }, other: { address: 'unix:' } },
      virtualServers: [
        {
          documentRoot: 'nowhere',
          rules: [
            { match: { directory: 'assets' }, handler: { type: 'fils' } },
            { handler: { type: 'fastcgi', source: 'phpp' } },
            { match: { request: '(' }, handler: { type: 'error', status: 200 } },
          ],
        },
      ],
    },
    `listen[0].port: Is 99999, but must be at most 65535
sources.php: Unknown key "wokers"; did you mean "workers"?
sources.other.address: Address "unix:" is invalid: the path is empty
virtualServers[0].rules[0].match.directory: Must start with "/"
virtualServers[0].rules[0].handler.type: Is "fils", but must be one of fastcgi, cgi, filter, files, redirect, error; did you mean "files"?
virtualServers[0].rules[2].match.request: Is no regular expression: Unterminated group
virtualServers[0].rules[2].handler.status: Is 200, but must be at least 400
virtualServers[0].documentRoot: /srv/nowhere does not exist or cannot be read; name a directory
virtualServers[0].rules[2]: Is never reached: rules[1] before it takes every request; move that one to the end
virtualServers[0].rules[1].handler: No source is called "phpp"; did you mean "php"?`,
  ],
  [
    'authorizers that nobody knows',
    withRules({
      authorize: [{ source: 'phpp' }, {}, { source: 'php', cacheKey: ['A-B'], cacheMs: -1 }],
      handler: { type: 'error', status: 404 },
    }),
    `virtualServers[0].rules[0].authorize[1]: Says no source; add "source": name, or a "balancer" with several
virtualServers[0].rules[0].authorize[2].cacheMs: Is -1, but must be at least 0
virtualServers[0].rules[0].authorize[2].cacheKey[0]: A variable is named by letters, digits and "_", and starts with no digit`,
  ],
  [
    'a memory by what no request has',
    withRules({
      authorize: [
        {
          source: 'php',
          cacheMs: 1000,
          cacheKey: ['Cookie', 'REMOTE_ADR', 'HTTP_COOKIE', 'REALM'],
          env: { REALM: 'a' },
        },
        { source: 'php', cacheKey: ['TEAM'] },
      ],
      handler: { type: 'files' },
    }),
    `virtualServers[0].rules[0].authorize[0].cacheKey[0]: No request has a variable Cookie; the field Cookie is HTTP_COOKIE
virtualServers[0].rules[0].authorize[0].cacheKey[1]: No request has a variable REMOTE_ADR; did you mean "REMOTE_ADDR"?
virtualServers[0].rules[0].authorize[1].cacheKey: Has no effect while "cacheMs" is 0; set that, or remove this`,
  ],
  [
    'an authorizer and a filter without a source of that name',
    withRules({ authorize: { source: 'phpp' }, handler: { type: 'filter', source: 'fltr' } }),
    `virtualServers[0].rules[0].authorize[0]: No source is called "phpp"; did you mean "php"?
virtualServers[0].rules[0].handler: No source is called "fltr"; there are php`,
  ],
  ['a port too high', { listen: [{ port: 70_000 }] }, 'listen[0].port: Is 70000, but must be at most 65535'],
  ['a port in quotes', { listen: [{ port: '80' }] }, 'listen[0].port: Is "80", but must be a number'],
  ['no listener', { listen: [] }, 'listen: Is empty'],
  [
    'a socket and a port',
    { listen: [{ path: '/run/a.sock', port: 80 }] },
    'listen[0].port: A unix socket has no port; remove "port", or "path"',
  ],
  [
    'a mode without socket',
    { listen: [{ mode: '0600' }] },
    'listen[0].mode: Only a unix socket has a mode; remove it, or give a "path"',
  ],
  [
    'a long socket path (T100)',
    { listen: [{ path: `/${'a'.repeat(120)}` }] },
    'listen[0].path: The path of a unix socket has at most 103 bytes; use a shorter one',
  ],
  ['a listener twice', { listen: [{}, {}] }, 'listen[1]: 127.0.0.1:8080 is there twice; remove one'],
  [
    'a duration of 30 days (T102)',
    { limits: { headerTimeoutMs: 30 * 86_400_000 } },
    'limits.headerTimeoutMs: A duration is at most 24 days, 2073600000 ms',
  ],
  ['no duration', { limits: { headerTimeoutMs: 0 } }, 'limits.headerTimeoutMs: A duration is at least 1 ms'],
  [
    'half a count',
    { limits: { headerLinesMax: 1.5 } },
    'limits.headerLinesMax: Is 1.5, but must be a whole number',
  ],
  [
    'a mistyped kind of PHP',
    withSource({ php: 'fmp' }),
    'sources.it.php: Is "fmp", but must be auto, fpm, cgi, embedded, a version (8.4) or a path; did you mean "fpm"?',
  ],
  [
    'a version of PHP that has lost its zero',
    withSource({ php: 8 }),
    'sources.it.php: Is 8, but must be text; write a version in quotes, as "8.0"',
  ],
  ['a version of PHP as a number', withSource({ php: 8.4 }), ''],
  [
    'a mistyped address',
    withSource({ adress: 'unix:/a', holdMs: 0 }),
    `sources.it.address: Is missing; expected text in quotes
sources.it: Unknown key "adress"; did you mean "address"?`,
  ],
  [
    'a source that says its kind',
    withSource({ kind: 'php', address: 'unix:/a' }),
    'sources.it: Unknown key "kind"; a source is what its "php", "interpreter" or "address" says',
  ],
  ['an empty source', withSource({}), 'sources.it: Say what it is: "php", "address" or "interpreter"'],
  [
    'an address that is none',
    withSource({ address: 'localhost' }),
    'sources.it.address: Address "localhost" is invalid: write tcp://host:port, unix:/path or unix:@name',
  ],
  [
    'an address of 120 bytes (T100)',
    withSource({ address: `unix:/${'a'.repeat(119)}` }),
    `sources.it.address: Address "unix:/${'a'.repeat(119)}" is invalid: the path has 120 bytes, and the system takes 103; use a shorter one`,
  ],
  [
    'an address from the request (T88)',
    withSource({ address: 'unix:/run/{host}.sock' }),
    'sources.it.address: Placeholders need an "interpreter"; write the address that the server listens on',
  ],
  [
    'a user for a remote source',
    withSource({ address: 'unix:/a', user: 'me', workers: 2 }),
    `sources.it.user: Has no effect on a server that somebody else runs; add an "interpreter", or remove it
sources.it.workers: Only a PHP source has "workers"; add "php": "auto", or remove it`,
  ],
  [
    'PHP at an address',
    withSource({ php: 'auto', address: 'unix:/a' }),
    'sources.it.address: A PHP source has no "address": it is found and started by us; remove "php" or "address"',
  ],
  [
    'processes of PHP',
    withSource({ php: 'auto', processes: { max: 4 } }),
    'sources.it.processes: A PHP source has "workers"; write their number there',
  ],
  [
    'more processes than allowed',
    withSource({ interpreter: ['x'], processes: { min: 5, max: 4 } }),
    'sources.it.processes: "min" is 5, but "max" only 4',
  ],
  [
    'a chroot without its socket',
    withSource({ interpreter: ['x', '{address}'], chroot: '/srv/jail', workingDirectory: '/' }),
    `sources.it.workingDirectory: The chroot is the working directory; remove one of them
sources.it.chroot: Its socket would lie outside; let it inherit one (leave the placeholder out), or give a tcp address`,
  ],
  [
    'a mask of decimal digits',
    withSource({ interpreter: ['x'], umask: '89' }),
    'sources.it.umask: Must be three octal digits in quotes, as "027"',
  ],
  [
    'several processes at one address',
    withSource({ interpreter: ['x'], address: 'tcp://127.0.0.1:9000', recycle: { requests: 500 } }),
    'sources.it.address: Several processes cannot listen at one address; write {process} into it, or leave it out',
  ],
  [
    'a status page where there is none',
    withSource({ php: 'fpm', statusPath: '/status' }),
    'sources.it.statusPath: A PHP source has no "statusPath": it is found and started by us; remove "php" or "statusPath"',
  ],
  [
    'a status page of what is no php-fpm',
    withSource({ address: 'tcp://127.0.0.1:9000', profile: 'generic', statusPath: '/status' }),
    'sources.it.statusPath: Only php-fpm has a status page, and the profile is generic',
  ],
  [
    'a status page with a query',
    withSource({ address: 'tcp://127.0.0.1:9000', statusPath: '/status?json' }),
    'sources.it.statusPath: Must start with "/", and have no query',
  ],
  [
    'a status page of several processes',
    withSource({ interpreter: ['x'], statusPath: '/status', processes: { max: 2 } }),
    'sources.it.statusPath: Of several processes each takes "capacity" requests; remove it, or "processes"',
  ],
  [
    'the address of no page',
    withSource({ address: 'tcp://127.0.0.1:9000', statusAddress: 'unix:/run/status' }),
    'sources.it.statusAddress: Has no effect without "statusPath", the page that is asked for there',
  ],
  [
    'the address of a page that nobody can fill in',
    withSource({ address: 'tcp://127.0.0.1:9000', statusAddress: 'unix:{runtimeDir}/status' }),
    'sources.it.statusAddress: Placeholders need an "interpreter"; write the address of the page',
  ],
  [
    'ini for another interpreter',
    withSource({ interpreter: ['x'], ini: {} }),
    'sources.it.ini: Only a PHP source has "ini"; pass it to the interpreter by its arguments',
  ],
  [
    'programs and directories that are not there',
    {
      ...withSource({ interpreter: ['./app', '{address}'], workingDirectory: 'nowhere' }),
      virtualServers: [{ documentRoot: 'www', accessLog: { file: '/var/nowhere/a.log' } }],
    },
    `sources.it.interpreter[0]: There is no program /srv/app; install it, or correct the path
sources.it.workingDirectory: /srv/nowhere does not exist or cannot be read; name a directory
virtualServers[0].accessLog.file: /var/nowhere does not exist or cannot be read; name a directory`,
  ],
  [
    'no PHP',
    withSource({ php: '/no/php' }),
    'sources.it.php: There is no program /no/php; install it, or correct the path',
  ],
  ['no program', withSource({ interpreter: [''] }), 'sources.it.interpreter: The program is empty'],
  [
    'a source with an odd name',
    { sources: { 'a b': { php: 'auto' } } },
    'sources["a b"]: A source is named by letters, digits, "-", "_" and "."',
  ],
  [
    'a variable with an odd name (T9)',
    withHandler({ type: 'fastcgi', source: 'php', env: { 'A-B': 'x' } }),
    'virtualServers[0].rules[0].handler.env["A-B"]: A variable is named by letters, digits and "_", and starts with no digit',
  ],
  [
    'a variable with NUL',
    withHandler({ type: 'fastcgi', source: 'php', env: { A: 'x\0' } }),
    'virtualServers[0].rules[0].handler.env.A: Holds a NUL byte',
  ],
  [
    'a mistyped handler',
    withHandler({ type: 'fastgci' }),
    'virtualServers[0].rules[0].handler.type: Is "fastgci", but must be one of fastcgi, cgi, filter, files, redirect, error; did you mean "fastcgi"?',
  ],
  [
    'an unknown source',
    withHandler({ type: 'fastcgi', source: 'pph' }),
    'virtualServers[0].rules[0].handler: No source is called "pph"; did you mean "php"?',
  ],
  [
    'a source that is only a prototype key',
    withHandler({ type: 'fastcgi', source: 'constructor' }),
    'virtualServers[0].rules[0].handler: No source is called "constructor"; there are php',
  ],
  [
    'no source',
    withHandler({ type: 'fastcgi' }),
    'virtualServers[0].rules[0].handler: Says no source; add "source": name, or a "balancer" with several',
  ],
  [
    'a source twice',
    withHandler({ type: 'fastcgi', balancer: { sources: ['php', 'php'] } }),
    'virtualServers[0].rules[0].handler: Source "php" is there twice; give it a "weight" instead',
  ],
  [
    'a mistyped policy',
    withHandler({ type: 'fastcgi', balancer: { policy: 'leastbusy', sources: ['php'] } }),
    'virtualServers[0].rules[0].handler.balancer.policy: Is "leastbusy", but must be one of round-robin, ip-hash, failover, least-busy; did you mean "least-busy"?',
  ],
  [
    'a script that is not there',
    withHandler({ type: 'fastcgi', source: 'php', scriptAlias: 'no.php' }),
    'virtualServers[0].rules[0].handler.scriptAlias: /srv/no.php is no file; name the script, or set "checkFile" to false if only the application sees it',
  ],
  [
    'roots without X-Sendfile',
    withHandler({ type: 'fastcgi', source: 'php', sendfileRoots: ['static'] }),
    'virtualServers[0].rules[0].handler.sendfileRoots: Has no effect while "xSendfile" is off; set it to true, or remove this',
  ],
  [
    'a redirect with another status',
    withHandler({ type: 'redirect', to: '/', status: 200 }),
    'virtualServers[0].rules[0].handler.status: Is 200, but must be one of 301, 302, 303, 307, 308',
  ],
  [
    'an internal redirect elsewhere',
    withHandler({ type: 'redirect', to: 'https://a/', internal: true }),
    'virtualServers[0].rules[0].handler.to: An internal redirect stays here: start with "/"',
  ],
  [
    'a redirect with a line feed',
    withHandler({ type: 'redirect', to: '/a\nb' }),
    'virtualServers[0].rules[0].handler.to: Holds a space or a control byte; encode it as %20',
  ],
  [
    'an error that is none',
    withHandler({ type: 'error', status: 200 }),
    'virtualServers[0].rules[0].handler.status: Is 200, but must be at least 400',
  ],
  [
    'a broken regular expression',
    withMatch({ request: '(' }),
    'virtualServers[0].rules[0].match.request: Is no regular expression: Unterminated group',
  ],
  [
    'an empty match',
    withMatch({}),
    'virtualServers[0].rules[0].match: Is empty; leave "match" out for a rule that takes everything',
  ],
  [
    'an address that is none in a match',
    withMatch({ not: { from: ['10.0.0.0/33', 'me'] } }),
    `virtualServers[0].rules[0].match.not.from[0]: A block of IPv4 has 0 to 32 bits
virtualServers[0].rules[0].match.not.from[1]: Must be an IP address, a block such as 10.0.0.0/8 or fd00::/8, or unix`,
  ],
  [
    'a relative directory',
    withMatch({ directory: 'admin' }),
    'virtualServers[0].rules[0].match.directory: Must start with "/"',
  ],
  [
    'a path that no request has',
    withMatch({ path: '/a/../b' }),
    'virtualServers[0].rules[0].match.path: Must be a decoded path without query, "//", "/./" and "/../"',
  ],
  [
    'exists that is false',
    withMatch({ exists: false }),
    'virtualServers[0].rules[0].match.exists: Is false, but must be true or "file" or "request" or "extensions" or a list',
  ],
  [
    'a header match with a mistyped key',
    withMatch({ header: { accept: { regexp: 'x' } } }),
    `virtualServers[0].rules[0].match.header.accept.regex: Is missing; expected text in quotes
virtualServers[0].rules[0].match.header.accept: Unknown key "regexp"; did you mean "regex"?`,
  ],
  [
    'rules that nothing reaches',
    withRules(
      { handler: { type: 'files' } },
      { match: { path: '/' }, handler: { type: 'error', status: 404 } },
    ),
    'virtualServers[0].rules[1]: Is never reached: rules[0] before it takes every request; move that one to the end',
  ],
  [
    'rules after the directory /',
    withRules(
      { match: { directory: '/' }, handler: { type: 'files' } },
      { handler: { type: 'error', status: 404 } },
    ),
    'virtualServers[0].rules[1]: Is never reached: rules[0] before it takes every request; move that one to the end',
  ],
  [
    'a file as document root',
    { virtualServers: [{ documentRoot: 'www/index.php' }] },
    'virtualServers[0].documentRoot: /srv/www/index.php is a file; name a directory',
  ],
  [
    'no document root',
    { virtualServers: [{}] },
    'virtualServers[0].documentRoot: Is missing; expected text in quotes',
  ],
  [
    'a host twice',
    { virtualServers: [{ documentRoot: 'www', name: 'a' }, { documentRoot: 'app' }] },
    'virtualServers[1].hosts[0]: "*" already belongs to virtualServers[0] (a); a host has one virtual server',
  ],
  [
    'a host with a port',
    { virtualServers: [{ documentRoot: 'www', hosts: ['a.example:80'] }] },
    'virtualServers[0].hosts[0]: Must be a host name without port, "*.example.com", or "*" for all',
  ],
  [
    'a mistyped preset',
    { virtualServers: [{ documentRoot: 'www', preset: 'wordpres' }] },
    'virtualServers[0].preset: Is "wordpres", but must be one of php, wordpress, laravel, symfony, drupal, django, rails; did you mean "wordpress"?',
  ],
  [
    'a preset that cannot know its source',
    {
      sources: { a: { address: 'unix:/a' }, b: { address: 'unix:/b' } },
      virtualServers: [{ documentRoot: 'www', preset: 'rails' }],
    },
    'virtualServers[0].preset: Does not say which source runs it; add "source": one of a, b',
  ],
  [
    'a source without preset',
    { virtualServers: [{ documentRoot: 'www', source: 'php', rules: [] }] },
    'virtualServers[0].source: Is for a preset; name the source in the handlers of your rules, or add a "preset"',
  ],
  [
    'an error page for a success',
    { virtualServers: [{ documentRoot: 'www', errorPages: { 200: '/ok' } }] },
    'virtualServers[0].errorPages["200"]: Must be a status from 400 to 599',
  ],
  [
    'PHP_VALUE where two sites share a pool (T8)',
    {
      virtualServers: [
        {
          documentRoot: 'www',
          hosts: ['a.example'],
          rules: [
            { handler: { type: 'fastcgi', source: 'php', env: { PHP_VALUE: 'auto_prepend_file=/x' } } },
          ],
        },
        { documentRoot: 'app' },
      ],
    },
    'virtualServers[0].rules[0].handler.env.PHP_VALUE: PHP_VALUE stays in the interpreter for later requests, and several virtual servers use source "php"; give each its own source, with "ini"',
  ],
  [
    'everything at once',
    {
      listen: [{ port: -1 }],
      sources: { a: { php: 'cgi', workers: 0 }, b: 3 },
      virtualServers: [{ documentRoot: 5, rules: [{ handler: { type: 'error' } }, 'x'] }],
    },
    `listen[0].port: Is -1, but must be at least 0
sources.a.workers: Is 0, but must be at least 1
sources.b: Is 3, but must be an object with keys
virtualServers[0].documentRoot: Is 5, but must be text in quotes
virtualServers[0].rules[0].handler.status: Is missing; expected a number
virtualServers[0].rules[1]: Is "x", but must be an object with keys`,
  ],
];

for (const [title, input, problems] of golden) {
  test(`problems: ${title}`, () => assert.equal(problemsOf(input), problems));
}

test('allowed: HTTP_PROXY by configuration (T1), a script only the application sees, PHP_VALUE for one site', () => {
  assert.equal(
    problemsOf(
      withHandler({
        type: 'fastcgi',
        source: 'php',
        env: { HTTP_PROXY: 'http://proxy', PHP_VALUE: 'a=b' },
        checkFile: false,
        scriptAlias: '/container/index.php',
      }),
    ),
    '',
  );
});

test('authorize: one or a list, and print-config gives what can be read again', () => {
  const config = parse(
    withRules(
      {
        match: { directory: '/', not: { any: [{ directory: '/' }, { path: '/a' }] } },
        authorize: { source: 'php' },
        handler: { type: 'files' },
      },
      {
        authorize: [
          { source: 'php' },
          { balancer: { sources: ['php'] }, env: { A: 'b' }, cacheMs: 5000, cacheKey: ['HTTP_COOKIE'] },
        ],
        handler: { type: 'filter', source: 'php' },
      },
    ),
  );
  const balancer = { policy: 'round-robin', sources: [{ source: 'php', weight: 1 }] };
  const plain = { balancer, env: new Map(), cacheMs: 0, cacheKey: undefined };
  const { rules } = config.virtualServers[0]!;
  assert.deepEqual(rules[0]!.authorize, [plain]);
  assert.deepEqual(rules[1]!.authorize, [
    plain,
    { balancer, env: new Map([['A', 'b']]), cacheMs: 5000, cacheKey: ['HTTP_COOKIE'] },
  ]);
  assert.deepEqual(parse(JSON.parse(printConfig(config))), config);
});
