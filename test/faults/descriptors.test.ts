/** A gateway that runs out of file descriptors: it survives, blames no source, and serves again. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { gatewayCommand } from '../support/gateway-process.ts';
import { startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { see } from './fault-gateway.ts';

test('110 descriptors and 200 clients: the gateway survives, blames no source, and serves again (F6, F7)', async (t) => {
  const application = await startScriptedApplication({ tcp: true });
  const folder = createTestDirectory();
  const config = join(folder, 'fastway.config.json');
  writeFileSync(
    config,
    JSON.stringify({
      listen: [{ host: '127.0.0.1', port: 0 }],
      sources: { slow: { address: application.address } },
      virtualServers: [
        {
          documentRoot: folder,
          accessLog: false,
          rules: [{ handler: { type: 'fastcgi', checkFile: false, balancer: { sources: ['slow'] } } }],
        },
      ],
    }),
  );
  // Loading its modules takes up to 80 at once.
  const command = [...gatewayCommand(), 'serve', '--config', config];
  const child = spawn('sh', ['-c', 'ulimit -n 110; exec "$0" "$@"', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, NO_COLOR: '1' },
  });
  try {
    const lines: string[] = [];
    const origin = await new Promise<string>((resolve, reject) => {
      const read = (line: string) => {
        lines.push(line);
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
        if (found !== null) resolve(found[0]);
      };
      createInterface(child.stdout).on('line', read);
      createInterface(child.stderr).on('line', read);
      child.once('exit', () => reject(new Error(lines.join('\n'))));
    });
    const before = await see(origin, '/?play=page');
    assert.equal(before.body, 'Hello');
    const seen = await Promise.all(
      Array.from({ length: 200 }, () => see(origin, '/?play=slow&ms=300', { timeoutMs: 20_000 })),
    );
    const count = (status: number) => seen.filter((one) => one.status === status).length;
    t.diagnostic(`200: ${count(200)}, 503: ${count(503)}, refused: ${count(0)}`);
    assert.equal(count(200) + count(503) + count(0), 200);
    assert.ok(count(200) > 0);
    assert.ok(count(200) < 200, 'it ran out of descriptors');
    for (const { status, headers } of seen) {
      if (status === 503) assert.match(headers['retry-after'] ?? '', /^\d+$/);
    }
    assert.equal(child.exitCode, null, lines.join('\n'));
    // As soon as the clients' connections are closed.
    for (let tries = 0; (await see(origin, '/?play=page')).body !== 'Hello'; tries++) {
      assert.ok(tries < 100, 'it does not serve again');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.doesNotMatch(lines.join('\n'), /out of service/);
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
    await application.close();
  }
});
