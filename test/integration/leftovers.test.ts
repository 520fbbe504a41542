/** Interpreters that outlive a killed gateway: the next one ends them, and nobody else's. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ConfigInput } from '../../src/config/types.ts';
import { ProcessList, reapLeftovers } from '../../src/process/leftovers.ts';
import { startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { processesWith, recordLog } from '../support/local-source.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const skip = process.platform !== 'linux';

/** Its leader ignores TERM, so the kernel's signal at our death does not end it, and its children live on anyway. */
const stubborn = [
  'sh',
  '-c',
  'trap "" TERM; php-cgi -b "$1" -c "$2" & wait; wait',
  'sh',
  '{address}',
] as const;

/** The processes of the group that a program leads; killed after the test. */
function startGroup(t: TestContext, mark: string): ChildProcess {
  const child = spawn('sh', ['-c', `sleep 3600 & exec sleep ${mark}`], { detached: true, stdio: 'ignore' });
  t.after(() => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // Ended, as it should.
    }
  });
  return child;
}

for (const place of ['a configured runtime directory', "the system's temporary directory"]) {
  test(`after SIGKILL the next gateway ends what is left, in ${place}`, { skip }, async () => {
    const folder = createTestDirectory();
    openToAll(folder);
    const mark = `leftover-${process.pid}-${place.length}`;
    const config = {
      ...(place.startsWith('a ') ? { runtimeDir: join(folder, 'run') } : {}),
      sources: { app: { interpreter: [...stubborn, mark] } },
      virtualServers: [
        {
          documentRoot: folder,
          rules: [{ handler: { type: 'fastcgi', checkFile: false, balancer: { sources: ['app'] } } }],
        },
      ],
    } satisfies ConfigInput;
    const env = { TMPDIR: folder };
    const first = await startGateway({ config, env });
    await fetchAnswer(first.origin, '/');
    const left = processesWith(mark);
    assert.ok(left.length >= 2, `${left.length} processes run`);
    await first.stop('SIGKILL');
    assert.ok(processesWith(mark).length > 0, 'some outlive the gateway');

    const second = await startGateway({ config, env });
    assert.deepEqual(processesWith(mark), [], 'the orphans are gone before it listens');
    await waitForLine(second, /An interpreter that outlived its gateway is ended/);
    await fetchAnswer(second.origin, '/');
    assert.ok(processesWith(mark).length >= 2);
    await second.stop();
    assert.deepEqual(processesWith(mark), []);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      files.filter((name) => /fastway-\w{6}(\/|$)|processes$|\.sock$/.test(name)),
      [],
    );
  });
}

/** A private directory as a gateway or source makes it, with a list. */
function makeDirectory(folder: string, name: string, list: string, mode = 0o600): string {
  const directory = join(folder, name);
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, 'processes'), list, { mode });
  return directory;
}

test('a living gateway keeps its interpreters, and a number that was given again is nobody of ours', {
  skip,
}, async (t) => {
  const folder = createTestDirectory();
  const { log, lines } = recordLog();
  const ours = startGroup(t, '4721');
  const living = join(folder, 'fastway-000000000001');
  mkdirSync(living, { mode: 0o711 });
  new ProcessList(living, 'app').add(ours.pid!);
  await reapLeftovers(folder, log);
  assert.equal(ours.exitCode, null);
  assert.ok(existsSync(join(living, 'processes')));

  const other = startGroup(t, '4722');
  const listing = JSON.parse(readFileSync(join(living, 'processes'), 'utf8'));
  const dead = { ...listing, gateway: { pid: listing.gateway.pid, startTime: 1 } };
  const forged = { ...dead, interpreters: [{ pid: other.pid, startTime: 1 }] };
  const reused = makeDirectory(folder, 'fastway-000002', JSON.stringify(forged));
  makeDirectory(folder, 'fastway-000003', '{"boot":');
  await reapLeftovers(folder, log);
  assert.deepEqual(lines, []);
  assert.equal(other.exitCode ?? other.signalCode, null);
  assert.equal(existsSync(reused), false, 'its directory is gone');

  makeDirectory(folder, 'fastway-000004', JSON.stringify(dead), 0o644);
  await reapLeftovers(folder, log);
  assert.equal(
    ours.exitCode ?? ours.signalCode,
    null,
    'a file that others may have read or made is not believed',
  );
  makeDirectory(
    makeDirectory(folder, 'fastway-000005', JSON.stringify(dead)),
    'fastway-000000000005',
    JSON.stringify(dead),
  );
  await reapLeftovers(folder, log);
  await until(() => ours.signalCode === 'SIGTERM', 'the end of the orphan');
  assert.equal(existsSync(join(folder, 'fastway-000005')), false);
});
