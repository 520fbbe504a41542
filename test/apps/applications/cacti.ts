import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { phpAlias } from '../alias.ts';
import type { Application } from '../application.ts';
import { formFields } from '../forms.ts';
import { startMariaDb } from '../services.ts';
import { keepFolder, replaceFile } from '../system-files.ts';

const base = '/cacti';

export const application: Application = {
  title: 'Cacti',
  packages: ['cacti', 'mariadb-server', 'php-fpm', 'php-mysql'],
  debconf: ['cacti cacti/dbconfig-install boolean false', 'cacti cacti/webserver select None'],

  async prepare(place) {
    const { port, sql } = await startMariaDb(place);
    sql(
      `USE app; ${readFileSync('/usr/share/doc/cacti/cacti.sql', 'utf8')}; UPDATE version SET cacti = '${readFileSync('/usr/share/cacti/site/include/cacti_version', 'utf8').trim()}'; UPDATE user_auth SET must_change_password = '';`,
    );
    for (const path of ['/var/lib/cacti', '/var/log/cacti']) keepFolder(place, path);
    const written = readFileSync('/etc/cacti/debian.php', 'utf8');
    const database = { default: 'app', hostname: '127.0.0.1', username: 'app', password: 'app', port };
    let settings = written;
    for (const [name, value] of Object.entries(database))
      settings = settings.replace(
        new RegExp(`^\\$database_${name}\\s*=.*`, 'm'),
        `$database_${name} = '${value}';`,
      );
    replaceFile(place, '/etc/cacti/debian.php', settings);
    return {
      fastway: { virtualServers: [phpAlias(place, base, '/usr/share/cacti/site')] },
      peer: {
        kind: 'Apache',
        source: "Debian's conf-available/cacti.conf",
        directives: () => `DocumentRoot ${place.folder}\nInclude /etc/apache2/conf-available/cacti.conf`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the login page');
    const form = await visitor.page(`${base}/`);
    visitor.step('logs in');
    const inside = await visitor.submit(`${base}/index.php`, {
      ...formFields(form.text, 'login_password'),
      login_username: 'admin',
      login_password: 'admin',
    });
    assert.match(inside.text, /Console/);
    await visitor.loadAssets(inside);
    visitor.step('opens the devices, graphs, users, settings and tools');
    for (const page of [
      'host.php',
      'graph_view.php',
      'graphs.php',
      'user_admin.php',
      'settings.php',
      'utilities.php',
      'data_input.php',
      'about.php',
    ])
      await visitor.page(`${base}/${page}`);
    visitor.step('uploads a list of colours');
    const colours = await visitor.page(`${base}/color.php?action=import`);
    const uploaded = await visitor.upload(
      `${base}/color.php`,
      formFields(colours.text, 'save_component_import'),
      {
        name: 'import_file',
        filename: 'colours.csv',
        type: 'text/csv',
        content: Buffer.from('"name","hex"\n"Zanzibar","12AB56"\n'),
      },
    );
    assert.match(uploaded.text.replace(/[\s\S]*Import Results/, ''), /INSERT SUCCEEDED/);
    visitor.step('downloads the list');
    const exported = await visitor.get(`${base}/color.php?action=export&named=false&filter=12AB56`);
    assert.match(exported.text, /Zanzibar/);
    assert.match(exported.headers['content-disposition'] ?? '', /attachment/);
    visitor.step('folders, and what is not there');
    for (const path of ['/none.php', '/none.css', '/images', '']) await visitor.ask(base + path);
    visitor.step('logs out');
    const left = await visitor.get(`${base}/logout.php`);
    assert.match(left.text, /login_password|logged out/i);
  },

  volatile: [
    /sid:[0-9a-f]+,\d+/g,
    /\b[0-9a-f]{32,64}\b/g,
    /\b1[678]\d{8}\b/g,
    /\d+:\d\d(?::\d\d)?/g,
    /fastway-test-\w+/g,
  ],
};
