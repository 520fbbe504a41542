/** WordPress as Debian ships it: its set-up, and a visit from the installation to a comment. */
import assert from 'node:assert/strict';
import type { Place } from './application.ts';
import { find, formFields } from './forms.ts';
import { picture } from './material.ts';
import { startMariaDb } from './services.ts';
import { keepFolder, replaceFile } from './system-files.ts';
import type { Visitor } from './visitor.ts';

/** @param base path of the folder that it is installed in, without a slash at its end; empty for the root */
export async function prepareWordPress(place: Place, base: string): Promise<void> {
  const { port } = await startMariaDb(place);
  keepFolder(place, '/var/lib/wordpress');
  replaceFile(
    place,
    '/etc/wordpress/config-127.0.0.1.php',
    `<?php
define('DB_NAME', 'app');
define('DB_USER', 'app');
define('DB_PASSWORD', 'app');
define('DB_HOST', '127.0.0.1:${port}');
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] . '${base}');
define('WP_SITEURL', WP_HOME);
define('WP_CONTENT_URL', WP_HOME . '/wp-content');
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('FS_METHOD', 'direct');
`,
  );
}

export async function useWordPress(visitor: Visitor, base: string): Promise<void> {
  visitor.step('installs it through its pages');
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
  visitor.step('writes a post through the REST interface');
  const editor = await visitor.get(`${base}/wp-admin/post-new.php`);
  const nonce = find(editor.text, /createNonceMiddleware\( ?"([0-9a-f]+)"/);
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

export function volatileOfWordPress(): RegExp[] {
  return [
    /\b[0-9a-f]{10}\b/g,
    /\b[0-9a-f]{32}\b/g,
    /\b1[67]\d{8}\b/g,
    /\d+:\d\d(?::\d\d)?/g,
    /data-pw="[^"]*"/g,
    /fastway-test-\w+/g,
    /name="ak_js"[^>]*/g,
    /\b\d+ (?:secs?|seconds?|mins?|minutes?)\b/g,
  ];
}
