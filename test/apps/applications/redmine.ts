import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { find, formFields } from '../forms.ts';
import { picture } from '../material.ts';
import { startService } from '../services.ts';
import { asWeb, command, giveToWeb, keepFolder, replaceFile } from '../system-files.ts';

const root = '/usr/share/redmine/public';
const program = join(root, 'dispatch.fcgi');
const assets = '/var/cache/redmine/default/plugin_assets';

export const application: Application = {
  title: 'Redmine',
  packages: ['redmine', 'redmine-sqlite', 'ruby-fcgi', 'spawn-fcgi'],
  debconf: ['redmine redmine/instances/default/dbconfig-install boolean false'],

  prepare(place) {
    const { folder } = place;
    const data = join(folder, 'data');
    mkdirSync(data);
    giveToWeb(data);
    for (const path of ['/var/lib/redmine', '/var/log/redmine']) keepFolder(place, path);
    replaceFile(
      place,
      '/etc/redmine/default/database.yml',
      `production:\n  adapter: sqlite3\n  database: ${data}/redmine.db\n  timeout: 10000\n`,
    );
    const env = { RAILS_ENV: 'production', REDMINE_INSTANCE: 'default' };
    for (const task of ['db:migrate', 'redmine:load_default_data'])
      command([...asWeb, 'rake', task], {
        cwd: '/usr/share/redmine',
        env: { ...env, REDMINE_LANG: 'en', SCHEMA: '/dev/null', HOME: data },
      });
    const socket = join(folder, 'redmine.sock');
    return {
      fastway: {
        sources: { rails: { interpreter: [program], env } },
        virtualServers: [
          {
            documentRoot: root,
            preset: 'rails',
            rules: [
              {
                match: { directory: '/plugin_assets' },
                handler: { type: 'files', documentRoot: assets },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'nginx',
        source: "Debian's examples/nginx-host.conf, with root in place of alias",
        start: () =>
          startService(
            place,
            `spawn-fcgi -n -s ${socket} -M 666 -u www-data -g www-data -- ${program}`.split(' '),
            // A connection without a request ends Debian's FastCGI library of Ruby.
            () => existsSync(socket),
            { env },
          ),
        directives: () => `
location / {
  root ${root};
  try_files $uri @fcgi;
}
location /plugin_assets/ {
  alias ${assets}/;
}
location @fcgi {
  include /etc/nginx/fastcgi_params;
  fastcgi_param HTTP_HOST $http_host;
  fastcgi_param SCRIPT_FILENAME ${root}/$fastcgi_script_name;
  fastcgi_pass unix:${socket};
  fastcgi_read_timeout 120s;
}`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the front page');
    await visitor.page('/');
    visitor.step('logs in, and changes the first password as it must');
    const form = await visitor.page('/login');
    const inside = await visitor.submit('/login', {
      ...formFields(form.text, 'password'),
      username: 'admin',
      password: 'admin',
    });
    const changed = await visitor.submit('/my/password', {
      ...formFields(inside.text, 'new_password'),
      password: 'admin',
      new_password: 'correct horse',
      new_password_confirmation: 'correct horse',
    });
    assert.match(changed.text, /Password was successfully updated/);
    visitor.step('makes a project');
    const project = await visitor.page('/projects/new');
    const made = await visitor.submit('/projects', {
      ...formFields(project.text, 'project[name]'),
      'project[name]': 'Käse & Brot',
      'project[identifier]': 'cheese',
      'project[enabled_module_names][]': 'issue_tracking',
      'project[tracker_ids][]': '1',
    });
    assert.match(made.text, /Successful creation/);
    visitor.step('uploads a picture for an issue, as its script does, and makes the issue');
    const page = await visitor.page('/projects/cheese/issues/new');
    const token = find(page.text, /name="csrf-token" content="([^"]*)"/);
    const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const uploaded = await visitor.ask('/uploads.js?attachment_id=1&filename=pixel.png', {
      method: 'POST',
      headers: { 'Content-Type': 'application/octet-stream', 'X-CSRF-Token': token, Cookie: cookie },
      body: picture,
    });
    const attachment = find(uploaded.text, /val\('([^']+)'\)/);
    const issue = await visitor.submit('/projects/cheese/issues', {
      ...formFields(page.text, 'issue[subject]'),
      'issue[subject]': 'Grüße & more',
      'issue[description]': 'A *zanzibar*.',
      'attachments[1][token]': attachment,
      'attachments[1][filename]': 'pixel.png',
    });
    assert.match(issue.text, /zanzibar/);
    visitor.step('loads the picture, and the issue as PDF and as Atom');
    const loaded = await visitor.get('/attachments/download/1/pixel.png');
    assert.ok(loaded.body.equals(picture));
    await visitor.page('/attachments/1');
    const pdf = await visitor.get('/issues/1.pdf');
    assert.equal(pdf.headers['content-type'], 'application/pdf');
    await visitor.get('/projects/cheese/issues.csv');
    await visitor.get('/projects/cheese/issues.atom');
    visitor.step('opens the lists and the administration, and what is not there');
    for (const path of [
      '/projects',
      '/issues',
      '/projects/cheese/settings',
      '/users',
      '/settings',
      '/my/page',
    ])
      await visitor.page(path);
    await visitor.ask('/none');
    await visitor.ask('/images/none.png');
    visitor.step('logs out');
    const home = await visitor.get('/');
    const left = await visitor.submit('/logout', {
      authenticity_token: find(home.text, /name="csrf-token" content="([^"]*)"/),
    });
    assert.match(left.text, /Sign in/);
  },

  volatile: [
    /%PDF[\s\S]*/g,
    /csrf-token" content="[^"]*"/g,
    /authenticity_token" value="[^"]*"/g,
    /\b1[678]\d{8}\b/g,
    /\b[0-9a-f]{32,64}\b/g,
    /\?key=\w+/g,
    /\d+:\d\d(?::\d\d)?/g,
    /fastway-test-\w+/g,
    /(?:less than a minute|\b\d+ (?:seconds?|minutes?))/g,
  ],
};
