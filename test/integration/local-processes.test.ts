/** Local sources: sockets made before their interpreter, several processes, and their replacement. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { SourceError } from '../../src/base/errors.ts';
import { largeBytes, testSource } from '../../src/source/source.contract.ts';
import { copyApplication } from '../support/applications.ts';
import { ask } from '../support/ask.ts';
import { createFileGate } from '../support/file-gate.ts';
import { freePort } from '../support/free-port.ts';
import { openInterpreter, pageRequest, type SourceUnderTest } from '../support/local-source.ts';
import { isAlive } from '../support/process-facts.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

/** Answers with its process id, after `?ms=`; single-threaded, on the socket that it inherits. */
const perl = ['perl', join(copyApplication('perl'), 'pid.pl')] as const;
const request = (query = '') => pageRequest('/nowhere', '/x', { query });

/** On a busy machine some hundred answers take longer than one may wait. */
const stoppedClock = { ...systemClock, now: () => 0 };

const startsOf = ({ lines }: SourceUnderTest) =>
  lines.filter(({ message }) => message === 'The interpreter is up').map(({ fields }) => Number(fields.pid));
const leaversOf = ({ lines }: SourceUnderTest) =>
  lines
    .filter(({ message }) => /not needed|is replaced/.test(message))
    .map(({ fields }) => Number(fields.pid));

async function pidOf(under: SourceUnderTest, query = ''): Promise<number> {
  const { stdout, error } = await ask(under.source, request(query));
  assert.equal(error, undefined);
  return Number(/pid=(\d+)/.exec(stdout)?.[1]);
}

function openPerl(t: TestContext, options: Partial<Parameters<typeof openInterpreter>[1]> = {}) {
  return openInterpreter(t, { interpreter: perl, ...options });
}

testSource('an interpreter of several processes', (t) => {
  const program = join(copyApplication('perl'), 'contract.pl');
  const { source } = openInterpreter(t, {
    interpreter: ['perl', program],
    processes: { min: 1, max: 4, idleMs: 60_000 },
  });
  return {
    source,
    page: request(),
    large: request(`large=${largeBytes}`),
    silent: request('silent'),
    broken: request('broken'),
  };
});

test('500 requests arrive while no process runs: one start, all answered', async (t) => {
  const under = openPerl(t, { clock: stoppedClock });
  const pids = await Promise.all(Array.from({ length: 500 }, () => pidOf(under)));
  assert.equal(new Set(pids).size, 1);
  assert.deepEqual(startsOf(under), [pids[0]]);
  assert.equal(under.source.active, 0);
});

test('an interpreter that needs its time to start keeps nobody out: requests wait in its backlog', async (t) => {
  const under = openInterpreter(t, {
    interpreter: ['sh', '-c', 'sleep 1; exec "$@"', 'sh', ...perl],
    // Less than it needs: there is nothing to wait for.
    spawnTimeoutMs: 100,
  });
  const pids = await Promise.all(Array.from({ length: 20 }, () => pidOf(under)));
  assert.equal(new Set(pids).size, 1);
});

test('a source that runs is told other numbers of processes: those that are there go on', async (t) => {
  const under = openPerl(t, { processes: { min: 2, max: 3, idleMs: 60_000 } });
  under.source.start!();
  await until(() => startsOf(under).length === 2, 'two starts');
  const [first] = startsOf(under);
  under.source.tune({ processes: { min: 4, max: 4, idleMs: 60_000 } });
  await until(() => startsOf(under).length === 4, 'two more');
  under.source.tune({ processes: { min: 1, max: 2, idleMs: 60_000 } });
  await until(() => leaversOf(under).length === 2, 'two that leave');
  assert.ok(!leaversOf(under).includes(first!));
  assert.equal(under.source.facts?.capacity, 2);
  // One that replaces them, each after a request.
  under.source.tune({ processes: { min: 1, max: 2, idleMs: 60_000 }, recycle: { requests: 1 } });
  await pidOf(under);
  await until(() => startsOf(under).length >= 5, 'a successor');
});

test('php-cgi without -b, and at a tcp address', async (t) => {
  const address = `tcp://127.0.0.1:${await freePort()}`;
  const { source, lines } = openInterpreter(t, { address, socket: 'inherit', interpreter: ['php-cgi'] });
  for (let i = 0; i < 3; i++) assert.match((await ask(source, request())).stdout, /No input file specified/);
  const pid = Number(lines.find(({ message }) => message === 'The interpreter is up')?.fields.pid);
  process.kill(pid, 'SIGKILL');
  await until(
    () => lines.filter(({ message }) => message === 'The interpreter is up').length === 2,
    'a second start',
  );
  assert.match((await ask(source, request())).stdout, /No input file specified/);
});

