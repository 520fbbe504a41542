/** The web server that an application is compared with, configured as its package's own file says. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nginxServer, type WebServerSetup } from '../support/web-servers.ts';
import type { Peer } from './application.ts';

export function peerSetup({ kind, directives }: Peer): WebServerSetup {
  const own = ({ socket, ...place }: Parameters<WebServerSetup>[0]) =>
    directives({ ...place, socket, php: socket });
  return kind === 'nginx'
    ? nginxServer(
        (place) =>
          `server_name 127.0.0.1;\ninclude /etc/nginx/mime.types;\ndefault_type application/octet-stream;\n${own(place)}`,
      )
    : apache(own);
}

/** Apache with what Debian enables at its installation, and what packages enable for themselves. */
function apache(section: (place: Parameters<WebServerSetup>[0]) => string): WebServerSetup {
  return (place) => {
    const { folder, port } = place;
    const modules = [
      'mpm_event authn_core authn_file authz_core authz_host authz_user auth_basic access_compat',
      'alias autoindex cgid deflate dir env filter headers mime negotiation proxy proxy_fcgi rewrite setenvif',
    ]
      .flatMap((line) => line.split(' '))
      .filter((name) => name !== 'deflate' && existsSync(`/usr/lib/apache2/modules/mod_${name}.so`))
      .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`);
    const file = join(folder, 'apache.conf');
    writeFileSync(
      file,
      `ServerRoot ${folder}
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
DefaultRuntimeDir ${folder}
PidFile ${folder}/apache.pid
Mutex file:${folder}
${modules.join('\n')}
ScriptSock ${folder}/cgid.sock
TypesConfig /etc/mime.types
${process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
ErrorLog ${folder}/error.log
DirectoryIndex index.html index.cgi index.pl index.php index.xhtml index.htm
AccessFileName .htaccess
<Directory />
  Options FollowSymLinks
  AllowOverride None
  Require all denied
</Directory>
<Directory /usr/share>
  AllowOverride None
  Require all granted
</Directory>
<FilesMatch "^\\.ht">
  Require all denied
</FilesMatch>
<FilesMatch ".+\\.ph(?:ar|p|tml)$">
  SetHandler "proxy:unix:${place.socket}|fcgi://localhost"
</FilesMatch>
${section(place)}
`,
    );
    return ['apache2', '-d', folder, '-f', file, '-DFOREGROUND'];
  };
}
