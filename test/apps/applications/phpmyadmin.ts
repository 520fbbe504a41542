import assert from 'node:assert/strict';
import type { RuleInput } from '../../../src/config/types.ts';
import { phpAlias } from '../alias.ts';
import type { Application } from '../application.ts';
import { find, formFields } from '../forms.ts';
import { startMariaDb } from '../services.ts';
import { replaceFile } from '../system-files.ts';

const root = '/usr/share/phpmyadmin';

/** @param base path of its folder, without a slash at its end; empty for the root */
export const phpMyAdmin = (title: string, base: string): Application => ({
  title,
  packages: ['phpmyadmin', 'mariadb-server', 'php-fpm', 'php-mysql'],
  debconf: [
    'phpmyadmin phpmyadmin/dbconfig-install boolean false',
    'phpmyadmin phpmyadmin/reconfigure-webserver multiselect',
  ],

  async prepare(place) {
    const { port } = await startMariaDb(place);
    replaceFile(
      place,
      '/etc/phpmyadmin/conf.d/fastway.php',
      `<?php\n$cfg['Servers'][1]['auth_type'] = 'cookie';\n$cfg['Servers'][1]['host'] = '127.0.0.1';\n$cfg['Servers'][1]['port'] = ${port};\n$cfg['VersionCheck'] = false;\n`,
    );
    const closed: RuleInput = {
      match: { any: [{ directory: `${base}/templates` }, { directory: `${base}/libraries` }] },
      handler: { type: 'error', status: 403 },
    };
    const alias = phpAlias(place, base, root);
    return {
      fastway: {
        virtualServers: [
          base === ''
            ? { documentRoot: root, preset: 'php', rules: [closed] }
            : { ...alias, rules: [closed, ...alias.rules] },
        ],
      },
      peer: {
        kind: 'Apache',
        source: "Debian's /etc/phpmyadmin/apache.conf",
        directives: () =>
          `DocumentRoot ${base === '' ? root : place.folder}\nInclude /etc/phpmyadmin/apache.conf`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the login page');
    const form = await visitor.page(`${base}/`);
    visitor.step('logs in');
    const inside = await visitor.submit(`${base}/index.php?route=/`, {
      ...formFields(form.text, 'pma_username'),
      pma_username: 'app',
      pma_password: 'app',
    });
    assert.match(inside.text, /Server version/);
    await visitor.loadAssets(inside);
    const token = find(inside.text, /name="token" value="([^"]*)"/);
    visitor.step('runs SQL');
    const made = await visitor.submit(`${base}/index.php?route=/import`, {
      token,
      db: 'app',
      is_js_confirmed: '0',
      sql_query:
        "CREATE TABLE goods (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT); INSERT INTO goods (name) VALUES ('Käse & Brot');",
      sql_delimiter: ';',
      show_query: '1',
      SQL: 'Go',
    });
    assert.match(made.text, /1 row inserted/);
    visitor.step('uploads a file of SQL');
    const statements = Array.from(
      { length: 300 },
      (_, at) => `INSERT INTO goods (name) VALUES ('article ${at}');`,
    );
    const imported = await visitor.upload(
      `${base}/index.php?route=/import`,
      {
        token,
        db: 'app',
        import_type: 'database',
        format: 'sql',
        sql_compatibility: 'NONE',
        charset_of_file: 'utf-8',
      },
      {
        name: 'import_file',
        filename: 'goods.sql',
        type: 'application/sql',
        content: Buffer.from(statements.join('\n')),
      },
    );
    assert.match(imported.text, /300 queries executed/);
    visitor.step('shows the table and its structure');
    const rows = await visitor.page(`${base}/index.php?route=/sql&db=app&table=goods&pos=0`);
    assert.match(rows.text, /Käse &amp; Brot/);
    await visitor.page(`${base}/index.php?route=/table/structure&db=app&table=goods`);
    visitor.step('downloads a dump');
    await visitor.page(`${base}/index.php?route=/table/export&db=app&table=goods`);
    const dump = await visitor.submit(`${base}/index.php?route=/export`, {
      token,
      db: 'app',
      table: 'goods',
      export_type: 'table',
      export_method: 'quick',
      quick_or_custom: 'quick',
      what: 'sql',
      output_format: 'sendit',
      filename_template: '@TABLE@',
      sql_structure_or_data: 'structure_and_data',
      sql_insert_syntax: 'both',
      sql_drop_table: 'something',
    });
    assert.match(dump.text, /article 299/);
    assert.match(dump.headers['content-disposition'] ?? '', /attachment/);
    visitor.step('its templates and libraries');
    for (const path of ['/templates/list_navigator.twig', '/libraries/constants.php'])
      await visitor.ask(base + path);
    visitor.step('logs out');
    const left = await visitor.submit(`${base}/index.php?route=/logout`, { token });
    assert.match(left.text, /pma_username/);
  },

  volatile: [
    /fastway\/[\d.]+|Apache\/[\d.]+ \(Debian\)/g,
    /showAll_\d+/g,
    /\b\d{8,10}\b/g,
    // How many rows an index has is an estimate.
    /<td>\d+<\/td>(?=\s*<td>A<\/td>)/g,
    /127\.0\.0\.1:\d+/g,
    /\b[0-9a-f]{32,64}\b/g,
    /(?:token|_nocache|set_session)["']?\s*(?:value=|[:=])\s*["']?[^"'&]*/g,
    /\d+\.\d{4} seconds/g,
    /Query took[^)]*/g,
    /\d+:\d\d(?::\d\d)?/g,
    /"\d{13,}"/g,
    /fastway-test-\w+/g,
  ],
});

export const application: Application = phpMyAdmin('phpMyAdmin', '');
