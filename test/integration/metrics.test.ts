/** Metrics of a whole gateway process: right after known requests, told while no worker is free, and readiness at a stop. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import type { ConfigInput } from '../../src/config/types.ts';
import { endRequest, record, stdout } from '../../src/testing/record-builder.ts';
import { copyApplication } from '../support/applications.ts';
import { checkExposition, type Family, findValue } from '../support/exposition.ts';
import { freePort } from '../support/free-port.ts';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer, openAnswer } from '../support/http-client.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

/** Where a gateway says that its metrics are, without the path. */
async function metricsOrigin(gateway: GatewayProcess): Promise<string> {
  const line = await waitForLine(gateway, /^ *metrics +http/);
  return new URL(/http:\S+/.exec(line)![0]).origin;
}

async function readMetrics(origin: string): Promise<readonly Family[]> {
  const answer = await fetchAnswer(origin, '/metrics');
  assert.equal(answer.status, 200);
  return checkExposition(answer.text, 'text');
}

/** Reads until it is as it should be: an end is counted a moment after the client has heard of it. */
async function waitForMetrics(
  origin: string,
  isReached: (families: readonly Family[]) => boolean,
): Promise<readonly Family[]> {
  let families: readonly Family[] = [];
  await until(async () => {
    families = await readMetrics(origin);
    return isReached(families);
  }, String(isReached));
  return families;
}

/** An application whose `gate` requests answer when the test says so. */
async function startGatedApplication(): Promise<{
  application: ScriptedApplication;
  /** Resolves when a request has arrived at the gate; lets it through when called. */
  arrived: () => Promise<() => void>;
}> {
  const gates: (() => void)[] = [];
  const waiting: ((open: () => void) => void)[] = [];
  const application = await startScriptedApplication({
    scenarios: {
      gate: (played) => {
        const open = () =>
          played.finish(
            stdout('Content-Type: text/plain\r\n\r\ngate'),
            record(6, 1, Buffer.alloc(0)),
            endRequest(),
          );
        const next = waiting.shift();
        if (next === undefined) gates.push(open);
        else next(open);
      },
    },
  });
  const arrived = () =>
    new Promise<() => void>((resolve) => {
      const open = gates.shift();
      if (open === undefined) waiting.push(resolve);
      else resolve(open);
    });
  return { application, arrived };
}

const rule = (directory: string, ...sources: string[]) => ({
  match: { directory },
  handler: {
    type: 'fastcgi' as const,
    checkFile: false,
    balancer: { policy: 'failover' as const, sources },
  },
});

