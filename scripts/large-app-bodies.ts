/**
 * 1 GiB up and down through each web server to an application of ours, with the application's memory:
 * `npm run large-app-bodies [PART-OF-NAME]`. The application is a process of its own, which this file is too.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromHttp, serve } from '../src/app/index.ts';
import { createHttpApplication } from '../test/support/http-application.ts';
import { createTestDirectory } from '../test/support/test-directory.ts';
import { download, type Transfer, upload } from '../test/support/transfer.ts';
import { responderServers, startWebServer } from '../test/support/web-servers.ts';

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;
const memoryMax = 64 * mebibyte;

const [argument = ''] = process.argv.slice(2);
if (argument.startsWith('unix:')) {
  await serve(fromHttp(createHttpApplication({ cut: () => {}, closed: () => {} })), {
    listen: argument,
    mode: 0o777,
  });
  console.log('ready');
} else {
  await measureAll(argument);
}

async function measureAll(part: string): Promise<void> {
  for (const [name, { setup }] of Object.entries(responderServers)) {
    if (!name.includes(part)) continue;
    const socket = join(createTestDirectory(), 'app.sock');
    const program = [...process.execArgv, fileURLToPath(import.meta.url), `unix:${socket}`];
    const application = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(application.stdout, 'data');
    const web = await startWebServer(setup, socket);
    const place = { origin: web.origin, pid: application.pid! };
    try {
      await upload(place, '/body', 4 * mebibyte);
      await download(place, `/download?bytes=${4 * mebibyte}`, 4 * mebibyte);
      report(`${name}, up`, await upload(place, '/body', gibibyte));
      report(`${name}, down`, await download(place, `/download?bytes=${gibibyte}`, gibibyte));
    } finally {
      await web.stop();
      application.kill();
    }
  }
}

function report(name: string, { seconds, memoryAboveIdle }: Transfer): void {
  const speed = Math.round(gibibyte / mebibyte / seconds);
  const above = (memoryAboveIdle / mebibyte).toFixed(1);
  const verdict = memoryAboveIdle < memoryMax ? '' : `  above the limit of ${memoryMax / mebibyte} MiB`;
  console.log(
    `${name.padEnd(32)} ${seconds.toFixed(1).padStart(6)} s ${String(speed).padStart(5)} MiB/s  memory +${above} MiB${verdict}`,
  );
  if (verdict !== '') process.exitCode = 1;
}
