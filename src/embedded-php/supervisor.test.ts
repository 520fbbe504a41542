import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { parseSettings } from './settings.ts';
import { startSupervisor } from './supervisor.ts';

/** A worker process that says what a test lets it say, and is gone a moment after it was killed. */
class FakeWorker extends EventEmitter {
  readonly pid: number;
  readonly stdio = [null, null, null, null, new PassThrough()];
  killed = false;

  constructor(pid: number) {
    super();
    this.pid = pid;
  }

  kill(): boolean {
    this.killed = true;
    setImmediate(() => this.emit('exit', null, 'SIGKILL'));
    return true;
  }
}

test('a worker that had grown too large just before the stop gets no successor', async () => {
  const workers: FakeWorker[] = [];
  const address = `unix:${join(createTestDirectory(), 'php.sock')}`;
  const supervisor = await startSupervisor({
    settings: parseSettings(JSON.stringify({ address, workers: 1, recycleRssMb: 50, ini: {} })),
    fork: () => {
      workers.push(new FakeWorker(1_000_000 + workers.length));
      return workers.at(-1) as unknown as ChildProcess;
    },
    report: () => {},
    now: () => 0,
    failed: () => assert.fail('no worker could start'),
  });
  workers[0]!.emit('message', { type: 'ready' });
  const closed = supervisor.close();
  workers[0]!.emit('message', { type: 'idle', rssMb: 1_000 });
  await closed;
  assert.deepEqual(
    workers.map(({ killed }) => killed),
    [true],
  );
});
