/** The figures of both ends as Markdown: the same text on the terminal and in docs/performance-ends.md. */
import { describeMachine, printTable } from '../report.ts';
import type { ClientLoad } from './clients.ts';
import type { Standing } from './contest.ts';
import type { ApplicationLoad } from './fastcgi-request.ts';
import type { GatewayLoad } from './multiplexing.ts';

export interface EndsReport {
  readonly command: string;
  readonly date: Date;
  readonly rounds: number;
  readonly milliseconds: number;
  readonly applications: readonly Standing<ApplicationLoad>[];
  readonly clients: readonly Standing<ClientLoad>[];
  readonly connections: readonly Standing<GatewayLoad>[];
}

/** The document. */
export function printEndsReport(report: EndsReport): string {
  const { command, date, rounds, milliseconds, applications, clients, connections } = report;
  return `${[
    '# Performance of the two ends',
    'Written by the bench; do not edit. Run it again with:',
    `\`\`\`sh\nbench/install.sh   # once, as root, on Debian: gcc, libfcgi\nnpm run build\n${command}\n\`\`\``,
    `${describeMachine(date)} Median of ${rounds} rounds of ${milliseconds} ms for each program, in turn, after one round to warm up.`,
    measure,
    '## Application side',
    printStandings(applications, 'node-fastcgi'),
    applicationNotes,
    '## Client',
    printStandings(clients, 'fastcgi-client'),
    describeClients(clients),
    '## From the gateway to an application',
    printConnections(connections),
    connectionNotes,
  ].join('\n\n')}\n`;
}

const measure = [
  'The figures are requests per CPU second: what one core of this machine would do if the program had it for itself, system calls',
  'included. The program under test is bound to one core, its peer to the other. In parentheses: how many times as many as',
  'the reference, with the same use of connections where it has both.',
].join('\n');

const applicationNotes = [
  'The same application each time, behind the same load (bench/repeater.c) over a unix socket, with the variables that nginx sends.',
  'fromHttp and node-fastcgi run the very same listener. node-fastcgi closes each connection, whatever it is asked. libfcgi serves one',
  'connection in a process, so it has 16 processes, and their sum counts.',
  '',
  '- page: an answer of about 200 bytes, 16 connections. echo: a POST of 4 KiB that comes back, 16 connections.',
  '- file: 10 MB in pieces of 64 KiB, as a stream from a disk gives them, 4 connections.',
  '- kept: all requests on the same connections (FCGI_KEEP_CONN). new: a connection for each request.',
].join('\n');

const connectionNotes = [
  'CPU microseconds of gateway and application together for a small request, through the gateway to fastway/app over a unix socket. In',
  'parentheses: the ratio to kept connections, each of which carries one request after the other.',
].join('\n');

function printConnections(standings: readonly Standing<GatewayLoad>[]): string {
  const loads = [...standings[0]!.requestsPerCpuSecond.keys()];
  const costOf = ({ requestsPerCpuSecond }: Standing<GatewayLoad>, load: GatewayLoad) =>
    1e6 / (requestsPerCpuSecond.get(load) as number);
  const kept = standings.find(({ contestant }) => contestant.connections === 'kept')!;
  const rows = standings.map((standing) => [
    standing.contestant.connections,
    ...loads.map(
      (load) =>
        `${costOf(standing, load).toFixed(1)} (${(costOf(standing, load) / costOf(kept, load)).toFixed(2)})`,
    ),
  ]);
  return printTable(['connections', ...loads], rows);
}

function describeClients(clients: readonly Standing<ClientLoad>[]): string {
  const { requests, lost } = clients.find(({ contestant }) => contestant.title === 'fastcgi-client')!;
  return [
    'Each client asks the null application of the bench (bench/responder.c, one thread of C) over a unix socket. fastcgi-client opens a',
    'connection for each request, and leaves the head of the answer unread, as createPool does; createClient gives status, fields and body.',
    `fastcgi-client lost ${((100 * lost) / requests).toFixed(1)} % of its answers (it goes on writing when the application has closed already); they count as`,
    'answered. It ends its process with an error where a record header of a long answer lies in two reads.',
    '',
    '- page: a GET that is answered with about 200 bytes. post: a POST of 4 KiB. file: an answer of 10 MB. ×: so many requests at a time.',
  ].join('\n');
}

function printStandings<Load extends string>(
  standings: readonly Standing<Load>[],
  referenceTitle: string,
): string {
  const loads = [...standings[0]!.requestsPerCpuSecond.keys()];
  const references = standings.filter(({ contestant }) => contestant.title === referenceTitle);
  const rows = standings.map(({ contestant, requestsPerCpuSecond }) => {
    const { title, version, connections } = contestant;
    const reference =
      references.find((other) => other.contestant.connections === connections) ?? references[0]!;
    const cells = loads.map((load) =>
      printCell(requestsPerCpuSecond.get(load)!, reference.requestsPerCpuSecond.get(load)!),
    );
    return [title, version, connections, ...cells];
  });
  return printTable(['program', 'version', 'connections', ...loads], rows);
}

function printCell(value: number | Error, reference: number | Error): string {
  if (typeof value !== 'number') return 'failed';
  if (typeof reference !== 'number') return value.toFixed(0);
  const times = value / reference;
  return `${value.toFixed(0)} (${times.toFixed(times < 10 ? 1 : 0)})`;
}
