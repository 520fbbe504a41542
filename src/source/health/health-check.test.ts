import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, nextTurn, turnsUntil } from '../../../test/support/manual-clock.ts';
import { type ScriptedExchange, ScriptedSource } from '../../../test/support/scripted-source.ts';
import { HealthCheck, type HealthCheckOptions } from './health-check.ts';

const usual: HealthCheckOptions = {
  path: '/ping?full',
  everyMs: 1_000,
  timeoutMs: 10_000,
  expectStatus: 200,
  up: 2,
  down: 3,
};

/** Asks until `count` answers were given, one after the other; the last one is repeated. */
async function play(
  answers: readonly ((exchange: ScriptedExchange) => void)[],
  count: number,
  options: Partial<HealthCheckOptions> = {},
): Promise<{ readonly changes: unknown[]; readonly source: ScriptedSource }> {
  let asked = 0;
  const changes: unknown[] = [];
  const clock = new ManualClock();
  const source = new ScriptedSource('php', (exchange) =>
    answers[Math.min(asked++, answers.length - 1)]!(exchange),
  );
  const check = new HealthCheck(
    source,
    { ...usual, ...options },
    { changed: (problem) => changes.push(problem) },
    clock,
  );
  for (let looks = 1; looks <= count; looks++) {
    await turnsUntil(() => asked === looks);
    await nextTurn();
    clock.advance(usual.everyMs / 2);
    if (looks < count) clock.advance(usual.everyMs / 2);
  }
  check.close();
  return { changes, source };
}

const answer = (text: string) => (exchange: ScriptedExchange) => {
  exchange.print(text);
  exchange.end();
};
const good = answer('Content-Type: text/plain\n\npong');
const bad = answer('Status: 500 Oops\n\n');

test('asks as a web server does, and says nothing while all is well', async () => {
  const { changes, source } = await play([good], 3);
  assert.deepEqual(changes, []);
  const { variables, body } = source.exchanges[0]!;
  assert.equal(body, undefined);
  const chosen = ['REQUEST_METHOD', 'REQUEST_URI', 'QUERY_STRING', 'SCRIPT_NAME', 'SCRIPT_FILENAME'];
  assert.deepEqual(
    chosen.map((name) => variables.get(name)),
    ['GET', '/ping?full', 'full', '/ping', '/ping'],
  );
});

test('three bad answers in a row take a source out, and two good ones bring it back', async () => {
  const { changes } = await play([bad, bad, good, bad, bad, bad, good, bad, good, good], 10);
  assert.deepEqual(changes, ['its status was 500, not 200', undefined]);
});

test('what is expected: another status, a text in the body', async () => {
  assert.deepEqual((await play([answer('Status: 204\n\n')], 3, { expectStatus: 204 })).changes, []);
  assert.deepEqual((await play([good], 3, { expectText: 'pong' })).changes, []);
  const { changes } = await play([good], 3, { expectText: 'pang' });
  assert.deepEqual(changes, ['its answer did not hold "pang"']);
});

test('a bad head and silence are bad answers', async () => {
  const broken = await play([answer('no head')], 1, { down: 1 });
  assert.equal(broken.changes.length, 1);
  const silent = await play([() => {}], 1, { down: 1, timeoutMs: 20 });
  assert.deepEqual(silent.changes, ['no answer within 20 ms']);
  assert.equal(silent.source.exchanges[0]!.aborted, true);
});