describe('what is counted', () => {
  let gated: Awaited<ReturnType<typeof startGatedApplication>>;
  let gateway: GatewayProcess;
  let metrics: string;
  before(async () => {
    gated = await startGatedApplication();
    const documentRoot = createTestDirectory();
    const config: ConfigInput = {
      metrics: { port: 0 },
      sources: {
        app: { address: gated.application.address, profile: 'generic', capacity: 1, keepConnections: 0 },
        down: { address: `tcp://127.0.0.1:${await freePort()}`, profile: 'generic' },
      },
      virtualServers: [
        { name: 'first', documentRoot, rules: [rule('/app', 'app'), rule('/failover', 'down', 'app')] },
        { name: 'second', hosts: ['second.test'], documentRoot, rules: [rule('/', 'app')] },
      ],
    };
    gateway = await startGateway({ config });
    metrics = await metricsOrigin(gateway);
  });
  after(async () => {
    await gateway?.stop();
    await gated?.application.close();
  });
  const ask = (path: string, request = {}) => fetchAnswer(gateway.origin, path, request);

  it('a series of requests, with failures', async () => {
    const before = await readMetrics(metrics);
    for (let i = 0; i < 3; i++) assert.equal((await ask('/app/?play=page')).text, 'Hello');
    await ask('/app/?play=page', { method: 'HEAD' });
    await ask('/app/?play=page', { method: 'POST', body: '12345' });
    await ask('/app/?play=page', { method: 'PATCH', body: 'x' });
    assert.equal((await ask('/nothing')).status, 404);
    assert.equal((await ask('/app/?play=end-only')).status, 502);
    assert.equal((await ask('/app/?play=exit-status')).status, 200);
    assert.equal((await ask('/failover/?play=page')).text, 'Hello');
    await assert.rejects(ask('/app/?play=eof-without-end&before=20000'));
    await ask('/?play=page', { headers: { host: 'second.test' } });
    for (const host of ['one.evil.test', 'two.evil.test', 'no host'])
      await ask('/nothing', { headers: { host } });
    await exchangeRaw(gateway.port, 'NO HTTP\r\n\r\n');
    const leaver = new AbortController();
    const leaving = assert.rejects(openAnswer(gateway.origin, '/app/?play=gate', { signal: leaver.signal }));
    const open = await gated.arrived();
    leaver.abort();
    await leaving;

    const families = await waitForMetrics(
      metrics,
      (now) => findValue(now, 'fastway_http_requests_in_flight') === 0,
    );
    open();
    const counted = (name: string, labels = {}) =>
      findValue(families, name, labels)! - findValue(before, name, labels)!;
    const requests = (method: string, status: string, server = 'first') =>
      counted('fastway_http_requests_total', { server, method, status });
    assert.equal(requests('GET', '2xx'), 3 + 1 + 1 + 1);
    assert.equal(requests('HEAD', '2xx'), 1);
    assert.equal(requests('POST', '2xx'), 1);
    assert.equal(requests('other', '2xx'), 1);
    // What names no host is refused; the others have no rule.
    assert.equal(requests('GET', '4xx'), 1 + 3);
    assert.equal(requests('GET', '5xx'), 1);
    assert.equal(requests('GET', '499'), 1);
    assert.equal(requests('GET', '2xx', 'second'), 1);
    const first = { server: 'first' };
    assert.equal(counted('fastway_http_request_body_bytes_total', first), 6);
    assert.ok(counted('fastway_http_response_body_bytes_total', first) > 4 * 'Hello'.length);
    assert.equal(counted('fastway_http_response_body_bytes_total', { server: 'second' }), 'Hello'.length);
    assert.equal(counted('fastway_http_request_duration_seconds_count', first), 9 + 4 + 1 + 1);
    assert.equal(counted('fastway_http_client_aborts_total', first), 1);
    assert.equal(counted('fastway_http_cut_answers_total', first), 1);
    assert.equal(counted('fastway_http_refused_total', { reason: 'malformed' }), 1);
    const failed = (code: string) => counted('fastway_http_errors_total', { code });
    assert.equal(failed('GW_ERR_HTTP_NOT_FOUND'), 3);
    assert.equal(failed('GW_ERR_HTTP_REQUEST'), 1);
    assert.equal(failed('GW_ERR_CGI_NO_HEAD'), 1);
    assert.equal(failed('GW_ERR_SOURCE_CLOSED'), 1);

    const tries = (source: string, outcome: string) =>
      counted('fastway_source_requests_total', { source, outcome });
    assert.equal(tries('app', 'complete'), 3 + 1 + 1 + 1 + 1 + 1 + 1);
    assert.equal(tries('app', 'aborted'), 1);
    assert.equal(tries('app', 'GW_ERR_CGI_NO_HEAD'), 1);
    assert.equal(tries('app', 'GW_ERR_SOURCE_CLOSED'), 1);
    assert.equal(tries('down', 'GW_ERR_SOURCE_CONNECT'), 1);
    assert.equal(counted('fastway_source_further_tries_total', { source: 'app' }), 1);
    assert.equal(counted('fastway_source_further_tries_total', { source: 'down' }), 0);
    assert.equal(counted('fastway_source_app_status_failures_total', { source: 'app' }), 1);
    assert.equal(counted('fastway_source_application_seconds_count', { source: 'app' }), 9);
    assert.equal(findValue(families, 'fastway_source_available', { source: 'app' }), 1);
    assert.equal(findValue(families, 'fastway_source_available', { source: 'down' }), 0);
  });

  it('no host that a client makes up is on the page (T106)', async () => {
    for (let i = 0; i < 5; i++) await ask('/nothing', { headers: { host: `made-up-${i}.test` } });
    const { text } = await fetchAnswer(metrics, '/metrics');
    assert.ok(!text.includes('made-up'));
    const servers = [...text.matchAll(/server="([^"]*)"/g)].map(([, server]) => server);
    assert.deepEqual([...new Set(servers)], ['first', 'second']);
  });

  it('while the source is full: who waits, and afterwards how long, apart from the work', async () => {
    const before = await readMetrics(metrics);
    const app = { source: 'app' };
    const slow = ask('/app/?play=gate');
    const open = await gated.arrived();
    const waiting = ask('/app/?play=page');
    const full = await waitForMetrics(
      metrics,
      (now) => findValue(now, 'fastway_source_requests_waiting', app) === 1,
    );
    assert.equal(findValue(full, 'fastway_source_requests_active', app), 1);
    assert.equal(findValue(full, 'fastway_source_capacity', app), 1);
    assert.equal(findValue(full, 'fastway_source_connections', app), 1);
    assert.equal(findValue(full, 'fastway_http_requests_in_flight'), 2);
    // What is measured: the second request has to wait for some time.
    await rest(300);
    open();
    await Promise.all([slow, waiting]);
    const families = await waitForMetrics(
      metrics,
      (now) => findValue(now, 'fastway_http_requests_in_flight') === 0,
    );
    const counted = (name: string, labels = {}) =>
      findValue(families, name, { ...labels })! - findValue(before, name, { ...labels })!;
    const waited = counted('fastway_source_waiting_seconds_sum', app);
    const worked = counted('fastway_source_application_seconds_sum', app);
    const whole = counted('fastway_http_request_duration_seconds_sum', { server: 'first' });
    assert.ok(waited >= 0.25, `waited for ${waited} s`);
    assert.ok(worked >= 0.25, `worked for ${worked} s`);
    assert.ok(waited + worked <= whole, `${waited} s of waiting and ${worked} s of work in ${whole} s`);
    const bucket = (le: string) => counted('fastway_source_waiting_seconds_bucket', { ...app, le });
    assert.deepEqual([bucket('0'), bucket('0.1'), bucket('+Inf')], [1, 1, 2]);
    assert.equal(counted('fastway_source_application_seconds_count', app), 2);
  });

  it('OpenMetrics for whoever asks for it; nothing for a name that was made to point here (T90)', async () => {
    const open = await fetchAnswer(metrics, '/metrics', {
      headers: { accept: 'application/openmetrics-text; version=1.0.0' },
    });
    checkExposition(open.text, 'openmetrics');
    const rebound = await fetchAnswer(metrics, '/metrics', { headers: { host: 'evil.test' } });
    assert.equal(rebound.status, 421);
    assert.ok(!rebound.text.includes('fastway_'));
    assert.equal((await ask('/metrics')).status, 404, 'the public listener has no metrics');
  });
});

