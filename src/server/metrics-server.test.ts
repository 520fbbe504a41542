import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Answer, fetchAnswer, type Request } from '../../test/support/http-client.ts';
import { exchangeRaw } from '../../test/support/raw-client.ts';
import { ConfigError } from '../base/errors.ts';
import { chooseFormat, MetricsServer } from './metrics-server.ts';

describe('the listener for those who watch', () => {
  let isReady = false;
  const server = new MetricsServer({
    host: '127.0.0.1',
    port: 0,
    hosts: ['gateway.internal'],
    print: (format) => `page in ${format}\n`,
    isReady: () => isReady,
  });
  let origin: string;
  before(async () => {
    await server.listen();
    origin = new URL(server.url!).origin;
  });
  after(() => server.close());
  const ask = (path: string, request: Request = {}): Promise<Answer> => fetchAnswer(origin, path, request);

  test('tells metrics in the format that is asked for', async () => {
    const plain = await ask('/metrics');
    assert.deepEqual([plain.status, plain.text], [200, 'page in text\n']);
    assert.equal(plain.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    assert.equal(plain.headers['cache-control'], 'no-store');
    const open = await ask('/metrics?x=1', { headers: { accept: 'application/openmetrics-text' } });
    assert.equal(open.text, 'page in openmetrics\n');
    assert.equal(open.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    const head = await ask('/metrics', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '13', '']);
  });

  test('is alive whatever happens, and ready when the gateway is', async () => {
    assert.deepEqual([(await ask('/livez')).status, (await ask('/readyz')).status], [200, 503]);
    isReady = true;
    assert.deepEqual([(await ask('/livez')).status, (await ask('/readyz')).status], [200, 200]);
  });

  test('other paths are 404, other methods 405', async () => {
    for (const path of ['/', '/metrics/', '/Metrics', '//metrics', 'http://x/metrics'])
      assert.equal((await ask(path)).status, 404, path);
    const post = await ask('/metrics', { method: 'POST', body: 'x' });
    assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD']);
    assert.match(post.text, /GET or HEAD/);
  });

  test('a name that points here without being ours is 421 (T90)', async () => {
    const status = async (host: string) => (await ask('/metrics', { headers: { host } })).status;
    const ours = [
      'localhost',
      'LOCALHOST:9180',
      '127.0.0.1:1',
      '127.0.0.2',
      '[::1]:9180',
      '10.0.0.5',
      'gateway.internal',
      'Gateway.Internal:80',
    ];
    for (const host of ours) assert.equal(await status(host), 200, host);
    const others = [
      'evil.test',
      'evil.test:9180',
      'localhost.evil.test',
      '127.0.0.1.evil.test',
      'localhost@x',
      '1',
    ];
    for (const host of others) assert.equal(await status(host), 421, host);
    for (const path of ['/livez', '/readyz', '/'])
      assert.equal((await ask(path, { headers: { host: 'evil.test' } })).status, 421, path);
  });

  test('without Host only HTTP/1.0 is served', async () => {
    const port = Number(new URL(origin).port);
    const old = await exchangeRaw(port, 'GET /livez HTTP/1.0\r\n\r\n');
    assert.equal(old.responses[0]!.status, 200);
    const broken = await exchangeRaw(port, 'GET /livez HTTP/1.1\r\n\r\n');
    assert.equal(broken.responses[0]!.status, 400);
  });
});

test('a port in use is one clear sentence', async () => {
  const holder: Server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  const { port } = holder.address() as AddressInfo;
  const server = new MetricsServer({
    host: '127.0.0.1',
    port,
    hosts: [],
    print: () => '',
    isReady: () => true,
  });
  await assert.rejects(server.listen(), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.equal(
      error.message,
      `metrics: Port ${port} of 127.0.0.1 is in use by another program; stop it, or choose another port`,
    );
    return true;
  });
  assert.equal(server.url, undefined);
  await server.close();
  holder.close();
});

test('OpenMetrics for whoever names it and likes it no less', () => {
  const chosen = (accept?: string) => chooseFormat(accept);
  assert.equal(chosen(undefined), 'text');
  assert.equal(chosen('*/*'), 'text');
  assert.equal(chosen('text/html,application/xhtml+xml,*/*;q=0.8'), 'text');
  assert.equal(chosen('text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.3'), 'text');
  assert.equal(chosen('application/openmetrics-text;q=0'), 'text');
  assert.equal(chosen('application/openmetrics-text;q=nonsense'), 'text');
  // What Prometheus sends.
  assert.equal(
    chosen(
      'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
    ),
    'openmetrics',
  );
  assert.equal(chosen('Application/OpenMetrics-Text; version=1.0.0; Q=1'), 'openmetrics');
});
