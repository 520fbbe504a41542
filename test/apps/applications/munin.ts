import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Application } from '../application.ts';
import { accepts, startService } from '../services.ts';
import { asWeb, giveToWeb } from '../system-files.ts';

const html = '/usr/lib/munin/cgi/munin-cgi-html';
const graph = '/usr/lib/munin/cgi/munin-cgi-graph';

const run = promisify(execFile);

/** What a munin-node with one plugin says, by the first word that it is asked. */
const nodeSays: Readonly<Record<string, string>> = {
  cap: 'cap\n',
  nodes: 'a.example\n.\n',
  list: 'load\n',
  config:
    'graph_title Load & more\ngraph_category system\ngraph_vlabel load\nload.label load\nload.warning 3\n.\n',
  fetch: 'load.value 2.5\n.\n',
};

export const application: Application = {
  title: 'Munin',
  packages: ['munin', 'libcgi-fast-perl', 'spawn-fcgi'],

  async prepare(place) {
    const { folder } = place;
    const settings = join(folder, 'munin.conf');
    const folders = ['db', 'db/cgi-tmp', 'www', 'log', 'run'].map((name) => join(folder, name));
    for (const one of folders) mkdirSync(one);
    for (const one of folders) giveToWeb(one);
    const node = createServer((socket) => {
      socket.write('# munin node at a.example\n');
      const questions = createInterface(socket).on('line', (line) => {
        if (line === 'quit') socket.end();
        else socket.write(nodeSays[line.split(' ')[0]!] ?? '# Unknown command\n');
      });
      // Munin may go without a word.
      for (const one of [socket, questions]) one.on('error', () => {});
    });
    await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));
    const { port } = node.address() as { readonly port: number };
    writeFileSync(
      settings,
      `dbdir ${folder}/db\nhtmldir ${folder}/www\nlogdir ${folder}/log\nrundir ${folder}/run\ncgitmpdir ${folder}/db/cgi-tmp\ntmpldir /etc/munin/templates\nstaticdir /etc/munin/static\nhtml_strategy cgi\ngraph_strategy cgi\n[a.example]\n  address 127.0.0.1\n  port ${port}\n  use_node_name yes\n`,
    );
    try {
      for (const name of ['munin-update', 'munin-limits', 'munin-html'])
        await run(asWeb[0]!, [...asWeb.slice(1), `/usr/share/munin/${name}`, '--config', settings]);
    } finally {
      node.close();
    }
    const env = { MUNIN_CONFIG: settings };
    const sockets = [join(folder, 'html.sock'), join(folder, 'graph.sock')] as const;
    return {
      fastway: {
        sources: { html: { interpreter: [html], env }, graph: { interpreter: [graph], env } },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/munin/static' },
                handler: { type: 'files', documentRoot: '/etc/munin/static' },
              },
              {
                match: { directory: '/munin' },
                handler: { type: 'fastcgi', source: 'html', checkFile: false },
              },
              {
                match: { directory: '/munin-cgi/munin-cgi-graph' },
                handler: { type: 'fastcgi', source: 'graph', checkFile: false },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'nginx',
        source: "Debian's examples/nginx/munin.nginx.conf",
        start: async () => {
          for (const [at, program] of [html, graph].entries())
            await startService(
              place,
              `spawn-fcgi -n -s ${sockets[at]} -M 666 -u www-data -g www-data -- ${program}`.split(' '),
              () => accepts(sockets[at]!),
              { env },
            );
        },
        directives: () => `
location / {
  deny all;
}
location /munin/static/ {
  alias /etc/munin/static/;
  expires 31d;
}
location /munin/ {
  fastcgi_split_path_info ^(/munin)(.*);
  fastcgi_param PATH_INFO $fastcgi_path_info;
  fastcgi_pass unix:${sockets[0]};
  include /etc/nginx/fastcgi_params;
}
location ^~ /munin-cgi/munin-cgi-graph/ {
  fastcgi_split_path_info ^(/munin-cgi/munin-cgi-graph)(.*);
  fastcgi_param PATH_INFO $fastcgi_path_info;
  fastcgi_pass unix:${sockets[1]};
  include /etc/nginx/fastcgi_params;
}`,
      },
    };
  },

  async use(visitor) {
    visitor.step('the front page, a group, a machine and a service, each with its graphs');
    const front = await visitor.page('/munin/');
    assert.match(front.text, /a\.example/);
    for (const path of ['/munin/example/index.html', '/munin/example/a.example/index.html'])
      await visitor.page(path);
    const service = await visitor.page('/munin/example/a.example/load.html');
    assert.match(service.text, /load-day\.png/);
    visitor.step('a category, the list of problems, and what is not there');
    for (const path of ['/munin/system-day.html', '/munin/problems.html', '/munin/none.html'])
      await visitor.get(path);
    visitor.step('a graph, the same again (304), one of another size, and of what is not there');
    const at = '/munin-cgi/munin-cgi-graph/example/a.example';
    const first = await visitor.ask(`${at}/load-day.png`);
    assert.equal(first.headers['content-type'], 'image/png');
    const again = await visitor.ask(`${at}/load-day.png`, {
      headers: { 'If-Modified-Since': first.headers['last-modified'] },
    });
    assert.equal(again.status, 304);
    await visitor.ask(`${at}/load-pinpoint=1500000000,1500100000.png?size_x=800&size_y=400`);
    await visitor.ask(`${at}/none-day.png`);
  },

  // A graph has the time of its making in it.
  volatile: [/\x89PNG[\s\S]*/g, /\d+:\d\d(?::\d\d)?/g, /\b1[678]\d{8}\b/g, /fastway-test-\w+/g],
};
