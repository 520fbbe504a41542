/**
 * What counting costs the request that is counted: its end at the front, and the end of its try at a source.
 * Processor time, as other work on the machine must not count. Besides, the router looks at the clock once more, and the
 * handler twice.
 */
import { MetricRegistry } from '../../src/base/metrics.ts';
import { RequestMetrics } from '../../src/server/request-metrics.ts';
import { SourceMetrics } from '../../src/source/source-metrics.ts';
import { FakeExchange } from '../../test/support/fake-exchange.ts';

const rounds = 5_000_000;
const registry = new MetricRegistry();
const servers = ['default', 'blog', 'shop'];
const requests = new RequestMetrics(registry);
const sources = new SourceMetrics(registry);
const meters = servers.map((server) => requests.meterOf(server));
const tryMeters = ['php', 'shop', 'django'].map((source) => sources.meterOf(source));

const exchange = new FakeExchange({ target: '/index.php?page=12' });
exchange.respond(200, '', []);
exchange.end(Buffer.alloc(200));

function measure(name: string, run: (round: number) => void): void {
  for (let round = 0; round < rounds / 10; round++) run(round);
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round++) run(round);
  const { user, system } = process.cpuUsage(before);
  console.log(`${name}: ${(((user + system) * 1e3) / rounds).toFixed(0)} ns`);
}

/** Milliseconds as they come: most short, some long. */
const duration = (round: number) => (round % 100) * 0.7;

measure('a look at the clock', () => performance.now());
measure('a request ends', (round) => meters[round % 3]!.ended(exchange, 'whole', duration(round)));
measure('a try ends', (round) => tryMeters[round % 3]!.ended('complete', duration(round), round % 2));
measure('a try fails', (round) => tryMeters[round % 3]!.ended('GW_ERR_SOURCE_CONNECT', duration(round), 0));
const printed = performance.now();
const page = registry.print('text');
console.log(`the page: ${(performance.now() - printed).toFixed(1)} ms, ${page.length} characters`);
