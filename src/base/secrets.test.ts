import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hideArguments, hideInText, hideValue, isSecretName } from './secrets.ts';

test('names of secrets, and names that only look like one', () => {
  for (const name of [
    ...[
      'DB_PASSWORD',
      'MYSQL_PWD',
      'APP_SECRET',
      'APP_KEY',
      'API_TOKEN',
      'AWS_CREDENTIALS',
      'NONCE_SALT',
      'BEARER',
    ],
    ...[
      'HTTP_AUTHORIZATION',
      'HTTP_COOKIE',
      'Cookie',
      'proxy-authorization',
      'mysqli.default_pw',
      'PHP_AUTH_PW',
    ],
    ...[
      'session.id',
      'PHPSESSID',
      'sid',
      'SLACK_WEBHOOK',
      '--password',
      'passwd',
      'jwt',
      'sig',
      'ssl_private_file',
    ],
  ]) {
    assert.ok(isSecretName(name), name);
  }
  for (const name of [
    ...[
      'APP_ENV',
      'HOME',
      'PATH',
      'AUTH_TYPE',
      'memory_limit',
      'session.save_path',
      'session.cookie_lifetime',
    ],
    ...[
      'HTTP_USER_AGENT',
      'REMOTE_USER',
      'SCRIPT_NAME',
      'side',
      'design',
      'spin',
      'KEEP_ALIVE',
      'opcache.enable',
    ],
  ]) {
    assert.ok(!isSecretName(name), name);
  }
});

test('user and password of URLs', () => {
  for (const [text, shown] of [
    ['mysql://root:hunter2@db:3306/app?charset=utf8', 'mysql://***@db:3306/app?charset=utf8'],
    ['smtp://a%40b:p%40ss@mail', 'smtp://***@mail'],
    ['redis://:hunter2@cache/0', 'redis://***@cache/0'],
    ['sendgrid+api://KEY@default', 'sendgrid+api://***@default'],
    ['postgres://u:p@ss@host/db', 'postgres://***@host/db'],
    ['postgres://u:p/ss?x@host/db', 'postgres://***@host/db'],
    ['failover(smtp://a:b@c smtp://d:e@f)', 'failover(smtp://***@c smtp://***@f)'],
    ['https://example.org:8080/a@b', 'https://example.org:8080/a@b'],
    ['unix:/run/php@1.sock', 'unix:/run/php@1.sock'],
  ] as const) {
    assert.equal(hideInText(text), shown);
  }
});

test('values of secret names in text', () => {
  for (const [text, shown] of [
    ['/reset?token=abc&page=2', '/reset?token=***&page=2'],
    ['pgsql:host=db;password=abc;user=x', 'pgsql:host=db;password=***;user=x'],
    ['Pwd="a b";Server=x', 'Pwd=***;Server=x'],
    ['{"password":"a\\"b","user":"c"}', '{"password":"***","user":"c"}'],
    ['{"authorization":{"regex":"^Bearer x"}}', '{"authorization":{"regex":"***"}}'],
    ['mysql --password hunter2 --host db', 'mysql --password *** --host db'],
    ["mysql --password='hunter 2' db", 'mysql --password=*** db'],
    ['sh -c "mysql --password abc"', 'sh -c "mysql --password ***"'],
    ['run="mysql --password=abc"', 'run="mysql --password=***"'],
    ['Authorization: Basic dXNlcjpwYXNz', 'Authorization: ***'],
    ['Set-Cookie: sid=1; Path=/\r\nX-A: b', 'Set-Cookie: ***\r\nX-A: b'],
    ['sent Bearer abcdefgh12', 'sent Bearer ***'],
    ['a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b', 'a *** b'],
    ['-----BEGIN PRIVATE KEY-----\nMII', '***'],
    ['key AKIAIOSFODNN7EXAMPLE', 'key ***'],
    ['ghp_0123456789abcdefghijABCDEFGHIJ012345', '***'],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def', '***'],
    [
      'Could not connect to tcp://127.0.0.1:9000 (ECONNREFUSED)',
      'Could not connect to tcp://127.0.0.1:9000 (ECONNREFUSED)',
    ],
    ['There is no script /srv/site/a-key.php', 'There is no script /srv/site/a-key.php'],
    ['Use --config FILE', 'Use --config FILE'],
  ] as const) {
    assert.equal(hideInText(text), shown);
  }
});

test('what looks like a token has no name to tell', () => {
  for (const value of [
    '4f7c2a9e8b1d4c6fa0e35b7d9c8e1f2a',
    '123e4567-e89b-12d3-a456-426614174000',
    'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1',
    'Zx9Kq2Lm7Pw4Rt8Vb1Nc',
  ]) {
    assert.equal(hideValue('SETTING', value), '***', value);
  }
  for (const value of [
    'production',
    'application/x-www-form-urlencoded',
    '/srv/releases/20261128T091500Z/public',
    'php-fpm-8.2.24-production-pool',
    'ec2-54-1-2-3.compute-1.amazonaws.com',
    '2026-11-28T09:15:07.000Z',
    '+00:00',
    'E_ALL & ~E_DEPRECATED',
    '',
  ]) {
    assert.equal(hideValue('SETTING', value), value, value);
  }
  assert.equal(hideValue('DB_PASSWORD', ''), '');
});

test('arguments of a program', () => {
  const shown = (...args: string[]) => hideArguments(args).join(' ');
  assert.equal(shown('app', '--password', 'x', '--port', '9'), 'app --password *** --port 9');
  assert.equal(shown('app', '--api-key=x', '--name=y'), 'app --api-key=*** --name=y');
  assert.equal(
    shown('php', '-d', 'mysqli.default_pw=x', '-ddb.password=y', '-dmemory_limit=1M'),
    'php -d mysqli.default_pw=*** -ddb.password=*** -dmemory_limit=1M',
  );
  assert.equal(
    shown('env', 'DB_PASSWORD=x', 'DATABASE_URL=mysql://u:p@h/d'),
    'env DB_PASSWORD=*** DATABASE_URL=mysql://***@h/d',
  );
  assert.equal(shown('mysql', '-phunter', '-p', 'hunter', '-u', 'a:b'), 'mysql -p*** -p *** -u a:***');
  assert.equal(shown('spawn-fcgi', '-p', '9000', '-P', '/run/a.pid'), 'spawn-fcgi -p 9000 -P /run/a.pid');
  assert.equal(shown('app', '--no-password', '--port', '9'), 'app --no-password --port 9');
  assert.equal(shown('sh', '-c', 'exec app --token abc'), 'sh -c exec app --token ***');
  assert.equal(shown('php-cgi', '-b', '{address}'), 'php-cgi -b {address}');
});

test('the time that text takes grows with its length alone', () => {
  for (const piece of [
    'a://',
    'a:/b:',
    '=',
    '--a ',
    '"a":"',
    '-----BEGIN PRIVATE KEY-----',
    'Cookie: ',
    '%=',
    'eyJ',
    'a.',
  ]) {
    const text = piece.repeat(Math.ceil(65_536 / piece.length));
    const start = process.cpuUsage();
    hideInText(text);
    hideValue('a', text);
    // A quadratic expression takes minutes, a linear one some milliseconds.
    assert.ok(process.cpuUsage(start).user < 5_000_000, piece);
  }
});
