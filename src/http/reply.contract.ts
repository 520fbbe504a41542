/** What every reply promises its handlers; each front's test runs this suite, as it is and behind a `ForwardingReply`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForwardingReply, type Reply } from './reply.ts';

/** What a client made of an answer. */
export interface ReceivedAnswer {
  /** 0: none came. */
  readonly status: number;
  /** The first value of a field, by its name in lower case. */
  field(name: string): string | undefined;
  /** Latin1. */
  readonly body: string;
  /** The client sees no sign that something is missing. */
  readonly isWhole: boolean;
}

/** A reply, and the client at its other end, which takes nothing before it is asked what it received. */
export interface ReplyUnderTest {
  readonly reply: Reply;
  /** Takes everything until the answer is over. */
  received(): Promise<ReceivedAnswer>;
  /** The client goes away. */
  leave(): void;
}

/** Begins a request of this method, and has its reply. */
export type OpenReply = (method: string) => Promise<ReplyUnderTest>;

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** @param front name of what is tested */
export function testReply(front: string, openReply: OpenReply): void {
  const wrapped: OpenReply = async (method) => {
    const { reply, received, leave } = await openReply(method);
    return { reply: new ForwardingReply(reply), received, leave };
  };
  for (const [name, open] of [
    [front, openReply],
    [`${front}, forwarded`, wrapped],
  ] as const) {
    testLife(name, open);
    testFraming(name, open);
    testClient(name, open);
  }
}

function testLife(name: string, open: OpenReply): void {
  test(`${name}: respond, write, end; what it says of itself on the way`, async () => {
    const { reply, received } = await open('GET');
    assert.deepEqual([reply.headSent, reply.ended, reply.status, reply.bodyBytesSent], [false, false, 0, 0]);
    reply.respond(201, '', ['X-A', '1']);
    assert.deepEqual([reply.headSent, reply.ended, reply.status], [true, false, 201]);
    assert.equal(reply.write(bytes('one ')), true);
    reply.sendNow();
    await new Promise(setImmediate);
    assert.equal(reply.write(bytes('two ')), true);
    reply.sendNow();
    reply.end(bytes('three'));
    assert.deepEqual([reply.ended, reply.bodyBytesSent], [true, 13]);
    const answer = await received();
    assert.deepEqual(
      [answer.status, answer.field('x-a'), answer.body, answer.isWhole],
      [201, '1', 'one two three', true],
    );
  });

  test(`${name}: a second head, a body without a head are errors; nothing follows an end`, async () => {
    const { reply, received } = await open('GET');
    assert.throws(() => reply.write(bytes('x')), RangeError);
    reply.respond(200, '', []);
    assert.throws(() => reply.respond(200, '', []), RangeError);
    reply.end(bytes('a'));
    reply.end(bytes('b'));
    assert.equal(reply.write(bytes('c')), true);
    reply.cut();
    reply.inform(103, []);
    assert.equal(reply.bodyBytesSent, 1);
    const { body, isWhole } = await received();
    assert.deepEqual([body, isWhole], ['a', true]);
  });

  test(`${name}: interim heads pass by`, async () => {
    const { reply, received } = await open('GET');
    reply.inform(103, ['Link', '</a>', 'Content-Length', '9']);
    reply.respond(200, '', [], true);
    reply.end(bytes('a'));
    const { status, body, isWhole } = await received();
    assert.deepEqual([status, body, isWhole], [200, 'a', true]);
  });

  test(`${name}: the connection is the front's own business`, async () => {
    const { reply, received } = await open('GET');
    reply.respond(200, '', ['Connection', 'x-a', 'X-A', '1', 'Transfer-Encoding', 'gzip', 'Trailer', 'b']);
    reply.end(bytes('a'));
    const answer = await received();
    assert.deepEqual([answer.field('x-a'), answer.body, answer.isWhole], ['1', 'a', true]);
    assert.notEqual(answer.field('connection'), 'x-a');
    assert.notEqual(answer.field('transfer-encoding'), 'gzip');
    assert.equal(answer.field('trailer'), undefined);
  });

  test(`${name}: a cut answer is visibly not whole`, async () => {
    const { reply, received } = await open('GET');
    reply.respond(200, '', []);
    reply.write(bytes('part'));
    await new Promise(setImmediate);
    reply.cut();
    assert.equal(reply.ended, true);
    assert.equal((await received()).isWhole, false);
  });
}

