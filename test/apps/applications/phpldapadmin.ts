import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../support/free-port.ts';
import type { Application } from '../application.ts';
import { formFields } from '../forms.ts';
import { accepts, startService } from '../services.ts';
import { command, replaceFile } from '../system-files.ts';

const root = '/usr/share/phpldapadmin/htdocs';

export const application: Application = {
  title: 'phpLDAPadmin',
  packages: ['phpldapadmin', 'slapd', 'php-fpm', 'php-ldap', 'php-xml'],
  debconf: ['slapd slapd/no_configuration boolean true'],

  async prepare(place) {
    const { folder } = place;
    const data = join(folder, 'ldap');
    mkdirSync(data);
    const port = await freePort();
    const settings = join(folder, 'slapd.conf');
    writeFileSync(
      settings,
      `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
directory ${data}
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw secret
`,
    );
    command(['slapadd', '-f', settings], {
      input:
        'dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n',
      env: { PATH: `${process.env.PATH}:/usr/sbin` },
    });
    await startService(place, ['slapd', '-d', '0', '-f', settings, '-h', `ldap://127.0.0.1:${port}`], () =>
      accepts(port),
    );
    replaceFile(
      place,
      '/etc/phpldapadmin/config.php',
      `<?php
$config->custom->session['blowfish'] = '0123456789abcdef0123456789abcdef';
$servers = new Datastore();
$servers->newServer('ldap_pla');
$servers->setValue('server','name','A test');
$servers->setValue('server','host','127.0.0.1');
$servers->setValue('server','port',${port});
$servers->setValue('server','base',array('dc=example,dc=org'));
$servers->setValue('login','auth_type','session');
$servers->setValue('login','bind_id','cn=admin,dc=example,dc=org');
`,
    );
    return {
      fastway: { virtualServers: [{ documentRoot: root }] },
      peer: {
        kind: 'Apache',
        source: "Debian's conf-available/phpldapadmin.conf",
        directives: () => `DocumentRoot ${root}\nInclude /etc/apache2/conf-available/phpldapadmin.conf`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the front page');
    await visitor.page('/');
    visitor.step('logs in');
    const form = await visitor.page('/cmd.php?cmd=login_form&server_id=1');
    const inside = await visitor.submit('/cmd.php', {
      ...formFields(form.text, 'login_pass'),
      login: 'cn=admin,dc=example,dc=org',
      login_pass: 'secret',
    });
    assert.match(inside.text, /Logged in as/);
    await visitor.loadAssets(inside);
    visitor.step('shows the tree, the schema, the import');
    for (const path of [
      '/cmd.php?cmd=template_engine&server_id=1&dn=dc%3Dexample%2Cdc%3Dorg',
      '/cmd.php?cmd=schema&server_id=1',
    ])
      await visitor.page(path);
    visitor.step('uploads an LDIF');
    const importer = await visitor.page('/cmd.php?cmd=import_form&server_id=1');
    const imported = await visitor.upload('/cmd.php', formFields(importer.text, 'ldif_file'), {
      name: 'ldif_file',
      filename: 'people.ldif',
      type: 'text/plain',
      content: Buffer.from('dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n'),
    });
    assert.match(imported.text, /Success|Adding/);
    visitor.step('logs out');
    await visitor.get('/cmd.php?cmd=logout&server_id=1');
  },

  volatile: [/\d+:\d\d(?::\d\d)?/g, /[0-9a-f]{32,}/g],
};
