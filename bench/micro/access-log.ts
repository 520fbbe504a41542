/** What one line of the access log costs the request that causes it: printing, buffering, and handing over to the system. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { AccessLog } from '../../src/server/access-log.ts';
import type { AccessLogEntry } from '../../src/server/access-log-line.ts';
import { FakeExchange } from '../../test/support/fake-exchange.ts';

const lines = 200_000;
/** Between these many lines the writer gets its turn, as it does between requests. */
const batch = 64;
const directory = mkdtempSync(join(tmpdir(), 'fastway-bench-'));

const exchange = new FakeExchange({
  target: '/index.php?page=12',
  fields: [
    'Host',
    'site.test',
    'User-Agent',
    'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101',
    'Referer',
    'https://site.test/',
    'Accept',
    '*/*',
    'Accept-Encoding',
    'gzip',
    'Cookie',
    'session=1',
  ],
});
exchange.respond(200, '', []);
exchange.end(Buffer.alloc(200));

for (const format of ['combined', 'json'] as const) {
  const log = new AccessLog({
    format,
    file: join(directory, format),
    now: Date.now,
    clock: systemClock,
    log: silentLog,
  });
  log.open();
  const entry: AccessLogEntry = {
    exchange,
    id: 'x1',
    host: 'site.test',
    client: { address: '192.0.2.1' },
    record: { source: 'php', tries: 1 },
    durationMs: 1.5,
  };
  const before = process.cpuUsage();
  for (let round = 0; round < lines; round += batch) {
    for (let line = 0; line < batch; line++) log.write(entry);
    await new Promise(setImmediate);
  }
  const { user, system } = process.cpuUsage(before);
  await log.close();
  const perLine = (us: number) => (us / lines).toFixed(2);
  console.log(
    `${format}: CPU ${perLine(user + system)} us a line (system ${perLine(system)}), ${log.dropped} dropped`,
  );
}
rmSync(directory, { recursive: true });
