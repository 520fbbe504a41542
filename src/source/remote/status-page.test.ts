import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ask } from '../../../test/support/ask.ts';
import { recordLog } from '../../../test/support/local-source.ts';
import { until } from '../../../test/support/until.ts';
import { type ApplicationRequest, serve } from '../../app/index.ts';
import { parseAddress, printAddress } from '../../base/address.ts';
import { systemClock } from '../../base/clock.ts';
import { createRemoteSource, type RemoteSourceOptions } from './remote.ts';

const head = 'Content-Type: application/json\n\n';
const pageOf = (manager: string, processes: number, limitReached = 0) =>
  `${head}${JSON.stringify({ 'process manager': manager, 'start time': 1, 'total processes': processes, 'max active processes': 1, 'max children reached': limitReached })}`;

let applications = 0;

/** A php-fpm as far as a source sees it: a status page that the test writes, and requests that it ends. */
async function play(t: TestContext, options: Partial<RemoteSourceOptions> = {}) {
  const looks: ApplicationRequest[] = [];
  const held: (() => void)[] = [];
  let mostHeld = 0;
  let page = pageOf('static', 2);
  /** What becomes of looks; undefined: they stay without an answer. */
  let answersLooks = true;
  let now = 1_000;
  /** Time limits that were met. */
  let expired = 0;
  const application = await serve(
    async (request) => {
      if (request.params.get('SCRIPT_FILENAME') === '/fpm/status') {
        looks.push(request);
        if (!answersLooks)
          await new Promise<void>((resolve) => request.signal.addEventListener('abort', () => resolve()));
        else request.write(page);
        return;
      }
      await new Promise<void>((resolve) => {
        mostHeld = Math.max(mostHeld, held.push(resolve));
      });
      request.write('Content-Type: text/plain\n\nok');
    },
    { listen: `unix:@fastway-status-test-${process.pid}-${++applications}` },
  );
  const { log, lines } = recordLog();
  const source = createRemoteSource({
    name: 'php',
    address: parseAddress(printAddress(application.address!)),
    profile: 'php-fpm',
    statusPath: '/fpm/status',
    log,
    clock: {
      ...systemClock,
      now: () => now,
      setTimer: (fire, delayMs) =>
        systemClock.setTimer(() => {
          expired += 1;
          fire();
        }, delayMs),
    },
    random: () => 0.5,
    ...options,
  });
  t.after(async () => {
    for (const end of held.splice(0)) end();
    await source.close();
    await application.close();
  });
  const request = () => ask(source, { variables: ['REQUEST_METHOD', 'GET'], body: undefined });
  /** One request from its beginning to its end. */
  const use = async () => {
    const outcome = request();
    await until(() => held.length > 0, 'the request');
    for (const end of held.splice(0)) end();
    assert.equal((await outcome).error, undefined);
  };
  /** The next look, once the last one is over. */
  const lookAgain = async () => {
    const before = looks.length;
    await until(async () => {
      // Each time anew: the interval begins when the last look has ended, which may be after this.
      now += 10_000;
      await use();
      return looks.length > before;
    }, 'another look');
  };
  return {
    source,
    lines,
    looks,
    held,
    mostHeld: () => mostHeld,
    expired: () => expired,
    request,
    use,
    lookAgain,
    /** Until a line is logged: a static php-fpm is believed after the second look. */
    async learn() {
      const before = lines.length;
      await until(async () => {
        await lookAgain();
        return lines.length > before;
      }, 'what the page says');
    },
    shows(text: string) {
      page = text;
    },
    fallSilent() {
      answersLooks = false;
    },
    pass(ms: number) {
      now += ms;
    },
  };
}

