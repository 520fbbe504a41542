import assert from 'node:assert/strict';
import { passwordHash, wikiUser } from '../../support/dokuwiki.ts';
import { phpAlias } from '../alias.ts';
import type { Application } from '../application.ts';
import { formFields } from '../forms.ts';
import { picture } from '../material.ts';
import { giveToWeb, keepFolder, replaceFile } from '../system-files.ts';

const root = '/usr/share/dokuwiki';

/** @param base path of its folder, without a slash at its end; empty for the root */
export const dokuWiki = (title: string, base: string): Application => ({
  title,
  packages: ['dokuwiki', 'php-fpm', 'php-xml'],

  prepare(place) {
    keepFolder(place, '/var/lib/dokuwiki');
    replaceFile(
      place,
      '/etc/dokuwiki/local.php',
      "<?php\n$conf['useacl'] = 1;\n$conf['superuser'] = '@admin';\n",
    );
    replaceFile(place, '/var/lib/dokuwiki/acl/acl.auth.php', '*\t@ALL\t1\n*\t@user\t8\n');
    replaceFile(
      place,
      '/var/lib/dokuwiki/acl/users.auth.php',
      `${wikiUser.name}:${passwordHash}:${wikiUser.fullName}:tester@example.org:user\n`,
    );
    giveToWeb('/var/lib/dokuwiki/acl');
    return {
      fastway: { virtualServers: [base === '' ? { documentRoot: root } : phpAlias(place, base, root)] },
      peer: {
        kind: 'Apache',
        source: "Debian's /etc/dokuwiki/apache.conf",
        directives: () =>
          `DocumentRoot ${base === '' ? root : place.folder}\nInclude /etc/dokuwiki/apache.conf`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the front page');
    await visitor.page(`${base}/doku.php`);
    visitor.step('logs in');
    const form = await visitor.page(`${base}/doku.php?id=start&do=login`);
    const greeted = await visitor.submit(`${base}/doku.php?id=start`, {
      ...formFields(form.text, 'p'),
      u: wikiUser.name,
      p: wikiUser.password,
    });
    assert.ok(greeted.text.includes(wikiUser.fullName));
    visitor.step('writes a page');
    const editor = await visitor.page(`${base}/doku.php?id=notes:first&do=edit`);
    const saved = await visitor.submit(`${base}/doku.php?id=notes:first`, {
      ...formFields(editor.text, /id="dw__editform"/),
      'do[save]': '1',
      wikitext: '====== Grüße aus 東京 ======\n\nA **zanzibar**.\n',
    });
    assert.match(saved.text, /<h1[^>]*>Grüße aus 東京<\/h1>/);
    visitor.step('uploads a picture, and loads it');
    const manager = await visitor.page(`${base}/lib/exe/mediamanager.php?ns=notes`);
    const fields = formFields(manager.text, /id="dw__upload"/);
    const uploaded = await visitor.upload(
      `${base}/lib/exe/mediamanager.php`,
      { ...fields, mediaid: 'pixel.png' },
      { name: 'upload', filename: 'pixel.png', type: 'image/png', content: picture },
    );
    assert.match(uploaded.text, /Upload successful/);
    const fetched = await visitor.get(`${base}/lib/exe/fetch.php?media=notes:pixel.png`);
    assert.ok(fetched.body.equals(picture));
    visitor.step('logs out');
    const page = await visitor.page(`${base}/doku.php?id=start`);
    const token = /[?&;]sectok=([0-9a-f]+)/.exec(page.text)![1];
    const later = await visitor.get(`${base}/doku.php?id=start&do=logout&sectok=${token}`);
    assert.ok(!later.text.includes(wikiUser.fullName));
  },

  volatile: [/\b[0-9a-f]{32}\b/g, /\b1\d{9}\b/g],
});

export const application: Application = dokuWiki('DokuWiki', '');
