import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeRequest, type FakeRequestOptions, fakeRoot, fakeSite } from '../../test/support/fake-request.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { until } from '../../test/support/until.ts';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { createProgramSource } from '../source/program/program-source.ts';
import { largeBytes, testSource } from '../source/source.contract.ts';
import type { SourceListener } from '../source/source.ts';
import { type CgiHandlerOptions, createCgiHandler } from './cgi.ts';
import { testHandler } from './handler.contract.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'cgi-handler-')));
after(() => rmSync(root, { recursive: true }));

function program(name: string, text: string, mode = 0o755): string {
  const path = join(root, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return `/${name}`;
}

/** A request that its program works on. */
function start(
  path: string,
  request: FakeRequestOptions & { body?: Buffer } = {},
  options: Partial<CgiHandlerOptions> = {},
): FakeRequest {
  const routed = new FakeRequest({
    target: path,
    extensions: undefined,
    site: fakeSite({ documentRoot: fakeRoot(root, { [path.replace(/\?.*$/, '')]: 1 }) }),
    ...request,
  });
  createHandler(options).handle(routed);
  if (request.body !== undefined) {
    routed.exchange.sendBody(request.body);
    routed.exchange.endBody();
  }
  return routed;
}

const createHandler = (options: Partial<CgiHandlerOptions> = {}) =>
  createCgiHandler({
    checkFile: true,
    guard: true,
    scriptAlias: undefined,
    errorHandler: true,
    passRequestHeaders: true,
    underscoreHeaders: [],
    xSendfile: false,
    sendfileRoots: [],
    accelRoots: {},
    env: new Map(),
    documentRoot: undefined,
    scriptRoot: undefined,
    clientOf: undefined,
    bufferRequest: true,
    bufferResponse: true,
    maxBodyBytes: 10_000_000,
    localRedirect: false,
    failurePattern: undefined,
    errorPages: new Map(),
    serverSoftware: 'fastway/test',
    clock: { ...systemClock, now: () => 0 },
    random: () => 0.5,
    spoolDir: root,
    timeoutMs: 5000,
    capacity: 4,
    log: silentLog,
    runAs: undefined,
    ...options,
  });

/** The same, with its answer. */
async function run(...input: Parameters<typeof start>): Promise<FakeRequest> {
  const request = start(...input);
  await request.exchange.whenEnded();
  return request;
}

const shell = (script: string) => `#!/bin/sh\n${script}\n`;

test('the program gets the variables, an own directory, no arguments and nothing of our environment', async () => {
  const path = program(
    'env.cgi',
    shell('printf "Content-Type: text/plain\\n\\n"; echo "args=$# cwd=$(pwd)"; /usr/bin/env'),
  );
  const { exchange } = await run(`${path}?-s+x=1`, {}, { env: new Map([['APP', 'gr\xc3\xb6\xc3\x9fe']]) });
  assert.equal(exchange.status, 200);
  const lines = exchange.body.toString('utf8').split('\n');
  assert.equal(lines[0], `args=0 cwd=${root}`);
  for (const line of [
    'QUERY_STRING=-s+x=1',
    'GATEWAY_INTERFACE=CGI/1.1',
    'APP=größe',
    `SCRIPT_FILENAME=${root}/env.cgi`,
  ])
    assert.ok(lines.includes(line), line);
  assert.ok(!lines.some((line) => /^(HOME|USER|NODE_|npm_)/.test(line)));
});

test('the body is its input, whole, and its error output is in the log', async () => {
  const path = program('echo.cgi', shell('printf "X-Length: $CONTENT_LENGTH\\n\\n"; cat; echo oops >&2'));
  const body = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => i % 251));
  const request = await run(path, { method: 'POST', bodyLength: undefined, body });
  assert.equal(request.exchange.field('X-Length'), '300000');
  assert.ok(request.exchange.body.equals(body));
  assert.deepEqual(request.logged, ['warn oops']);
});

test('a program that does not read its input is answered all the same', async () => {
  const path = program('deaf.cgi', shell('printf "X-A: 1\\n\\nok"'));
  const request = await run(path, { method: 'POST', bodyLength: 1_000_000, body: Buffer.alloc(1_000_000) });
  assert.equal(request.exchange.status, 200);
  assert.equal(request.exchange.body.toString(), 'ok');
});

