import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { ManualClock, nextTurn, turnsUntil } from '../../test/support/manual-clock.ts';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { parseSettings } from './settings.ts';
import { startSupervisor } from './supervisor.ts';
import type { WorkerMessage } from './worker.ts';

/** A worker process that says what a test lets it say, and is gone a moment after it was killed. */
class FakeWorker extends EventEmitter {
  readonly pid: number;
  readonly stdio = [null, null, null, null, new PassThrough()];
  killed = false;
  readonly connections: Socket[] = [];

  constructor(pid: number) {
    super();
    this.pid = pid;
  }

  send(_message: unknown, socket: Socket, sent: (error: null) => void): void {
    this.connections.push(socket);
    sent(null);
  }

  says(message: WorkerMessage): void {
    this.emit('message', message);
  }

  kill(): boolean {
    this.killed = true;
    setImmediate(() => this.emit('exit', null, 'SIGKILL'));
    return true;
  }
}

/** A supervisor of played workers, at a clock that is moved by hand; ended with the test. */
async function start(t: TestContext, settings: object) {
  const workers: FakeWorker[] = [];
  const clock = new ManualClock();
  const path = join(createTestDirectory(), 'php.sock');
  const reports: string[] = [];
  const supervisor = await startSupervisor({
    settings: parseSettings(JSON.stringify({ address: `unix:${path}`, ...settings })),
    fork: () => {
      workers.push(new FakeWorker(1_000_000 + workers.length));
      return workers.at(-1) as unknown as ChildProcess;
    },
    report: (message) => reports.push(message),
    clock,
    failed: () => assert.fail('no worker could start'),
  });
  const clients: Socket[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    for (const { connections } of workers) for (const socket of connections) socket.destroy();
    await supervisor.close();
  });
  return {
    workers,
    clock,
    reports,
    supervisor,
    /** Resolves when the supervisor has it: it has armed its patience, or given it to a worker. */
    async connect() {
      const before = clock.armed + given();
      clients.push(connect(path));
      await turnsUntil(() => clock.armed + given() > before);
    },
  };
  function given() {
    return workers.reduce((sum, { connections }) => sum + connections.length, 0);
  }
}

test('a worker that had grown too large just before the stop gets no successor', async (t) => {
  const { workers, supervisor } = await start(t, { workers: 1, recycleRssMb: 50 });
  workers[0]!.says({ type: 'ready' });
  const closed = supervisor.close();
  workers[0]!.says({ type: 'idle', rssMb: 1_000 });
  await closed;
  assert.deepEqual(
    workers.map(({ killed }) => killed),
    [true],
  );
});

test('another worker starts for a connection that has waited a while, and one at a time', async (t) => {
  const { workers, clock, connect } = await start(t, { workers: 3 });
  await connect();
  clock.advance(10_000);
  assert.equal(workers.length, 1, 'the first is still starting');
  workers[0]!.says({ type: 'ready' });
  assert.equal(workers[0]!.connections.length, 1);
  await connect();
  clock.advance(249);
  workers[0]!.says({ type: 'idle', rssMb: 1 });
  assert.equal(workers[0]!.connections.length, 2, 'it was free in time');
  clock.advance(10_000);
  assert.equal(workers.length, 1);
  await connect();
  clock.advance(250);
  assert.equal(workers.length, 2);
  clock.advance(10_000);
  assert.equal(workers.length, 2, 'the second is still starting');
  workers[1]!.says({ type: 'ready' });
  assert.equal(workers[1]!.connections.length, 1);
  for (const count of [3, 3]) {
    await connect();
    clock.advance(250);
    assert.equal(workers.length, count, 'never more than may be');
    workers[2]!.says({ type: 'ready' });
  }
});

test('a worker without work is ended after a while, but for the last', async (t) => {
  const { workers, clock, connect } = await start(t, { workers: 2, idleMs: 60_000 });
  workers[0]!.says({ type: 'ready' });
  await connect();
  await connect();
  clock.advance(250);
  workers[1]!.says({ type: 'ready' });
  assert.equal(workers[1]!.connections.length, 1);
  clock.advance(29_000);
  for (const worker of workers) worker.says({ type: 'idle', rssMb: 1 });
  clock.advance(59_000);
  // The first one gets what comes.
  await connect();
  assert.equal(workers[0]!.connections.length, 2);
  workers[0]!.says({ type: 'idle', rssMb: 1 });
  clock.advance(2_000);
  assert.deepEqual(
    workers.map(({ killed }) => killed),
    [false, true],
  );
  await nextTurn();
  clock.advance(1_000_000);
  assert.equal(workers[0]!.killed, false);
});

test('a script may compute for as long as it has said, counted anew from then on', async (t) => {
  const { workers, clock, connect, reports } = await start(t, {
    workers: 1,
    ini: { max_execution_time: '5' },
  });
  workers[0]!.says({ type: 'ready' });
  await connect();
  clock.advance(4_000);
  workers[0]!.says({ type: 'limit', ms: 100_000 });
  clock.advance(99_000);
  assert.equal(workers[0]!.killed, false);
  workers[0]!.says({ type: 'limit', ms: 0 });
  clock.advance(1_000_000);
  assert.equal(workers[0]!.killed, false);
  workers[0]!.says({ type: 'idle', rssMb: 1 });
  await connect();
  clock.advance(6_000);
  assert.equal(workers[0]!.killed, true);
  assert.match(reports.join(), /computed for more than 5 seconds/);
});
