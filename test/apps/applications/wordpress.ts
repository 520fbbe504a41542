/** WordPress as Debian ships it: at the root or in a folder, with MariaDB or SQLite, on php-fpm or on the embedded PHP. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Application, Place } from '../application.ts';
import { find, formFields } from '../forms.ts';
import { picture } from '../material.ts';
import { startMariaDb } from '../services.ts';
import { commandOf, giveToWeb, keepFolder, replaceFile } from '../system-files.ts';
import type { Visitor } from '../visitor.ts';

const root = '/usr/share/wordpress';
const content = '/var/lib/wordpress/wp-content';
/** The plugin that puts SQLite in MySQL's place: Debian has none, npm has it in this package. */
const sqliteCarrier = '@wp-playground/cli@3.1.54';

export interface WordPressVariant {
  readonly title: string;
  /** Path of the folder that it is installed in, without a slash at its end; empty for the root. */
  readonly base: string;
  readonly database: 'MariaDB' | 'SQLite';
  readonly embedded?: Pick<Application, 'node'>;
}

export function wordPress({ title, base, database, embedded }: WordPressVariant): Application {
  return {
    title,
    ...embedded,
    packages: [
      'wordpress',
      'wordpress-theme-twentytwentythree',
      'php-fpm',
      ...(database === 'MariaDB'
        ? ['mariadb-server', 'php-mysql']
        : ['php-sqlite3', 'php-mbstring', 'unzip']),
    ],

    async prepare(place) {
      keepFolder(place, '/var/lib/wordpress');
      const settings = database === 'MariaDB' ? await prepareMariaDb(place) : prepareSqlite(place);
      replaceFile(
        place,
        '/etc/wordpress/config-127.0.0.1.php',
        `<?php
${settings}
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] . '${base}');
define('WP_SITEURL', WP_HOME);
define('WP_CONTENT_URL', WP_HOME . '/wp-content');
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('FS_METHOD', 'direct');
// Its installation asks the site itself for a page, and takes other links where the answer needs more than 5 s, as on a busy machine.
if (${embedded ? 'true' : "defined('WP_INSTALLING')"}) $wp_filter['block_local_requests'][10][] = ['function' => '__return_true', 'accepted_args' => 0];
`,
      );
      let documentRoot = root;
      if (base !== '') {
        documentRoot = join(place.folder, 'www');
        mkdirSync(documentRoot);
        symlinkSync(root, join(documentRoot, base));
      }
      return {
        fastway: {
          ...(embedded && { sources: { php: { php: 'embedded' } } }),
          virtualServers: [
            {
              documentRoot,
              preset: 'wordpress',
              rules: [
                {
                  match: { directory: `${base}/wp-content`, not: { extensions: ['php'] } },
                  handler: { type: 'files', documentRoot: content },
                },
              ],
            },
          ],
        },
        peer: {
          kind: 'nginx',
          source: `Debian's examples/nginx-wordpress.conf${base && `, below ${base}`}${embedded ? ', with php-fpm' : ''}`,
          directives: ({ php }) => `
root ${documentRoot};
index index.php;
location / {
  try_files $uri $uri/ ${base}/index.php?$args;
}
location ~^${base}/wp-content/(.*)$ {
  alias ${content}/$1;
}
location ~ \\.php$ {
  include /etc/nginx/fastcgi_params;
  fastcgi_param HTTP_HOST $http_host;
  fastcgi_param SCRIPT_FILENAME $request_filename;
  fastcgi_pass unix:${php};
}`,
        },
      };
    },

    use: (visitor) => use(visitor, base, embedded !== undefined),

    volatile: [
      /\b[0-9a-f]{10}\b/g,
      /\b[0-9a-f]{32}\b/g,
      /\b1[67]\d{8}\b/g,
      /\d+:\d\d(?::\d\d)?/g,
      /data-pw="[^"]*"/g,
      /fastway-test-\w+/g,
      /name="ak_js"[^>]*/g,
      // Which modules of PHP are there.
      /<ul><li><span class='dashicons[\s\S]*?<\\\/ul>/g,
      /PHP \(8\.\d+\.\d+\)/g,
      /\b\d+ (?:secs?|seconds?|mins?|minutes?)\b/g,
    ],
  };
}

export const application: Application = wordPress({ title: 'WordPress', base: '', database: 'MariaDB' });

/** @returns what the configuration says of it */
async function prepareMariaDb(place: Place): Promise<string> {
  const { port } = await startMariaDb(place);
  return `define('DB_NAME', 'app');
define('DB_USER', 'app');
define('DB_PASSWORD', 'app');
define('DB_HOST', '127.0.0.1:${port}');`;
}

/** As the plugin's own pages tell: its folder among the plugins, its drop-in beside them. */
function prepareSqlite({ folder }: Place): string {
  const plugin = join(content, 'plugins/sqlite-database-integration');
  commandOf('unzip', '-q', sqlitePlugin(), '-d', folder);
  commandOf('mv', join(folder, 'plugin-sqlite-database-integration'), plugin);
  // WordPress before 6.2 has no such property of its own, and reads that of the plugin's class.
  const database = join(plugin, 'wp-includes/sqlite/class-wp-sqlite-db.php');
  const text = readFileSync(database, 'utf8');
  writeFileSync(database, text.replace('private $allow_unsafe', 'protected $allow_unsafe'));
  const dropIn = readFileSync(join(plugin, 'db.copy'), 'utf8')
    .replaceAll('{SQLITE_IMPLEMENTATION_FOLDER_PATH}', plugin)
    .replaceAll('{SQLITE_PLUGIN}', 'sqlite-database-integration/load.php');
  writeFileSync(join(content, 'db.php'), dropIn);
  const data = join(folder, 'data');
  mkdirSync(data);
  giveToWeb(data);
  return `define('DB_DIR', '${data}/');`;
}

