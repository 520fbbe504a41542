import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { find, formFields } from '../forms.ts';
import { giveToWeb } from '../system-files.ts';

/** README.Debian: plugins are enabled in conf.php, and the web server gets its folder with conf.php as the index. */
const settings = `<?php
function adminer_object() {
    include_once '/usr/share/adminer/plugins/plugin.php';
    include_once '/usr/share/adminer/plugins/login-password-less.php';
    return new AdminerPlugin([new AdminerLoginPasswordLess(password_hash('secret', PASSWORD_DEFAULT, ['cost' => 4]))]);
}
include '/usr/share/adminer/adminer.php';
`;

export const application: Application = {
  title: 'Adminer',
  packages: ['adminer', 'php-fpm', 'php-sqlite3'],

  prepare({ folder }) {
    const root = join(folder, 'web');
    const data = join(folder, 'data');
    for (const directory of [root, data]) mkdirSync(directory);
    writeFileSync(join(root, 'conf.php'), settings);
    cpSync('/usr/share/adminer/designs/dracula/adminer.css', join(root, 'adminer.css'));
    databaseOf = join(data, 'shop.db');
    writeFileSync(databaseOf, '');
    giveToWeb(data);
    return {
      fastway: { virtualServers: [{ documentRoot: root, directoryIndex: ['conf.php'] }] },
      peer: {
        kind: 'Apache',
        source: "Debian's conf-available/adminer.conf for /srv/adminer/web",
        directives: () =>
          `DocumentRoot ${root}\n<Directory ${root}>\n  Require all granted\n  DirectoryIndex conf.php\n</Directory>`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the login page');
    const form = await visitor.page('/');
    visitor.step('logs in to an empty SQLite database');
    const login = {
      ...formFields(form.text, 'auth[driver]'),
      'auth[driver]': 'sqlite',
      'auth[username]': 'ann',
      'auth[password]': 'secret',
      'auth[db]': databaseOf,
    };
    const database = await visitor.submit('/', login);
    assert.match(database.text, /Create table/);
    await visitor.loadAssets(database);
    const here = `/?sqlite=&username=ann&db=${encodeURIComponent(databaseOf)}`;
    visitor.step('runs SQL');
    const editor = await visitor.page(`${here}&sql=`);
    const created = await visitor.submit(`${here}&sql=`, {
      ...formFields(editor.text, 'query'),
      query:
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO goods (name) VALUES ('Käse & Brot');",
    });
    assert.match(created.text, /1 row affected/);
    visitor.step('uploads a file of SQL');
    const again = await visitor.page(`${here}&import=`);
    const statements = Array.from(
      { length: 500 },
      (_, at) => `INSERT INTO goods (name) VALUES ('article ${at}');`,
    );
    const imported = await visitor.upload(`${here}&import=`, formFields(again.text, 'sql_file[]'), {
      name: 'sql_file[]',
      filename: 'goods.sql',
      type: 'application/sql',
      content: Buffer.from(statements.join('\n')),
    });
    assert.match(imported.text, /500 queries executed OK/);
    visitor.step('shows the table');
    const table = await visitor.page(`${here}&select=goods`);
    assert.match(table.text, /Käse &amp; Brot/);
    visitor.step('downloads a dump');
    const dump = await visitor.page(`${here}&dump=goods`);
    const exported = await visitor.submit(`${here}&dump=goods`, {
      ...formFields(dump.text, 'output'),
      output: 'file',
      format: 'sql',
      table_style: 'DROP+CREATE',
      data_style: 'INSERT',
      'tables[]': 'goods',
      'data[]': 'goods',
    });
    assert.match(exported.text, /article 499/);
    assert.match(exported.headers['content-disposition'] ?? '', /attachment/);
    visitor.step('logs out');
    const left = await visitor.submit(here, { ...formFields(table.text, 'logout'), logout: 'Logout' });
    assert.match(left.text, /Logout successful/);
    assert.equal(find(left.text, /name=["']?(auth\[username\])/), 'auth[username]');
  },

  volatile: [
    /nonce="[^"]*"/g,
    /"?\d+:\d+"?/g,
    /\d+\.\d{3} s/g,
    /fastway-test-\w+/g,
    /&lt; (?:33554432B|32MB)/g,
  ],
};

let databaseOf = '';
