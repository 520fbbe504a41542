/**
 * The servers that are measured, each with the configuration a person would write for it: one worker or thread where
 * that can be set, the same document root, the same application on a unix socket, everything else as it is by default.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './process.ts';

/** What all servers have in common. */
export interface SharedPlace {
  /** Holds a folder for each server. */
  readonly folder: string;
  readonly documentRoot: string;
  /** Unix socket of the application. */
  readonly socket: string;
}

/** What a configuration needs to know. */
export interface Place extends SharedPlace {
  /** The server's own: configuration, logs, temporary files. */
  readonly folder: string;
  /** To listen on, at 127.0.0.1. */
  readonly port: number;
}

export interface BenchServer {
  /** For `--servers`. */
  readonly name: string;
  readonly title: string;
  /** How it talks to the application: one connection for many requests, or one each. */
  readonly connections: 'kept' | 'new';
  /** It writes an access log, as it does when nobody says otherwise. */
  readonly accessLog: boolean;
  /** @throws {Error} when it is not installed */
  version(): string;
  /** Writes the configuration; returns the command that runs the server in the foreground. */
  prepare(place: Place): readonly string[];
}

const builtCli = join(import.meta.dirname, '..', 'dist', 'cli.js');

/** Where ours listens too, with a virtual server that writes no access log. As long as the other address: no work more, none less. */
export const silentHost = '127.0.0.2';

/** Ours; further node options are for the parts of the bench that look only at us. */
export function ours(options: {
  readonly name: string;
  readonly nodeOptions?: readonly string[];
  readonly requestsPerConnectionMax?: number;
  /** Of another build; default: of this one. */
  readonly cli?: string;
}): BenchServer {
  const { cli = builtCli } = options;
  return {
    name: options.name,
    title: 'Fastway',
    connections: 'kept',
    accessLog: true,
    version: () =>
      `${runProgram([process.execPath, cli, '--version']).trim()} on Node ${process.versions.node}`,
    prepare(place) {
      const virtualServer = {
        documentRoot: place.documentRoot,
        rules: [
          {
            match: { extensions: ['php'] },
            handler: { type: 'fastcgi', balancer: { sources: ['application'] } },
          },
          { handler: { type: 'files' } },
        ],
      };
      const accessLog = { format: 'combined', file: join(place.folder, 'access.log') };
      const config = {
        listen: ['127.0.0.1', silentHost].map((host) => ({ host, port: place.port })),
        limits: { maxBodyBytes: 2 ** 31, requestsPerConnectionMax: options.requestsPerConnectionMax },
        // As nginx is told to keep its connections.
        sources: { application: { address: `unix:${place.socket}`, keepConnections: 8 } },
        virtualServers: [
          { name: 'default', hosts: ['127.0.0.1', '*'], accessLog, ...virtualServer },
          { name: 'silent', hosts: [silentHost], accessLog: false, ...virtualServer },
        ],
      };
      const file = write(place, 'fastway.config.json', JSON.stringify(config, null, 2));
      return [process.execPath, ...(options.nodeOptions ?? []), cli, 'serve', '--config', file];
    },
  };
}

function nginx(connections: 'kept' | 'new'): BenchServer {
  return {
    name: connections === 'kept' ? 'nginx-kept' : 'nginx',
    title: 'nginx',
    connections,
    accessLog: true,
    version: () => find(runProgram(['nginx', '-v']), /nginx\/(\S+)/),
    prepare(place) {
      const temporary = ['client_body', 'fastcgi', 'proxy', 'uwsgi', 'scgi']
        .map((kind) => `${kind}_temp_path ${place.folder}/${kind};`)
        .join('\n  ');
      const file = write(
        place,
        'nginx.conf',
        `
worker_processes 1;
daemon off;
pid ${place.folder}/nginx.pid;
error_log ${place.folder}/error.log;
events {}
http {
  ${temporary}
  access_log ${place.folder}/access.log;
  sendfile on;
  upstream application {
    server unix:${place.socket};
    ${connections === 'kept' ? 'keepalive 32;' : ''}
  }
  server {
    listen 127.0.0.1:${place.port};
    root ${place.documentRoot};
    location ~ \\.php$ {
      include /etc/nginx/fastcgi.conf;
      fastcgi_pass application;
      ${connections === 'kept' ? 'fastcgi_keep_conn on;' : ''}
    }
  }
}
`,
      );
      return ['nginx', '-e', join(place.folder, 'error.log'), '-c', file];
    },
  };
}

