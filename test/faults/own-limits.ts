/** What fails is ours: file descriptors, memory, the disk, the access log, the clock. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VirtualServerInput } from '../../src/config/types.ts';
import {
  type GatewayOptions,
  type GatewayProcess,
  startGateway,
  waitForLine,
} from '../support/gateway-process.ts';
import { openAnswer } from '../support/http-client.ts';
import { peakResidentBytes } from '../support/process-facts.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { count } from './counts.ts';
import { type Seen, see } from './fault-gateway.ts';
import { Gate } from './gate.ts';
import type { Situation } from './stage.ts';

interface ProcessStage {
  readonly gateway: GatewayProcess;
  readonly application: ScriptedApplication;
  /** Of `play=gate`. */
  readonly gate: Gate;
}

interface ProcessSettings extends Omit<GatewayOptions, 'config'> {
  readonly runtimeDir?: string;
  readonly maxBodyBytes?: number;
  readonly readTimeoutMs?: number;
  readonly accessLog?: VirtualServerInput['accessLog'];
}

/** Gives `run` a gateway in a process of its own, over one application. */
async function withProcess(
  { runtimeDir, maxBodyBytes, readTimeoutMs, accessLog = false, ...options }: ProcessSettings,
  run: (stage: ProcessStage) => Promise<string>,
): Promise<string> {
  const gate = new Gate();
  const application = await startScriptedApplication({ tcp: true, scenarios: { gate: gate.play } });
  const handler = { type: 'fastcgi' as const, checkFile: false, source: 'a', maxBodyBytes };
  const gateway = await startGateway({
    ...options,
    config: {
      ...(runtimeDir === undefined ? {} : { runtimeDir }),
      sources: { a: { address: application.address, profile: 'generic', readTimeoutMs } },
      virtualServers: [{ documentRoot: createTestDirectory(), accessLog, rules: [{ handler }] }],
    },
  });
  try {
    const result = await run({ gateway, application, gate });
    assert.equal((await gateway.stop()).code, 0, gateway.lines.join('\n'));
    return result;
  } finally {
    await gateway.stop('SIGKILL');
    await application.close();
  }
}

/** All of them are 200, 503 with Retry-After, or a refused connection; later all is as before, and no source is blamed. */
async function survives({ gateway }: ProcessStage, answers: readonly Seen[]): Promise<void> {
  for (const { status, headers } of answers) {
    assert.ok([200, 503, 0].includes(status), `status ${status}`);
    if (status === 503) assert.match(headers['retry-after'] ?? '', /^\d+$/);
  }
  await until(async () => (await see(gateway.origin, '/?play=page')).body === 'Hello', 'it serves again');
  assert.ok(!gateway.lines.some((line) => line.includes('out of service')), gateway.lines.join('\n'));
}

const withDescriptors = (most: number) => ['sh', '-c', `ulimit -n ${most}; exec "$@"`, 'sh'];

/** A disk of 1 MiB at `directory`: a mount that only the gateway sees or, where nobody may mount, a limit on its files. */
function withSmallDisk(directory: string): readonly string[] {
  const ownMounts = ['unshare', '--mount', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])];
  if (spawnSync(ownMounts[0]!, [...ownMounts.slice(1), 'true']).status === 0) {
    return [...ownMounts, 'sh', '-c', 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"', directory];
  }
  return ['sh', '-c', 'ulimit -f 2048; exec "$@"', 'sh'];
}

/** Debian's place for libfaketime, whatever the processor. */
function findFaketime(): string {
  for (const folder of readdirSync('/usr/lib')) {
    if (!folder.includes('-linux-')) continue;
    const found = readdirSync(join('/usr/lib', folder)).includes('faketime');
    if (found) return join('/usr/lib', folder, 'faketime/libfaketime.so.1');
  }
  throw new Error('libfaketime is not installed');
}

/** Sends requests that are held by the application, until one of them has met the limit, which shows as `status`. */
async function holdUntil(
  status: number,
  { gateway, gate }: ProcessStage,
  requests: readonly Parameters<typeof see>[2][],
): Promise<Seen[]> {
  const answers = requests.map(async (request) => {
    const seen = await see(gateway.origin, '/?play=gate', request);
    if (seen.status === status) gate.open();
    return seen;
  });
  return Promise.all(answers);
}

