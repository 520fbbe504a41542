/**
 * `npm run bench`: what a request costs in Fastway and in other web servers, side by side in one run.
 * All talk to the same null application, are loaded in turn by the same wrk, and are measured by the CPU time of their
 * whole process tree. A complete run writes docs/performance.md; a narrowed one only prints.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Entrant } from './entrant.ts';
import { measureLogCost } from './log-cost.ts';
import { measureMemory } from './memory.ts';
import { printReport, type Report, type ServerFigures } from './report.ts';
import type { Load } from './round.ts';
import { startServer } from './running-server.ts';
import { type BenchServer, ours, type SharedPlace, servers } from './servers.ts';
import { withSharedPlace } from './shared-place.ts';

const parts = ['small', 'stream', 'log', 'memory'] as const;
type Part = (typeof parts)[number];

interface Options {
  readonly servers: readonly BenchServer[];
  readonly parts: readonly Part[];
  readonly rounds: number;
  readonly seconds: number;
  /** Everything is measured, so that the document can be written. */
  readonly complete: boolean;
}

const usage = `Usage: npm run bench -- [--servers ${servers.map(({ name }) => name).join(',')}]
                       [--only ${parts.join('|')}] [--rounds N] [--seconds S]`;

const options = readOptions();
await withSharedPlace((place) => run(options, place));

async function run(
  { servers, parts, rounds, seconds, complete }: Options,
  place: SharedPlace,
): Promise<void> {
  const loads = parts.filter((part) => part === 'small' || part === 'stream');
  const report: Report = {
    command: `npm run bench -- --rounds ${rounds} --seconds ${seconds}`,
    date: new Date(),
    rounds,
    seconds,
    servers: loads.length > 0 ? await compare(servers, loads, place, rounds, seconds) : [],
    log: parts.includes('log') ? await measureLogCost(place, say) : undefined,
    memory: parts.includes('memory') ? await measureTransfers(place) : undefined,
  };
  const text = printReport(report);
  console.log(text);
  if (complete) writeFileSync(join(import.meta.dirname, '..', 'docs', 'performance.md'), text);
  if (report.servers.some((figures) => figures.error !== undefined)) process.exitCode = 1;
}

/** All servers run at once, and idle ones cost nothing; the rounds go from one to the next, so that a change of the machine's mood meets all. */
async function compare(
  servers: readonly BenchServer[],
  loads: readonly Load[],
  place: SharedPlace,
  rounds: number,
  seconds: number,
): Promise<readonly ServerFigures[]> {
  const entrants = servers.map((server) => new Entrant(server, say));
  try {
    for (const entrant of entrants) await entrant.start(place);
    for (const load of loads) {
      for (let round = 0; round <= rounds; round++) {
        // Round 0 warms up: just-in-time compilers, connection pools, the kernel's buffers.
        say(`${load}: ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`);
        for (const entrant of entrants) await entrant.measure(load, round === 0 ? 2 : seconds, round > 0);
      }
    }
    return entrants.map((entrant) => entrant.figures());
  } finally {
    for (const entrant of entrants) await entrant.stop();
  }
}

async function measureTransfers(place: SharedPlace): Promise<Report['memory']> {
  const running = await startServer(ours({ name: 'memory' }), place);
  try {
    return await measureMemory(running);
  } finally {
    await running.stop();
  }
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        servers: { type: 'string' },
        only: { type: 'string' },
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '4' },
      },
    });
    return {
      servers: values.servers === undefined ? servers : values.servers.split(',').map(findServer),
      parts: values.only === undefined ? parts : [findPart(values.only)],
      rounds: readCount('rounds', values.rounds),
      seconds: readCount('seconds', values.seconds),
      complete: values.servers === undefined && values.only === undefined,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

function findServer(name: string): BenchServer {
  const server = servers.find((candidate) => candidate.name === name);
  if (server === undefined) throw new Error(`No server is named ${name}`);
  return server;
}

function findPart(name: string): Part {
  const part = parts.find((candidate) => candidate === name);
  if (part === undefined) throw new Error(`--only ${name} is not one of ${parts.join(', ')}`);
  return part;
}

function readCount(name: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error(`--${name} is ${text}, expected a number from 1 to 9999`);
  return Number(text);
}

/** Progress goes to stderr; stdout is the report. */
function say(text: string): void {
  console.error(text);
}
