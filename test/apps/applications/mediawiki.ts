import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchAnswer } from '../../support/http-client.ts';
import type { Application } from '../application.ts';
import { formFields } from '../forms.ts';
import { picture } from '../material.ts';
import { commandOf, giveToWeb, keepFolder, replaceFile } from '../system-files.ts';

const root = '/var/lib/mediawiki';

export const application: Application = {
  title: 'MediaWiki',
  packages: ['mediawiki', 'php-fpm', 'php-cli', 'php-sqlite3', 'php-xml', 'php-mbstring', 'php-intl'],

  prepare(place) {
    const data = join(place.folder, 'data');
    const made = join(place.folder, 'made');
    for (const directory of [data, made]) mkdirSync(directory);
    keepFolder(place, `${root}/images`);
    commandOf(
      'php',
      '/usr/share/mediawiki/maintenance/install.php',
      '--dbtype=sqlite',
      `--dbpath=${data}`,
      `--confpath=${made}`,
      '--server=http://localhost',
      '--scriptpath=',
      '--skins=Vector,MonoBook',
      '--pass=correct horse battery',
      'Käse & Brot',
      'Ann',
    );
    giveToWeb(data);
    const settings = readFileSync(join(made, 'LocalSettings.php'), 'utf8').replace(/^\$wgServer = .*$/m, '');
    replaceFile(
      place,
      '/etc/mediawiki/LocalSettings.php',
      `${settings}
$wgServer = WebRequest::detectServer();
$wgArticlePath = '/wiki/$1';
$wgEnableUploads = true;
$wgVerifyMimeType = false;
$wgJobRunRate = 0;
$wgUseInstantCommons = false;
`,
    );
    return {
      fastway: { virtualServers: [{ documentRoot: root }] },
      peer: {
        kind: 'Apache',
        source:
          "Debian's conf-available/mediawiki.conf and the rewriting of MediaWiki's manual for short URLs",
        directives: () => `
DocumentRoot ${root}
AllowEncodedSlashes NoDecode
Include /etc/apache2/conf-available/mediawiki.conf
RewriteEngine On
RewriteRule ^/[a-z_]+\\.php/ - [L]
RewriteCond %{DOCUMENT_ROOT}%{REQUEST_URI} !-f
RewriteCond %{DOCUMENT_ROOT}%{REQUEST_URI} !-d
RewriteRule .* %{DOCUMENT_ROOT}/index.php [L]`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the front page at its short address');
    const front = await visitor.page('/wiki/Main_Page');
    assert.match(front.text, /MediaWiki has been installed/);
    visitor.step('logs in');
    const form = await visitor.page('/index.php?title=Special:UserLogin');
    const inside = await visitor.submit('/index.php?title=Special:UserLogin', {
      ...formFields(form.text, 'wpPassword'),
      wpName: 'Ann',
      wpPassword: 'correct horse battery',
      wploginattempt: 'Log in',
    });
    assert.match(inside.text, /Log out/);
    visitor.step('writes pages whose names need care');
    for (const name of ['AT%26T', 'AC%2FDC', 'C%2B%2B', 'Gr%C3%BC%C3%9Fe%3F', 'Config.php', 'Dump.sql']) {
      const editor = await visitor.get(`/index.php?title=${name}&action=edit`);
      await visitor.submit(`/index.php?title=${name}&action=submit`, {
        ...formFields(editor.text, 'wpTextbox1'),
        wpTextbox1: `Of '''${decodeURIComponent(name)}'''.`,
        wpSave: 'Save',
      });
      const page = await visitor.get(`/wiki/${name}`);
      assert.equal(page.status, 200, name);
      assert.ok(page.text.includes('Of <b>'), name);
    }
    visitor.step('uploads a picture, and loads it');
    const upload = await visitor.page('/wiki/Special:Upload');
    const uploaded = await visitor.upload(
      '/index.php?title=Special:Upload',
      {
        ...formFields(upload.text, 'wpDestFile'),
        wpDestFile: 'Pixel.png',
        wpIgnoreWarning: '1',
        wpUpload: 'Upload file',
      },
      { name: 'wpUploadFile', filename: 'pixel.png', type: 'image/png', content: picture },
    );
    const address = /href="(\/images\/[^"]*Pixel\.png)"/.exec(uploaded.text)?.[1];
    assert.ok(address !== undefined, 'the page of the picture links to it');
    const loaded = await visitor.get(address);
    assert.ok(loaded.body.equals(picture));
    visitor.step('searches, history, interfaces');
    for (const path of [
      '/wiki/Special:RecentChanges',
      '/index.php?title=AT%26T&action=history',
      '/api.php?action=query&titles=AT%26T&format=json',
      '/rest.php/v1/page/C%2B%2B',
      '/index.php/AT%26T',
    ])
      assert.equal((await visitor.get(path)).status, 200, path);
    visitor.step('its settings, which are not sent');
    for (const path of ['/LocalSettings.php', '/includes/DefaultSettings.php', '/cache/l10n_cache-en.cdb']) {
      const answer = await fetchAnswer(visitor.origin, path);
      assert.ok(!/wgSecretKey|Main_Page/.test(answer.text), path);
    }
  },

  volatile: [
    /"wgRequestId":"[^"]*"/g,
    /"wgBackendResponseTime":\d+/g,
    /\b[0-9a-f]{40,}(?:\+\\+)?/g,
    /\d+:\d\d(?::\d\d)?/g,
    /\b20\d{12}\b/g,
    /20\d\d-\d\d-\d\dT[^"<]*/g,
    /<!--[\s\S]*?-->/g,
    /real time usage[^\n]*/g,
    /fastway-test-\w+/g,
    /version=[\w]+/g,
    /\d\.\d{3,}/g,
  ],
};
