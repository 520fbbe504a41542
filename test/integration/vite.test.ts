/** The plugin in the real Vite, with a real PHP and a real browser. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { build, createServer } from 'vite';
import type { FastwayPluginOptions } from '../../src/vite/index.ts';
import { startChromium } from '../support/chromium.ts';
import { encodeMultipart } from '../support/form-data.ts';
import { freePort } from '../support/free-port.ts';
import { fetchAnswer, openAnswer } from '../support/http-client.ts';
import { descendants } from '../support/process-facts.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { createViteProject, type ViteProject, type ViteServer } from '../support/vite-project.ts';

const client = '<script type="module" src="/@vite/client"></script>';
const html = (body: string) =>
  `<!doctype html><html><head><title>T</title></head><body>${body}</body></html>`;

const files = {
  'public/index.php': html(
    `<h1>Front <?= htmlspecialchars($_SERVER['REQUEST_URI']) ?></h1><p id="text"></p>
<script type="module" src="<?= $_SERVER['VITE_DEV_BASE'] ?? '/none/' ?>src/main.ts"></script>`,
  ),
  'public/form.php': `<?php
if ($_POST !== []) { setcookie('name', $_POST['name']); header('Location: form.php', response_code: 303); exit; }
?>${html(`<h1>Hello <?= htmlspecialchars($_COOKIE['name'] ?? 'nobody') ?></h1>
<form method="post"><input name="name"><button>Send</button></form>`)}`,
  'public/upload.php': `<?php header('Content-Type: application/json');
echo json_encode([$_FILES['file']['name'], sha1_file($_FILES['file']['tmp_name']), $_POST['note']]);`,
  'public/events.php': `<?php header('Content-Type: text/event-stream');
while (ob_get_level() > 0) ob_end_flush();
echo "data: first\\n\\n"; flush();
while (!file_exists($_GET['gate'])) { clearstatcache(); usleep(10000); }
echo "data: second\\n\\n";`,
  'public/data.php': '<?php header("Content-Type: text/html"); echo "<p>part"; missing();',
  'public/answer.php': `<?php foreach ($_GET['field'] ?? [] as $name => $value) header("$name: $value");
http_response_code((int) ($_GET['status'] ?? 200));
echo isset($_GET['file']) ? file_get_contents($_GET['file']) : ($_GET['body'] ?? '<p>answer</p>');`,
  'public/warning.php': html('<?= $undefined ?><h1>Fine</h1>'),
  'public/page.html': html('<h1>Static</h1>'),
  'public/note.txt': 'a file beside PHP',
  'src/main.ts': `import { text } from './text.ts';
const show = (text: string) => { document.querySelector('#text')!.textContent = text; };
show(text);
import.meta.hot?.accept('./text.ts', (next) => show(next!.text));`,
  'src/text.ts': `export const text: string = 'one';`,
};

/** Every process of PHP that this test has started. */
const phpProcesses = () => descendants(process.pid).filter(({ command }) => command.includes('php'));

let browser: Browser;
const pages: Page[] = [];
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());
afterEach(async () => {
  for (const page of pages.splice(0)) await page.close();
});

async function open(url: string): Promise<Page> {
  const page = await browser.newPage();
  pages.push(page);
  await page.goto(url);
  return page;
}

/** Expressions of the page are text: the types of a browser are not ours. */
const waitForText = (page: Page, selector: string, text: string) =>
  page.waitForFunction(
    `document.querySelector(${JSON.stringify(selector)})?.textContent === ${JSON.stringify(text)}`,
  );

/** Vite's client is connected, so that it hears of what happens next. */
async function openConnected(url: string): Promise<Page> {
  const page = await browser.newPage();
  pages.push(page);
  const connected = page.waitForEvent('console', (message) => message.text() === '[vite] connected.');
  await page.goto(url);
  await connected;
  return page;
}

/** Gone after a reload. */
const mark = (page: Page) => page.evaluate('window.isMarked = true');
const isMarked = (page: Page) => page.evaluate<boolean>('window.isMarked === true');

/** What the overlay says; waits for it. */
async function overlayText(page: Page): Promise<string> {
  // Visible within its shadow, of which the element itself has no size.
  await page.waitForSelector('vite-error-overlay', { state: 'attached' });
  return (await page.locator('vite-error-overlay .window > pre').allTextContents()).join('\n');
}

