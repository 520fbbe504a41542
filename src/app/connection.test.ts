import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rename, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { exchange, readAll, readBytes, startApplication } from '../../test/support/application-client.ts';
import { freePort } from '../../test/support/free-port.ts';
import { createRandom } from '../../test/support/random.ts';
import {
  beginRequest,
  endRequest,
  hex,
  pair,
  params,
  record,
  stderr,
  stdin,
  stdout,
} from '../../test/support/record-builder.ts';
import { serve } from './server.ts';

const none = Buffer.alloc(0);

test('a responder gets variables and body, and its output, errors and status go back', async (t) => {
  const { path } = await startApplication(t, async (request) => {
    assert.equal(request.role, 'Responder');
    assert.equal(request.params.get('NAME'), 'v\xff');
    let body = '';
    for await (const chunk of request.stdin) body += (chunk as Buffer).toString('latin1');
    request.write(`got ${body}`);
    request.writeError('oops');
    request.end(7);
  });
  const answer = await exchange(
    path,
    beginRequest(),
    params({ NAME: 'v\xff' }),
    stdin('abc'),
    stdin('de'),
    stdin(''),
  );
  assert.deepEqual(
    answer,
    Buffer.concat([
      stdout('got abcde'),
      stderr('oops'),
      record(6, 1, none),
      record(7, 1, none),
      endRequest(0, 7),
    ]),
  );
});

test('input byte by byte, variables in several records, long lengths: the same request', async (t) => {
  const { path } = await startApplication(t, (request) => {
    request.write([...request.params].map(([name, value]) => `${name}=${value.length};`).join(''));
  });
  const pairs = Buffer.concat([pair('A', 'x'.repeat(300)), pair('B', 'y', true)]);
  const bytes = Buffer.concat([
    beginRequest(),
    record(4, 1, pairs.subarray(0, 100), 5),
    record(4, 1, pairs.subarray(100)),
    record(4, 1, none),
    stdin(''),
  ]);
  const socket = connect(path);
  socket.setNoDelay(true);
  for (const byte of bytes) {
    socket.write(Buffer.of(byte));
  }
  const answer = await readAll(socket);
  assert.deepEqual(answer, Buffer.concat([stdout('A=300;B=1;'), record(6, 1, none), endRequest()]));
});

test('a kept connection serves the next request; without KEEP_CONN it closes', async (t) => {
  const { path } = await startApplication(t, (request) => void request.write(request.params.get('N')!));
  const socket = connect(path);
  const one = Buffer.concat([stdout('1'), record(6, 1, none), endRequest()]);
  socket.write(Buffer.concat([beginRequest(1, 1), params({ N: '1' }), stdin('')]));
  assert.deepEqual(await readBytes(socket, one.length), one);
  socket.write(Buffer.concat([beginRequest(1, 0), params({ N: '2' }), stdin('')]));
  assert.deepEqual(await readAll(socket), Buffer.concat([stdout('2'), record(6, 1, none), endRequest()]));
});

test('requests with several ids run at the same time; one above the limit is OVERLOADED', async (t) => {
  const release: (() => void)[] = [];
  const { path } = await startApplication(
    t,
    async (request) => {
      await new Promise<void>((resolve) => release.push(resolve));
      request.write(`n${request.id}`);
      if (request.id === 1) release[0]!();
    },
    { requestsPerConnectionMax: 2 },
  );
  const socket = connect(path);
  for (const id of [1, 2, 3]) socket.write(Buffer.concat([beginRequest(1, 1, id), params({ A: '' }, id)]));
  assert.deepEqual(await readBytes(socket, 16), endRequest(2, 0, 3));
  release[1]!();
  const second = Buffer.concat([stdout('n2', 2), record(6, 2, none), endRequest(0, 0, 2)]);
  assert.deepEqual(await readBytes(socket, second.length), second);
  release[0]!();
  socket.destroy();
});

test('with one request at a time a second is CANT_MPX_CONN, and GET_VALUES says so', async (t) => {
  const { path } = await startApplication(t, () => new Promise(() => {}), { requestsPerConnectionMax: 1 });
  const socket = connect(path);
  socket.write(record(9, 0, Buffer.concat([pair('FCGI_MPXS_CONNS', ''), pair('FCGI_OTHER', '')])));
  const values = record(10, 0, pair('FCGI_MPXS_CONNS', '0'));
  assert.deepEqual(await readBytes(socket, values.length), values);
  socket.write(Buffer.concat([beginRequest(1, 1, 1), params({ A: '' }), beginRequest(1, 1, 2)]));
  assert.deepEqual(await readBytes(socket, 16), endRequest(1, 0, 2));
  socket.destroy();
});