test('what cannot be started is 403 or 502, with the reason, and no invitation to come again', async () => {
  for (const [path, status, reason] of [
    [program('plain.cgi', shell(''), 0o644), 403, /permission denied.*chmod \+x/],
    [program('lost.cgi', '#!/nowhere/perl\n'), 502, /interpreter in its first line, is not there/],
  ] as const) {
    const { exchange, failures } = await run(path);
    assert.equal(exchange.status, status);
    assert.equal(exchange.field('Retry-After'), undefined);
    assert.match(failures[0]!.code, /^GW_ERR_CGI_NOT_/);
    assert.match(failures[0]!.message, reason);
  }
});

test('an exit code is logged, a signal fails', async () => {
  const bad = await run(program('exit.cgi', shell('printf "X-A: 1\\n\\nok"; exit 3')));
  assert.equal(bad.exchange.body.toString(), 'ok');
  assert.deepEqual(bad.logged, ['warn Application ended with status 3']);
  const killed = await run(program('kill.cgi', shell('printf "X-A: 1\\n\\npart"; kill -9 $$')));
  assert.equal(killed.exchange.status, 502);
});

test('a program that says nothing is ended after the timeout, with what it started', async () => {
  const path = program('slow.cgi', shell('sleep 60 & echo $! > slow.pid; wait'));
  const clock = new ManualClock();
  const { exchange, failures } = start(path, {}, { timeoutMs: 300, clock });
  const pid = () =>
    Number(existsSync(join(root, 'slow.pid')) && readFileSync(join(root, 'slow.pid'), 'utf8'));
  await until(() => pid() > 0, 'a program that runs');
  clock.advance(299);
  assert.equal(exchange.ended, false);
  clock.advance(1);
  await exchange.whenEnded();
  assert.equal(exchange.status, 504);
  assert.match(failures[0]!.message, /slow\.cgi printed nothing for 300 ms/);
  await gone(pid());
});

/** Prints its number, and then a line each 20 ms until it is told to end; says how it ended. */
const working = (name: string) =>
  program(
    name,
    shell(`trap 'echo TERM >> ${name}.end; exit' TERM; printf 'X-A: 1\\n\\n%s\\n' $$
while [ ! -e ${name}.go ]; do sleep 0.02; printf 'more\\n'; done
echo done >> ${name}.end`),
  );

/** Its client leaves when the program runs. @param meanwhile called again and again until then @returns the number of that */
async function leave(request: FakeRequest, meanwhile = () => {}): Promise<number> {
  const { exchange } = request;
  await until(() => {
    meanwhile();
    return /^\d+\n/.test(exchange.body.toString());
  }, 'a program that runs');
  exchange.leave();
  return Number.parseInt(exchange.body.toString(), 10);
}

test('the client leaves: a program that changes something ends by itself, and its output is dropped', async () => {
  const request = start(working('change.cgi'), { method: 'POST', body: Buffer.from('a=1') });
  const pid = await leave(request);
  const { length } = request.exchange.body;
  writeFileSync(join(root, 'change.cgi.go'), '');
  await gone(pid);
  assert.equal(readFileSync(join(root, 'change.cgi.end'), 'utf8'), 'done\n');
  assert.equal(request.exchange.body.length, length);
});

test('the client leaves: a program that only reads hears of it by its output', async () => {
  await gone(await leave(start(working('reading.cgi'))));
  assert.equal(existsSync(join(root, 'reading.cgi.end')), false);
});

test('the client leaves: a program that works on beyond its time is ended, and the log says so', async () => {
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (message: string) => warnings.push(message) };
  const clock = new ManualClock();
  const options = { timeoutMs: 1_000_000, log, clock };
  // The begin of its answer leaves when a little time has passed.
  const pid = await leave(start(working('late.cgi'), { method: 'POST' }, options), () => clock.advance(1));
  clock.advance(1_000_000);
  await gone(pid);
  assert.deepEqual(warnings, [
    'A program still worked 1000000 ms after its client had left and was ended; if it may take so long, raise "timeoutMs" of its handler',
  ]);
});

