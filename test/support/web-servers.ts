/**
 * Web servers that others wrote, as processes of their own in front of a FastCGI application: each on a free port of the
 * loopback interface, with a generated configuration that hands every request to the application.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { createTestDirectory, openToAll } from './test-directory.ts';
import { until } from './until.ts';

export interface WebServer {
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  readonly pid: number;
  /** What it printed and its error log. */
  log(): string;
  stop(): Promise<void>;
}

/** What a configuration needs to know. */
export interface WebServerPlace {
  /** Unix socket of the application. */
  readonly socket: string;
  /** The server's own folder, which every user may write. */
  readonly folder: string;
  readonly port: number;
}

/** Writes the configuration; returns the command that runs the server in the foreground. */
export type WebServerSetup = (place: WebServerPlace) => readonly string[];

const isRoot = process.getuid?.() === 0;

function write(place: WebServerPlace, name: string, text: string): string {
  const file = join(place.folder, name);
  writeFileSync(file, `${text.trim()}\n`);
  return file;
}

/** @param content of its `server` block */
export function nginxServer(content: (place: WebServerPlace) => string): WebServerSetup {
  return (place) => {
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
events {}
http {
  ${temporary}
  access_log off;
  client_max_body_size 0;
  upstream application {
    server unix:${place.socket};
    keepalive 8;
  }
  server {
    listen 127.0.0.1:${place.port};
    ${content(place)}
  }
}`,
    );
    return ['nginx', '-e', `${place.folder}/error.log`, '-c', file];
  };
}

/**
 * Debian's parameters give the host without its port, so it is given again.
 * @param directives further ones, of its location
 */
export function nginx(directives = ''): WebServerSetup {
  return nginxServer(
    () => `location / {
      include /etc/nginx/fastcgi_params;
      fastcgi_param HTTP_HOST $http_host;
      fastcgi_pass application;
      ${directives}
    }`,
  );
}

/** @param section further directives, of the server */
export function apache(section: (place: WebServerPlace) => string): WebServerSetup {
  return (place) => {
    const names = [
      'mpm_event',
      'authn_core',
      'authz_core',
      'authz_user',
      'auth_basic',
      'proxy',
      'proxy_fcgi',
    ];
    const modules = [...names, 'authnz_fcgi']
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
${isRoot ? 'User www-data\nGroup www-data' : ''}
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
ErrorLog ${place.folder}/error.log
DocumentRoot ${place.folder}
LimitRequestBody 0
<Directory ${place.folder}>
  Require all granted
</Directory>
${section(place)}`,
    );
    return ['apache2', '-d', place.folder, '-f', file, '-DFOREGROUND'];
  };
}

export const apacheResponder: WebServerSetup = apache(
  ({ socket }) => `ProxyPass "/" "unix:${socket}|fcgi://localhost/" enablereuse=on`,
);

/**
 * @param servers the value of `fastcgi.server`
 * @param directives further ones
 */
export function lighttpd(servers: (place: WebServerPlace) => string, directives = ''): WebServerSetup {
  return (place) => {
    const file = write(
      place,
      'lighttpd.conf',
      `
server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = ${place.port}
server.document-root = "${place.folder}"
server.errorlog = "${place.folder}/error.log"
server.upload-dirs = ( "${place.folder}" )
fastcgi.server = ( ${servers(place)} )
${directives}`,
    );
    return ['lighttpd', '-D', '-f', file];
  };
}

export const lighttpdResponder: WebServerSetup = lighttpd(
  ({ socket }) =>
    `"/" => (( "socket" => "${socket}", "check-local" => "disable", "fix-root-scriptname" => "enable" ))`,
  'server.stream-request-body = 2\nserver.stream-response-body = 2',
);

