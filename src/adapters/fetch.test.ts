import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, passUntil } from '../../test/support/manual-clock.ts';
import type { GatewayError } from '../base/errors.ts';
import type { ExchangeHandler, HttpExchange } from '../http/exchange.ts';
import type { BodyReader } from '../http/message.ts';
import { testReply } from '../http/reply.contract.ts';
import { createFetchHandler, type FetchConnection } from './fetch.ts';
import type { FetchFrontOptions } from './fetch-exchange.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

/** Answers one request with a handler of exchanges. */
async function ask(
  handle: ExchangeHandler,
  request: Request = new Request('http://a/'),
  options: Partial<FetchFrontOptions> = {},
  connection?: FetchConnection,
): Promise<Response> {
  const response = await createFetchHandler({ handle }, options)(request, connection);
  assert.ok(response !== undefined);
  return response;
}

function post(
  body: RequestInit['body'],
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Request {
  const init = { method: 'POST', body, headers, duplex: 'half', ...(signal && { signal }) };
  return new Request('http://a/', init as RequestInit);
}

/** Resolves with what the body's receiver heard. */
function collect(exchange: HttpExchange): Promise<string> {
  return new Promise((resolve) => {
    let body = '';
    exchange.readBody({
      data(chunk) {
        body += Buffer.from(chunk).toString('latin1');
        return true;
      },
      end: () => resolve(body),
      error: (error) => resolve(error.code),
    });
  });
}

/** What a reader of the whole body gets: the text, or the error's code. */
const readAll = (response: Response) =>
  response.text().catch((error: GatewayError) => error.code ?? error.name);

test('the request head: the target as the URL has it, Host of the URL, fields, no framing', async () => {
  let seen: HttpExchange | undefined;
  const handle: ExchangeHandler = (exchange) => {
    seen = exchange;
    exchange.reply.respond(204, '', []);
    exchange.reply.end();
  };
  const url = 'https://Example.test:8443/%41/./b\\c/%2e%2e/%E4%20?x=%ff&y="+\'#fragment';
  const headers = { 'X-A': '\xfc', Host: 'other', 'Transfer-Encoding': 'chunked', 'Content-Length': '9' };
  await ask(handle, new Request(url, { headers }), {}, { remoteAddress: '::ffff:192.0.2.1', remotePort: 7 });
  const { request } = seen!;
  // What WHATWG URL does to it: `.`, `..` and the backslash are resolved, the quotation mark and `'` of a query encoded.
  assert.equal(request.target, '/%41/b/%E4%20?x=%ff&y=%22+%27');
  assert.deepEqual(request.fields, ['host', 'example.test:8443', 'x-a', '\xfc']);
  assert.deepEqual(
    [request.method, request.version, request.secure, request.localAddress, request.localPort],
    ['GET', '1.1', true, '', 8443],
  );
  assert.deepEqual([request.remoteAddress, request.remotePort], ['192.0.2.1', 7]);
  assert.equal(seen!.bodyLength, 0);
  await ask(handle);
  assert.deepEqual(
    [seen!.request.target, seen!.request.remoteAddress, seen!.request.localPort, seen!.request.secure],
    // In no range, and no unix socket's either.
    ['/', 'unknown', 80, false],
  );
});

test('what no rule matches is undefined, and its signal is left alone', async () => {
  const handler = createFetchHandler({ handle: (_exchange, next) => next!() });
  assert.equal(await handler(new Request('http://a/')), undefined);
});

test('an answer that is whole within the tick: status, reason, repeated fields, no framing', async () => {
  let exchange: HttpExchange | undefined;
  const response = await ask((taken) => {
    exchange = taken;
    taken.reply.inform(103, ['Link', '</a.css>']);
    taken.reply.respond(201, 'Made', [
      ...['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Bytes', '\xfc', 'Connection', 'x'],
      ...['Transfer-Encoding', 'gzip', 'Keep-Alive', 'y', 'Upgrade', 'h2c'],
    ]);
    assert.equal(taken.reply.write(bytes('hel')), true);
    taken.reply.end(bytes('lo\xff'));
    assert.deepEqual([taken.reply.bodyBytesSent, taken.reply.ended], [6, true]);
  });
  assert.deepEqual([response.status, response.statusText], [201, 'Made']);
  assert.deepEqual(
    [...response.headers],
    [
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
      ['x-bytes', '\xfc'],
    ],
  );
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes('hello\xff'));
  assert.equal(exchange!.reply.write(bytes('ignored')), true);
});

