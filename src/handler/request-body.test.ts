import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeExchange } from '../../test/support/fake-exchange.ts';
import { type GatewayError, HttpRequestError } from '../base/errors.ts';
import type { RequestBody } from '../http/message.ts';
import { bodyMemoryBytesMax, type KeptBody, receiveBody, streamBody } from './request-body.ts';

const spoolDir = mkdtempSync(join(tmpdir(), 'request-body-'));
after(() => rmSync(spoolDir, { recursive: true }));

type Outcome = { body: KeptBody } | { error: GatewayError };

function receive(
  exchange: FakeExchange,
  options: Partial<{ maxBodyBytes: number; spoolDir: string }> = {},
): Promise<Outcome> & { close(): void; outcome: Outcome | undefined } {
  let settle: (outcome: Outcome) => void = () => {};
  const promise = new Promise<Outcome>((resolve) => {
    settle = resolve;
  }) as Promise<Outcome> & { close(): void; outcome: Outcome | undefined };
  const finish = (outcome: Outcome) => {
    assert.equal(promise.outcome, undefined, 'heard twice');
    promise.outcome = outcome;
    settle(outcome);
  };
  const receiving = receiveBody(
    exchange,
    { maxBodyBytes: 10_000_000, spoolDir, ...options },
    { bodyReceived: (body) => finish({ body }), bodyFailed: (error) => finish({ error }) },
  );
  promise.close = () => receiving?.close();
  return promise;
}

/** Reads it whole; with `slow` the receiver asks to wait after each piece. */
function read(body: RequestBody, slow = false): Promise<Buffer> {
  const pieces: Buffer[] = [];
  return new Promise((resolve, reject) => {
    let inCall = true;
    const reader = body.read({
      data(chunk) {
        assert.ok(!inCall, 'called before read returned');
        pieces.push(Buffer.from(chunk));
        if (slow) setImmediate(() => reader.resume());
        return !slow;
      },
      end: () => resolve(Buffer.concat(pieces)),
      error: reject,
    });
    inCall = false;
  });
}

function bytes(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
}

test('a small body is given whole in memory, in the same tick, without a copy', async () => {
  const exchange = new FakeExchange({ bodyLength: 5 });
  const receiving = receive(exchange);
  const chunk = Buffer.from('a=b&c');
  exchange.sendBody(chunk);
  exchange.endBody();
  const outcome = receiving.outcome as { body: KeptBody };
  assert.equal(outcome.body.bytes, chunk);
  assert.equal(outcome.body.length, 5);
  assert.equal(outcome.body.replayable, true);
  assert.equal((await read(outcome.body)).toString(), 'a=b&c');
  assert.equal((await read(outcome.body, true)).toString(), 'a=b&c');
});

test('a chunked body has its exact length at the end (T49)', async () => {
  const exchange = new FakeExchange({ bodyLength: undefined });
  const receiving = receive(exchange);
  for (const piece of ['he', 'l', 'lo']) exchange.sendBody(Buffer.from(piece));
  exchange.endBody();
  const { body } = (await receiving) as { body: KeptBody };
  assert.equal(body.length, 5);
  assert.equal(Buffer.from(body.bytes!).toString(), 'hello');
});

test('an empty chunked body is a body of length 0', async () => {
  const exchange = new FakeExchange({ bodyLength: undefined });
  const receiving = receive(exchange);
  exchange.endBody();
  const { body } = (await receiving) as { body: KeptBody };
  assert.equal(body.length, 0);
  assert.equal((await read(body)).length, 0);
});

for (const announced of [true, false]) {
  test(`a body above the memory limit goes to a file that has no name, ${announced ? 'announced' : 'chunked'}`, async () => {
    const whole = bytes(bodyMemoryBytesMax * 3 + 17);
    const exchange = new FakeExchange({ bodyLength: announced ? whole.length : undefined });
    const receiving = receive(exchange);
    for (let i = 0; i < whole.length; i += 50_000) exchange.sendBody(whole.subarray(i, i + 50_000));
    exchange.endBody();
    const { body } = (await receiving) as { body: KeptBody };
    assert.deepEqual(readdirSync(spoolDir), []);
    assert.equal(body.bytes, undefined);
    assert.equal(body.length, whole.length);
    assert.ok((await read(body)).equals(whole));
    assert.ok((await read(body, true)).equals(whole), 'read again, slowly');
    body.close();
    body.close();
  });
}

test('a body of exactly the memory limit stays in memory', async () => {
  const exchange = new FakeExchange({ bodyLength: bodyMemoryBytesMax });
  const receiving = receive(exchange);
  exchange.sendBody(bytes(bodyMemoryBytesMax));
  exchange.endBody();
  const { body } = (await receiving) as { body: KeptBody };
  assert.equal(body.bytes?.length, bodyMemoryBytesMax);
});