const statusesOf = (answers: readonly Seen[]) => new Set(answers.map(({ status }) => status));

export const ownLimits: readonly Situation[] = [
  {
    rows: 'F6',
    title: 'no descriptors left for sources and spool files: 200 of them, 100 uploads of 100 KB at once',
    promise: '503 with Retry-After for some, no source is blamed, all is well afterwards',
    run: () =>
      withProcess({ through: withDescriptors(200) }, async (stage) => {
        const upload = { method: 'POST', body: Buffer.alloc(100_000) };
        const answers = await holdUntil(
          503,
          stage,
          Array.from({ length: 100 }, () => upload),
        );
        assert.ok(statusesOf(answers).has(200));
        await survives(stage, answers);
        return '200 or 503, then as before';
      }),
  },
  {
    rows: 'F7',
    title: 'no descriptors left for clients: 110 of them, 200 clients at once',
    promise: 'what is too much is refused, no source is blamed, all is well afterwards',
    run: () =>
      // Loading its modules takes up to 80 at once.
      withProcess({ through: withDescriptors(110) }, async (stage) => {
        const answers = await holdUntil(
          0,
          stage,
          Array.from({ length: 200 }, () => ({})),
        );
        assert.ok(statusesOf(answers).has(200));
        await survives(stage, answers);
        assert.equal(
          stage.gateway.lines.filter((line) => line.includes('Connections are refused')).length,
          1,
        );
        return '200 or refused, then as before';
      }),
  },
  {
    rows: 'F50',
    title: 'a heap of 64 MB; at once 20 uploads of 3 MB, and 60 answers of 3 MB to clients that do not read',
    promise: 'all are answered; bodies wait on disk, and not in memory',
    run: () =>
      withProcess({ env: { NODE_OPTIONS: '--max-old-space-size=64' } }, async ({ gateway }) => {
        const bytes = 3_000_000;
        // Of which 100 MB are the program itself; all bodies together have 240 MB.
        const residentMax = 250_000_000;
        const readers = await Promise.all(
          Array.from({ length: 60 }, () => openAnswer(gateway.origin, `/?play=large&bytes=${bytes}`)),
        );
        const upload = { method: 'POST', body: Buffer.alloc(bytes), timeoutMs: 60_000 };
        const answers = await Promise.all(
          Array.from({ length: 20 }, () => see(gateway.origin, '/?play=slow&ms=100', upload)),
        );
        assert.deepEqual([...statusesOf(answers)], [200]);
        for (const reader of readers) {
          let received = 0;
          for await (const chunk of reader) received += (chunk as Buffer).length;
          assert.equal(received, bytes);
        }
        assert.ok(peakResidentBytes(gateway.pid) < residentMax, `${peakResidentBytes(gateway.pid)} bytes`);
        return 'all answered; never more than 250 MB of memory in all';
      }),
  },
  {
    rows: 'F51',
    title: 'no space for bodies: a disk of 1 MiB',
    promise:
      'upload of 5 MB: 503 (413 above maxBodyBytes); a large answer to a slow client: cut; others go on',
    run: () => {
      const runtimeDir = createTestDirectory();
      const settings = { runtimeDir, through: withSmallDisk(runtimeDir), maxBodyBytes: 8_000_000 };
      return withProcess(settings, async ({ gateway, application }) => {
        const upload = (bytes: number) =>
          see(gateway.origin, '/?play=page', { method: 'POST', body: Buffer.alloc(bytes) });
        const [large, small, other] = await Promise.all([
          upload(5_000_000),
          upload(1_000),
          see(gateway.origin, '/?play=page'),
        ]);
        assert.deepEqual([large.status, large.headers['retry-after']], [503, '30']);
        assert.deepEqual([small.body, other.body], ['Hello', 'Hello']);
        assert.equal((await upload(500_000)).status, 200);
        assert.equal((await upload(9_000_000)).status, 413);
        assert.equal(application.requests.length, 3);

        const slow = await openAnswer(gateway.origin, '/?play=large&bytes=30000000');
        const isSpoolFault = (line: string) => line.includes('GW_ERR_SPOOL') && line.includes('play=large');
        await until(() => gateway.lines.some(isSpoolFault), 'the disk is full');
        await assert.rejects(async () => {
          for await (const _ of slow);
        });
        assert.equal((await upload(500_000)).status, 200);
        return '503, 413, cut; others 200';
      });
    },
  },
  {
    rows: 'F52',
    title: 'the disk of the access log is full',
    promise: 'no request fails or waits; the log says so once, and how many lines are lost',
    run: () =>
      withProcess({ accessLog: { file: '/dev/full' } }, async ({ gateway }) => {
        const rounds = count(5, 2);
        for (let i = 0; i < rounds; i++) {
          const answers = await Promise.all(
            Array.from({ length: 100 }, () => see(gateway.origin, '/?play=page')),
          );
          assert.deepEqual([...statusesOf(answers)], [200]);
        }
        assert.equal((await gateway.stop()).code, 0);
        assert.equal(gateway.lines.filter((line) => line.includes('cannot be written')).length, 1);
        assert.ok(
          gateway.lines.some((line) => line.includes(`Access log dropped ${rounds}00 lines`)),
          gateway.lines.join('\n'),
        );
        return 'all answered; all lines counted';
      }),
  },
  {
    rows: 'F52',
    title: 'nobody reads the pipe that is the access log',
    promise: 'no request fails or waits, nor the stop; lines are dropped and counted',
    run: () => {
      const file = join(createTestDirectory(), 'access.log');
      execFileSync('mkfifo', [file]);
      const reader = openSync(file, constants.O_RDWR);
      return withProcess({ accessLog: { file } }, async ({ gateway }) => {
        const long = 'x'.repeat(16_000);
        for (let i = 0; i < 4; i++) {
          const answers = await Promise.all(
            Array.from({ length: 100 }, () => see(gateway.origin, `/?play=page&long=${long}`)),
          );
          assert.deepEqual([...statusesOf(answers)], [200]);
        }
        await waitForLine(gateway, /Access log drops lines/);
        assert.equal((await gateway.stop()).code, 0);
        const told = gateway.lines.find((line) => line.includes('Access log dropped'));
        const dropped = Number(/dropped (\d+) lines/.exec(told ?? '')?.[1]);
        // What the pipe took itself.
        assert.ok(dropped > 390 && dropped <= 400, `${dropped} of 400`);
        return '400 of 400 answered; what the pipe did not take is counted';
      }).finally(() => closeSync(reader));
    },
  },
  {
    rows: 'F58',
    title: "the system's clock jumps a day ahead and a year back while requests run",
    promise: 'no request ends early; a read timeout of 1 s still takes 1 s',
    run: () => {
      const clock = join(createTestDirectory(), 'clock');
      const set = (offset: string) => writeFileSync(clock, offset);
      set('+0');
      const env = {
        LD_PRELOAD: findFaketime(),
        // As the system does: only the wall clock is set.
        DONT_FAKE_MONOTONIC: '1',
        FAKETIME_NO_CACHE: '1',
        FAKETIME_TIMESTAMP_FILE: clock,
      };
      return withProcess({ env, accessLog: { format: 'json' }, readTimeoutMs: 1_000 }, async (stage) => {
        const { gateway, application, gate } = stage;
        for (const offset of ['+1d', '-1y']) {
          const running = see(gateway.origin, '/?play=gate');
          await until(() => gate.waiting === 1, 'it runs');
          set(offset);
          // The gateway looks at its clock while it answers.
          assert.equal((await see(gateway.origin, '/none')).status, 200);
          gate.next();
          assert.equal((await running).body, 'gate');
        }
        const begin = performance.now();
        const silent = see(gateway.origin, '/?play=silence');
        await until(() => application.requests.length === 5, 'it runs');
        set('+1d');
        assert.equal((await silent).status, 504);
        assert.ok(performance.now() - begin > 900);
        // Either day, should this one end just now.
        const dayAfter = (days: number) =>
          new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
        await waitForLine(
          gateway,
          new RegExp(`"time":"(${dayAfter(1)}|${dayAfter(1 - 1 / 1440)}).*"status":504`),
        );
        return '200 and 200; 504 after 1 s';
      });
    },
  },
];