describe('vite in development', () => {
  let project: ViteProject;
  let server: ViteServer;
  const get = (path: string, headers = {}) => fetchAnswer(server.origin, path, { headers });

  before(async () => {
    project = createViteProject(files);
    server = await project.serve({ root: 'public', php: 'fpm' });
  });
  after(async () => {
    await server?.close();
    assert.deepEqual(phpProcesses(), []);
  });

  it('says in one line which PHP serves which folder', () => {
    const lines = project.lines.filter((line) => line.includes('Fastway'));
    assert.equal(lines.length, 1, project.lines.join('\n'));
    assert.match(lines[0]!, /➜ {2}Fastway: public \(php: php-fpm \d.* asked for, at \/.*\)$/);
  });

  it('pages come from PHP with the client of Vite in them, modules from Vite', async () => {
    const page = await open(`${server.origin}/`);
    await waitForText(page, '#text', 'one');
    assert.equal(await page.textContent('h1'), 'Front /');
    const { text } = await get('/some/page?a=b');
    assert.ok(text.includes(client), text);
    assert.ok(text.includes('Front /some/page?a=b'), text);
    assert.match((await get('/src/main.ts')).text, /import\.meta\.hot/);
    assert.match((await get('/@vite/client')).text, /ErrorOverlay/);
    assert.equal((await get('/note.txt')).text, 'a file beside PHP');
    assert.ok((await get('/page.html')).text.includes(client));
  });

  it('a script is run and never sent, whatever folder of Vite it is in', async () => {
    const sent = [
      '/index.php',
      '/public/index.php',
      '/index.php?raw',
      '/src/index.php',
      '/public/../index.php',
    ];
    for (const path of sent) {
      const { text } = await get(path);
      assert.ok(!text.includes('<?'), `${path}:\n${text}`);
    }
    // There is no such file in the document root, so that it is the front controller's.
    assert.ok((await get('/public/index.php')).text.includes('Front /public/index.php'));
  });

  it('forms, redirects and cookies go through', async () => {
    const page = await open(`${server.origin}/form.php`);
    await page.fill('input', 'Zoë <b>');
    await page.click('button');
    await waitForText(page, 'h1', 'Hello Zoë <b>');
  });

  it('uploads arrive byte for byte', async () => {
    const content = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 13) & 255));
    const form = encodeMultipart({ note: 'n' }, [
      { name: 'file', filename: 'a.bin', type: 'application/x-odd', content },
    ]);
    const answer = await fetchAnswer(server.origin, '/upload.php', {
      method: 'POST',
      headers: { 'Content-Type': form.type },
      body: form.body,
    });
    const sha1 = execFileSync('sha1sum', { input: content, encoding: 'utf8' }).slice(0, 40);
    assert.deepEqual(JSON.parse(answer.text), ['a.bin', sha1, 'n']);
  });

  it('a saved module comes without a reload, a saved script with one', async () => {
    const page = await openConnected(`${server.origin}/`);
    await waitForText(page, '#text', 'one');
    await mark(page);
    project.write('src/text.ts', `export const text: string = 'two';`);
    await waitForText(page, '#text', 'two');
    assert.ok(await isMarked(page));
    const old = files['public/index.php'];
    project.write('public/index.php', old.replace('Front', 'Changed'));
    await waitForText(page, 'h1', 'Changed /');
    assert.ok(!(await isMarked(page)));
    project.write('public/index.php', old);
    await waitForText(page, 'h1', 'Front /');
  });

  it('a template reloads the page too, what Composer writes does not', async () => {
    const page = await openConnected(`${server.origin}/`);
    await mark(page);
    const reloads = () => project.lines.filter((line) => line.includes('page reload'));
    project.write('vendor/package/file.php', '<?php');
    project.write('var/cache/page.php', '<?php');
    project.write('templates/page.twig', '{{ title }}');
    await page.waitForFunction('window.isMarked !== true');
    await until(
      () => reloads().some((line) => line.includes('templates/page.twig')),
      'the reload in the log',
    );
    assert.ok(!reloads().some((line) => /vendor|cache/.test(line)));
  });

  it('an uncaught exception is shown with its place and source, until it is repaired', async () => {
    const broken = `<!doctype html><div class="<?php
function fail() { throw new RuntimeException("böse </script>"); }
fail();`;
    project.write('public/broken.php', broken);
    const page = await open(`${server.origin}/broken.php`);
    const text = await overlayText(page);
    assert.ok(text.includes('PHP Fatal error: Uncaught RuntimeException: böse </script>'), text);
    assert.ok(text.includes(`${project.root}/public/broken.php:2:1`), text);
    assert.match(text, /^> 2 \| function fail\(\) \{ throw/m);
    assert.match(text, /#0 .*\/public\/broken\.php:3:1 fail\(\)/);
    project.write('public/broken.php', html('<h1>Repaired</h1>'));
    await waitForText(page, 'h1', 'Repaired');
    assert.equal(await page.locator('vite-error-overlay').count(), 0);
    assert.ok(
      project.lines.some((line) => /\[fastway\] PHP Fatal error: .* in public\/broken\.php:2$/.test(line)),
    );
  });

  it('a parse error is shown, and so is the failed answer to a form', async () => {
    const form = html('<form method="post"><button name="a" value="b">Send</button></form>');
    project.write('public/parse.php', '<?php\n\nif (');
    project.write('public/post.php', `<?php if ($_POST !== []) nothing(); ?>${form}`);
    const page = await open(`${server.origin}/parse.php`);
    assert.match(await overlayText(page), /PHP Parse error: [\s\S]*public\/parse\.php:3:1/);
    await page.goto(`${server.origin}/post.php`);
    await page.click('button');
    assert.match(await overlayText(page), /Call to undefined function nothing\(\)/);
  });

  it('what a page fetches is left as it is, and its error is shown by that page', async () => {
    const page = await openConnected(`${server.origin}/`);
    // A file that an earlier test saved may still reload the page.
    const fetchInPage = async (path: string, triesLeft = 5): Promise<string> => {
      try {
        return await page.evaluate(async (asked) => (await fetch(asked)).text(), path);
      } catch (error) {
        if (triesLeft === 0 || !/context was destroyed/.test(String(error))) throw error;
        return await fetchInPage(path, triesLeft - 1);
      }
    };
    const fetched = await fetchInPage('/answer.php');
    assert.equal(fetched, '<p>answer</p>');
    const broken = await fetchInPage('/data.php');
    assert.ok(!broken.includes('script'), broken);
    assert.match(await overlayText(page), /Call to undefined function missing\(\)/);
  });

  it('a warning goes to the terminal and not to the page', async () => {
    const page = await openConnected(`${server.origin}/warning.php`);
    await until(
      () =>
        project.lines.some((line) =>
          /\[fastway\] PHP Warning: .*\$undefined in public\/warning\.php:1$/.test(line),
        ),
      'the warning',
    );
    assert.equal(await page.textContent('h1'), 'Fine');
    assert.equal(await page.locator('vite-error-overlay').count(), 0);
  });

  it('events come while the script runs', async () => {
    const gate = join(createTestDirectory(), 'gate');
    const response = await openAnswer(server.origin, `/events.php?gate=${gate}`, {
      headers: { Accept: 'text/event-stream' },
    });
    const events: string[] = [];
    for await (const chunk of response) {
      events.push(String(chunk));
      // The script waits for it with the second event.
      writeFileSync(gate, '');
    }
    assert.deepEqual(events, ['data: first\n\n', 'data: second\n\n']);
  });

  it('length and validators are those of the page that is sent', async () => {
    const query =
      'field[ETag]="1"&field[Last-Modified]=Mon, 01 Jan 2024 00:00:00 GMT&field[X-Own]=2&field[Content-Length]=13';
    for (const method of ['GET', 'HEAD']) {
      const { headers, body } = await fetchAnswer(server.origin, encodeURI(`/answer.php?${query}`), {
        method,
      });
      assert.deepEqual(
        [headers.etag, headers['last-modified'], headers['x-own']],
        [undefined, undefined, '2'],
      );
      assert.equal(headers['content-length'], method === 'GET' ? String(body.length) : undefined);
    }
  });

  it('downloads, compressed pages and other types are left alone', async () => {
    const gzipped = join(createTestDirectory(), 'page.gz');
    writeFileSync(gzipped, gzipSync('<p>packed</p>'));
    for (const query of [
      'field[Content-Disposition]=attachment',
      `field[Content-Encoding]=gzip&file=${gzipped}`,
      'field[Content-Type]=application/xhtml%2Bxml',
      'field[Content-Type]=text/plain',
    ]) {
      const { body } = await get(`/answer.php?${query}`);
      const expected = query.includes('gzip') ? readFileSync(gzipped) : Buffer.from('<p>answer</p>');
      assert.deepEqual(body, expected, query);
    }
  });

  it('a page in another charset keeps its bytes', async () => {
    const { body } = await get(
      '/answer.php?field[Content-Type]=text/html;charset=iso-8859-1&body=<p>b%F6se</p>',
    );
    assert.ok(body.includes(Buffer.from('<p>b\xf6se</p>', 'latin1')));
    assert.ok(body.includes('@vite/client'));
  });

  it('a page that is very long is sent as it is', async () => {
    const file = join(createTestDirectory(), 'page.html');
    writeFileSync(file, `<p>${'x'.repeat(9_000_000)}</p>`);
    const { body } = await get(`/answer.php?file=${file}`);
    assert.ok(body.equals(readFileSync(file)));
  });
});