test('the page is asked for as a web server does, after an answer, and the capacity follows', async (t) => {
  const { lines, looks, held, mostHeld, use, learn, request } = await play(t);
  assert.equal(looks.length, 0);
  await use();
  await until(() => looks.length > 0, 'the look');
  const names = ['REQUEST_METHOD', 'SCRIPT_NAME', 'SCRIPT_FILENAME', 'QUERY_STRING', 'REQUEST_URI'];
  assert.deepEqual(
    names.map((name) => looks[0]!.params.get(name)),
    ['GET', '/fpm/status', '/fpm/status', 'json', '/fpm/status?json'],
  );
  await learn();
  assert.deepEqual(lines, [
    {
      level: 'debug',
      message: 'The status page of php-fpm says how many requests it takes',
      fields: {
        source: 'php',
        capacity: 2,
        reason: 'process manager static, total processes 2, max active processes 1, max children reached 0',
      },
    },
  ]);
  const outcomes = Array.from({ length: 6 }, request);
  for (let round = 0; round < 3; round++) {
    await until(() => held.length === 2, 'two at work');
    for (const end of held.splice(0)) end();
  }
  for (const { stdout } of await Promise.all(outcomes)) assert.match(stdout, /ok/);
  assert.equal(mostHeld(), 2);
});

test('it is looked at every 10 s while there are requests, and not without them', async (t) => {
  const { lines, looks, use, shows, pass, learn } = await play(t);
  shows(pageOf('dynamic', 2));
  await use();
  await until(() => lines.length === 1, 'the first look');
  assert.equal(lines[0]!.fields.capacity, undefined, 'it may start more');
  pass(9_999);
  await use();
  pass(60_000);
  shows(pageOf('dynamic', 2, 1));
  assert.equal(looks.length, 1, 'nobody asks an idle source');
  await learn();
  assert.equal(lines[1]!.fields.capacity, 2);
});

test('a static number is looked at again 1.5 s later, for it may be off by one just now', async (t) => {
  const { lines, looks, use, shows, pass, learn } = await play(t);
  shows(pageOf('static', 3));
  await use();
  await until(() => looks.length === 1, 'the first look');
  shows(pageOf('static', 2));
  await until(async () => {
    pass(1_500);
    await use();
    return looks.length === 2;
  }, 'the second look');
  assert.equal(lines.length, 0);
  await learn();
  assert.equal(lines[0]!.fields.capacity, 2);
});

test('a page that does not answer holds nothing up, is asked for once at a time, and changes nothing', async (t) => {
  const { source, looks, held, use, learn, lookAgain, request, fallSilent, pass, expired } = await play(t);
  await learn();
  fallSilent();
  await lookAgain();
  const before = looks.length;
  for (let round = 0; round < 3; round++) {
    pass(10_000);
    await use();
  }
  const outcomes = Array.from({ length: 3 }, request);
  await until(() => held.length === 2, 'two at work');
  assert.equal(source.active, 3, 'one waits: the capacity is as it was');
  for (const outcome of outcomes) {
    await until(() => held.length > 0, 'the next one');
    held.shift()!();
    assert.equal((await outcome).error, undefined);
  }
  assert.equal(looks.length, before);
  const limits = expired();
  await source.close();
  assert.equal(expired(), limits, 'the look is given up before its time is over');
});

test('what is no status page is told once, and forgotten when one is there', async (t) => {
  const { lines, lookAgain, learn, shows } = await play(t);
  shows('Status: 404 Not Found\n\nFile not found.\n');
  for (let round = 0; round < 3; round++) await lookAgain();
  shows(head + 'x'.repeat(1_000_000));
  await lookAgain();
  shows('Status: 500 Oops\n\n');
  await lookAgain();
  await until(() => lines.length === 2, 'the failure');
  shows(pageOf('static', 3));
  await learn();
  assert.equal(lines[2]!.fields.capacity, 3);
  assert.deepEqual(
    lines.map(({ level, message }) => `${level}: ${message}`),
    [
      'warn: There is no status page of php-fpm at /fpm/status; set pm.status_path to it in the pool of php-fpm, or remove "statusPath"',
      'debug: The status page of php-fpm failed',
      'debug: The status page of php-fpm says how many requests it takes',
    ],
  );
});

test('a configured capacity wins: nobody looks', async (t) => {
  const { looks, use } = await play(t, { capacity: 5 });
  await use();
  await use();
  assert.equal(looks.length, 0);
});

test('the page may have an address of its own, where the requests do not go', async (t) => {
  const page = await play(t);
  const other = await play(t, { statusAddress: parseAddress(page.source.address) });
  page.shows(pageOf('dynamic', 2, 1));
  await other.use();
  await until(() => other.lines.length === 1, 'the look');
  assert.deepEqual([other.looks.length, page.looks.length, other.lines[0]!.fields.capacity], [0, 1, 2]);
});
