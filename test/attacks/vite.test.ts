/**
 * Vite's servers with the plugin, as a hostile page or a neighbour of the network: no spelling of a URL, no query that Vite
 * understands and no import gives the source of a script, or a file that is nobody's business.
 * `npm run test:vites` runs it with the other supported versions of Vite too.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { UserConfig } from 'vite';
import { fetchAnswer } from '../support/http-client.ts';
import { descendants } from '../support/process-facts.ts';
import { createViteProject, type ViteProject, type ViteServer, vite } from '../support/vite-project.ts';

const isFull = process.env.ATTACKS === 'full';

/** Part of every source and of every hidden file, and of no answer. */
const secret = 'SECRET-OF-THE-SITE';
const script = `<?php // ${secret}
echo "ran ", $_SERVER['SCRIPT_NAME'], " ", $_SERVER['QUERY_STRING'];`;

const scripts = {
  'public/index.php': script,
  'public/admin.php': script,
  'public/sub/page.phtml': script,
  'src/inner.php': script,
  'src/library.inc': script,
  'config/database.php': script,
  'config/database.php.save': script,
  'vendor/autoload.php': script,
  'vendor/bin/tool': `#!/usr/bin/env php\n${script}`,
  artisan: `#!/usr/bin/env php\n${script}`,
};
const hidden = {
  '.env': `PASSWORD=${secret}`,
  '.env.local': `PASSWORD=${secret}`,
  '.htpasswd': secret,
  '.git/config': secret,
  'composer.json': `{ "description": "${secret}" }`,
  'composer.lock': `{ "description": "${secret}" }`,
  'auth.json': `{ "password": "${secret}" }`,
  'vendor/composer/installed.json': `{ "name": "${secret}" }`,
  'backup.sql': secret,
  'database.sqlite': secret,
  'storage/logs/site.log': secret,
  'src/old.js.bak': `export default '${secret}'`,
  'fastway.config.json': `{ "x": "${secret}" }`,
};
const modules = {
  'src/main.ts': `export const text: string = 'a module'; import('./lazy.ts');`,
  'src/lazy.ts': `export const lazy: string = 'lazy';`,
  'src/style.css': 'p { color: red }',
  'src/picture.svg': '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
  'vendor/package/widget.js': `export const widget = 'of a package of Composer';`,
  'node_modules/dependency/package.json': '{ "name": "dependency", "version": "1.0.0", "main": "index.js" }',
  'node_modules/dependency/index.js': `module.exports = 'a dependency';`,
  'src/dependent.ts': `import dependency from 'dependency'; export { dependency };`,
};
const files = { ...scripts, ...hidden, ...modules };

/** What Vite makes something of. `%` stands for the path. */
const queries = [
  '',
  '?import',
  '?import=1',
  '?import&raw',
  '?import&raw&',
  '?import&raw??',
  '?import&url',
  '?import&inline',
  '?import&url&inline',
  '?raw',
  '?raw??',
  '?url',
  '?inline',
  '?no-inline',
  '?worker',
  '?worker_file&type=module',
  '?sharedworker&inline',
  '?html-proxy',
  '?html-proxy&index=0.js',
  '?html-proxy&index=0.css&direct',
  '?direct',
  '?commonjs-proxy',
  '?init',
  '?t=1&import=',
  '?v=12345678',
  '?.js',
  '?x=.css',
  '?import&x=.svg?.wasm?init',
  '?vue&type=script&src=1&lang.js',
  '#?import',
];

/** Spellings of a path that a lenient server may take for the file. */
function spell(path: string): string[] {
  const dot = path.lastIndexOf('.');
  const [name, extension] = dot < 0 ? [path, ''] : [path.slice(0, dot), path.slice(dot)];
  const encode = (text: string) =>
    [...text].map((unit) => (unit === '/' ? unit : `%${unit.charCodeAt(0).toString(16)}`)).join('');
  return [
    path,
    name + encode(extension),
    name + encode(extension).replaceAll('%', '%25'),
    name + encode(extension).replaceAll('%', '%2525'),
    name + extension.toUpperCase(),
    `${path}/`,
    `${path}.`,
    `${path}%20`,
    `${path}%00`,
    `${path}%00.js`,
    `${path}/x.js`,
    `${path}/y`,
    `${path}.map`,
    `/x/..${path}`,
    `/%zz/..${path}`,
    `/x%2f..${path}`,
    `/.${path}`,
    `/${path}`,
    path.replace(/\/(?=[^/]*$)/, '%2f'),
    path.replace(/\/(?=[^/]*$)/, '%5c'),
    path.replace(/\/(?=[^/]*$)/, '//'),
  ];
}

