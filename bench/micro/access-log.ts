/** What one line of the access log costs the request that causes it: printing, buffering, and handing over to the system. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.ts';
import { AccessLog, type AccessLogEntry } from '../../src/server/access-log.ts';
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
  const log = new AccessLog({ format, file: join(directory, format), now: Date.now, log: silentLog });
  const entry: AccessLogEntry = {
    exchange,
    id: 'x1',
    host: 'site.test',
    client: { address: '192.0.2.1' },
    record: { source: 'php', tries: 1 },
    durationMs: 1.5,
  };
  let spentUs = 0;
  for (let round = 0; round < lines; round += batch) {
    const before = performance.now();
    for (let line = 0; line < batch; line++) log.write(entry);
    spentUs += (performance.now() - before) * 1000;
    await new Promise(setImmediate);
  }
  log.close();
  console.log(`${format}: ${(spentUs / lines).toFixed(2)} us a line, ${log.dropped} dropped`);
}
rmSync(directory, { recursive: true });
