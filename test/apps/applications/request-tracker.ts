import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { find, formFields } from '../forms.ts';
import { picture } from '../material.ts';
import { accepts, startService } from '../services.ts';
import { asWeb, command, giveToWeb } from '../system-files.ts';

const program = '/usr/share/request-tracker5/libexec/rt-server.fcgi';

export const application: Application = {
  title: 'Request Tracker',
  packages: ['request-tracker5', 'rt5-fcgi', 'rt5-db-sqlite', 'spawn-fcgi'],
  debconf: ['request-tracker5 request-tracker5/dbconfig-install boolean false'],

  prepare(place) {
    const { folder } = place;
    for (const name of ['data', 'etc']) mkdirSync(join(folder, name));
    giveToWeb(join(folder, 'data'));
    const settings = join(folder, 'etc/RT_SiteConfig.pm');
    writeFileSync(
      settings,
      `Set($rtname, 'a.example');
Set($Organization, 'a.example');
Set($WebPath, '/rt');
Set($WebDomain, '127.0.0.1');
Set($WebBaseURL, 'http://127.0.0.1');
Set($RestrictReferrer, 0);
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '${folder}/data/rt.sqlite');
Set($MailCommand, 'testfile');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'error');
1;
`,
    );
    writeFileSync(join(folder, 'password'), 'secret\n');
    const env = {
      RT_SITE_CONFIG: settings,
      RT_SITE_CONFIG_DIR: join(folder, 'etc'),
      // Without it lists come in another order from each process.
      PERL_HASH_SEED: '0',
    };
    command(
      [
        ...asWeb,
        'rt-setup-database-5',
        ...['--action', 'init', '--skip-create', '--dba', 'root', '--dba-password', 'none'],
        ...['--root-password-file', join(folder, 'password')],
      ],
      { env: { ...env, PATH: `${process.env.PATH}:/usr/sbin` } },
    );
    const socket = join(folder, 'rt.sock');
    return {
      fastway: {
        sources: { rt: { interpreter: [program], env, processes: { max: 2 } } },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/rt/REST/1.0/NoAuth', not: { from: '127.0.0.1' } },
                handler: { type: 'error', status: 403 },
              },
              { match: { directory: '/rt' }, handler: { type: 'fastcgi', source: 'rt', checkFile: false } },
            ],
          },
        ],
      },
      peer: {
        kind: 'nginx',
        source: "Debian's rt5-fcgi/examples/request-tracker5.conf, and PATH_INFO",
        start: () =>
          startService(
            place,
            `spawn-fcgi -n -s ${socket} -M 666 -u www-data -g www-data -F 2 -- ${program}`.split(' '),
            () => accepts(socket),
            { env },
          ),
        directives: () => `
location /rt {
  expires epoch;
  include /etc/nginx/fastcgi_params;
  fastcgi_split_path_info ^(/rt)(.*)$;
  fastcgi_param SCRIPT_NAME "/rt";
  fastcgi_param PATH_INFO $fastcgi_path_info;
  fastcgi_param HTTP_HOST $http_host;
  fastcgi_pass unix:${socket};
}`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the login page');
    const form = await visitor.page('/rt/');
    visitor.step('logs in');
    const inside = await visitor.submit('/rt/NoAuth/Login.html', {
      ...formFields(form.text, 'pass'),
      user: 'root',
      pass: 'secret',
    });
    assert.match(inside.text, /Logged in as/);
    await visitor.loadAssets(inside);
    visitor.step('makes a ticket, with a picture');
    const page = await visitor.page('/rt/Ticket/Create.html?Queue=1');
    const made = await visitor.upload(
      '/rt/Ticket/Create.html',
      {
        ...formFields(page.text, 'Subject'),
        Subject: 'Käse & Brot',
        Content: 'A **zanzibar**.',
        Requestors: 'bob@example.org',
        SubmitTicket: 'Create',
      },
      { name: 'Attach', filename: 'pixel.png', type: 'image/png', content: picture },
    );
    assert.match(made.text, /Ticket 1 created/);
    visitor.step('shows it, its history and its attachment');
    const ticket = await visitor.page('/rt/Ticket/Display.html?id=1&ForceShowHistory=1');
    assert.match(ticket.text, /Brot/);
    await visitor.page('/rt/Ticket/History.html?id=1');
    const attachment = find(ticket.text, /(?:href|src)="([^"]*\/Ticket\/Attachment\/[^"]*pixel\.png)"/);
    const loaded = await visitor.get(attachment);
    assert.ok(loaded.body.equals(picture));
    visitor.step('searches, and opens the administration and the settings');
    const found = await visitor.page('/rt/Search/Simple.html?q=Brot');
    assert.match(found.text, /Käse &#38; Brot/);
    for (const path of ['/rt/Admin/Queues/', '/rt/Admin/Users/', '/rt/Prefs/AboutMe.html', '/rt/Reports/'])
      await visitor.page(path);
    visitor.step('its interface for mail, and what is not there');
    await visitor.ask('/rt/REST/1.0/NoAuth/mail-gateway');
    await visitor.ask('/rt/NoAuth/none.html');
    await visitor.ask('/rt/static/none.css');
    visitor.step('logs out');
    const left = await visitor.get('/rt/NoAuth/Logout.html');
    assert.match(left.text, /logged out/i);
  },

  volatile: [
    /\b[0-9a-f]{32}\b/g,
    /\d+:\d\d(?::\d\d)?/g,
    /fastway-test-\w+/g,
    /\b\d+ (?:seconds?|minutes?)\b/g,
    /Time to display: [\d.]+/g,
    /\b[0-9a-f]{8}-[0-9a-f-]{27}\b/g,
    /\b1[678]\d{8}\b/g,
  ],
};