const haproxy: BenchServer = {
  name: 'haproxy',
  title: 'HAProxy',
  connections: 'kept',
  accessLog: false,
  version: () => find(runProgram(['haproxy', '-v']), /version (\S+?)[-+ ]/),
  prepare(place) {
    const file = write(
      place,
      'haproxy.cfg',
      `
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:${place.port}
  default_backend application
backend application
  use-fcgi-app php
  http-reuse always
  server one unix@${place.socket} proto fcgi
fcgi-app php
  docroot ${place.documentRoot}
  index index.php
  option keep-conn
`,
    );
    return ['haproxy', '-db', '-f', file];
  },
};

const h2o: BenchServer = {
  name: 'h2o',
  title: 'h2o',
  connections: 'kept',
  accessLog: false,
  version: () => find(runProgram(['h2o', '--version']), /version (\S+)/),
  prepare(place) {
    const file = write(
      place,
      'h2o.conf',
      `
num-threads: 1
pid-file: ${place.folder}/h2o.pid
error-log: ${place.folder}/error.log
hosts:
  default:
    listen:
      host: 127.0.0.1
      port: ${place.port}
    paths:
      /:
        fastcgi.connect:
          port: ${place.socket}
          type: unix
        fastcgi.timeout.keepalive: 5000
        fastcgi.document_root: ${place.documentRoot}
`,
    );
    return ['h2o', '-m', 'worker', '-c', file];
  },
};

const lighttpd: BenchServer = {
  name: 'lighttpd',
  title: 'lighttpd',
  connections: 'new',
  accessLog: false,
  version: () => find(runProgram(['lighttpd', '-v']), /lighttpd\/(\S+)/),
  prepare(place) {
    const file = write(
      place,
      'lighttpd.conf',
      `
server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = ${place.port}
server.document-root = "${place.documentRoot}"
server.errorlog = "${place.folder}/error.log"
server.upload-dirs = ( "${place.folder}" )
index-file.names = ( "index.php" )
fastcgi.server = ( ".php" => (( "socket" => "${place.socket}" )) )
`,
    );
    return ['lighttpd', '-D', '-f', file];
  },
};

const apache: BenchServer = {
  name: 'apache',
  title: 'Apache',
  connections: 'new',
  accessLog: true,
  version: () => find(runProgram(['apache2', '-v']), /Apache\/(\S+)/),
  prepare(place) {
    const modules = ['mpm_event', 'authz_core', 'proxy', 'proxy_fcgi']
      .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`)
      .join('\n');
    const file = write(
      place,
      'apache.conf',
      `
ServerRoot ${place.folder}
ServerName 127.0.0.1
Listen 127.0.0.1:${place.port}
DefaultRuntimeDir ${place.folder}
PidFile ${place.folder}/apache.pid
Mutex file:${place.folder}
${modules}
${runsAsRoot() ? 'User www-data\nGroup www-data' : ''}
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
ErrorLog ${place.folder}/error.log
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
CustomLog ${place.folder}/access.log combined
DocumentRoot ${place.documentRoot}
<Directory ${place.documentRoot}>
  Require all granted
</Directory>
<FilesMatch "\\.php$">
  SetHandler "proxy:unix:${place.socket}|fcgi://localhost"
</FilesMatch>
`,
    );
    return ['apache2', '-d', place.folder, '-f', file, '-DFOREGROUND'];
  },
};

const caddy: BenchServer = {
  name: 'caddy',
  title: 'Caddy',
  connections: 'new',
  accessLog: false,
  version: () => runProgram(['caddy', 'version']).trim().split(' ')[0]!,
  prepare(place) {
    const file = write(
      place,
      'Caddyfile',
      `
{
  admin off
  auto_https off
  storage file_system ${place.folder}
}
http://127.0.0.1:${place.port} {
  root * ${place.documentRoot}
  php_fastcgi unix/${place.socket}
  file_server
}
`,
    );
    return [
      'env',
      `HOME=${place.folder}`,
      'GOMAXPROCS=1',
      'caddy',
      'run',
      '--config',
      file,
      '--adapter',
      'caddyfile',
    ];
  },
};

/** In the order of the tables. */
export const servers: readonly BenchServer[] = [
  ours({ name: 'fastway' }),
  nginx('kept'),
  haproxy,
  h2o,
  lighttpd,
  nginx('new'),
  apache,
  caddy,
];

function write(place: Place, name: string, text: string): string {
  const file = join(place.folder, name);
  writeFileSync(file, text.trimStart());
  // Some servers give up root before they open their logs.
  chmodSync(place.folder, 0o1777);
  return file;
}

function runsAsRoot(): boolean {
  return process.getuid?.() === 0;
}

function find(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[1] ?? text.trim();
}