function testFraming(name: string, open: OpenReply): void {
  for (const [method, status, announced] of [
    ['HEAD', 200, '4'],
    ['GET', 204, undefined],
    ['GET', 205, '0'],
    ['GET', 304, '4'],
  ] as const) {
    for (const isLate of [false, true]) {
      const when = isLate ? 'later' : 'at once';
      test(`${name}: T65: ${method} ${status} has no body, ${when}`, async () => {
        const { reply, received } = await open(method);
        reply.respond(status, '', ['Content-Length', '4']);
        if (isLate) await new Promise(setImmediate);
        assert.equal(reply.write(bytes('body')), true);
        reply.end(bytes('more'));
        assert.deepEqual([reply.ended, reply.bodyBytesSent], [true, 0]);
        const answer = await received();
        assert.deepEqual(
          [answer.status, answer.field('content-length'), answer.body, answer.isWhole],
          [status, announced, '', true],
        );
      });
    }
  }

  for (const isLate of [false, true]) {
    const when = isLate ? 'later' : 'at once';
    test(`${name}: T61: not one byte more than Content-Length, ${when}`, async () => {
      const { reply, received } = await open('GET');
      reply.respond(200, '', ['content-length', '5']);
      if (isLate) await new Promise(setImmediate);
      reply.write(bytes('hel'));
      reply.write(bytes('lo and'));
      reply.end(bytes(' more'));
      assert.equal(reply.bodyBytesSent, 5);
      const { body, isWhole } = await received();
      assert.deepEqual([body, isWhole], ['hello', true]);
    });

    test(`${name}: G2: fewer bytes than Content-Length are a cut, ${when}`, async () => {
      const { reply, received } = await open('GET');
      reply.respond(200, '', ['Content-Length', '9']);
      if (isLate) await new Promise(setImmediate);
      reply.end(bytes('hello'));
      assert.equal(reply.ended, true);
      assert.equal((await received()).isWhole, false);
    });
  }

  test(`${name}: an empty answer`, async () => {
    const { reply, received } = await open('GET');
    reply.respond(200, '', ['Content-Length', '0']);
    reply.end();
    const { body, isWhole } = await received();
    assert.deepEqual([body, isWhole], ['', true]);
  });
}

/** 64 MiB: more than buffers on the way take. */
const chunksMax = 1024;

function testClient(name: string, open: OpenReply): void {
  test(`${name}: a client that takes nothing makes write say no, and one that takes it again is told of`, async () => {
    const { reply, received } = await open('GET');
    const chunk = Buffer.alloc(65_536, 'x');
    const drained = new Promise<void>((resolve) => {
      reply.setListener({ drained: resolve, gone: () => assert.fail('the client is there') });
    });
    reply.respond(200, '', []);
    let chunks = 1;
    while (reply.write(chunk)) {
      chunks += 1;
      assert.ok(chunks < chunksMax, 'write never said no');
      await new Promise(setImmediate);
    }
    const answer = received();
    await drained;
    reply.end();
    const { body, isWhole } = await answer;
    assert.deepEqual([body.length, isWhole], [chunks * chunk.length, true]);
  });

  test(`${name}: a client that leaves is told of once, and nothing goes on`, async () => {
    const { reply, leave } = await open('GET');
    let gone = 0;
    const left = new Promise<void>((resolve) => {
      reply.setListener({
        drained: () => assert.fail('nobody takes anything'),
        gone() {
          gone += 1;
          resolve();
        },
      });
    });
    reply.respond(200, '', []);
    await new Promise(setImmediate);
    leave();
    await left;
    assert.equal(reply.ended, true);
    assert.equal(reply.write(bytes('x')), true);
    reply.end();
    reply.cut();
    await new Promise(setImmediate);
    assert.equal(gone, 1);
  });
}
