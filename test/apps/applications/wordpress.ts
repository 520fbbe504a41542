import type { Application } from '../application.ts';
import { prepareWordPress, useWordPress, volatileOfWordPress } from '../wordpress.ts';

export const application: Application = {
  title: 'WordPress',
  packages: ['wordpress', 'wordpress-theme-twentytwentythree', 'mariadb-server', 'php-fpm', 'php-mysql'],

  async prepare(place) {
    await prepareWordPress(place, '');
    const content = '/var/lib/wordpress/wp-content';
    return {
      fastway: {
        virtualServers: [
          {
            documentRoot: '/usr/share/wordpress',
            preset: 'wordpress',
            rules: [
              {
                match: { directory: '/wp-content', not: { extensions: ['php'] } },
                handler: { type: 'files', documentRoot: content },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'nginx',
        source: "Debian's examples/nginx-wordpress.conf",
        directives: ({ php }) => `
root /usr/share/wordpress;
index index.php;
location / {
  try_files $uri $uri/ /index.php?$args;
}
location ~^/wp-content/(.*)$ {
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

  use: (visitor) => useWordPress(visitor, ''),

  volatile: volatileOfWordPress(),
};