test('an answer that comes later: its head at once, each piece at once', async () => {
  let exchange: HttpExchange | undefined;
  const response = await ask((taken) => {
    exchange = taken;
    taken.reply.respond(200, '', []);
  });
  const reader = response.body!.getReader();
  const first = reader.read();
  exchange!.reply.write(bytes('one'));
  assert.deepEqual(await first, { done: false, value: bytes('one') });
  exchange!.reply.write(bytes('two'));
  assert.deepEqual((await reader.read()).value, bytes('two'));
  exchange!.reply.end();
  assert.equal((await reader.read()).done, true);
});

test('no more waits in the stream than its reader will soon take; a reader makes drain', async () => {
  const chunk = Buffer.alloc(16_384, 'x');
  let exchange: HttpExchange | undefined;
  let written = 0;
  let drains = 0;
  const more = () => {
    while (written < 200) {
      written++;
      if (!exchange!.reply.write(chunk)) return;
    }
    exchange!.reply.end();
  };
  const response = await ask((taken) => {
    exchange = taken;
    taken.reply.setListener({
      drained() {
        drains++;
        more();
      },
      gone() {},
    });
    taken.reply.respond(200, '', []);
    more();
  });
  let read = 0;
  let waiting = written * chunk.length;
  for await (const piece of response.body!) {
    waiting = Math.max(waiting, written * chunk.length - read);
    read += piece.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(read, 200 * chunk.length);
  assert.ok(drains > 10, `${drains} drains`);
  assert.ok(waiting <= 65_536 + chunk.length, `${waiting} bytes waited`);
});

test('G2: a cut answer fails in its reader, after what came before', async () => {
  for (const pieces of [0, 1, 3]) {
    for (const isLate of [false, true]) {
      let exchange: HttpExchange | undefined;
      const cut = () => {
        for (let piece = 0; piece < pieces; piece++) exchange!.reply.write(bytes('part'));
        exchange!.reply.cut();
        assert.equal(exchange!.reply.ended, true);
      };
      const response = await ask((taken) => {
        exchange = taken;
        taken.reply.respond(200, '', []);
        if (!isLate) cut();
      });
      if (isLate) cut();
      let text = '';
      const reading = async () => {
        for await (const piece of response.body!) text += Buffer.from(piece).toString();
      };
      await assert.rejects(reading, { code: 'GW_ERR_SOURCE_CLOSED' });
      assert.equal(text, 'part'.repeat(pieces), `late ${isLate}`);
    }
  }
});

test('G2: fewer bytes than the Content-Length make the end a cut, and T61: not one more goes out', async () => {
  const short = await ask((exchange) => {
    exchange.reply.respond(200, '', ['Content-Length', '100']);
    exchange.reply.end(bytes('what came'));
  });
  assert.equal(await readAll(short), 'GW_ERR_SOURCE_CLOSED');
  const long = await ask((exchange) => {
    exchange.reply.respond(200, '', ['Content-Length', '5']);
    exchange.reply.write(bytes('hell'));
    exchange.reply.write(bytes('oEVIL!'));
    exchange.reply.end(bytes('more'));
    assert.equal(exchange.reply.bodyBytesSent, 5);
  });
  assert.deepEqual([await long.text(), long.headers.get('content-length')], ['hello', '5']);
});

test('T65: HEAD, 204, 205 and 304 have no body', async () => {
  const lengths: Record<number, string | null> = { 200: '4', 204: null, 205: '0', 304: '4' };
  for (const status of [200, 204, 205, 304]) {
    for (const isLate of [false, true]) {
      const response = await ask(
        (exchange) => {
          exchange.reply.respond(status, '', ['Content-Length', '4', 'ETag', '"x"']);
          const finish = () => {
            exchange.reply.write(bytes('body'));
            exchange.reply.end();
            assert.equal(exchange.reply.bodyBytesSent, 0);
          };
          if (isLate) setImmediate(finish);
          else finish();
        },
        new Request('http://a/', { method: status === 200 ? 'HEAD' : 'GET' }),
      );
      const length = response.headers.get('content-length');
      assert.deepEqual([response.status, response.body, length], [status, null, lengths[status]]);
    }
  }
});

test('T78: a head that no Response can hold becomes a 500, not an exception', async () => {
  for (const [status, fields] of [
    [200, ['X-Bad', 'a\r\nSet-Cookie: evil']],
    [999, []],
  ] as const) {
    for (const isLate of [false, true]) {
      const response = await ask((exchange) => {
        exchange.reply.respond(status, '', fields);
        const finish = () => exchange.reply.end(bytes('secret'));
        if (isLate) setImmediate(finish);
        else finish();
      });
      assert.deepEqual([response.status, await response.text(), [...response.headers]], [500, '', []]);
    }
  }
});

test('the head cannot be sent twice, nor a body before it; an upgrade is an error with advice', async () => {
  await ask((exchange) => {
    assert.throws(() => exchange.reply.write(bytes('x')), RangeError);
    assert.throws(
      () => exchange.reply.upgrade([], { data: () => true, end() {}, error() {} }),
      /gateway\.listener/,
    );
    exchange.reply.respond(200, 'OK', []);
    assert.throws(() => exchange.reply.respond(200, 'OK', []), RangeError);
    exchange.reply.end();
    exchange.reply.end(bytes('ignored'));
    exchange.reply.cut();
  });
});

test('a body with and without a length is read whole, no body as nothing', async () => {
  const handle: ExchangeHandler = async (exchange) => {
    const body = await collect(exchange);
    exchange.reply.respond(200, '', []);
    exchange.reply.end(bytes(`${exchange.bodyLength}:${body}`));
  };
  const known = await ask(handle, post('12345', { 'Content-Length': '5' }));
  assert.equal(await known.text(), '5:12345');
  const unknown = await ask(handle, post(new Blob(['ab', 'c']).stream()));
  assert.equal(await unknown.text(), 'undefined:abc');
  assert.equal(await (await ask(handle)).text(), '0:');
});

test('a receiver that pauses is not read ahead of', async () => {
  let produced = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (produced === 20) controller.close();
        else controller.enqueue(bytes(`${produced++ % 10}`));
      },
    },
    { highWaterMark: 0 },
  );
  const response = await ask((exchange) => {
    let received = '';
    const reader: BodyReader = exchange.readBody({
      data(chunk) {
        received += Buffer.from(chunk).toString();
        setImmediate(() => {
          assert.equal(produced, received.length);
          reader.resume();
        });
        return false;
      },
      end() {
        exchange.reply.respond(200, '', []);
        exchange.reply.end(bytes(received));
      },
      error: assert.ifError,
    });
  }, post(body));
  assert.equal(await response.text(), '01234567890123456789');
});