export const caddy: WebServerSetup = (place) => {
  const file = write(
    place,
    'Caddyfile',
    `
{
  admin off
  auto_https off
  storage file_system ${place.folder}
}
http://:${place.port} {
  bind 127.0.0.1
  reverse_proxy unix/${place.socket} {
    transport fastcgi
    flush_interval -1
  }
}`,
  );
  return ['env', `HOME=${place.folder}`, 'caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
};

/** @param options of its section `fcgi-app` */
export function haproxy(options: string): WebServerSetup {
  return (place) => {
    const file = write(
      place,
      'haproxy.cfg',
      `
global
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind 127.0.0.1:${place.port}
  default_backend application
backend application
  use-fcgi-app application
  server one unix@${place.socket} proto fcgi
fcgi-app application
  docroot ${place.folder}
${options}`,
    );
    return ['haproxy', '-db', '-f', file];
  };
}

export const h2o: WebServerSetup = (place) => {
  const file = write(
    place,
    'h2o.conf',
    `
num-threads: 1
pid-file: ${place.folder}/h2o.pid
error-log: ${place.folder}/error.log
limit-request-body: 4294967296
${isRoot ? 'user: www-data' : ''}
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
        fastcgi.timeout.keepalive: 5000`,
  );
  return ['h2o', '-m', 'worker', '-c', file];
};

/** A web server that hands every request to an application of the role Responder. */
export interface ResponderServer {
  readonly setup: WebServerSetup;
  /** Connections are used again. */
  readonly keeps: boolean;
  /** Several requests at a time on one connection. */
  readonly multiplexes: boolean;
  /** The application gets a body while it comes, not when it is whole. */
  readonly streams: boolean;
}

/** All of them, by name. */
export const responderServers: Readonly<Record<string, ResponderServer>> = {
  nginx: { setup: nginx(), keeps: false, multiplexes: false, streams: false },
  'nginx, kept and streamed': {
    setup: nginx('fastcgi_keep_conn on; fastcgi_buffering off; fastcgi_request_buffering off;'),
    keeps: true,
    multiplexes: false,
    streams: true,
  },
  'Apache mod_proxy_fcgi': { setup: apacheResponder, keeps: true, multiplexes: false, streams: true },
  lighttpd: { setup: lighttpdResponder, keeps: false, multiplexes: false, streams: true },
  Caddy: { setup: caddy, keeps: false, multiplexes: false, streams: true },
  'HAProxy, multiplexed': {
    setup: haproxy('  option keep-conn\n  option mpxs-conns\n  option max-reqs 8\n  option get-values'),
    keeps: true,
    multiplexes: true,
    streams: true,
  },
  h2o: { setup: h2o, keeps: true, multiplexes: false, streams: false },
};

const running = new Set<ChildProcess>();

/** Starts a web server and waits until it accepts connections; it ends with `stop`, or with this process. */
export async function startWebServer(setup: WebServerSetup, socket: string): Promise<WebServer> {
  const folder = createTestDirectory();
  openToAll(folder);
  const port = await freePort();
  const [command, ...args] = setup({ socket, folder, port });
  // Debian keeps some of them where only root looks.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  const child = spawn(command!, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  if (running.size === 0) process.once('exit', killAll);
  running.add(child);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      printed = (printed + chunk).slice(-20_000);
    });
  }
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(String(signal ?? code)));
  });
  let ended: string | undefined;
  void exited.then((how) => {
    ended = how;
    running.delete(child);
  });
  const log = () => printed + readErrorLog(folder);
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    await exited;
    clearTimeout(timer);
  };
  const listens = async () => {
    if (ended !== undefined) throw new Error(`${command} ended at start (${ended}):\n${log()}`);
    return accepts(port);
  };
  await until(listens, `The start of ${command}`, log).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { origin: `http://127.0.0.1:${port}`, pid: child.pid!, log, stop };
}

function readErrorLog(folder: string): string {
  try {
    return readFileSync(join(folder, 'error.log'), 'utf8').slice(-20_000);
  } catch {
    return '';
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}
