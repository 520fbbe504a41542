/** Runs one application behind Fastway and behind the other web server, makes the same visit to both, and compares. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../bench/process.ts';
import { nodeOfLine } from '../../scripts/cached-packages.ts';
import { startGateway } from '../support/gateway-process.ts';
import { startPhpFpm } from '../support/php-fpm.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { startWebServer } from '../support/web-servers.ts';
import type { Application, Prepared } from './application.ts';
import { compareVisits } from './compare.ts';
import { peerSetup } from './peers.ts';
import { Visitor } from './visitor.ts';

export const applicationNames: readonly string[] = readdirSync(join(import.meta.dirname, 'applications'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();

export async function loadApplication(name: string): Promise<Application> {
  const module: { application: Application } = await import(`./applications/${name}.ts`);
  return module.application;
}

export interface Trial {
  readonly version: string;
  /** As it was run, with /srv/NAME for its folder. */
  readonly configuration: Prepared['fastway'];
  readonly peer: string;
  readonly steps: readonly string[];
  readonly requests: number;
  readonly bytes: number;
  /** Empty when all was right. */
  readonly faults: readonly string[];
  /** What pages link to, and is not there. */
  readonly lacking: readonly string[];
  /** Lines of Fastway's log, of level warn and error. */
  readonly complaints: readonly string[];
}

export async function tryApplication(name: string): Promise<Trial> {
  const application = await loadApplication(name);
  const node = application.node === undefined ? process.execPath : nodeOfLine(application.node);
  const faults: string[] = [];
  const visits: Visitor[] = [];
  let complaints: string[] = [];
  let prepared: Prepared | undefined;
  let configuration: Prepared['fastway'] | undefined;
  for (const server of ['Fastway', 'peer'] as const) {
    const undos: (() => unknown)[] = [];
    try {
      const folder = createTestDirectory();
      openToAll(folder);
      prepared = await application.prepare({ folder, atEnd: (undo) => undos.unshift(undo) });
      if (process.getuid!() === 0)
        prepared = { ...prepared, fastway: { user: 'www-data', ...prepared.fastway } };
      let origin: string;
      if (server === 'Fastway') {
        const gateway = await startGateway({ config: prepared.fastway, node });
        undos.unshift(async () => {
          await gateway.stop();
          complaints = gateway.lines.filter((line) => /\b(warn|error)\b/i.test(line));
        });
        origin = gateway.origin;
        configuration = inFolder(prepared.fastway, folder, `/srv/${name}`);
      } else {
        const php = await startPhpFpm(4, { settings: peerPool });
        undos.unshift(() => php.stop());
        await prepared.peer.start?.();
        const peer = await startWebServer(peerSetup(prepared.peer), php.address.slice('unix:'.length));
        undos.unshift(() => peer.stop());
        origin = peer.origin;
      }
      const visitor = new Visitor(origin);
      visits.push(visitor);
      try {
        await application.use(visitor);
      } catch (error) {
        const last = visitor.exchanges.at(-1);
        faults.push(
          `${server === 'Fastway' ? server : prepared.peer.kind}, ${visitor.steps.at(-1)}: ${String(error instanceof Error ? error.message : error).slice(0, 500)} (last request: ${last?.method} ${last?.path}: ${last?.answer.status})`,
        );
      }
    } finally {
      for (const undo of undos) await undo();
    }
  }
  const [ours, theirs] = visits;
  faults.push(...compareVisits(ours!, theirs!, application.volatile ?? []));
  const status = runProgram(['dpkg-query', '--show', application.packages[0]!]);
  return {
    version: status
      .trim()
      .split('\t')[1]!
      .replace(/^\d+:|[-+~].*$/g, ''),
    configuration: configuration!,
    peer: `${prepared!.peer.kind}, ${prepared!.peer.source}`,
    steps: ours!.steps,
    requests: ours!.exchanges.length,
    bytes: ours!.exchanges.reduce((sum, { answer }) => sum + answer.body.length, 0),
    faults,
    lacking: ours!.lacking,
    complaints,
  };
}

/** Of the other server's php-fpm: open to the server's user, and taking what Fastway takes by default. */
const peerPool = [
  'listen.mode = 0666',
  'php_admin_value[upload_max_filesize] = 32M',
  'php_admin_value[post_max_size] = 32M',
];

function inFolder<T>(value: T, folder: string, name: string): T {
  return JSON.parse(JSON.stringify(value).replaceAll(folder, name));
}