test('an unknown role and an unknown management record are answered as the specification says', async (t) => {
  const { path } = await startApplication(t, () => {});
  assert.deepEqual(await exchange(path, beginRequest(9)), endRequest(3));
  const socket = connect(path);
  socket.write(record(99, 0, Buffer.from('abc')));
  assert.deepEqual(await readBytes(socket, 16), record(11, 0, hex('63 00000000000000')));
  socket.destroy();
});

test('Authorizer and Filter: no stdin for one, a data stream for the other', async (t) => {
  const { path } = await startApplication(t, async (request) => {
    let input = '';
    for await (const chunk of request.stdin) input += chunk;
    for await (const chunk of request.data) input += `|${chunk}`;
    request.write(`${request.role} ${input}`);
  });
  const authorizer = await exchange(path, beginRequest(2), params({ A: '' }));
  assert.deepEqual(authorizer, Buffer.concat([stdout('Authorizer '), record(6, 1, none), endRequest()]));
  const filter = await exchange(
    path,
    beginRequest(3),
    params({ A: '' }),
    stdin('in'),
    stdin(''),
    record(8, 1, Buffer.from('file')),
    record(8, 1, none),
  );
  assert.deepEqual(filter, Buffer.concat([stdout('Filter in|file'), record(6, 1, none), endRequest()]));
});

test('abort and a closed connection reach the signal and the input', async (t) => {
  const seen: string[] = [];
  let started = 0;
  const { path } = await startApplication(t, async (request) => {
    started++;
    await assert.rejects(async () => {
      for await (const _ of request.stdin);
    });
    assert.ok(request.signal.aborted);
    seen.push((request.signal.reason as Error).message);
  });
  const open = async () => {
    const before = started;
    const socket = connect(path);
    socket.write(Buffer.concat([beginRequest(), params({ A: '' }), stdin('x')]));
    while (started === before) await new Promise((resolve) => setImmediate(resolve));
    return socket;
  };
  const aborted = await open();
  aborted.write(record(2, 1, none));
  assert.deepEqual(await readAll(aborted), Buffer.concat([record(6, 1, none), endRequest()]));
  (await open()).destroy();
  while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, ['The web server aborted the request', 'The web server closed the connection']);
});

test('a request that is aborted before it ran does not run', async (t) => {
  const { path } = await startApplication(t, () => assert.fail('it ran'));
  const answer = await exchange(path, Buffer.concat([beginRequest(), params({ A: '' }), record(2, 1, none)]));
  assert.deepEqual(answer, Buffer.concat([record(6, 1, none), endRequest(0, 1)]));
});

test('a handler that fails before its output: a 500, its error in STDERR, appStatus 1', async (t) => {
  const { path } = await startApplication(t, () => {
    throw new Error('no luck');
  });
  const answer = await exchange(path, beginRequest(), params({ A: '' }), stdin(''));
  assert.match(answer.toString('latin1'), /^\x01\x07[\s\S]*Error: no luck\n/);
  assert.ok(answer.includes('Status: 500 Internal Server Error\r\n'));
  assert.deepEqual(answer.subarray(-16), endRequest(0, 1));
});

test('a handler that fails after output: the answer is cut, when the other requests have ended', async (t) => {
  let release = () => {};
  const { path } = await startApplication(t, async (request) => {
    request.write(`n${request.id}`);
    if (request.id === 1) throw new Error('no luck');
    await new Promise<void>((resolve) => {
      release = resolve;
    });
  });
  const socket = connect(path);
  const ask = (id: number) => Buffer.concat([beginRequest(1, 1, id), params({ A: '' }, id), stdin('', id)]);
  socket.write(Buffer.concat([ask(2), ask(1)]));
  await readBytes(socket, stdout('n1').length * 2 + 30);
  socket.write(ask(3));
  assert.deepEqual(await readBytes(socket, 16), endRequest(2, 0, 3));
  release();
  assert.deepEqual(await readAll(socket), Buffer.concat([record(6, 2, none), endRequest(0, 0, 2)]));
});

test('limits of all connections together: more requests, and requests of more connections, are OVERLOADED', async (t) => {
  const { path } = await startApplication(t, () => new Promise(() => {}), {
    requestsMax: 1,
    connectionsMax: 2,
  });
  const first = connect(path);
  first.write(
    Buffer.concat([beginRequest(1, 1), params({ A: '' }), record(9, 0, pair('FCGI_MAX_REQS', ''))]),
  );
  const values = record(10, 0, pair('FCGI_MAX_REQS', '1'));
  assert.deepEqual(await readBytes(first, values.length), values);
  const second = connect(path);
  second.write(beginRequest(1, 1));
  assert.deepEqual(await readBytes(second, 16), endRequest(2));
  assert.deepEqual(await exchange(path, beginRequest()), endRequest(2));
  first.destroy();
  second.destroy();
});

