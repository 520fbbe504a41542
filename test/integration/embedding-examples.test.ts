/** The examples of PHP inside Node's frameworks, run as their readers run them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, it } from 'node:test';
import { ensureBuilt, repository } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';

const folder = join(repository, 'examples/php-in-node');
const greeters = {
  'node-http': 'node:http',
  express: 'Express',
  koa: 'Koa',
  fastify: 'Fastify',
  hono: 'Hono',
};

before(() => ensureBuilt());

for (const [name, greeter] of Object.entries(greeters)) {
  it(`php-in-node/${name}.mjs: PHP and JavaScript answer, and both stop when they are told`, async () => {
    const child = spawn(process.execPath, [`${name}.mjs`, '0'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    try {
      const started = once(createInterface(child.stdout), 'line');
      const [origin] = await Promise.race([started, exit.then((how) => Promise.reject(new Error(`${how}`)))]);
      assert.equal((await fetchAnswer(origin, '/')).text, `${greeter} greets you\n`);
      const page = await fetchAnswer(origin, '/hello.php?name=%26');
      assert.match(page.text, /^<p>PHP \d+ greets &amp; at \/hello\.php\?name=%26<\/p>\n$/);
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      const posted = await fetchAnswer(origin, '/hello.php', { method: 'POST', headers, body: 'name=Ada' });
      assert.match(posted.text, / greets Ada at \/hello\.php</);
      child.kill('SIGTERM');
      assert.deepEqual(await exit, [0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });
}