/** @returns path of a zip file, which npm brings once */
function sqlitePlugin(): string {
  const folder = resolve('node_modules/.cache/fastway/wordpress-sqlite');
  const file = join(folder, 'package/sqlite-database-integration.zip');
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const archive = commandOf('npm', 'pack', '--silent', '--pack-destination', folder, sqliteCarrier).trim();
  commandOf('tar', '-xzf', join(folder, archive), '-C', folder, 'package/sqlite-database-integration.zip');
  return file;
}

async function use(visitor: Visitor, base: string, isEmbedded: boolean): Promise<void> {
  visitor.step('installs it through its pages');
  // Two at once: the second worker starts, and can answer when the site asks itself.
  if (isEmbedded) await Promise.all([1, 2].map(() => visitor.get(`${base}/wp-admin/install.php`)));
  const form = await visitor.page(`${base}/wp-admin/install.php?language=en_US`);
  const installed = await visitor.submit(`${base}/wp-admin/install.php?step=2`, {
    ...formFields(form.text, 'weblog_title'),
    weblog_title: 'Käse & Brot',
    user_name: 'ann',
    admin_password: 'correct horse battery',
    admin_password2: 'correct horse battery',
    pw_weak: 'on',
    admin_email: 'ann@example.org',
    blog_public: '0',
  });
  assert.match(installed.text, /Success!/);
  visitor.step('the front page');
  const front = await visitor.page(`${base}/`);
  assert.match(front.text, /Hello world!/);
  visitor.step('logs in');
  const login = await visitor.page(`${base}/wp-login.php`);
  const dashboard = await visitor.submit(`${base}/wp-login.php`, {
    ...formFields(login.text, 'pwd'),
    log: 'ann',
    pwd: 'correct horse battery',
  });
  assert.match(dashboard.text, /Dashboard/);
  await visitor.loadAssets(dashboard);
  visitor.step('sets permalinks');
  const permalinks = await visitor.page(`${base}/wp-admin/options-permalink.php`);
  assert.ok(!permalinks.text.includes('index.php/sample-post'), 'only links with /index.php/ are offered');
  await visitor.submit(`${base}/wp-admin/options-permalink.php`, {
    ...formFields(permalinks.text, 'permalink_structure'),
    selection: '/%postname%/',
    permalink_structure: '/%postname%/',
    submit: 'Save Changes',
  });
  visitor.step('opens the lists, the editor and the settings');
  for (const page of [
    'edit.php',
    'upload.php',
    'post-new.php',
    'themes.php',
    'plugins.php',
    'options-general.php',
    'site-health.php',
  ])
    await visitor.page(`${base}/wp-admin/${page}`);
  visitor.step('writes a post through the REST interface, and lets the site ask itself for a page');
  const editor = await visitor.get(`${base}/wp-admin/post-new.php`);
  const nonce = find(editor.text, /createNonceMiddleware\( ?"([0-9a-f]+)"/);
  const itself = await visitor.get(
    `${base}/wp-json/wp-site-health/v1/tests/loopback-requests?_wpnonce=${nonce}`,
  );
  if (!isEmbedded) assert.match(itself.text, /"status":"good"/);
  const posted = await visitor.submit(
    `${base}/wp-json/wp/v2/posts?_wpnonce=${nonce}`,
    {
      title: 'Grüße & more',
      content: 'A **zanzibar**.',
      status: 'publish',
    },
    201,
  );
  const { link }: { link: string } = JSON.parse(posted.text);
  visitor.step('uploads a picture, and loads it');
  const media = await visitor.page(`${base}/wp-admin/media-new.php?browser-uploader`);
  const uploaded = await visitor.upload(
    `${base}/wp-admin/media-new.php`,
    { ...formFields(media.text, '_wpnonce'), 'html-upload': 'Upload' },
    { name: 'async-upload', filename: 'pixel.png', type: 'image/png', content: picture },
  );
  assert.match(uploaded.text, /Media Library/);
  const items = await visitor.get(`${base}/wp-json/wp/v2/media`);
  const source = find(items.text, /"source_url":"([^"]*)"/).replaceAll('\\/', '/');
  const loaded = await visitor.get(new URL(source).pathname);
  assert.ok(loaded.body.equals(picture));
  visitor.step('reads the post at its own address, its feed and what is not there');
  visitor.forget();
  const post = await visitor.page(new URL(link).pathname);
  assert.match(post.text, /zanzibar/);
  for (const path of [
    '/feed/',
    '/?s=zanzibar',
    '/wp-sitemap.xml',
    '/robots.txt',
    '/no-such-post/',
    '/category/uncategorized/',
    '/author/ann/',
  ])
    await visitor.get(base + path);
  visitor.step('writes a comment');
  const commented = await visitor.submit(`${base}/wp-comments-post.php`, {
    ...formFields(post.text, 'comment_post_ID'),
    author: 'Bob',
    email: 'bob@example.org',
    comment: 'A <b>comment</b>.',
  });
  assert.match(commented.text, /awaiting moderation/);
}
