import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptedSource } from '../../test/support/scripted-source.ts';
import { createFailover } from '../balancer/failover.ts';
import { type Delivery, GatewayError, SourceError } from '../base/errors.ts';
import { FurtherTries, type NextTry, type TryContext } from './further-tries.ts';

function contextFor(sources: readonly ScriptedSource[], now: () => number = () => 0): TryContext {
  return {
    balancer: createFailover(sources.map((source) => ({ source, weight: 1 }))),
    options: { clock: { now }, random: () => 0.5 },
    active: 1,
    retrying: 0,
    waiting: 0,
  };
}

const failed = (delivery: Delivery, isTransient = false) =>
  new SourceError('GW_ERR_SOURCE_CONNECT', 'failed', { delivery, isTransient });
const named = (...names: string[]) => names.map((name) => new ScriptedSource(name));
const print = (next: NextTry | undefined) =>
  next === undefined ? 'over' : (next.source?.name ?? `pause ${next.pauseMs}`);

test('unsent and rejected: two further sources, whatever the method; then the end', () => {
  for (const delivery of ['unsent', 'rejected'] as const) {
    const [a, b, c, d] = named('a', 'b', 'c', 'd');
    const tries = new FurtherTries(contextFor([a!, b!, c!, d!]), '', false);
    const answers = [a, b, c].map((source) => print(tries.after(failed(delivery), source!)));
    assert.deepEqual(answers, ['b', 'c', 'over']);
  }
});

test('maybe: once, an idempotent method only, and not when the client repeated it already', () => {
  const [a, b, c] = named('a', 'b', 'c');
  const context = contextFor([a!, b!, c!]);
  const get = new FurtherTries(context, '', true);
  assert.equal(print(get.after(failed('maybe'), a!)), 'b');
  assert.equal(print(get.after(failed('maybe'), b!)), 'over');
  assert.equal(print(new FurtherTries(context, '', false).after(failed('maybe'), a!)), 'over');
  assert.equal(print(new FurtherTries(context, '', true).after(failed('maybe'), a!, true)), 'over');
});

test('what no other source does better is over at once', () => {
  const [a, b] = named('a', 'b');
  const tries = new FurtherTries(contextFor([a!, b!]), '', true);
  for (const code of ['GW_ERR_SOURCE_READ_TIMEOUT', 'GW_ERR_CGI_HEAD', 'GW_ERR_FILE'] as const)
    assert.equal(print(tries.after(new GatewayError(code, 'x'), a!)), 'over', code);
});

test('nobody listens just now: growing pauses until holdMs is over, other sources first', () => {
  let now = 0;
  const [a, b] = named('a', 'b');
  a!.holdMs = 1_000;
  const context = contextFor([a!, b!], () => now);
  const tries = new FurtherTries(context, '', false);
  const passing = failed('unsent', true);
  const pauses: string[] = [];
  for (;;) {
    const next = tries.after(passing, a!);
    pauses.push(print(next));
    if (next === undefined) break;
    if (next.source === b) pauses.push(print(tries.after(passing, b!)));
    now += 200;
  }
  assert.deepEqual(
    pauses.filter((one) => one !== 'b'),
    ['pause 10', 'pause 20', 'pause 40', 'pause 80', 'pause 160', 'over', 'over'],
  );
  assert.equal(context.waiting, 1);
  tries.end();
  assert.deepEqual([context.waiting, context.retrying], [0, 0]);
});

test('a source that never answered, or that fails for good, is not waited for', () => {
  const [a] = named('a');
  const tries = new FurtherTries(contextFor([a!]), '', true);
  assert.equal(print(tries.after(failed('unsent', true), a!)), 'over');
  a!.holdMs = 1_000;
  assert.equal(print(tries.after(failed('unsent', false), a!)), 'over');
});

test('the budget: further tries are at most a fifth of the requests, or ten; held ones do not count', () => {
  const [a, b] = named('a', 'b');
  a!.holdMs = 1_000;
  const context = contextFor([a!, b!]);
  context.active = 100;
  const results = Array.from({ length: 25 }, () =>
    print(new FurtherTries(context, '', true).after(failed('maybe'), a!)),
  );
  assert.equal(results.filter((one) => one === 'b').length, 20);
  assert.equal(context.retrying, 20);
  assert.equal(print(new FurtherTries(context, '', true).after(failed('unsent', true), a!)), 'pause 10');
});
