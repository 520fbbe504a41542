import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { fetchAnswer } from '../../support/http-client.ts';
import { phpAlias } from '../alias.ts';
import type { Application } from '../application.ts';
import { find, formFields } from '../forms.ts';
import { picture } from '../material.ts';
import { accepts, startService } from '../services.ts';
import { command, commandOf, giveToWeb, replaceFile } from '../system-files.ts';

const root = '/var/lib/roundcube/public_html';

/** @param base path of its folder, without a slash at its end; empty for the root */
export const roundcube = (title: string, base: string): Application => ({
  title,
  packages: ['roundcube-core', 'roundcube-sqlite3', 'dovecot-imapd', 'php-fpm', 'php-sqlite3', 'sqlite3'],
  debconf: ['roundcube-core roundcube/dbconfig-install boolean false'],

  async prepare(place) {
    const { folder } = place;
    const data = join(folder, 'data');
    mkdirSync(data);
    const database = join(data, 'roundcube.db');
    command(['sqlite3', database], { input: '.read /usr/share/roundcube/SQL/sqlite.initial.sql\n' });
    giveToWeb(data);
    const port = await freePort();
    const mail = join(folder, 'mail');
    mkdirSync(mail);
    commandOf('chown', 'mail:mail', mail);
    writeFileSync(join(folder, 'users'), 'ann:{PLAIN}secret:8:8::::\n');
    writeFileSync(
      join(folder, 'dovecot.conf'),
      `base_dir = ${folder}/run
log_path = ${folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
protocols = imap
listen = 127.0.0.1
mail_location = maildir:${mail}/%u
first_valid_uid = 1
service imap-login {
  chroot =
  inet_listener imap {
    port = ${port}
  }
}
passdb {
  driver = passwd-file
  args = ${folder}/users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=${mail}/%u
}
namespace inbox {
  inbox = yes
  mailbox Drafts {
    auto = create
  }
  mailbox Sent {
    auto = create
  }
}
`,
    );
    await startService(place, ['dovecot', '-F', '-c', join(folder, 'dovecot.conf')], () => accepts(port));
    replaceFile(
      place,
      '/etc/roundcube/config.inc.php',
      `<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///${database}?mode=0646';
$config['imap_host'] = '127.0.0.1:${port}';
$config['smtp_host'] = '127.0.0.1:1';
$config['des_key'] = '0123456789abcdefghijklmn';
$config['plugins'] = [];
$config['skin'] = 'elastic';
$config['enable_spellcheck'] = false;
`,
    );
    return {
      fastway: { virtualServers: [base === '' ? { documentRoot: root } : phpAlias(place, base, root)] },
      peer: {
        kind: 'Apache',
        source: `Debian's /etc/roundcube/apache.conf${base && ', with its Alias'}`,
        directives: () =>
          `DocumentRoot ${base === '' ? root : `${folder}\nAlias ${base} ${root}`}\nInclude /etc/roundcube/apache.conf`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the login page');
    const form = await visitor.page(`${base}/`);
    visitor.step('logs in');
    const inside = await visitor.submit(`${base}/?_task=login`, {
      ...formFields(form.text, '_pass'),
      _user: 'ann',
      _pass: 'secret',
      _timezone: 'UTC',
    });
    assert.match(inside.text, /Inbox/);
    await visitor.loadAssets(inside);
    const token = find(inside.text, /"request_token":"([^"]*)"/);
    visitor.step('opens the settings, the contacts and the mail that is to be written');
    for (const path of [
      `${base}/?_task=settings`,
      `${base}/?_task=addressbook`,
      `${base}/?_task=settings&_action=folders`,
    ])
      await visitor.page(path);
    const composer = await visitor.page(`${base}/?_task=mail&_action=compose`);
    const id = find(composer.text, /name="_id" value="([^"]*)"/);
    visitor.step('attaches a picture, and loads it');
    const attached = await visitor.upload(
      `${base}/?_task=mail&_action=upload&_id=${id}&_uploadid=upload1&_remote=1`,
      { _token: token },
      { name: '_attachments[]', filename: 'pixel.png', type: 'image/png', content: picture },
    );
    const file = find(attached.text, /rcmfile(\w+)/);
    const loaded = await visitor.get(
      `${base}/?_task=mail&_action=display-attachment&_file=rcmfile${file}&_id=${id}`,
    );
    assert.ok(loaded.body.equals(picture));
    visitor.step('saves a draft');
    const draft = await visitor.submit(`${base}/?_task=mail&_framed=1&_action=send`, {
      ...formFields(composer.text, '_subject'),
      _token: token,
      _id: id,
      _draft: '1',
      _to: 'bob@example.org',
      _subject: 'Käse & Brot',
      _message: 'A text.',
      _attachments: file,
    });
    assert.match(draft.text, /Message saved/i);
    visitor.step('its configuration, which is not sent');
    for (const path of [`${base}/config/config.inc.php`, `${base}/../config/config.inc.php`]) {
      const answer = await fetchAnswer(visitor.origin, path);
      assert.ok(!answer.text.includes('des_key'), path);
    }
    visitor.step('logs out');
    const left = await visitor.get(`${base}/?_task=logout&_token=${token}`);
    assert.match(left.text, /name="_pass"/);
  },

  volatile: [/\b\w{32}\b/g, /\b1[78]\d{8}\d*\b/g, /[0-9a-f]{20,}/g, /fastway-test-\w+/g, /rcmfile\w+/g],
});

export const application: Application = roundcube('Roundcube', '');
