/** The figures of PHP as Markdown: the same text on the terminal and in docs/performance-php.md. */
import { availableParallelism } from 'node:os';
import { describeMachine, printTable } from '../report.ts';
import type { PhpFigures } from './contest.ts';

export interface PhpReport {
  readonly command: string;
  readonly date: Date;
  readonly pages: number;
  /** Of the machine before the run: mean of the processes that want a processor. */
  readonly load: number;
  readonly figures: readonly PhpFigures[];
}

/** The document. */
export function printPhpReport({ command, date, pages, load, figures }: PhpReport): string {
  const tables = [...new Set(figures.map(({ page }) => page))].flatMap((page) => [
    `## ${page}`,
    printTable(
      heads,
      figures.filter((figure) => figure.page === page).map((figure) => row(figure)),
    ),
  ]);
  return `${[
    '# Performance of PHP',
    'Written by the bench; do not edit. Run it again with:',
    `\`\`\`sh\napt-get install wordpress mariadb-server php-fpm php-cgi php-mysql   # once, as root, on Debian\nnpm run build\n${command}\n\`\`\``,
    describeMachine(date) + describeLoad(load),
    ...tables,
    describeMeasure(pages),
  ].join('\n\n')}\n`;
}

function describeLoad(load: number): string {
  if (load < availableParallelism() / 2) return '';
  return ` Other work ran beside it (load average ${load.toFixed(0)}): compare CPU and memory, and the milliseconds only roughly.`;
}

const heads = [
  'PHP',
  'first page ms',
  'its CPU ms',
  'page ms',
  'CPU ms',
  'MiB',
  'four: pages/s',
  'four: MiB',
];

function row(figures: PhpFigures): readonly string[] {
  const mebibytes = (bytes: number) => String(Math.round(bytes / 1_048_576));
  return [
    figures.contestant,
    figures.firstMs.toFixed(0),
    figures.firstCpuMs.toFixed(0),
    figures.pageMs.toFixed(1),
    figures.pageCpuMs.toFixed(1),
    mebibytes(figures.bytes),
    figures.pagesPerSecond < 0.5 ? '<1' : figures.pagesPerSecond.toFixed(0),
    mebibytes(figures.bytesOfFour),
  ];
}

function describeMeasure(pages: number): string {
  return `CPU and memory are those of Fastway, about 80 MiB, and of all that it started; memory is resident, at most, and pages shared between
processes count in each.

- first page: from the start of Fastway to the end of that page, which is asked for as soon as it listens.
- page: the median of ${pages} pages, one after the other, after ten. CPU: the mean.
- four: ${pages} pages, four at a time, with at most four workers; after as many to start those.
- php-cgi is started for each request by a script of one line (the \`cgi\` handler); it keeps no compiled scripts.`;
}
