/** What every handler promises of a request that it answers; each implementation's test runs this suite. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeRequest, type FakeRequestOptions } from '../../test/support/fake-request.ts';
import { turns, turnsUntil } from '../../test/support/manual-clock.ts';
import type { Fields } from '../http/message.ts';
import type { Reply } from '../http/reply.ts';
import { ForwardingReply } from '../http/reply.ts';
import type { Explanation, Handler } from './handler.ts';

/** A new handler, and the requests that it is asked with. */
export interface HandlerUnderTest {
  readonly handler: Handler;
  /** Answered whole; GET unless it says otherwise. */
  readonly answered: FakeRequestOptions;
  /** Refused by the handler itself, with a body that it does not read; undefined: it refuses nothing. */
  readonly refused?: FakeRequestOptions;
  /** How often somebody was asked so far, as an application. Default: it asks nobody. */
  readonly asked?: () => number;
  /** What an application was asked with last. */
  readonly variables?: () => ReadonlyMap<string, string>;
  /** An authorizer that denies: what is explained is what would be done otherwise. */
  readonly denies?: boolean;
  /** Lets a little time pass, by the handler's clock. */
  readonly pass?: () => void;
}

/** Counts what a handler does to its reply. */
class CountingReply extends ForwardingReply {
  heads = 0;
  ends = 0;
  /** Calls when it was over. */
  late = 0;

  constructor(behind: Reply) {
    super(behind);
  }

  override respond(status: number, reason: string, fields: Fields, endsNow?: boolean): void {
    if (this.ended) this.late += 1;
    this.heads += 1;
    super.respond(status, reason, fields, endsNow);
  }

  override write(chunk: Uint8Array): boolean {
    if (this.ended) this.late += 1;
    return super.write(chunk);
  }

  override end(chunk?: Uint8Array): void {
    if (this.ended) this.late += 1;
    this.ends += 1;
    super.end(chunk);
  }
}

function prepare(options: FakeRequestOptions): {
  readonly request: FakeRequest;
  readonly reply: CountingReply;
} {
  const request = new FakeRequest(options);
  const reply = new CountingReply(request.exchange);
  request.reply = reply;
  return { request, reply };
}

/** @param create a new one for each promise */
export function testHandler(name: string, create: () => HandlerUnderTest): void {
  const check = (promise: string, play: (under: HandlerUnderTest) => void | Promise<void>) =>
    test(`${name}: ${promise}`, () => play(create()));

  const toEnd = ({ pass = () => {} }: HandlerUnderTest, { exchange }: FakeRequest) =>
    turnsUntil(() => {
      pass();
      return exchange.ended;
    });

  const run = async (under: HandlerUnderTest, options: FakeRequestOptions) => {
    const prepared = prepare(options);
    under.handler.handle(prepared.request);
    await toEnd(under, prepared.request);
    await turns(5);
    return prepared;
  };

  check('one head, one end, and nothing behind it', async (under) => {
    const { request, reply } = await run(under, under.answered);
    assert.deepEqual([reply.heads, reply.ends, reply.late], [1, 1, 0]);
    assert.equal(request.exchange.wasCut, false);
    assert.deepEqual(request.failures, []);
  });

  check('HEAD has the head of GET, and no body', async (under) => {
    const { exchange } = (await run(under, under.answered)).request;
    const head = (await run(under, { ...under.answered, method: 'HEAD' })).request.exchange;
    assert.deepEqual([head.status, head.wasCut, head.body.length], [exchange.status, false, 0]);
    assert.deepEqual(head.fields, exchange.fields);
  });

  check('a client that is slow gets every byte, and one that is not the same', async (under) => {
    const fast = (await run(under, under.answered)).request.exchange;
    const { request } = prepare(under.answered);
    const { exchange } = request;
    exchange.window = 1;
    under.handler.handle(request);
    await turnsUntil(() => {
      under.pass?.();
      exchange.take(Math.max(1, fast.body.length >> 3));
      return exchange.ended;
    });
    assert.equal(exchange.wasCut, false);
    assert.ok(exchange.body.equals(fast.body));
  });

  check('a client that leaves before the head, or behind it, gets nothing more', async (under) => {
    for (const moment of ['before', 'behind'] as const) {
      const { request, reply } = prepare(under.answered);
      const { exchange } = request;
      under.handler.handle(request);
      if (moment === 'behind')
        await turnsUntil(() => {
          under.pass?.();
          return exchange.headSent;
        });
      exchange.leave();
      const { heads, ends } = reply;
      const sent = exchange.bodyBytesSent;
      for (let turn = 0; turn < 20; turn++) {
        under.pass?.();
        await turns(1);
      }
      assert.deepEqual([reply.heads, reply.ends, exchange.bodyBytesSent], [heads, ends, sent], moment);
      assert.deepEqual([request.failures, [...request.works]], [[], []], moment);
    }
  });

  check('explain asks nobody, answers nobody, and says what is done then', async (under) => {
    for (const options of [under.answered, under.refused]) {
      if (options === undefined) continue;
      const before = under.asked?.() ?? 0;
      const { request, reply } = prepare(options);
      const explanation = under.handler.explain(request);
      assert.deepEqual(under.handler.explain(prepare(options).request), explanation, 'said twice');
      assert.equal(under.asked?.() ?? 0, before);
      assert.deepEqual([reply.heads, reply.ends, request.exchange.bodyReads], [0, 0, 0]);
      const { request: done } = await run(under, options);
      if (under.denies === true) assert.equal(explanation.authorizers?.length, 1);
      else agree(explanation, done, under);
      if (explanation.action !== 'run' && explanation.authorizers === undefined)
        assert.equal(under.asked?.() ?? 0, before, 'asked, though explain names nobody');
    }
  });

  check('what it refuses is answered once, and the body is left unread', async (under) => {
    if (under.refused === undefined) return;
    const { request, reply } = await run(under, { method: 'POST', bodyLength: 5, ...under.refused });
    const { exchange } = request;
    assert.ok(exchange.status >= 400, `status ${exchange.status}`);
    assert.deepEqual([reply.heads, reply.ends, reply.late, exchange.wasCut], [1, 1, 0, false]);
    assert.equal(exchange.bodyReads, 0);
    assert.equal(under.asked?.() ?? 0, 0);
  });
}

/** What was done is what was said. */
function agree(said: Explanation, { exchange, record }: FakeRequest, { variables }: HandlerUnderTest): void {
  switch (said.action) {
    case 'run':
      assert.ok(said.source.startsWith(record.source ?? '-'), `${said.source}, and it was ${record.source}`);
      for (const { name, value } of said.variables)
        if (variables !== undefined) assert.equal(variables().get(name), value, `variable ${name}`);
      break;
    case 'file':
      assert.equal(exchange.status, 200);
      break;
    case 'redirect':
      assert.deepEqual([exchange.status, exchange.field('Location')], [said.status, said.to]);
      break;
    case 'error':
      assert.equal(exchange.status, said.status, said.reason);
      break;
    default:
      assert.fail(`${said.action} is no answer`);
  }
}