/** Of a file by its name from Vite's root. */
function urlsOf(root: string, name: string, base = '/'): string[] {
  const public_ = name.startsWith('public/') ? [`/${name.slice(7)}`] : [];
  const paths = [...public_, `/${name}`].flatMap(spell);
  const absolute = spell(`${root}/${name}`);
  const within = [
    ...paths,
    ...absolute.map((path) => `/@fs${path}`),
    ...absolute.map((path) => `/@fs/${path}`),
    ...absolute.map((path) => `/%40fs${path}`),
    ...absolute.map((path) => `/@id/${path}`),
    ...absolute.map((path) => `/@id/__x00__${path}`),
    ...paths.map((path) => `/@id${path}`),
    ...paths.map((path) => `/@id/__x00__${path}`),
  ];
  return within.map((path) => base + path.slice(1));
}

/** Another part for each `seed`: in full of each spelling with each query, else of each spelling with one. */
function attacksOn(root: string, seed: number, base = '/'): string[] {
  const all = [...Object.keys(scripts), ...Object.keys(hidden)].flatMap((name) =>
    urlsOf(root, name, base).flatMap((url, at) =>
      (isFull || at === 0 ? queries : [queries[at % queries.length]!]).map((query) => url + query),
    ),
  );
  return all.filter((_, at) => at % (isFull ? 30 : 10) === seed);
}

/** Sends them all, some at a time, and says which of them gave a secret away. */
async function leaks(origin: string, urls: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const left = [...urls];
  const work = async () => {
    for (let url = left.pop(); url !== undefined; url = left.pop()) {
      for (const headers of [{}, { 'Sec-Fetch-Dest': 'script', Accept: '*/*' }]) {
        const { text, status } = await fetchAnswer(origin, url, { headers });
        if (text.includes(secret) || Buffer.from(text, 'base64').includes(secret))
          found.push(`${status} ${url}`);
        // Data URLs, which Vite makes of what is small.
        const [, data] = /;base64,([A-Za-z0-9+/=]+)/.exec(text) ?? [];
        if (data !== undefined && Buffer.from(data, 'base64').includes(secret))
          found.push(`${status} ${url} (data)`);
      }
    }
  };
  await Promise.all([work(), work(), work(), work()]);
  return found;
}

const phpProcesses = () => descendants(process.pid).filter(({ command }) => command.includes('php'));