test('an interpreter that ends before it answers is told with its last words, and ends in an open circuit', async (t) => {
  const { source, lines } = openInterpreter(t, {
    interpreter: ['sh', '-c', 'echo "no module named site" >&2; exit 3'],
  });
  const first = await ask(source, request());
  assert.equal(first.error?.code, 'GW_ERR_SOURCE_EXITED');
  assert.match(first.error?.message ?? '', /ended with exit code 3.*: .*no module named site/);
  for (let i = 0; i < 50 && source.isAvailable(); i++) await ask(source, request());
  assert.equal(source.isAvailable(), false, 'the circuit is open');
  const last = await ask(source, request());
  assert.match(last.error?.message ?? '', /no module named site/);
  assert.ok((last.error as unknown as { retryAfterSeconds: number }).retryAfterSeconds > 20);
  assert.equal(lines.filter(({ message }) => message === 'The interpreter is up').length, 6);
});

test('a first start that fails costs no request that may be repeated', async (t) => {
  const directory = createTestDirectory();
  openToAll(directory);
  const { source } = openInterpreter(t, {
    interpreter: ['sh', '-c', 'mkdir "$TRIED" && exit 1; exec "$@"', 'sh', ...perl],
    env: { TRIED: join(directory, 'tried') },
  });
  const [get, post] = await Promise.all([
    ask(source, request()),
    ask(source, pageRequest('/nowhere', '/x', { method: 'POST' })),
  ]);
  assert.equal(get.error, undefined);
  // It was in the backlog of the one that died, and may have run; or that one was gone before it, and it went to the next.
  if (post.error !== undefined) {
    assert.equal(post.error.code, 'GW_ERR_SOURCE_EXITED');
    assert.equal((post.error as unknown as { delivery: string }).delivery, 'maybe');
  }
});

test('a command that does not take its socket is explained', async (t) => {
  const { source } = openInterpreter(t, { interpreter: ['sleep', '4714'], readTimeoutMs: 300 });
  const { error } = await ask(source, request());
  assert.equal(error?.code, 'GW_ERR_SOURCE_READ_TIMEOUT');
  assert.match(error?.message ?? '', /if its interpreter listens by itself, give it "\{address\}"$/);
});

test('answers that are disowned count against the process that gave them', async (t) => {
  const under = openPerl(t);
  await pidOf(under);
  const reason = new SourceError('GW_ERR_SOURCE_STDERR', 'It said so', { delivery: 'maybe' });
  for (let failures = 1; failures <= 3; failures++) {
    assert.equal(under.source.isAvailable(), true);
    await new Promise<void>((resolve, reject) => {
      const exchange = under.source.open(request(), {
        stdout: () => true,
        stderr() {},
        error: reject,
        end() {
          exchange.disown(reason);
          resolve();
        },
      });
    });
    assert.equal(under.source.active, 0);
  }
  assert.equal(under.source.isAvailable(), false);
});

test('a file at the address that is no socket is left alone', async (t) => {
  const path = join(createTestDirectory(), 'file');
  writeFileSync(path, 'precious');
  const { source } = openPerl(t, { address: `unix:${path}`, socket: 'inherit' });
  const { error } = await ask(source, request());
  assert.match(error?.message ?? '', /connection refused|is no socket|not a socket/);
  await source.close();
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('load starts processes up to the maximum, and idle ones end down to the minimum', async (t) => {
  const under = openPerl(t, { processes: { min: 1, max: 3, idleMs: 1_500 } });
  const gate = createFileGate();
  const answers = Promise.all(Array.from({ length: 12 }, () => pidOf(under, gate.query)));
  await until(() => gate.arrived().length === 3, 'a request at each of three processes');
  gate.open();
  const pids = await answers;
  assert.equal(new Set(pids).size, 3);
  assert.equal(startsOf(under).length, 3);
  await until(() => startsOf(under).filter(isAlive).length === 1, 'the end of idle processes');
  assert.ok(pids.includes(await pidOf(under)), 'the one that is left answers');
});

test('the minimum runs without a request, and is filled up again', async (t) => {
  const under = openPerl(t, { processes: { min: 2, max: 2, idleMs: 60_000 } });
  under.source.start?.();
  await until(() => startsOf(under).length === 2, 'two processes');
  process.kill(startsOf(under)[0]!, 'SIGKILL');
  await until(() => startsOf(under).length === 3, 'a third start');
  assert.equal(startsOf(under).filter(isAlive).length, 2);
});

test('from zero to zero: all end when they are idle, and the next request starts one', async (t) => {
  const under = openPerl(t, { processes: { min: 0, max: 2, idleMs: 300 } });
  under.source.start?.();
  assert.deepEqual(startsOf(under), []);
  const first = await pidOf(under);
  await until(() => !isAlive(first), 'the end of the only process');
  assert.notEqual(await pidOf(under), first);
});

test('processes that listen by themselves each have an address', async (t) => {
  const under = openInterpreter(t, {
    interpreter: ['php-cgi', '-b', '{address}'],
    processes: { min: 0, max: 2, idleMs: 60_000 },
  });
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => ask(under.source, request())));
  for (const { stdout } of outcomes) assert.match(stdout, /No input file/);
  const addresses = under.lines
    .filter(({ message }) => message === 'The interpreter is up')
    .map(({ fields }) => String(fields.address));
  assert.equal(new Set(addresses).size, addresses.length);
});

