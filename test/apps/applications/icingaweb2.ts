import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { formFields } from '../forms.ts';
import { startMariaDb } from '../services.ts';
import { commandOf, giveToWeb } from '../system-files.ts';

const root = '/usr/share/icingaweb2/public';

export const application: Application = {
  title: 'Icinga Web 2 (an alias with a front controller)',
  packages: ['icingaweb2', 'mariadb-server', 'php-fpm', 'php-mysql', 'php-cli'],
  debconf: ['icingaweb2 icingaweb2/dbconfig-install boolean false'],

  async prepare(place) {
    const { port, sql } = await startMariaDb(place);
    const hash = commandOf('php', '-r', "echo password_hash('secret', PASSWORD_DEFAULT);");
    sql(
      `USE app; ${readFileSync('/usr/share/icingaweb2/schema/mysql.schema.sql', 'utf8')}; INSERT INTO icingaweb_user (name, active, password_hash) VALUES ('ann', 1, '${hash}');`,
    );
    const settings = join(place.folder, 'etc');
    mkdirSync(settings);
    const files = {
      'config.ini':
        '[global]\nshow_stacktraces = "1"\nconfig_backend = "db"\nconfig_resource = "db"\n[logging]\nlog = "none"\n',
      'resources.ini': `[db]\ntype = "db"\ndb = "mysql"\nhost = "127.0.0.1"\nport = "${port}"\ndbname = "app"\nusername = "app"\npassword = "app"\n`,
      'authentication.ini': '[db]\nbackend = "db"\nresource = "db"\n',
      'groups.ini': '[db]\nbackend = "db"\nresource = "db"\n',
      'roles.ini': '[all]\nusers = "ann"\npermissions = "*"\n',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(settings, name), text);
    giveToWeb(settings);
    const env = { ICINGAWEB_CONFIGDIR: settings };
    return {
      fastway: {
        virtualServers: [
          {
            documentRoot: place.folder,
            rules: [
              {
                match: { directory: '/icingaweb2', extensions: ['php'] },
                handler: { type: 'fastcgi', source: 'php', documentRoot: root, env },
              },
              {
                match: { directory: '/icingaweb2', exists: 'file' },
                handler: { type: 'files', documentRoot: root },
              },
              {
                match: { directory: '/icingaweb2' },
                handler: { type: 'redirect', to: '/icingaweb2/index.php', internal: true },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'Apache',
        source: "Debian's conf-available/icingaweb2.conf, with another ICINGAWEB_CONFIGDIR",
        directives: ({ folder }) => {
          const file = join(folder, 'icingaweb2.conf');
          const written = readFileSync('/etc/apache2/conf-available/icingaweb2.conf', 'utf8');
          writeFileSync(file, written.replace('"/etc/icingaweb2"', `"${settings}"`));
          return `DocumentRoot ${place.folder}\nInclude ${file}`;
        },
      },
    };
  },

  async use(visitor) {
    visitor.step('the login page');
    await visitor.get('/icingaweb2/');
    const form = await visitor.page('/icingaweb2/authentication/login');
    visitor.step('logs in');
    const inside = await visitor.submit('/icingaweb2/authentication/login', {
      ...formFields(form.text, 'password'),
      username: 'ann',
      password: 'secret',
    });
    assert.match(inside.text, /ann/);
    await visitor.loadAssets(inside);
    visitor.step('opens the configuration, the account, the users and the modules');
    for (const path of [
      'config/general',
      'account',
      'user/list',
      'role/list',
      'config/modules',
      'about',
      'health',
    ])
      await visitor.page(`/icingaweb2/${path}`);
    visitor.step('what is not there');
    await visitor.ask('/icingaweb2/none');
  },

  volatile: [/\b[0-9a-f]{20,}\b/g, /CSRFToken[^>]*/g, /\b\d{6,}\b/g, /fastway-test-\w+/g, /_(?:dev|\d+)\b/g],
};