test('a disk that lags behind pauses the client, and lets it go on', async () => {
  const exchange = new FakeExchange({ bodyLength: undefined });
  const receiving = receive(exchange, { maxBodyBytes: 100_000_000 });
  let sent = 0;
  while (!exchange.bodyPaused) {
    assert.ok(sent < 64, 'never paused');
    exchange.sendBody(Buffer.alloc(65_536, sent++));
  }
  while (exchange.bodyPaused) await new Promise((resolve) => setImmediate(resolve));
  exchange.endBody();
  const { body } = (await receiving) as { body: KeptBody };
  assert.equal(body.length, sent * 65_536);
  body.close();
});

test('an announced body above the limit is refused before it is read, so before 100 Continue (T48)', async () => {
  const exchange = new FakeExchange({ bodyLength: 101 });
  const outcome = (await receive(exchange, { maxBodyBytes: 100 })) as { error: GatewayError };
  assert.equal(outcome.error.code, 'GW_ERR_HTTP_BODY_TOO_LARGE');
  assert.match(outcome.error.message, /101 bytes.*limit is 100/);
  assert.equal(exchange.bodyReads, 0);
});

test('a chunked body that crosses the limit is refused there', async () => {
  const exchange = new FakeExchange({ bodyLength: undefined });
  const receiving = receive(exchange, { maxBodyBytes: 100 });
  exchange.sendBody(Buffer.alloc(100));
  assert.equal(receiving.outcome, undefined);
  exchange.sendBody(Buffer.alloc(1));
  assert.equal(((await receiving) as { error: GatewayError }).error.code, 'GW_ERR_HTTP_BODY_TOO_LARGE');
  assert.equal(exchange.bodyClosed, true);
});

test('a body that the client cuts is an error, and its file is closed (F33)', async () => {
  const exchange = new FakeExchange({ bodyLength: 200_000 });
  const receiving = receive(exchange);
  exchange.sendBody(bytes(100_000));
  exchange.failBody(new HttpRequestError('GW_ERR_HTTP_BODY_CUT', 'cut'));
  assert.equal(((await receiving) as { error: GatewayError }).error.code, 'GW_ERR_HTTP_BODY_CUT');
});

test('fewer bytes than announced are an error, whatever the front says', async () => {
  const exchange = new FakeExchange({ bodyLength: 10 });
  const receiving = receive(exchange);
  exchange.sendBody(Buffer.alloc(9));
  exchange.endBody();
  assert.equal(((await receiving) as { error: GatewayError }).error.code, 'GW_ERR_HTTP_BODY_CUT');
});

test('closed while it is received, nobody hears of it', () => {
  const exchange = new FakeExchange({ bodyLength: 200_000 });
  const receiving = receive(exchange);
  exchange.sendBody(bytes(100_000));
  receiving.close();
  receiving.close();
  assert.equal(exchange.bodyClosed, true);
  assert.equal(receiving.outcome, undefined);
});

test('a spool directory that is not there is a GW_ERR_SPOOL that names it', async () => {
  const exchange = new FakeExchange({ bodyLength: 100_000 });
  const receiving = receive(exchange, { spoolDir: join(spoolDir, 'nowhere') });
  exchange.sendBody(bytes(100_000));
  const { error } = (await receiving) as { error: GatewayError };
  assert.equal(error.code, 'GW_ERR_SPOOL');
  assert.match(error.message, /nowhere.*ENOENT/);
});

test('a streamed body passes through once', async () => {
  const exchange = new FakeExchange({ bodyLength: 3 });
  let toldOfEnd = 0;
  const body = streamBody(exchange, 100, () => {
    toldOfEnd += 1;
  });
  assert.equal(body.length, 3);
  assert.equal(body.replayable, true, 'not yet begun: another source may still be asked');
  const received: string[] = [];
  body.read({
    data: (chunk) => received.push(chunk.toString()) > 0,
    end: () => received.push('end'),
    error() {},
  });
  assert.equal(body.replayable, false);
  exchange.sendBody(Buffer.from('abc'));
  assert.deepEqual([body.isReceived, toldOfEnd], [false, 0]);
  exchange.endBody();
  assert.deepEqual(received, ['abc', 'end']);
  assert.deepEqual([body.isReceived, toldOfEnd], [true, 1]);

  const refused = (bodyLength: number, limit: number) => {
    try {
      streamBody(new FakeExchange({ bodyLength }), limit, () => {});
    } catch (error) {
      return (error as GatewayError).code;
    }
    return undefined;
  };
  assert.equal(refused(101, 100), 'GW_ERR_HTTP_BODY_TOO_LARGE');
});
