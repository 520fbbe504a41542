import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closedBy, enterFolder, type FolderAccess, findDenial, readAccessFile } from './access-file.ts';

function enter(...texts: readonly string[]): FolderAccess | undefined {
  let folder: FolderAccess | undefined;
  for (const [index, text] of texts.entries())
    folder = enterFolder(folder, readAccessFile(`/r/${index}/.htaccess`, text));
  return folder;
}

const isDenied = (texts: string | readonly string[], name: string | undefined = 'a.txt'): boolean =>
  findDenial(enter(...(typeof texts === 'string' ? [texts] : texts)), name) !== undefined;

const both = (inner24: string, inner22: string) =>
  `<IfModule mod_authz_core.c>\n${inner24}\n</IfModule>\n<IfModule !mod_authz_core.c>\n${inner22}\n</IfModule>\n`;
const denyBoth = both('Require all denied', 'Order deny,allow\nDeny from all');
const grantBoth = both('Require all granted', 'Order allow,deny\nAllow from all');

test('all spellings that deny everything', () => {
  for (const text of [
    'Deny from all',
    'deny from all',
    '\tDENY  FROM  ALL  ',
    'Deny from all\r\n',
    '# a comment\r\n\r\ndeny from all\r\n',
    'Deny \\\nfrom \\\r\nall',
    '\xef\xbb\xbfDeny from all',
    'Deny from "all"',
    'Deny from 10.0.0.0/8 all',
    'Deny from 0.0.0.0/0',
    'Order deny,allow\nDeny from all',
    'Deny from all\nOrder Deny,Allow',
    'Order allow,deny\nDeny from all',
    'Order allow,deny',
    'Order Allow,Deny\nAllow from all\nDeny from all',
    'order deny,allow\ndeny from all\nallow from 127.0.0.1 localhost',
    'Order allow,deny\nAllow from 192.168.',
    'Order mutual-failure',
    'Require all denied',
    'require ALL Denied',
    'Require all denied\nSatisfy All',
    'Require not all granted',
    'Require local',
    'Require ip 10.0.0.0/8',
    'Require host example.org',
    'Require expr true',
    'AuthType Basic\nAuthName "x"\nAuthUserFile /x\nRequire valid-user',
    'Require user a b',
    'Require all granted # a comment is an error there',
    '<RequireAll>\nRequire all denied\n</RequireAll>',
    '<RequireAll>\nRequire all granted\nRequire ip 10.1.1.1\n</RequireAll>',
    '<RequireAny>\nRequire ip 10.1.1.1\nRequire valid-user\n</RequireAny>',
    '<RequireNone>\nRequire all granted\n</RequireNone>',
    '<RequireAny>\n<IfModule mod_x.c>\nRequire all granted\n</IfModule>\nRequire local\n</RequireAny>',
    denyBoth,
    denyBoth.replaceAll('\n', '\r\n'),
    both('', 'Deny from all'),
    '<IfModule !mod_authz_core.c>\nDeny from all\n</IfModule>',
    '<IfModule mod_authz_core.c>\nRequire all denied\n</IfModule>',
    '<IfModule authz_core_module>\nRequire all denied\n</IfModule>\n<IfModule !authz_core_module>\nDeny from all\n</IfModule>',
    '<ifmodule !MOD_AUTHZ_CORE.C>\ndeny from all\n</ifmodule>',
    '<IfModule mod_access.c>\nDeny from all\n</IfModule>',
    '<IfModule mod_access_compat.c>\nDeny from all\n</IfModule>',
    '<IfModule !mod_php.c>\nOrder allow,deny\n</IfModule>',
    '<IfModule mod_version.c>\n<IfVersion < 2.4>\nDeny from all\n</IfVersion>\n<IfVersion >= 2.4>\nRequire all denied\n</IfVersion>\n</IfModule>',
    '<IfVersion >= 2.3>\nRequire all denied\n</IfVersion>',
    '<IfVersion < 2.3>\nDeny from all\n</IfVersion>',
    '<IfDefine X>\nDeny from all\n</IfDefine>',
    'Deny from all\n<IfModule mod_x.c>\nAllow from all\n</IfModule>',
    '<Files *>\nDeny from all\n</Files>',
    '<Files "*">\nOrder allow,deny\nDeny from all\n</Files>',
    '<Files ~ ".*">\nRequire all denied\n</Files>',
    '<FilesMatch ".*">\nRequire all denied\n</FilesMatch>',
    "<FilesMatch '^.*$'>\nRequire all denied\n</FilesMatch>",
    '<FilesMatch "">\nDeny from all\n</FilesMatch>',
    '<FilesMatch "(.*)">\n<IfModule mod_authz_core.c>\nRequire all denied\n</IfModule>\n</FilesMatch>',
    '<IfModule mod_authz_core.c>\n<Files *>\nRequire all denied\n</Files>\n</IfModule>',
    '<FilesMatch "^(?!index\\.php$).*$">\nDeny from all\n</FilesMatch>',
    '<FilesMatch "(a)\\1|.">\nDeny from all\n</FilesMatch>',
    '<Limit GET POST>\nDeny from all\n</Limit>',
    '<LimitExcept POST>\nDeny from all\n</LimitExcept>',
    'RewriteEngine On\nRewriteRule .* - [F]',
    '<IfModule mod_rewrite.c>\nRewriteEngine on\nRewriteRule ^ - [F,L]\n</IfModule>',
    'RewriteEngine on\nRewriteRule ^(.*)$ - [R=404,L]',
    'RedirectMatch 403 .*',
    'RedirectMatch 404 ^/.*$',
    'Redirect gone /',
    // Broken files are a 500 there.
    '<Files x>',
    '<Files x> Deny from all </Files>',
    '</Files>',
    '<IfModule a>\n</Files>',
    'Deny\0from all',
    'D\0e\0n\0y\0',
  ]) {
    assert.ok(isDenied(text), text);
    assert.ok(isDenied(text, undefined), `${text}: the folder itself`);
  }
});