describe('vite with other options', () => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    assert.deepEqual(phpProcesses(), []);
  });
  const serve: ViteProject['serve'] = async (...args) => {
    const server = await createViteProject(files).serve(...args);
    closers.push(() => server.close());
    return server;
  };

  it('below a base lies the whole folder, and outside of it too', async () => {
    const { origin } = await serve({ root: 'public' }, { base: '/shop/' });
    const page = await open(`${origin}/shop/`);
    await waitForText(page, '#text', 'one');
    assert.equal(await page.textContent('h1'), 'Front /shop/');
    await page.goto(`${origin}/shop/form.php`);
    await page.fill('input', 'Zoë');
    await page.click('button');
    await waitForText(page, 'h1', 'Hello Zoë');
    assert.equal(page.url(), `${origin}/shop/form.php`);
    for (const path of ['/form.php', '/other/page']) {
      const answer = await fetchAnswer(origin, path);
      assert.ok(answer.text.includes('src="/shop/@vite/client"'), answer.text);
    }
  });

  it('serves over HTTPS', async () => {
    const folder = createTestDirectory();
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-days', '1'];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject],
      { stdio: 'ignore' },
    );
    const { origin } = await serve({ root: 'public' }, { server: { https: { key, cert } } });
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    try {
      const page = await context.newPage();
      await page.goto(`${origin}/`);
      await waitForText(page, '#text', 'one');
      await page.goto(`${origin}/form.php`);
      await page.fill('input', 'Zoë');
      await page.click('button');
      await waitForText(page, 'h1', 'Hello Zoë');
    } finally {
      await context.close();
    }
    const plain = httpsRequest(`${origin}/form.php`, { rejectUnauthorized: false }).end();
    const [response] = await once(plain, 'response');
    assert.equal(response.statusCode, 200);
    response.resume();
  });

  it('works inside another server, and leaves to it what no rule matches', async () => {
    const project = createViteProject(files);
    const config = {
      sources: { php: { php: 'cgi', workers: 2 } },
      virtualServers: [
        {
          documentRoot: join(project.root, 'public'),
          rules: [{ match: { extensions: 'php' }, handler: { type: 'fastcgi', source: 'php' } as const }],
        },
      ],
    };
    const vite = await createServer(
      project.inline({ config }, { server: { middlewareMode: true, ws: false } }),
    );
    const http = createHttpServer((req, res) =>
      vite.middlewares(req, res, () => res.end('not of Vite')),
    ).listen(0, '127.0.0.1');
    await once(http, 'listening');
    closers.push(
      () => vite.close(),
      () => http.close(),
    );
    const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    assert.ok((await fetchAnswer(origin, '/form.php')).text.includes(client));
    assert.equal((await fetchAnswer(origin, '/no/rule')).text, 'not of Vite');
    assert.ok(project.lines.some((line) => line.includes('Fastway: public (php: php-cgi')));
  });

  it('an application that cannot be reached is shown', async () => {
    const port = await freePort();
    const { origin } = await serve({ root: 'public', php: { address: `tcp://127.0.0.1:${port}` } });
    const page = await open(`${origin}/`);
    const text = await overlayText(page);
    assert.ok(text.includes(`127.0.0.1:${port}`), text);
  });

  it('the overlay can be turned off', async () => {
    const project = createViteProject({ ...files, 'public/broken.php': '<!doctype html><?php missing();' });
    const server = await project.serve({ root: 'public' }, { server: { hmr: { overlay: false } } });
    closers.push(() => server.close());
    const { text } = await fetchAnswer(server.origin, '/broken.php');
    assert.ok(text.includes(client) && !text.includes('ErrorOverlay'), text);
    assert.ok(project.lines.some((line) => line.includes('undefined function missing()')));
  });

  it('a restart of Vite ends the PHP of before, and serves on', async () => {
    const project = createViteProject(files);
    const vite = await createServer(project.inline({ root: 'public', php: 'fpm' }));
    await vite.listen();
    closers.push(() => vite.close());
    const get = () => fetchAnswer(new URL(vite.resolvedUrls!.local[0]!).origin, '/form.php');
    const masters = () => phpProcesses().filter(({ command }) => command.includes('master'));
    await get();
    const [before] = masters();
    await vite.restart();
    assert.deepEqual(masters(), []);
    assert.ok((await get()).text.includes('Hello nobody'));
    assert.equal(masters().length, 1);
    assert.notEqual(masters()[0]!.pid, before!.pid);
  });

  it('reloads for what it is told to watch', async () => {
    for (const watch of ['content/*.md', (file: string) => file.endsWith('/content/page.md')]) {
      const project = createViteProject(files);
      const server = await project.serve({ root: 'public', watch });
      closers.push(() => server.close());
      const page = await openConnected(`${server.origin}/`);
      await mark(page);
      project.write('public/page.php', '<?php');
      project.write('content/page.md', '# Title');
      await page.waitForFunction('window.isMarked !== true');
      const reloads = project.lines.filter((line) => line.includes('page reload'));
      assert.deepEqual(reloads, ['[fastway] page reload content/page.md']);
    }
  });

  it('what is wrong is said when Vite starts', async () => {
    const project = createViteProject(files);
    // A Vite that fails at its start leaves its watcher open.
    const start = (options: FastwayPluginOptions) =>
      createServer(project.inline(options, { server: { watch: null } }));
    await assert.rejects(
      start({ root: 'nowhere' }),
      /nowhere does not exist or cannot be read; name a directory/,
    );
    await assert.rejects(start({ php: '/no/php' }), /\/no\/php/);
    await assert.rejects(start({ root: 'public', config: {} }), /both config and root: .* remove one/);
    await assert.rejects(start({ config: 'fastway.config.json' }), /fastway\.config\.json.*Does not exist/s);
  });
});

describe('vite preview', () => {
  it('serves the build and the pages, unchanged and as they come', async () => {
    const project = createViteProject(files);
    const options = { root: 'public' };
    await build(project.inline(options));
    const manifest = JSON.parse(readFileSync(join(project.root, 'dist/.vite/manifest.json'), 'utf8'));
    const server = await project.preview(options);
    try {
      const get = (path: string, headers = {}) => fetchAnswer(server.origin, path, { headers });
      const module = await get(`/${manifest['src/main.ts'].file}`);
      assert.match(String(module.headers['content-type']), /javascript/);
      assert.ok(module.text.includes('one'));
      const page = await get('/some/page', { 'Accept-Encoding': 'gzip' });
      assert.ok(page.text.includes('Front /some/page') && page.text.includes('/none/src/main.ts'), page.text);
      assert.ok(!page.text.includes('@vite/client'));
      assert.equal((await get('/note.txt')).text, 'a file beside PHP');
      assert.match((await get('/')).text, /Front \//);
      assert.ok(project.lines.some((line) => line.includes('Fastway: public (php: ')));
    } finally {
      await server.close();
    }
    assert.deepEqual(phpProcesses(), []);
  });
});
