/** What may not hold, kill or deceive a PHP worker: slow readers, clients that leave, uploads that stop, dead interpreters. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { GatewayProcess } from '../support/gateway-process.ts';
import { fetchAnswer, openAnswer } from '../support/http-client.ts';
import { application, startPhpGateway } from '../support/php-gateway.ts';
import { descendants } from '../support/process-facts.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

describe('two PHP workers', () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startPhpGateway({ workers: 2, env: { CANARY_SECRET: 'not-for-applications' } });
  });
  after(() => gateway?.stop());

  /** Finds a free worker, long before a reader who does not read (60 s) or `wait` (60 s) gives up by itself. */
  const probe = async () => {
    const answer = await fetchAnswer(gateway.origin, `${application}/echo`, { timeoutMs: 30_000 });
    assert.equal(answer.status, 200);
  };

  it('are not held by 20 readers who do not read', async () => {
    const bytes = 1024 * 1024;
    const readers: IncomingMessage[] = [];
    try {
      for (let number = 0; number < 20; number++) {
        // Nobody reads the answer, so that the socket's buffers fill and stay full.
        readers.push(await openAnswer(gateway.origin, `${application}/download?bytes=${bytes}`));
      }
      await probe();
    } finally {
      for (const reader of readers) reader.destroy();
    }
  });

  it('are free again soon after their clients left', async () => {
    for (let number = 0; number < 4; number++) {
      const answer = await openAnswer(gateway.origin, `${application}/wait?ticks=1200`);
      answer.on('error', () => {});
      answer.destroy();
    }
    await probe();
  });

  it('answer 60 requests that come at once, none lost', async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => fetchAnswer(gateway.origin, `${application}/sleep?ms=20`)),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(new Set(answers.map(({ text }) => text)).size, 2, 'both workers had a part');
  });

  it('never run a script for an upload that stopped half-way', async () => {
    const directory = createTestDirectory();
    const runs = join(directory, 'runs');
    mkdirSync(runs);
    openToAll(runs);
    const file = join(runs, 'count');
    const target = `${application}/count?file=${encodeURIComponent(file)}`;
    const body = 'b'.repeat(200_000);
    const head = `POST ${target} HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n`;
    for (let part = 0; part < 20; part++) {
      const bytes = head + body.slice(0, (body.length / 20) * part);
      await new Promise<void>((resolve) => {
        const socket = connect(gateway.port, '127.0.0.1', () => {
          socket.write(bytes, () => (part % 2 === 0 ? socket.end() : socket.resetAndDestroy()));
        });
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.resume();
      });
    }
    await probe();
    assert.equal(existsSync(file), false, 'a script ran on a part of its upload');
    const whole = await fetchAnswer(gateway.origin, target, { method: 'POST', body });
    assert.equal(JSON.parse(whole.text).bytes, body.length);
    assert.equal(readFileSync(file, 'utf8'), '+');
  });

  it('see nothing of our environment', async () => {
    const answer = await fetchAnswer(gateway.origin, `${application}/echo`);
    assert.ok(!answer.text.includes('not-for-applications'));
  });

  it('are replaced when they are killed', async () => {
    const workers = descendants(gateway.pid).filter(({ command }) => /php-fpm: pool/.test(command));
    assert.equal(workers.length, 2, JSON.stringify(descendants(gateway.pid)));
    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    await answersAgain();
  });

  it('come back when all of php-fpm is killed', async () => {
    for (const { pid } of descendants(gateway.pid)) process.kill(pid, 'SIGKILL');
    await answersAgain();
  });

  /** Requests may fail with an honest 502 or 503 for a moment; then they are answered. */
  async function answersAgain(): Promise<void> {
    await until(
      async () => {
        const { status } = await fetchAnswer(gateway.origin, `${application}/echo`);
        assert.ok([200, 502, 503].includes(status), `status ${status}`);
        return status === 200;
      },
      'an answer again',
      () => gateway.lines.slice(-20).join('\n'),
    );
  }
});