test('what leaves a folder open', () => {
  for (const text of [
    '',
    '# Deny from all',
    '# a comment that goes on \\\nDeny from all',
    'Options -Indexes\nphp_flag engine off\nAnUnknownDirective x',
    'Allow from all',
    'Order allow,deny\nAllow from all',
    'Order deny,allow\nDeny from all\nAllow from all',
    'Order allow,deny\nAllow from all\nDeny from 192.0.2.1 env=bad_bot',
    'Deny from 192.0.2.1',
    'Require all granted',
    'Require all denied\nRequire all granted',
    '<RequireAll>\nRequire all granted\nRequire not ip 192.0.2.1\n</RequireAll>',
    '<IfModule mod_x.c>\n<RequireAll>\nRequire all granted\nRequire not ip 192.0.2.1\n</RequireAll>\n</IfModule>',
    '<IfModule mod_x.c>\nOrder allow,deny\nAllow from all\n</IfModule>',
    grantBoth,
    '<Files secret.txt>\nDeny from all\n</Files>',
    '<Files "*.inc">\nDeny from all\n</Files>',
    '<FilesMatch "\\.(php|inc)$">\nRequire all denied\n</FilesMatch>',
    '<Files ~ "^([\\._]ht|README$)">\nRequire all denied\n</Files>',
    '<Limit POST PUT>\nDeny from all\n</Limit>',
    '<LimitExcept GET POST>\nDeny from all\n</LimitExcept>',
    'Satisfy Any\nAllow from all\nRequire valid-user',
    'Require method GET POST',
    'RewriteEngine On\nRewriteCond %{HTTP_HOST} ^old$\nRewriteRule .* - [F]',
    'RewriteEngine On\nRewriteRule ^(config|logs) - [F]\nRewriteRule ^ index.php [L]',
    'RewriteEngine On\nRewriteRule ^ index.php [L]\nRewriteRule .* - [F]',
    'RewriteEngine Off\nRewriteRule .* - [F]',
    'RedirectMatch 404 /\\.git',
    'Redirect 404 /private',
  ])
    assert.ok(!isDenied(text), text);
});

