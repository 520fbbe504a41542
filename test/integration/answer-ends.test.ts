/** PHP that works on when its client has the whole answer (F59), on a real php-fpm behind the built gateway. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const scripts = {
  // Goes on until it is told to end, and says that it came so far.
  'work.php': `<?php
    ignore_user_abort(false);
    $length = (int) $_GET['length'];
    http_response_code((int) $_GET['status']);
    if ($_GET['status'] !== '304' && $_GET['status'] !== '204') header("Content-Length: $length");
    // PHP sends a head with the first byte of output only: this one is dropped.
    echo $length === 0 ? ' ' : str_repeat('x', $length);
    while (ob_get_level() > 0) ob_end_flush();
    flush();
    while (!file_exists($_GET['file'] . '.go')) { usleep(5000); clearstatcache(); }
    file_put_contents($_GET['file'] . '.done', connection_aborted() ? 'aborted' : 'whole');`,
  'page.php': '<?php echo "page";',
};

let gateway: GatewayProcess;
const work = createTestDirectory();

before(async () => {
  const documentRoot = createTestDirectory();
  openToAll(work);
  for (const [name, text] of Object.entries(scripts)) writeFileSync(join(documentRoot, name), text);
  gateway = await startGateway({
    config: {
      sources: { php: { php: 'fpm', workers: 2 } },
      virtualServers: [{ documentRoot, preset: 'php', source: 'php' }],
    },
  });
});
after(() => gateway.stop());

for (const [method, status, length] of [
  ['GET', 200, 5],
  ['GET', 200, 200_000],
  ['GET', 302, 0],
  ['GET', 204, 0],
  ['GET', 304, 0],
  ['POST', 200, 5],
] as const) {
  it(`${method} ${status} with ${length} bytes: the next request of its connection is answered meanwhile`, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const file = join(work, `${method}-${status}-${length}`);
    try {
      const target = `/work.php?status=${status}&length=${length}&file=${file}`;
      const body = method === 'POST' ? { body: 'a=1' } : {};
      const first = await fetchAnswer(gateway.origin, target, { method, agent, ...body });
      assert.deepEqual([first.status, first.body.length], [status, length]);
      const second = await fetchAnswer(gateway.origin, '/page.php', { agent });
      assert.equal(second.text, 'page');
      assert.equal(existsSync(`${file}.done`), false);
    } finally {
      agent.destroy();
    }
    writeFileSync(`${file}.go`, '');
    await until(() => existsSync(`${file}.done`), 'PHP ends its work, with no client any more');
  });
}