describe('interpreters', () => {
  it('their starts, their ends, and those that run', async () => {
    const gateway = await startGateway({
      config: {
        metrics: { port: 0 },
        sources: { php: { interpreter: ['php-cgi'] } },
        virtualServers: [{ documentRoot: copyApplication('php'), preset: 'php' }],
      },
    });
    try {
      const metrics = await metricsOrigin(gateway);
      const of = (families: readonly Family[]) =>
        ['processes', 'starts_total', 'unexpected_ends_total'].map((name) =>
          findValue(families, `fastway_interpreter_${name}`, { source: 'php' }),
        );
      assert.deepEqual(of(await readMetrics(metrics)), [0, 0, 0]);
      assert.equal((await fetchAnswer(gateway.origin, '/answer.php')).status, 200);
      assert.deepEqual(of(await readMetrics(metrics)), [1, 1, 0]);
      const pid = Number(/pid=(\d+)/.exec(await waitForLine(gateway, /The interpreter is up/))![1]);
      process.kill(pid, 'SIGKILL');
      await waitForMetrics(metrics, (now) => of(now)[2] === 1);
      assert.equal((await fetchAnswer(gateway.origin, '/answer.php')).status, 200);
      await waitForMetrics(metrics, (now) => of(now).join() === '1,2,1');
    } finally {
      await gateway.stop();
    }
  });
});

describe('start and stop', () => {
  it('not ready from the signal on, while a request still ends; alive until the end', async () => {
    const { application, arrived } = await startGatedApplication();
    const gateway = await startGateway({
      config: {
        metrics: { port: 0 },
        sources: { app: { address: application.address, profile: 'generic' } },
        virtualServers: [{ documentRoot: createTestDirectory(), rules: [rule('/', 'app')] }],
      },
    });
    try {
      const metrics = await metricsOrigin(gateway);
      assert.equal((await fetchAnswer(metrics, '/readyz')).status, 200);
      const running = fetchAnswer(gateway.origin, '/?play=gate');
      const open = await arrived();
      process.kill(gateway.pid, 'SIGTERM');
      await waitForLine(gateway, /SIGTERM: stopping/);
      assert.equal((await fetchAnswer(metrics, '/readyz')).status, 503);
      assert.equal((await fetchAnswer(metrics, '/livez')).status, 200);
      assert.equal(findValue(await readMetrics(metrics), 'fastway_http_requests_in_flight'), 1);
      open();
      assert.equal((await running).text, 'gate');
      assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    } finally {
      await gateway.stop();
      await application.close();
    }
  });

  it('a port in use is one sentence, and nothing stays open', async () => {
    const first = await startGateway({
      config: { metrics: { port: 0 }, virtualServers: [{ documentRoot: createTestDirectory(), rules: [] }] },
    });
    try {
      const port = Number(new URL(await metricsOrigin(first)).port);
      await assert.rejects(
        startGateway({
          config: { metrics: { port }, virtualServers: [{ documentRoot: createTestDirectory(), rules: [] }] },
        }),
        new RegExp(`metrics: Port ${port} of 127.0.0.1 is in use by another program; stop it`),
      );
    } finally {
      await first.stop();
    }
  });
});