test('a queue that nobody gets to is answered in time', async (t) => {
  const under = openPerl(t, { processes: { min: 0, max: 2, idleMs: 60_000 } });
  const gate = createFileGate();
  const long = [pidOf(under, gate.query), pidOf(under, gate.query)];
  await until(() => gate.arrived().length === 2, 'a request at both processes');
  const { error } = await ask(under.source, request());
  assert.equal(error?.code, 'GW_ERR_SOURCE_OVERLOADED');
  assert.match(error?.message ?? '', /^All 2 processes of source app are busy/);
  gate.open();
  await Promise.all(long);
});

test('virtual servers take turns where all processes are busy: one floods, the other is answered', async (t) => {
  const under = openPerl(t, { processes: { min: 1, max: 2, idleMs: 60_000 }, clock: stoppedClock });
  await pidOf(under);
  let answered = 0;
  const send = async (group: string) => {
    const grouped = { ...request('ms=20'), group };
    const { error } = await ask(under.source, grouped);
    assert.equal(error, undefined);
    answered++;
  };
  const flood = Array.from({ length: 90 }, () => send('flood'));
  for (let i = 0; i < 3; i++) {
    const before = answered;
    await send('shop');
    assert.ok(answered - before < 15, `${answered - before} others were answered before it`);
  }
  await Promise.all(flood);
});

/** Runs its command at once the first time; later only when `open` has been called. */
function startGate() {
  const directory = createTestDirectory();
  openToAll(directory);
  const gate = join(directory, 'gate');
  const wait = 'mkdir "$FIRST" 2>/dev/null || while [ ! -e "$GATE" ]; do sleep 0.02; done; exec "$@"';
  return {
    env: { FIRST: join(directory, 'first'), GATE: gate },
    behind: (command: readonly string[]) => ['sh', '-c', wait, 'sh', ...command],
    open: () => writeFileSync(gate, ''),
  };
}

test('a process that is loading gets no request while another serves: requests wait for whichever is free', async (t) => {
  const gate = startGate();
  const under = openInterpreter(t, {
    interpreter: gate.behind(perl),
    env: gate.env,
    processes: { min: 1, max: 2, idleMs: 60_000 },
  });
  const first = await pidOf(under);
  // The second starts at once, and loads until the gate is open: nobody must wait for it.
  const pids = await Promise.all(Array.from({ length: 6 }, () => pidOf(under, 'ms=20')));
  assert.deepEqual([...new Set(pids)], [first]);
  await until(() => startsOf(under).length === 2, 'the second process');
  assert.equal(await pidOf(under), first);
  gate.open();
  await until(
    async () => new Set(await Promise.all([pidOf(under, 'ms=50'), pidOf(under, 'ms=50')])).size === 2,
    'a request at the second one',
  );
});

