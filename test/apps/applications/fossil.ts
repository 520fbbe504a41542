import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestDirectory } from '../../support/test-directory.ts';
import type { Application } from '../application.ts';
import { formFields } from '../forms.ts';
import { picture } from '../material.ts';
import { command, commandOf, giveToWeb } from '../system-files.ts';

export const application: Application = {
  title: 'Fossil',
  packages: ['fossil'],

  prepare({ folder }) {
    const data = join(folder, 'data');
    mkdirSync(data);
    const file = join(data, 'project.fossil');
    commandOf('fossil', 'init', '--admin-user', 'ann', file);
    commandOf('fossil', 'user', 'password', 'ann', 'secret', '-R', file);
    commandOf('fossil', 'user', 'capabilities', 'nobody', 'gjorz', '-R', file);
    command(['fossil', 'wiki', 'create', 'Notes', '--user', 'ann', '-R', file], { input: 'A page.\n' });
    giveToWeb(data);
    const script = join(folder, 'project.cgi');
    writeFileSync(script, `#!/usr/bin/fossil\nrepository: ${file}\n`);
    chmodSync(script, 0o755);
    return {
      fastway: {
        virtualServers: [
          {
            documentRoot: data,
            rules: [{ match: { directory: '/project' }, handler: { type: 'cgi', scriptAlias: script } }],
          },
        ],
      },
      peer: {
        kind: 'Apache',
        source: 'ScriptAlias, as Fossil\'s own page "Serving via CGI" says',
        directives: () => `
ScriptAlias /project ${script}
DocumentRoot ${data}
<Directory ${folder}>
  Require all granted
</Directory>`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the front page and the timeline');
    await visitor.page('/project');
    for (const path of ['home', 'timeline', 'dir', 'wiki', 'brlist', 'ticket'])
      await visitor.page(`/project/${path}`);
    visitor.step('logs in');
    const form = await visitor.page('/project/login');
    const inside = await visitor.submit('/project/login', {
      ...formFields(form.text, 'p'),
      u: 'ann',
      p: 'secret',
      in: 'Login',
    });
    assert.match(inside.text, /ann/);
    visitor.step('files a ticket');
    const ticket = await visitor.page('/project/tktnew');
    const filed = await visitor.submit('/project/tktnew', {
      ...formFields(ticket.text, 'title'),
      title: 'Käse & Brot',
      comment: 'It is <b>gone</b>.',
      submit: 'Submit',
    });
    assert.match(filed.text, /Käse &amp; Brot/);
    visitor.step('attaches a picture to a page');
    const attach = await visitor.page('/project/attachadd?page=Notes');
    await visitor.upload(
      '/project/attachadd',
      { ...formFields(attach.text, 'f'), ok: 'Add Attachment' },
      { name: 'f', filename: 'pixel.png', type: 'image/png', content: picture },
    );
    visitor.step('clones with fossil');
    const copy = join(createTestDirectory(), 'clone.fossil');
    commandOf(
      'fossil',
      'clone',
      '--no-open',
      `${visitor.origin.replace('//', '//ann:secret@')}/project`,
      copy,
    );
  },

  volatile: [
    /\d+ (?:second|minute)s?/g,
    /<pre class="captcha">[\s\S]*?<\/pre>/g,
    /captcha-audio\/\d*/g,
    /name="cs"[^>]*/g,
    /\b[0-9a-f]{10,64}\b/g,
    /\d+:\d\d(:\d\d)?/g,
    /nonce-?="[^"]*"/g,
    /\d+\.\d+s/g,
  ],
};