test('an abort frees its place, before and after the variables are whole', async (t) => {
  const { path } = await startApplication(t, () => new Promise(() => {}), { requestsMax: 1 });
  const socket = connect(path);
  socket.write(Buffer.concat([beginRequest(1, 1), record(2, 1, none)]));
  assert.deepEqual(await readBytes(socket, 16), endRequest(0, 1));
  socket.write(Buffer.concat([beginRequest(1, 1), params({ A: '' }), record(2, 1, none)]));
  const answer = Buffer.concat([record(6, 1, none), endRequest(0, 1)]);
  assert.deepEqual(await readBytes(socket, answer.length), answer);
  socket.write(beginRequest(1, 1, 7));
  socket.write(record(9, 0, pair('FCGI_MAX_REQS', '')));
  const values = record(10, 0, pair('FCGI_MAX_REQS', '1'));
  assert.deepEqual(await readBytes(socket, values.length), values);
  socket.destroy();
});

test('a small answer, and the answers of a turn, leave in one write', async (t) => {
  const { path } = await startApplication(t, (request) => {
    request.write('Content-Type: text/plain\r\n\r\n');
    request.write(Buffer.from('body'));
  });
  const socket = connect(path);
  let reads = 0;
  let bytes = 0;
  socket.on('data', (chunk) => {
    reads++;
    bytes += chunk.length;
  });
  const ids = [1, 2, 3];
  socket.write(
    Buffer.concat(ids.map((id) => Buffer.concat([beginRequest(1, 1, id), params({}, id), stdin('', id)]))),
  );
  const each = stdout('Content-Type: text/plain\r\n\r\n').length + stdout('body').length + 8 + 16;
  while (bytes < 3 * each) await once(socket, 'data');
  assert.equal(bytes, 3 * each);
  assert.equal(reads, 1);
  socket.destroy();
});

test('a stop ends idle connections at once, busy ones after their answer, and refuses new ones', async (t) => {
  let release: (() => void) | undefined;
  const { path, server } = await startApplication(t, async (request) => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    request.write('late');
  });
  const idle = connect(path);
  const busy = connect(path);
  busy.write(Buffer.concat([beginRequest(1, 1), params({ A: '' }), stdin('')]));
  await once(idle, 'connect');
  while (release === undefined) await new Promise((resolve) => setImmediate(resolve));
  const stopped = server.close(20_000);
  assert.equal((await readAll(idle)).length, 0);
  await assert.rejects(exchange(path, beginRequest()), { code: 'ENOENT' });
  release();
  assert.deepEqual(await readAll(busy), Buffer.concat([stdout('late'), record(6, 1, none), endRequest()]));
  await stopped;
});

test('only web servers that are named may connect', async (t) => {
  const { path } = await startApplication(t, () => {}, { webServerAddresses: ['127.0.0.1'] });
  // A write may find the socket closed already.
  const refused = async () => (await exchange(path, beginRequest(9)).catch(() => none)).length;
  assert.equal(await refused(), 0, 'a unix socket has no address');
  for (const [address, isTaken] of [
    ['127.0.0.1', true],
    ['::ffff:127.0.0.1', true],
    ['127.0.0.2', false],
  ] as const) {
    const port = await freePort();
    const server = await serve(() => {}, {
      listen: `tcp://127.0.0.1:${port}`,
      webServerAddresses: ['10.0.0.1', address],
    });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(beginRequest(9));
    const answer = await readAll(socket).catch(() => none);
    assert.equal(answer.length, isTaken ? 16 : 0);
    await server.close();
  }
});

test('FCGI_WEB_SERVER_ADDRS of the environment names them too; empty, it names none and all may connect', async (t) => {
  t.after(() => {
    delete process.env.FCGI_WEB_SERVER_ADDRS;
  });
  for (const [names, answered] of [
    ['192.0.2.1, 192.0.2.2', 0],
    ['192.0.2.1, 127.0.0.1', 16],
    ['', 16],
  ] as const) {
    process.env.FCGI_WEB_SERVER_ADDRS = names;
    const port = await freePort();
    const server = await serve(() => {}, { listen: `tcp://127.0.0.1:${port}` });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(beginRequest(9));
    assert.equal((await readAll(socket).catch(() => none)).length, answered, names);
    await server.close();
  }
});

test('a socket file gets the permissions that were asked for', async (t) => {
  const { path } = await startApplication(t, () => {}, { mode: 0o620 });
  assert.equal((await stat(path)).mode & 0o777, 0o620);
});