test('a program that listens before it can answer is loading, too', async (t) => {
  const gate = startGate();
  // The kernel takes connections for it from the first line on.
  const early = `
    use FCGI;
    my $socket = FCGI::OpenSocket($ARGV[0], 100);
    mkdir $ENV{FIRST} or do { select(undef, undef, undef, 0.02) until -e $ENV{GATE} };
    my $request = FCGI::Request(\\*STDIN, \\*STDOUT, \\*STDERR, \\%ENV, $socket);
    while ($request->Accept() >= 0) { print "Content-Type: text/plain\\r\\n\\r\\npid=$$\\n" }`;
  const under = openInterpreter(t, {
    interpreter: ['perl', '-e', early, '{path}'],
    env: gate.env,
    spawnTimeoutMs: 60_000,
    processes: { min: 1, max: 2, idleMs: 60_000 },
  });
  const first = await pidOf(under);
  const pids = await Promise.all(Array.from({ length: 6 }, () => pidOf(under, 'ms=20')));
  assert.deepEqual([...new Set(pids)], [first]);
  await until(() => startsOf(under).length === 2, 'the second process');
  assert.equal(await pidOf(under), first);
});

test('a successor that is loading does not send the old one away', async (t) => {
  const gate = startGate();
  const under = openInterpreter(t, {
    interpreter: gate.behind(perl),
    env: gate.env,
    recycle: { requests: 3 },
  });
  const pids: number[] = [];
  for (let i = 0; i < 10; i++) pids.push(await pidOf(under));
  await until(() => startsOf(under).length === 2, 'the successor');
  for (let i = 0; i < 10; i++) pids.push(await pidOf(under));
  assert.equal(new Set(pids).size, 1);
  gate.open();
  await until(async () => (await pidOf(under)) !== pids[0], 'the change');
});

test('who was let in is answered: 900 requests come before a start, and a capacity of 4', async (t) => {
  const under = openPerl(t, { capacity: 4, clock: stoppedClock });
  const outcomes = await Promise.all(Array.from({ length: 900 }, () => ask(under.source, request())));
  assert.deepEqual([...new Set(outcomes.map(({ error }) => error?.message))], [undefined]);
});

test('a process is replaced after so many requests, and no request notices', async (t) => {
  const under = openPerl(t, { recycle: { requests: 50 } });
  const pids: number[] = [];
  const client = async () => {
    for (let i = 0; i < 100; i++) pids.push(await pidOf(under));
  };
  await Promise.all([client(), client(), client(), client()]);
  assert.equal(pids.length, 400);
  const different = new Set(pids).size;
  assert.ok(different >= 3, `${different} processes answered`);
  await until(() => startsOf(under).filter(isAlive).length === 1, 'the end of the replaced ones');
});

test('the successor answers before the old one leaves, whose request may end', async (t) => {
  const under = openPerl(t, { recycle: { requests: 2 }, processes: { min: 1, max: 2, idleMs: 60_000 } });
  const first = await pidOf(under);
  const long = pidOf(under, 'ms=1500');
  assert.equal(await long, first, 'the old one ends its request');
  await until(() => leaversOf(under).length === 1 && !isAlive(first), 'the end of the old one');
  assert.notEqual(await pidOf(under), first);
  assert.equal(startsOf(under).indexOf(first), 0);
});

test('a process is replaced when it is old, and when it takes too much memory', async (t) => {
  const old = openPerl(t, { recycle: { ageMs: 500 } });
  const first = await pidOf(old);
  await until(async () => (await pidOf(old)) !== first, 'another process');
  assert.ok(old.lines.some(({ message }) => /is replaced: it is \d+ s old/.test(message)));

  const large = openPerl(t, { recycle: { memoryMb: 60 } });
  const lean = await pidOf(large);
  assert.equal(await pidOf(large, 'mb=100'), lean);
  await until(async () => (await pidOf(large)) !== lean, 'another process');
  assert.ok(large.lines.some(({ message }) => /is replaced: it takes 1\d\d MiB of memory/.test(message)));
});

test('a process with a limit of its own is no crash loop', async (t) => {
  const under = openPerl(t, { env: { REQUESTS_MAX: '10' }, keepConnections: 0 });
  for (let life = 1; life <= 10; life++) {
    const pids = new Set<number>();
    for (let i = 0; i < 10; i++) pids.add(await pidOf(under));
    assert.equal(pids.size, 1);
    await until(() => startsOf(under).length === life + 1, 'the next one');
  }
  assert.equal(under.source.isAvailable(), true);
});

test('several processes at one address are refused', (t) => {
  assert.throws(
    () => openPerl(t, { address: 'tcp://127.0.0.1:9000', processes: { min: 0, max: 2, idleMs: 1 } }),
    {
      code: 'GW_ERR_ADDRESS',
      message: /cannot listen at one address tcp:\/\/127.0.0.1:9000; write \{process\}/,
    },
  );
});
