/** The examples of the application side, run as their readers run them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, it } from 'node:test';
import { ensureBuilt, repository, startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { patternStream } from '../support/pattern.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { nginxServer, startWebServer } from '../support/web-servers.ts';

before(() => ensureBuilt());

it('app-express answers behind nginx with the configuration that is beside it, and stops when it is told', async () => {
  const folder = join(repository, 'examples/app-express');
  const socket = join(createTestDirectory(), 'app.sock');
  const child = spawn(process.execPath, ['app.mjs', `unix:${socket}`], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  try {
    await Promise.race([once(child.stdout, 'data'), exit]);
    const location = readFileSync(join(folder, 'nginx.conf'), 'utf8')
      .replace('include fastcgi_params', 'include /etc/nginx/fastcgi_params')
      .replace('unix:/tmp/app-express.sock', `unix:${socket}`);
    const web = await startWebServer(
      nginxServer(() => location),
      socket,
    );
    try {
      const page = await fetchAnswer(web.origin, '/?a=b', { headers: { Host: 'site.example' } });
      assert.equal(
        page.text,
        '<h1>Hello</h1><p>127.0.0.1 asked for http://site.example/?a=b</p>\n',
        web.log(),
      );
      const sum = await fetchAnswer(web.origin, '/sum', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{"numbers":[1,2,39]}',
      });
      assert.deepEqual(JSON.parse(sum.text), { sum: 42 });
    } finally {
      await web.stop();
    }
    child.kill('SIGTERM');
    assert.deepEqual(await exit, [0, null]);
  } finally {
    child.kill('SIGKILL');
  }
});

it('app-fetch is started by Fastway with the configuration that is beside it', async () => {
  const config = join(repository, 'examples/app-fetch/fastway.config.json');
  const gateway = await startGateway({ args: ['serve', '--config', config, '--port', '0'] });
  try {
    const page = await fetchAnswer(gateway.origin, '/x?a=b', { headers: { Host: 'site.example' } });
    assert.equal(page.status, 404, gateway.lines.join('\n'));
    const root = await fetchAnswer(gateway.origin, '/?a=b', { headers: { Host: 'site.example' } });
    assert.equal(root.text, '<h1>Hello</h1><p>127.0.0.1 asked for http://site.example/?a=b</p>\n');
    const count = await fetchAnswer(gateway.origin, '/count', {
      method: 'PUT',
      body: patternStream(3_000_000),
    });
    assert.deepEqual(JSON.parse(count.text), { bytes: 3_000_000 }, gateway.lines.join('\n'));
  } finally {
    await gateway.stop();
  }
});