test('a body that nobody reads stops the connection, and is dropped at the end without a reset', async (t) => {
  let end = () => {};
  const { path } = await startApplication(
    t,
    () =>
      new Promise<void>((resolve) => {
        end = resolve;
      }),
  );
  const socket = connect(path);
  socket.write(Buffer.concat([beginRequest(), params({ A: '' })]));
  const piece = record(5, 1, Buffer.alloc(65_535));
  // Full when it has not drained for many turns of the loop.
  let idleTurns = 0;
  while (idleTurns < 200 && socket.bytesWritten < 8_000_000) {
    idleTurns = socket.writableNeedDrain ? idleTurns + 1 : 0;
    if (idleTurns === 0) socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(socket.writableNeedDrain, `the application took ${socket.bytesWritten} bytes`);
  end();
  assert.deepEqual(await readAll(socket), Buffer.concat([record(6, 1, none), endRequest()]));
});

test('output waits for a web server that does not read', async (t) => {
  let written = 0;
  const { path } = await startApplication(t, async (request) => {
    const chunk = Buffer.alloc(65_536, 'x');
    for (let i = 0; i < 64; i++) {
      written += chunk.length;
      if (!request.write(chunk)) await request.drained();
    }
  });
  const socket = connect(path);
  socket.pause();
  socket.write(Buffer.concat([beginRequest(), params({ A: '' }), stdin('')]));
  while (written === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(written < 64 * 65_536, `${written} bytes were taken`);
  const answer = await readAll(socket);
  assert.ok(answer.length > 64 * 65_536);
  assert.deepEqual(answer.subarray(-16), endRequest());
});

test('what is no FastCGI closes the connection', async (t) => {
  const { path } = await startApplication(t, () => {}, { paramsBytesMax: 1000 });
  const bad: Record<string, Buffer> = {
    http: Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    'id 0': beginRequest(1, 0, 0),
    'id in use': Buffer.concat([beginRequest(1, 1, 1), beginRequest(1, 1, 1)]),
    'cut pair': Buffer.concat([beginRequest(), record(4, 1, hex('05 05 41')), record(4, 1, none)]),
    'too many variables': Buffer.concat([beginRequest(), record(4, 1, pair('A', 'x'.repeat(1001)))]),
    'short BEGIN_REQUEST': record(1, 1, hex('0001')),
  };
  for (const [name, bytes] of Object.entries(bad)) {
    assert.equal((await exchange(path, bytes)).length, 0, name);
  }
});

test('a dead socket file is replaced; a living one and a plain file are left alone', async (t) => {
  const { path } = await startApplication(t, () => {});
  await assert.rejects(
    serve(() => {}, { listen: `unix:${path}` }),
    /somebody else listens there/,
  );
  const file = `${path}.file`;
  await writeFile(file, 'mine');
  await assert.rejects(
    serve(() => {}, { listen: `unix:${file}` }),
    { code: 'GW_ERR_ADDRESS' },
  );
  assert.equal((await stat(file)).size, 4);

  const dead = `${path}.dead`;
  const child = createServer();
  await new Promise<void>((resolve) => child.listen(dead, resolve));
  await rename(dead, `${dead}.kept`);
  await new Promise((resolve) => child.close(resolve));
  const again = await serve((request) => void request.write('new'), { listen: `unix:${dead}.kept` });
  await again.close();
});

test('any records, in any order and cut anywhere, never end the application', async (t) => {
  const { path } = await startApplication(t, async (request) => {
    for await (const chunk of request.stdin) if (!request.write(chunk as Buffer)) await request.drained();
  });
  const random = createRandom(20260101);
  const upTo = (limit: number) => Math.floor(random() * limit);
  for (let round = 0; round < 150; round++) {
    const pieces = [beginRequest(upTo(5), upTo(2), 1 + upTo(3))];
    for (let i = upTo(12); i > 0; i--) {
      const content = random() < 0.4 ? none : Buffer.from(Array.from({ length: upTo(40) }, () => upTo(256)));
      pieces.push(
        random() < 0.3 ? params({ A: 'b' }, 1 + upTo(3)) : record(upTo(13), upTo(4), content, upTo(9)),
      );
    }
    const bytes = Buffer.concat(pieces);
    if (random() < 0.3) bytes[upTo(bytes.length)] = upTo(256);
    const socket = connect(path);
    socket.on('error', () => {});
    socket.end(bytes.subarray(0, random() < 0.3 ? upTo(bytes.length) : bytes.length));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  }
  const answer = await exchange(path, beginRequest(), params({ A: '' }), stdin('still here'), stdin(''));
  assert.deepEqual(answer, Buffer.concat([stdout('still here'), record(6, 1, none), endRequest()]));
});