test('a deeper file allows again what the same directives have denied, as in Apache 2.4', () => {
  for (const [outer, inner] of [
    ['Deny from all', 'Allow from all'],
    ['Deny from all', grantBoth.replace('Require all granted', 'Allow from all')],
    ['Require all denied', 'Require all granted'],
    ['Require all denied', 'Require local\nRequire all granted'],
    [denyBoth, 'Require all granted'],
    [denyBoth, grantBoth],
    ['Order allow,deny\nDeny from all', 'Order allow,deny\nAllow from all'],
    ['Require valid-user', 'Satisfy Any\nAllow from all'],
    ['Require all denied', 'AuthMerging Or\nRequire all granted'],
    ['RewriteEngine on\nRewriteRule .* - [F]', 'RewriteEngine off'],
    [denyBoth, '<Files a.txt>\nRequire all granted\n</Files>'],
  ] as const)
    assert.ok(!isDenied([outer, inner]), `${outer} / ${inner}`);
  for (const [outer, inner] of [
    ['Deny from all', ''],
    ['Deny from all', 'Require all granted'],
    ['Require all denied', 'Allow from all'],
    [denyBoth, 'Allow from all'],
    ['Deny from all', 'Allow from 127.0.0.1\nOrder allow,deny'],
    ['Require all denied', 'AuthMerging And\nRequire all granted'],
    ['Require all denied', '<IfModule mod_x.c>\nRequire all granted\n</IfModule>'],
    ['Require all denied', '<Files b.txt>\nRequire all granted\n</Files>'],
    ['<Files *>\nDeny from all\n</Files>', 'Allow from all'],
    ['<Files x', 'Require all granted'],
    ['Redirect 403 /', 'Require all granted'],
    ['Require all granted', 'Require all denied'],
  ] as const)
    assert.ok(isDenied([outer, inner]), `${outer} / ${inner}`);
});

test('files that are let in again, and files that are left out, by name', () => {
  // Akismet's, of WordPress.
  const akismet = `${both('Require all denied', 'Order Deny,Allow\nDeny from all')}
<FilesMatch "^(form\\.js|akismet(-frontend|-admin)?\\.js|akismet\\.css)$">
${both('Require all granted', 'Allow from all')}
</FilesMatch>`;
  for (const name of ['form.js', 'akismet.js', 'akismet-admin.js', 'akismet.css'])
    assert.ok(!isDenied(akismet, name), name);
  for (const name of ['akismet.php', 'xform.js', 'form.js.bak', 'a', 'FORM.JS'])
    assert.ok(isDenied(akismet, name), name);
  // What fits may be told only about: then it stays closed.
  const unsure = 'Deny from all\n<FilesMatch "^[a-z]+\\.js$">\nAllow from all\n</FilesMatch>';
  assert.ok(isDenied(unsure, 'a.js'));
  const some =
    '<FilesMatch "\\.(inc|ini)$">\nDeny from all\n</FilesMatch>\n<FilesMatch "^[0-9]+\\.dat$">\nDeny from all\n</FilesMatch>';
  for (const [name, denied] of [['a.inc', true], ['a.ini', true], ['a.txt', false], ['12.dat', true], ['12.txt', false]] as const)
    assert.equal(isDenied(some, name), denied, name); // biome-ignore format: a table
});

test('what is too much, or not to be read, stays closed for good', () => {
  const many = (count: number) => '<Files a>\nDeny from all\n</Files>\n'.repeat(count);
  assert.ok(!isDenied(many(400)));
  assert.ok(isDenied(many(600)));
  assert.ok(isDenied([many(300), many(300)]));
  const long = `<FilesMatch "${'x'.repeat(4000)}">\nDeny from all\n</FilesMatch>\n`;
  assert.ok(isDenied(long.repeat(5)));
  const closed = enterFolder(undefined, closedBy('/r/.htaccess', 'is a directory'));
  const deeper = enterFolder(closed, readAccessFile('/r/a/.htaccess', 'Require all granted'));
  assert.equal(findDenial(deeper, 'a'), '/r/.htaccess is a directory');
  assert.equal(findDenial(enter('Deny from all'), 'a'), '/r/0/.htaccess denies it');
  assert.equal(findDenial(undefined, 'a'), undefined);
});

test('S39: a hostile file is read in time that its length bounds', () => {
  const started = process.cpuUsage().user;
  for (const text of [
    `<FilesMatch "${'(a|aa)+'.repeat(300)}$">\n`.repeat(200),
    `<FilesMatch "${'('.repeat(4000)}">\n`.repeat(50),
    '<If x>\n'.repeat(30_000),
    'Require not all denied\n'.repeat(10_000),
    '\\\n'.repeat(100_000),
    `Deny from ${'a '.repeat(100_000)}`,
    '"'.repeat(200_000),
  ])
    isDenied(text, 'a'.repeat(255));
  assert.ok(process.cpuUsage().user - started < 3_000_000);
});
