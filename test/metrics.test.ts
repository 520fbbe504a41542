/** Metrics and their page: every name is documented, and the page is what the exposition formats ask for. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { MetricFormat } from '../src/base/metrics.ts';
import { createGateway } from '../src/gateway/gateway.ts';
import { checkExposition } from './support/exposition.ts';

/** A page with everything on it: a source of each kind, names that need escapes, an upper bound. */
async function printPage(format: MetricFormat): Promise<string> {
  const gateway = await createGateway({
    sources: {
      remote: { address: 'tcp://127.0.0.1:1', capacity: 4 },
      own: { interpreter: ['program'], processes: { max: 3 } },
    },
    virtualServers: [
      { name: 'default', documentRoot: tmpdir(), rules: [] },
      { name: 'a "quoted\\name"\nof two lines', hosts: ['b.test'], documentRoot: tmpdir(), rules: [] },
    ],
  });
  try {
    return gateway.metrics(format);
  } finally {
    await gateway.close();
  }
}

test('every metric is documented with its type and labels, and every documented metric exists', async () => {
  const families = checkExposition(await printPage('text'), 'text');
  const told = families.map(({ name, type, labels }) => `${name} ${type} ${labels.join(', ')}`);
  const document = readFileSync(new URL('../docs/metrics.md', import.meta.url), 'utf8');
  const documented = [...document.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*)\|/gm)].map(
    ([, name, type, labels]) => `${name} ${type} ${labels!.replaceAll('`', '').trim()}`,
  );
  assert.deepEqual(documented.sort(), told.sort());
});

test('OpenMetrics: the same families, by the stricter rules', async () => {
  const plain = checkExposition(await printPage('text'), 'text');
  const openmetrics = checkExposition(await printPage('openmetrics'), 'openmetrics');
  assert.deepEqual(
    openmetrics.map(({ name }) => name),
    plain.map(({ name, type }) => (type === 'counter' ? name.replace(/_total$/, '') : name)),
  );
});

test('names come out as they were written', async () => {
  const families = checkExposition(await printPage('text'), 'text');
  const requests = families.find(({ name }) => name === 'fastway_http_requests_total')!;
  const servers = new Set(requests.samples.map(({ labels }) => labels.get('server')));
  assert.deepEqual([...servers], ['default', 'a "quoted\\name"\nof two lines']);
});
