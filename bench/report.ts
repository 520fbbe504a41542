/** The figures of a run as Markdown: the same text on the terminal and in docs/performance.md. */
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import type { LogCost } from './log-cost.ts';
import type { MemoryResult } from './memory.ts';
import { runProgram } from './process.ts';
import type { Round } from './round.ts';
import type { BenchServer } from './servers.ts';

/** What was found out about one server; parts that were not asked for are undefined. */
export interface ServerFigures {
  readonly server: BenchServer;
  readonly version: string;
  readonly small: Round | undefined;
  readonly stream: Round | undefined;
  /** Highest resident memory of the process tree, after all load. */
  readonly peakBytes: number | undefined;
  /** Why there are no figures. */
  readonly error: string | undefined;
}

export interface Report {
  readonly command: string;
  readonly date: Date;
  readonly rounds: number;
  readonly seconds: number;
  readonly servers: readonly ServerFigures[];
  readonly log: LogCost | undefined;
  readonly memory: readonly MemoryResult[] | undefined;
}

/** The document. */
export function printReport(report: Report): string {
  const parts = [
    '# Performance',
    'Written by the bench; do not edit. Run it again with:',
    `\`\`\`sh\nbench/install.sh   # once, as root, on Debian: the other servers, wrk, gcc\nnpm run build\n${report.command}\n\`\`\``,
    describeRun(report),
    '## Side by side',
    printTable(serverHeads, serverRows(report.servers)),
    notes,
  ];
  if (report.log !== undefined) parts.push('## Access log', describeLog(report.log));
  if (report.memory !== undefined) {
    parts.push('## Memory of one large transfer', printTable(memoryHeads, memoryRows(report.memory)));
  }
  return `${parts.join('\n\n')}\n`;
}

function describeRun(report: Report): string {
  return `${describeMachine(report.date)} Median of ${report.rounds} rounds of ${report.seconds} s for each server, in turn, after one round to warm up.`;
}

/** When and on what was measured, as a sentence. */
export function describeMachine(date: Date): string {
  const processors = cpus();
  const system = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  const gcc = runProgram(['gcc', '-dumpfullversion']).trim();
  return [
    `Measured ${date.toISOString().slice(0, 10)} on ${processors.length} cores of ${processors[0]?.model.trim()}, ${system}, `,
    `Linux ${release().split('-')[0]}, Node ${process.versions.node}, gcc ${gcc}.`,
  ].join('');
}

const notes = [
  'Every server runs the same null application (bench/responder.c, one thread of C) over a unix socket, with one worker or thread',
  'where that can be set and otherwise as it comes: *log* says whether it writes an access log by default, *application* whether',
  'it keeps its connections to the application. The server is bound to one core; load (wrk) and application share the other, so',
  'where the server is fast, requests per second show the limit of that core: the measure is the CPU time of the whole process',
  'tree, user and system, divided by the requests that wrk counted.',
  '',
  '- small: 32 kept client connections, a page of about 200 bytes. p99: the latency that 99 % of these requests stay under.',
  '- stream: 4 client connections, answers of 10 MB without Content-Length.',
  '- memory: highest resident memory of the process tree after all load; pages shared between processes count in each.',
  '- ×: the ratio to nginx with kept connections.',
].join('\n');

const serverHeads = [
  'server',
  'version',
  'application',
  'log',
  'requests/s',
  'CPU µs/request',
  '×',
  'p99 ms',
  'CPU ms/100 MB',
  '×',
  'memory MiB',
] as const;

function serverRows(all: readonly ServerFigures[]): readonly (readonly string[])[] {
  const reference = all.find((figures) => figures.server.name === 'nginx-kept');
  return all.map((figures) => {
    const { server, version, small, stream, peakBytes, error } = figures;
    const known = [server.title, version, server.connections, server.accessLog ? 'on' : 'off'];
    if (error !== undefined) return [...known, `failed: ${error}`, '', '', '', '', '', ''];
    return [
      ...known,
      print(small?.requestsPerSecond, 0),
      print(small?.cpuPerRequestUs, 1),
      print(ratio(small?.cpuPerRequestUs, reference?.small?.cpuPerRequestUs), 2),
      print(small?.p99Ms, 2),
      print(stream?.cpuPer100MbMs, 0),
      print(ratio(stream?.cpuPer100MbMs, reference?.stream?.cpuPer100MbMs), 2),
      print(peakBytes === undefined ? undefined : peakBytes / 2 ** 20, 0),
    ];
  });
}

function describeLog({ withLogUs, withoutLogUs, differenceUs, errorUs, starts, blocks }: LogCost): string {
  return [
    `A request costs ${print(withLogUs, 2)} µs with the access log and ${print(withoutLogUs, 2)} µs without: ${print(differenceUs, 2)} µs for a line, with a standard error of`,
    `${print(errorUs, 2)} µs. Two virtual servers of one process, started ${starts} times, in ${blocks} blocks of four slices of load in turn each time;`,
    "the requests have a browser's fields.",
  ].join('\n');
}

const memoryHeads = ['transfer', 'idle MiB', 'peak MiB', 'above idle MiB', 'seconds'] as const;

function memoryRows(results: readonly MemoryResult[]): readonly (readonly string[])[] {
  return results.map(({ transfer, idleBytes, peakBytes, seconds }) => [
    transfer,
    print(idleBytes / 2 ** 20, 0),
    print(peakBytes / 2 ** 20, 0),
    print((peakBytes - idleBytes) / 2 ** 20, 0),
    print(seconds, 1),
  ]);
}

function ratio(value: number | undefined, reference: number | undefined): number | undefined {
  return value === undefined || reference === undefined ? undefined : value / reference;
}

function print(value: number | undefined, digits: number): string {
  return value === undefined ? '' : value.toFixed(digits);
}

/** A Markdown table that can be read as plain text too. */
export function printTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  // A long cell (an error) does not widen its column.
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => (row[column]!.length > 28 ? 0 : row[column]!.length))),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
