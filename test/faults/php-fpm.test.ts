/**
 * Real php-fpm under what happens to it on a server: reloads, killed workers, uploads that stop half-way, slow readers.
 * No request that can be saved is lost, and no script runs on a part of its upload (G4).
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { copyApplication } from '../support/applications.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { fetchAnswer, openAnswer } from '../support/http-client.ts';
import { type PhpFpm, startPhpFpm } from '../support/php-fpm.ts';
import { application } from '../support/php-gateway.ts';
import { createRandom } from '../support/random.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { count, isFull } from './counts.ts';
import { PlainClient } from './plain-client.ts';

const seed = Number(process.env.SEED ?? 1);
const workers = 2;

describe('php-fpm', () => {
  let fpm: PhpFpm;
  let gateway: GatewayProcess;
  before(async () => {
    fpm = await startPhpFpm(workers);
    gateway = await startGateway({
      config: {
        sources: { php: { address: fpm.address, keepConnections: 0, capacity: workers } },
        virtualServers: [{ documentRoot: copyApplication('php'), preset: 'php', source: 'php' }],
      },
    });
  });
  after(async () => {
    await gateway?.stop();
    await fpm?.stop();
  });

  /** Requests from several clients without a pause, while something is done; the answers that were not 200. */
  async function loadDuring(
    action: (answered: () => number) => Promise<void>,
  ): Promise<{ bad: string[]; total: number }> {
    let isOver = false;
    let total = 0;
    const bad: string[] = [];
    const client = async () => {
      const plain = new PlainClient(gateway.origin);
      while (!isOver) {
        const answer = await plain.request(
          `GET ${application}/echo?n=${total} HTTP/1.1\r\nHost: test\r\n\r\n`,
        );
        total++;
        if (answer?.status !== 200 || answer.isCut) bad.push(answer?.head ?? 'nothing');
      }
      plain.close();
    };
    const clients = Array.from({ length: 4 }, client);
    try {
      await action(() => total);
    } finally {
      isOver = true;
      await Promise.all(clients);
    }
    return { bad, total };
  }

  it('reloaded again and again under load: no request fails', async (t) => {
    const { bad, total } = await loadDuring(async (answered) => {
      for (let i = 0; i < count(20, 5); i++) {
        const before = answered();
        await fpm.reload();
        await until(() => answered() > before + 20, 'the next answers');
      }
    });
    t.diagnostic(`${total} requests`);
    assert.deepEqual(bad, []);
  });

  it('its workers killed again and again under load: no request fails', async (t) => {
    const random = createRandom(seed);
    const { bad, total } = await loadDuring(async (answered) => {
      for (let i = 0; i < count(100, 15); i++) {
        const before = answered();
        let living: number[] = [];
        await until(() => {
          living = fpm.workers();
          return living.length === workers;
        }, 'new workers');
        process.kill(living[Math.floor(random() * workers)]!, 'SIGKILL');
        await until(() => answered() > before + 20, 'the next answers');
      }
    });
    t.diagnostic(`${total} requests, seed ${seed}`);
    assert.deepEqual(bad, []);
  });

  it('uploads stopped at random bytes: no script runs (G4)', async () => {
    const random = createRandom(seed);
    const directory = join(createTestDirectory(), 'runs');
    mkdirSync(directory);
    openToAll(directory);
    const file = join(directory, 'count');
    const target = `${application}/count?file=${encodeURIComponent(file)}`;
    let left = count(2_000, 200);
    const uploader = async () => {
      while (left-- > 0) await stopUpload(target, random);
    };
    await Promise.all(Array.from({ length: 8 }, uploader));
    const probe = await fetchAnswer(gateway.origin, `${application}/echo`);
    assert.equal(probe.status, 200);
    assert.equal(existsSync(file), false, `seed ${seed}: a script ran on a part of its upload`);
    const whole = await fetchAnswer(gateway.origin, target, { method: 'POST', body: 'b'.repeat(100_000) });
    assert.equal(JSON.parse(whole.text).bytes, 100_000);
    assert.equal(readFileSync(file, 'utf8'), '+');
  });

  /** Sends the head of an upload and a part of its body, then leaves, politely or not. */
  function stopUpload(target: string, random: () => number): Promise<void> {
    const length = 1 + Math.floor(random() * 200_000);
    const isChunked = random() < 0.3;
    const body = 'b'.repeat(length);
    const framing = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`;
    const text =
      `POST ${target} HTTP/1.1\r\nHost: test\r\n${framing}\r\n\r\n` +
      (isChunked ? `${length.toString(16)}\r\n${body}\r\n0\r\n` : body);
    // The last byte is never sent.
    const bytes = text.slice(0, Math.floor(random() * text.length));
    const isPolite = random() < 0.5;
    return new Promise((resolve) => {
      const socket = connect(gateway.port, '127.0.0.1', () => {
        socket.write(bytes, 'latin1', () => (isPolite ? socket.end() : socket.resetAndDestroy()));
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.resume();
    });
  }

  it('20 slow readers of 1 MiB hold none of its two workers', async (t) => {
    const readers: IncomingMessage[] = [];
    try {
      for (let i = 0; i < 20; i++) {
        readers.push(await openAnswer(gateway.origin, `${application}/download?bytes=${1024 * 1024}`));
      }
      const times: number[] = [];
      for (let i = 0; i < 5; i++) {
        const start = performance.now();
        const answer = await fetchAnswer(gateway.origin, `${application}/echo`, { timeoutMs: 30_000 });
        assert.equal(answer.status, 200);
        times.push(performance.now() - start);
      }
      times.sort((a, b) => a - b);
      t.diagnostic(`a probe took ${times.map((time) => time.toFixed(1)).join(', ')} ms`);
      // A machine with other work may be late by itself, but not five times in a row.
      if (isFull) assert.ok(times[0]! < 100, `${times[0]} ms`);
    } finally {
      for (const reader of readers) reader.destroy();
    }
  });
});
