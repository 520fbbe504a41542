import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import type { Application } from '../application.ts';

const program = '/usr/lib/cgi-bin/smokeping.cgi';
const root = '/usr/share/smokeping/www';

export const application: Application = {
  title: 'SmokePing',
  packages: ['smokeping'],

  prepare({ folder }) {
    // As its init script does.
    mkdirSync('/run/smokeping', { recursive: true });
    return {
      fastway: {
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/smokeping/smokeping.cgi' },
                handler: { type: 'cgi', scriptAlias: program },
              },
              {
                match: { path: '/smokeping/' },
                handler: { type: 'redirect', to: '/smokeping/smokeping.cgi', internal: true },
              },
              { match: { directory: '/smokeping' }, handler: { type: 'files', documentRoot: root } },
            ],
          },
        ],
      },
      peer: {
        kind: 'Apache',
        source: "Debian's conf-available/smokeping.conf",
        directives: () => `
DocumentRoot ${folder}
Include /etc/apache2/conf-available/smokeping.conf
<Directory /usr/lib/cgi-bin>
  Options +ExecCGI +FollowSymLinks
  Require all granted
</Directory>`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the front page by its program and by its folder');
    const page = await visitor.page('/smokeping/smokeping.cgi');
    assert.match(page.text, /SmokePing/);
    await visitor.page('/smokeping/');
    visitor.step('the folder without its slash, a target, and what is not there');
    await visitor.ask('/smokeping');
    await visitor.page('/smokeping/smokeping.cgi?target=Local');
    await visitor.ask('/smokeping/none.css');
  },

  volatile: [/fastway-test-\w+/g, /\d+:\d\d(?::\d\d)?/g],
};