test('a body that breaks, comes too slowly, or was read by somebody else is an error of the receiver', async () => {
  const answerCode: ExchangeHandler = async (exchange) => {
    const text = await collect(exchange);
    exchange.reply.respond(200, '', []);
    exchange.reply.end(bytes(text));
  };
  const broken = new ReadableStream({ pull: (controller) => controller.error(new Error('broken')) });
  assert.equal(await (await ask(answerCode, post(broken))).text(), 'GW_ERR_HTTP_BODY_CUT');
  const silent = new ReadableStream({});
  const clock = new ManualClock();
  const slow = await passUntil(clock, ask(answerCode, post(silent), { bodyIdleMs: 30_000, clock }), 1_000);
  assert.equal(await slow.text(), 'GW_ERR_HTTP_BODY_TIMEOUT');
  const used = post('text');
  await used.text();
  assert.equal(await (await ask(answerCode, used)).text(), 'GW_ERR_INTERNAL');
  const odd = new ReadableStream({ pull: (controller) => controller.enqueue('text') });
  assert.equal(await (await ask(answerCode, post(odd))).text(), 'GW_ERR_HTTP_REQUEST');
});

test('a reader that closes ends the sending of the body', async () => {
  const cancelled = await new Promise((resolve) => {
    const body = new ReadableStream({ cancel: () => resolve(true) });
    void ask((exchange) => {
      exchange.readBody({ data: () => true, end() {}, error: assert.ifError }).close();
      exchange.reply.respond(200, '', []);
      exchange.reply.end();
    }, post(body));
  });
  assert.equal(cancelled, true);
});

