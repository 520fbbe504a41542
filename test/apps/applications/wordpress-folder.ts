import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { prepareWordPress, useWordPress, volatileOfWordPress } from '../wordpress.ts';

const content = '/var/lib/wordpress/wp-content';

export const application: Application = {
  title: 'WordPress in a folder',
  packages: ['wordpress', 'wordpress-theme-twentytwentythree', 'mariadb-server', 'php-fpm', 'php-mysql'],

  async prepare(place) {
    await prepareWordPress(place, '/blog');
    const root = join(place.folder, 'www');
    mkdirSync(root);
    symlinkSync('/usr/share/wordpress', join(root, 'blog'));
    return {
      fastway: {
        virtualServers: [
          {
            documentRoot: root,
            preset: 'wordpress',
            rules: [
              {
                match: { directory: '/blog/wp-content', not: { extensions: ['php'] } },
                handler: { type: 'files', documentRoot: content },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'nginx',
        source: "Debian's examples/nginx-wordpress.conf, below /blog",
        directives: ({ php }) => `
root ${root};
index index.php;
location / {
  try_files $uri $uri/ /blog/index.php?$args;
}
location ~^/blog/wp-content/(.*)$ {
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

  use: (visitor) => useWordPress(visitor, '/blog'),
  volatile: volatileOfWordPress(),
};
