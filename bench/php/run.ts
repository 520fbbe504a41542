/**
 * `npm run bench:php`: pages of PHP by the embedded PHP, by a php-cgi for each request and by php-fpm, one after the other on the
 * same machine, with what each takes to start and in memory. WordPress is a copy of Debian's package, with a MariaDB of its
 * own. Writes docs/performance-php.md.
 */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { contestants, measure, preparePages } from './contest.ts';
import { printPhpReport } from './report.ts';

const { values } = parseArgs({
  options: {
    pages: { type: 'string', default: '100' },
    /** Others, which run the embedded PHP too. */
    node: { type: 'string', multiple: true, default: [] },
  },
});
const pages = Number(values.pages);
const [load] = loadavg() as [number];
// However the bench ends, it leaves nothing behind: services and gateways end with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
const undos: (() => unknown)[] = [];
try {
  const places = await preparePages((undo) => undos.unshift(undo));
  const figures = [];
  for (const contestant of contestants([process.execPath, ...values.node])) {
    for (const page of places) {
      // Progress goes to stderr; stdout is the report.
      console.error(`${page.title}: ${contestant.title}`);
      figures.push(await measure(contestant, page, pages));
    }
  }
  const text = printPhpReport({
    command: `npm run bench:php -- ${[`--pages ${pages}`, ...values.node.map(() => '--node /path/to/node')].join(' ')}`,
    date: new Date(),
    pages,
    load,
    figures,
  });
  console.log(text);
  writeFileSync(join(import.meta.dirname, '..', '..', 'docs', 'performance-php.md'), text);
} finally {
  for (const undo of undos) await undo();
}