/** A source of programs of which one runs at a time. */
const createOneAtATime = () =>
  createProgramSource({
    timeoutMs: 5000,
    capacity: 1,
    runAs: undefined,
    env: new Map(),
    log: silentLog,
    clock: { ...systemClock, now: () => 0 },
  });

test('more programs than capacity wait for their turn; closing ends all of them', async () => {
  const path = join(root, program('turn.cgi', shell('sleep 0.1; printf "X-A: 1\\n\\nok"')).slice(1));
  const source = createOneAtATime();
  const results: string[] = [];
  const listener = (name: string, done: () => void): SourceListener => ({
    stdout: () => true,
    stderr() {},
    end: (status) => {
      results.push(`${name} ${status}`);
      done();
    },
    error: (error) => {
      results.push(`${name} ${error.code}`);
      done();
    },
  });
  const variables = ['SCRIPT_FILENAME', path];
  await Promise.all(
    ['a', 'b'].map(
      (name) =>
        new Promise<void>((done) => source.open({ variables, body: undefined }, listener(name, done))),
    ),
  );
  assert.deepEqual(results, ['a 0', 'b 0']);
  source.open(
    { variables, body: undefined },
    listener('c', () => {}),
  );
  assert.equal(source.active, 1);
  await source.close();
  assert.equal(source.active, 0);
  await source.close();
});

test('clients take turns at the places of programs: one that floods keeps nobody else out', async () => {
  const path = join(root, program('fair.cgi', shell('printf "X-A: 1\\n\\nok"')).slice(1));
  const source = createOneAtATime();
  const order: string[] = [];
  const ask = (name: string, client: string) =>
    new Promise<void>((done) =>
      source.open(
        { variables: ['SCRIPT_FILENAME', path], body: undefined, client },
        {
          stdout: () => true,
          stderr() {},
          end: () => {
            order.push(name);
            done();
          },
          error: (error) => {
            order.push(`${name} ${error.code}`);
            done();
          },
        },
      ),
    );
  const first = ['a1', 'a2', 'a3'].map((name) => ask(name, '192.0.2.1'));
  const second = ask('b1', '192.0.2.2');
  // As many as may wait, and one more: the newest of the largest client goes.
  const flood = Array.from({ length: 97 }, (_, index) => ask(`a${index + 4}`, '192.0.2.1'));
  await ask('b2', '192.0.2.2');
  await source.close();
  assert.deepEqual(order.slice(0, 4), ['a100 GW_ERR_SOURCE_OVERLOADED', 'a1', 'a2', 'b1']);
  assert.equal(order[4], 'a3');
  assert.equal(order[5], 'b2');
  void [...first, second, ...flood];
});

/** Waits until no process has this id. */
async function gone(pid: number): Promise<void> {
  assert.ok(pid > 0);
  await until(() => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  }, `the end of process ${pid}`);
}

testSource('a program for each request', () => {
  const requestFor = (name: string, text: string) => ({
    variables: ['REQUEST_METHOD', 'GET', 'SCRIPT_FILENAME', join(root, program(name, shell(text)))],
    body: undefined,
  });
  return {
    source: createProgramSource({
      timeoutMs: 60_000,
      capacity: 4,
      runAs: undefined,
      env: new Map(),
      log: silentLog,
      clock: { ...systemClock, now: () => 0 },
    }),
    page: requestFor('page.cgi', 'printf "X-A: 1\\n\\nHello"'),
    large: requestFor('large.cgi', `printf "X-A: 1\\n\\n"; head -c ${largeBytes} /dev/zero`),
    silent: requestFor('silent.cgi', 'exec sleep 3'),
    broken: requestFor('broken.cgi', 'kill -9 $$'),
  };
});

testHandler('cgi', () => {
  const path = program(
    'contract.cgi',
    shell('printf "Content-Type: text/plain\\n\\nthe answer of a program"'),
  );
  const site = fakeSite({ documentRoot: fakeRoot(root, { [path]: 1 }) });
  return {
    handler: createHandler(),
    answered: { target: path, extensions: undefined, site },
    refused: { target: '/none.cgi', extensions: undefined, site },
  };
});
