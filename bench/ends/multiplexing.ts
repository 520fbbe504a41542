/**
 * Between the ends: what a small request costs the gateway and an application of ours together, when each request has a
 * connection, when a connection carries one request after the other, and when it carries many at a time. One gateway and
 * one application serve all three, so that all run the same compiled code.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Program, startProgram, waitUntil } from '../process.ts';
import { readCpuUs } from '../process-tree.ts';
import { compileRepeater, runRepeater } from '../repeater.ts';
import { canConnect } from '../responder.ts';
import { canConnectTo, findFreePort } from '../running-server.ts';
import { countAnswer } from '../slices.ts';
import { versionOf } from './applications.ts';
import { type Contestant, type ContestOptions, runContest, type Standing } from './contest.ts';

/** Clients of the gateway at a time. */
export type GatewayLoad = '8 clients' | '32 clients' | '128 clients';

const modes = [
  { connections: 'new', profile: 'php-fpm' },
  { connections: 'kept', profile: 'generic' },
  { connections: 'multiplexed', profile: 'multiplexing' },
] as const;

const root = join(import.meta.dirname, '..', '..');

/** @throws {Error} when one of the two does not start */
export async function compareConnections(
  folder: string,
  options: ContestOptions,
): Promise<readonly Standing<GatewayLoad>[]> {
  const socket = join(folder, 'multiplexed.sock');
  const programs: Program[] = [];
  const start = async (command: readonly string[], core: 0 | 1) => {
    const program = await startProgram([process.execPath, ...command], { core });
    programs.push(program);
    return program;
  };
  try {
    const application = await start([join(import.meta.dirname, 'programs', 'fastcgi.mjs'), socket], 1);
    await waitUntil(application, () => canConnect(socket), 10_000);
    const port = await findFreePort();
    const documentRoot = join(folder, 'empty');
    mkdirSync(documentRoot);
    const file = join(folder, 'fastway.config.json');
    writeFileSync(file, JSON.stringify(configure(port, socket, documentRoot)));
    const gateway = await start([join(root, 'dist', 'cli.js'), '--config', file], 0);
    await waitUntil(gateway, () => canConnectTo(port), 10_000);
    const repeater = compileRepeater(folder);
    const contestants = modes.map(({ connections }): Contestant<GatewayLoad> => {
      const request = Buffer.from(`GET /${connections}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
      return {
        title: 'gateway + application',
        version: versionOf('fastway'),
        connections,
        async measure(load, milliseconds) {
          const answerBytes = await countAnswer('127.0.0.1', port, request);
          const readBoth = () => readCpuUs(gateway.id) + readCpuUs(application.id);
          const before = readBoth();
          const requests = await runRepeater(
            repeater,
            {
              address: `127.0.0.1:${port}`,
              connections: 'kept',
              parallel: Number.parseInt(load, 10),
              request,
              answerBytes,
            },
            milliseconds,
          );
          return { requests, lost: 0, cpuUs: readBoth() - before };
        },
      };
    });
    return await runContest(contestants, ['8 clients', '32 clients', '128 clients'], options);
  } finally {
    for (const program of programs) await program.stop();
  }
}

function configure(port: number, socket: string, documentRoot: string) {
  return {
    listen: [{ host: '127.0.0.1', port }],
    limits: { requestsPerConnectionMax: 1_000_000_000 },
    sources: Object.fromEntries(
      modes.map(({ connections, profile }) => [connections, { address: `unix:${socket}`, profile }]),
    ),
    virtualServers: [
      {
        documentRoot,
        accessLog: false,
        rules: modes.map(({ connections: source }) => ({
          match: { directory: `/${source}` },
          handler: { type: 'fastcgi', checkFile: false, source },
        })),
      },
    ],
  };
}