describe(`S19: Vite ${vite.version} in development`, () => {
  const cases: readonly [string, { readonly root?: string }, UserConfig][] = [
    ['the folder of PHP below the root', { root: 'public' }, {}],
    ["the folder of PHP is Vite's root", { root: '.' }, {}],
    ['below a base', { root: 'public' }, { base: '/shop/' }],
    ["Vite's own limits turned off", { root: 'public' }, { server: { fs: { strict: false } } }],
    ['a publicDir that holds scripts', { root: 'public' }, { publicDir: 'config' }],
    ['as a single page application', { root: 'public' }, { appType: 'spa' }],
  ];
  for (const [seed, [what, options, config]] of cases.entries()) {
    it(`S19: no URL gives a source or a hidden file: ${what}`, async () => {
      const project = createViteProject(files);
      const server = await project.serve({ ...options, php: 'cgi' }, config);
      try {
        assert.deepEqual(await leaks(server.origin, attacksOn(project.root, seed, config.base)), []);
      } finally {
        await server.close();
      }
      assert.deepEqual(phpProcesses(), []);
    });
  }

  describe('and what is not to be hidden', () => {
    let project: ViteProject;
    let server: ViteServer;
    const get = (path: string, headers = {}) => fetchAnswer(server.origin, path, { headers });
    before(async () => {
      project = createViteProject(files);
      server = await project.serve(
        { root: 'public', php: 'cgi' },
        {
          plugins: [
            ...(project.inline({ root: 'public', php: 'cgi' }).plugins as []),
            {
              name: 'adds-a-module',
              transformIndexHtml: {
                order: 'pre' as const,
                handler: () => [
                  { tag: 'script', attrs: { type: 'module' }, children: 'window.ofThePlugin = true' },
                ],
              },
            },
          ],
        },
      );
    });
    after(() => server?.close());

    it("S19: a page whose query has Vite's words is run", async () => {
      for (const query of [
        'import=1',
        'import',
        'page=a&import=wordpress',
        'html-proxy',
        'raw',
        'url&inline',
      ]) {
        const { text, status } = await get(`/admin.php?${query}`);
        assert.deepEqual([status, text.includes(`ran /admin.php ${query}`)], [200, true], text);
      }
    });

    it('S19: modules, styles, pictures and dependencies come from Vite', async () => {
      assert.match((await get('/src/main.ts')).text, /a module/);
      assert.match((await get('/src/style.css?import')).text, /color: red/);
      assert.match((await get('/src/picture.svg')).text, /<svg/);
      assert.match((await get('/src/picture.svg?import&raw')).text, /export default/);
      assert.match((await get('/vendor/package/widget.js')).text, /of a package of Composer/);
      assert.match((await get(`/@fs${project.root}/src/main.ts`)).text, /a module/);
      assert.match((await get('/@vite/client')).text, /ErrorOverlay/);
      const [, dependency = ''] =
        /from "([^"]*dependency[^"]*)"|from "([^"]+\.vite[^"]+)"/.exec(
          (await get('/src/dependent.ts')).text,
        ) ?? [];
      assert.match((await get(dependency)).text, /a dependency/, dependency);
    });

    it('S19: an inline module that a plugin adds to a page of PHP comes from Vite', async () => {
      const page = await get('/admin.php', { Accept: 'text/html', 'Sec-Fetch-Dest': 'document' });
      const [, source = ''] = /<script type="module" src="([^"]*html-proxy[^"]*)"/.exec(page.text) ?? [];
      const module = await get(source.replaceAll('&amp;', '&'));
      assert.match(module.text, /ofThePlugin/, page.text);
      assert.match(String(module.headers['content-type']), /javascript/);
    });
  });

  it('S19: a script that no rule takes is not found', async () => {
    const project = createViteProject(files);
    const config = {
      sources: { php: { php: 'cgi' } },
      virtualServers: [
        {
          documentRoot: join(project.root, 'public'),
          rules: [{ match: { path: '/index.php' }, handler: { type: 'fastcgi', source: 'php' } as const }],
        },
      ],
    };
    const server = await project.serve({ config }, { server: { fs: { strict: false } } });
    try {
      for (const path of ['/src/inner.php?raw', '/src/inner.php', '/composer.json', '/.env?import&raw']) {
        const { status, text } = await fetchAnswer(server.origin, path);
        assert.deepEqual([status, text.includes(secret)], [404, false], path);
      }
    } finally {
      await server.close();
    }
  });

  it('S19: nor does Vite load one that a module names', async () => {
    const project = createViteProject(files);
    const options = { root: 'public', php: 'cgi' };
    const server = await vite.createServer(
      project.inline(options, { server: { middlewareMode: true, ws: false } }),
    );
    try {
      const load = (url: string) =>
        server.transformRequest(url).then(
          (result) => JSON.stringify(result),
          () => 'refused',
        );
      for (const name of [...Object.keys(scripts), ...Object.keys(hidden)]) {
        for (const query of ['', '?raw', '?url&inline', '?import&raw', '?inline']) {
          for (const path of [`/${name}`, `${project.root}/${name}`, `/@fs${project.root}/${name}`]) {
            const loaded = await load(path + query);
            assert.ok(!loaded.includes(secret), `${path}${query}: ${loaded}`);
            assert.ok(!loaded.includes(Buffer.from(script).toString('base64')), `${path}${query}: ${loaded}`);
          }
        }
      }
      assert.match(await load('/src/main.ts'), /a module/);
    } finally {
      await server.close();
    }
  });
});

describe(`S19: Vite ${vite.version} in a preview`, () => {
  it('S19: no URL gives a source or a hidden file, though the build has them', async () => {
    const project = createViteProject(files);
    const options = { root: 'public', php: 'cgi' };
    await vite.build(project.inline(options));
    for (const name of ['copied.php', '.env', 'composer.json', 'backup.sql', 'page.php.bak'])
      writeFileSync(join(project.root, 'dist', name), script);
    const server = await project.preview(options);
    try {
      const copied = ['copied.php', '.env', 'composer.json', 'backup.sql', 'page.php.bak'].flatMap((name) =>
        spell(`/${name}`).flatMap((path) => ['', '?raw', '?import'].map((query) => path + query)),
      );
      assert.deepEqual(await leaks(server.origin, [...copied, ...attacksOn(project.root, 9)]), []);
      const manifest = JSON.parse(readFileSync(join(project.root, 'dist/.vite/manifest.json'), 'utf8'));
      const module = await fetchAnswer(server.origin, `/${manifest['src/main.ts'].file}`);
      assert.equal(module.status, 200);
      const page = await fetchAnswer(server.origin, '/admin.php?import=1');
      assert.equal(page.text, 'ran /admin.php import=1');
    } finally {
      await server.close();
    }
    assert.deepEqual(phpProcesses(), []);
  });
});
