/**
 * `npm run bench:multiplexing`: what a small request costs the gateway and an application of ours together, when each
 * request has a connection, when one connection carries one request after the other, and when it carries many at a time.
 * One gateway and one application serve all three, in turn, so that all run the same compiled code.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Program, startProgram, waitUntil } from './process.ts';
import { readCpuSeconds } from './process-tree.ts';
import { median } from './round.ts';
import { canConnect, findFreePort } from './running-server.ts';
import { runLoad } from './wrk.ts';

const modes = [
  { name: 'one connection per request', source: 'new', profile: 'php-fpm' },
  { name: 'kept connections', source: 'kept', profile: 'generic' },
  { name: 'multiplexed', source: 'multiplexed', profile: 'multiplexing' },
] as const;

const concurrencies = [8, 32, 128];
const rounds = 7;
const seconds = 1;

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'fastway-bench-'));
const programs: Program[] = [];
try {
  const socket = join(folder, 'application.sock');
  const application = await start(
    [process.execPath, join(import.meta.dirname, 'application.mjs'), socket],
    1,
  );
  await waitUntil(application, () => canConnect({ path: socket }), 5_000);
  const port = await findFreePort();
  const config = join(folder, 'fastway.config.json');
  writeFileSync(config, JSON.stringify(gatewayConfig(port, socket)));
  const gateway = await start([process.execPath, join(root, 'dist', 'cli.js'), '--config', config], 0);
  await waitUntil(gateway, () => canConnect({ port, host: '127.0.0.1' }), 10_000);
  for (const connections of concurrencies) await compare(port, gateway, application, connections);
} finally {
  for (const program of programs) await program.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function start(command: readonly string[], core: 0 | 1): Promise<Program> {
  const program = await startProgram(command, { core });
  programs.push(program);
  return program;
}

function gatewayConfig(port: number, socket: string) {
  return {
    listen: [{ host: '127.0.0.1', port }],
    sources: Object.fromEntries(
      modes.map(({ source, profile }) => [source, { address: `unix:${socket}`, profile }]),
    ),
    virtualServers: [
      {
        documentRoot: folder,
        accessLog: false,
        rules: modes.map(({ source }) => ({
          match: { directory: `/${source}` },
          handler: { type: 'fastcgi', checkFile: false, source },
        })),
      },
    ],
  };
}

async function compare(
  port: number,
  gateway: Program,
  application: Program,
  connections: number,
): Promise<void> {
  const costs = modes.map(() => ({ gateway: [] as number[], application: [] as number[] }));
  // Round 0 warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { source }] of modes.entries()) {
      const before = [readCpuSeconds(gateway.id), readCpuSeconds(application.id)] as const;
      const { requests } = await runLoad(`http://127.0.0.1:${port}/${source}/`, { connections, seconds });
      if (round === 0) continue;
      costs[index]!.gateway.push(((readCpuSeconds(gateway.id) - before[0]) / requests) * 1e6);
      costs[index]!.application.push(((readCpuSeconds(application.id) - before[1]) / requests) * 1e6);
    }
  }
  const sums = costs.map((cost) => median(cost.gateway) + median(cost.application));
  console.log(`${connections} clients, CPU µs a request: gateway + application, and the ratio to each mode`);
  for (const [index, { name }] of modes.entries()) {
    const cost = costs[index]!;
    const ratios = sums.map((sum) => (sums[index]! / sum).toFixed(2)).join('  ');
    console.log(
      `  ${name.padEnd(28)} ${median(cost.gateway).toFixed(1).padStart(6)} + ${median(cost.application).toFixed(1).padStart(5)}   ${ratios}`,
    );
  }
}