test('a client that leaves is heard once, by listener, observer and body, whenever it leaves', async () => {
  for (const moment of ['before', 'waiting', 'streaming', 'cancel'] as const) {
    const heard: string[] = [];
    const controller = new AbortController();
    if (moment === 'before') controller.abort();
    const answering = ask(
      (exchange) => {
        exchange.setObserver({ id: 'a1', ended: () => heard.push('ended') });
        exchange.reply.setListener({ drained() {}, gone: () => heard.push('gone') });
        void collect(exchange).then((code) => heard.push(code));
        if (moment === 'streaming' || moment === 'cancel') exchange.reply.respond(200, '', []);
        else if (moment === 'waiting') setImmediate(() => controller.abort());
      },
      post(new ReadableStream({}), {}, controller.signal),
    );
    const response = await answering;
    if (moment === 'streaming') {
      controller.abort();
      assert.equal(await readAll(response), controller.signal.reason.code);
    } else if (moment === 'cancel') await response.body!.cancel();
    else assert.equal(response.status, 499);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(heard, ['ended', 'gone', 'GW_ERR_HTTP_BODY_CUT'], moment);
  }
});

test('an answer that nobody reads is given up', async () => {
  const clock = new ManualClock();
  const heard: string[] = [];
  const response = await ask(
    (exchange) => {
      exchange.reply.setListener({ drained() {}, gone: () => heard.push('gone') });
      exchange.reply.respond(200, '', []);
      assert.equal(exchange.reply.write(Buffer.alloc(70_000)), false);
    },
    undefined,
    { writeIdleMs: 60_000, clock },
  );
  clock.advance(60_000);
  // Tells of the stream's state without reading.
  await assert.rejects(response.body!.getReader().closed, { code: 'GW_ERR_SOURCE_CLOSED' });
  assert.deepEqual(heard, ['gone']);
});

test('G2: a stream fails only in a read that waits, since a server may take an error between two reads for the end', async () => {
  const response = await ask((exchange) => {
    exchange.reply.respond(200, '', []);
    for (let piece = 0; piece < 3; piece++) exchange.reply.write(bytes('part'));
    exchange.reply.cut();
  });
  const reader = response.body!.getReader();
  let failed = false;
  reader.closed.catch(() => {
    failed = true;
  });
  for (let piece = 0; piece < 3; piece++) {
    await reader.read();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(failed, false);
  }
  await assert.rejects(reader.read(), { code: 'GW_ERR_SOURCE_CLOSED' });
});

testReply('Fetch', async (method) => {
  const aborter = new AbortController();
  let taken!: (exchange: HttpExchange) => void;
  const exchange = new Promise<HttpExchange>((resolve) => {
    taken = resolve;
  });
  const handler = createFetchHandler({ handle: (begun) => taken(begun) });
  const answer = handler(new Request('http://a/', { method, signal: aborter.signal }));
  const { reply } = await exchange;
  return {
    reply,
    leave: () => aborter.abort(),
    async received() {
      const response = (await answer)!;
      let body = '';
      let isWhole = response.status !== 500;
      try {
        for await (const chunk of response.body ?? []) body += Buffer.from(chunk).toString('latin1');
      } catch {
        isWhole = false;
      }
      const field = (name: string) => response.headers.get(name) ?? undefined;
      return { status: response.status, field, body, isWhole };
    },
  };
});
