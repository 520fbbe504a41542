import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { serve, serveConnection } from '../../src/app/index.ts';
import { ManualClock, passUntil, turns } from '../../test/support/manual-clock.ts';
import {
  type ScriptedApplicationOptions,
  startScriptedApplication,
} from '../../test/support/scripted-application.ts';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { type Client, type ClientOptions, createClient, type RequestOptions } from './index.ts';

async function open(t: TestContext, options: ClientOptions = {}, app: ScriptedApplicationOptions = {}) {
  const application = await startScriptedApplication(app);
  const client = createClient(application.address, options);
  t.after(async () => {
    await application.close();
    await client.close();
  });
  const play = (name: string, more: RequestOptions = {}) =>
    client.request({ query: `play=${name}`, ...more });
  return { application, client, play };
}

const echo = async (client: Client, request: RequestOptions) => {
  const response = await client.request({ ...request, query: 'play=echo' });
  return (await response.json()) as { variables: Record<string, string>; stdin: string };
};

const code = (expected: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, expected);
  return true;
};

describe('client: the answer', () => {
  it('has status, headers, body, error output, statuses and times', async (t) => {
    const { play } = await open(t);
    const response = await play('stdout', {
      query: 'play=stdout&content=Status:%20404%20Gone%20away%0aSet-Cookie:%20a%0aSet-Cookie:%20b%0a%0ahello',
    });
    assert.deepEqual([response.status, response.reason], [404, 'Gone away']);
    assert.deepEqual(response.headers.getSetCookie(), ['a', 'b']);
    assert.equal(await response.text(), 'hello');
    assert.deepEqual([response.appStatus, response.protocolStatus, response.stderr], [0, 0, '']);
    const { firstByteMs, totalMs } = response.timings;
    assert.ok(firstByteMs > 0 && totalMs! >= firstByteMs);
  });

  it('knows its exit status only at the end', async (t) => {
    const { play } = await open(t);
    const response = await play('exit-status');
    assert.equal(await response.text(), 'Hello');
    assert.equal(response.appStatus, 3);
  });

  it('gathers error output, and tells of it as it comes', async (t) => {
    const { play } = await open(t);
    const heard: string[] = [];
    const response = await play('stderr-between', { onStderr: (chunk) => void heard.push(chunk.toString()) });
    assert.equal(await response.text(), 'Hello');
    assert.equal(response.stderr, 'one\ntwo\n');
    assert.equal(heard.join(''), 'one\ntwo\n');
  });

  it('is a stream, no faster than it is read', async (t) => {
    const { play, application } = await open(t);
    const response = await play('large', { query: 'play=large&bytes=20000000' });
    let bytes = 0;
    for await (const chunk of response.body) {
      bytes += (chunk as Buffer).length;
      if (bytes < 200_000) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(bytes, 20_000_000);
    assert.equal(response.appStatus, 0);
    assert.equal(application.accepted, 1);
  });

  it('waits for its reader', async (t) => {
    const { play } = await open(t);
    const response = await play('large', { query: 'play=large&bytes=20000000' });
    // More turns than its first bytes took.
    await turns(100);
    assert.equal(response.timings.totalMs, undefined);
    assert.equal((await response.bytes()).length, 20_000_000);
    await assert.rejects(response.text(), TypeError);
  });

  it('breaks when the application closes before the end', async (t) => {
    const { play } = await open(t);
    await assert.rejects((await play('eof-without-end')).text(), code('GW_ERR_SOURCE_CLOSED'));
    const stream = (await play('eof-without-end')).body;
    await assert.rejects(stream.toArray(), code('GW_ERR_SOURCE_CLOSED'));
    await assert.rejects((await play('content-length-too-long')).text(), code('GW_ERR_CGI_BODY_LENGTH'));
  });

  it('ends at its Content-Length, and has none for HEAD', async (t) => {
    const { play } = await open(t);
    assert.equal(await (await play('content-length-too-short')).text(), '01234');
    const content = 'play=stdout&content=Content-Length:%20100%0a%0a';
    const response = await play('stdout', { query: content, method: 'HEAD' });
    assert.equal(response.headers.get('content-length'), '100');
    assert.equal(await response.text(), '');
  });

  it('is given up by destroying the body', async (t) => {
    const { play, application } = await open(t);
    const response = await play('no-end');
    response.body.destroy();
    await application.whenAllClosed();
    assert.equal(application.open, 0);
  });
});

describe('client: what goes wrong is told in one sentence', () => {
  it('nobody there', async () => {
    const client = createClient('unix:/nowhere/none.sock');
    await assert.rejects(client.request({}), (error: Error) => {
      assert.match(error.message, /there is no such socket. Is the application \(php-fpm\?\) running/);
      return code('GW_ERR_SOURCE_CONNECT')(error);
    });
    await assert.rejects(client.getValues(), code('GW_ERR_SOURCE_CONNECT'));
    await client.close();
  });

  for (const [play, expected] of [
    ['close-without-a-byte', 'GW_ERR_SOURCE_CLOSED'],
    ['plain-http', 'GW_ERR_PROTOCOL_VERSION'],
    ['overloaded', 'GW_ERR_SOURCE_OVERLOADED'],
    ['unknown-role', 'GW_ERR_PROTOCOL_STATUS'],
    ['end-only', 'GW_ERR_CGI_NO_HEAD'],
    ['head-never-ends', 'GW_ERR_CGI_HEAD_TOO_LARGE'],
  ] as const) {
    it(play, async (t) => {
      const { play: start } = await open(t);
      await assert.rejects(start(play), code(expected));
    });
  }

  it('an answer without a head quotes the error output', async (t) => {
    const { play } = await open(t);
    await assert.rejects(play('stderr-only'), /it wrote to its error output: PHP Fatal error: out of luck$/);
  });

  it('silence', async (t) => {
    const clock = new ManualClock();
    const { play } = await open(t, { readTimeoutMs: 50_000, clock });
    await assert.rejects(passUntil(clock, play('silence'), 100), code('GW_ERR_SOURCE_READ_TIMEOUT'));
  });

  it('an answer that takes longer than it may, before and after its head', async (t) => {
    const clock = new ManualClock();
    const { play, application } = await open(t, { clock });
    const silent = play('silence', { timeoutMs: 50 });
    await assert.rejects(passUntil(clock, silent), /was not complete within 50 ms/);
    const response = await play('no-end', { timeoutMs: 3000 });
    await assert.rejects(passUntil(clock, response.text(), 100), code('GW_ERR_SOURCE_READ_TIMEOUT'));
    await application.whenAllClosed();
  });

  it('an invalid request', async (t) => {
    const { client } = await open(t);
    await assert.rejects(client.request({ headers: { 'a b': 'c' } }), /Header field "a b" is invalid/);
    await assert.rejects(client.request({ headers: { a: 'b\r\nc: d' } }), TypeError);
    await assert.rejects(client.request({ body: 5 as never }), TypeError);
    await assert.rejects(client.request({ data: 'x' }), /data is for the role Filter/);
    await assert.rejects(client.request({ role: 'Dancer' as never }), TypeError);
    assert.throws(() => createClient('nowhere'), code('GW_ERR_ADDRESS'));
  });
});

describe('client: the request', () => {
  it('has the variables that applications need, the headers, and what the caller says', async (t) => {
    const { client } = await open(t);
    const { variables, stdin } = await echo(client, {
      script: '/srv/größe/a.php',
      pathInfo: '/b',
      headers: { 'X-Foo': 'bär', 'content-type': 'text/x' },
      variables: { SERVER_PORT: '8080', REMOTE_PORT: undefined },
      body: 'héllo',
    });
    const expected: Record<string, string | undefined> = {
      SCRIPT_FILENAME: '/srv/größe/a.php',
      SCRIPT_NAME: '/a.php',
      DOCUMENT_ROOT: '/srv/größe',
      PATH_INFO: '/b',
      REQUEST_URI: '/a.php/b?play=echo',
      QUERY_STRING: 'play=echo',
      REQUEST_METHOD: 'POST',
      GATEWAY_INTERFACE: 'CGI/1.1',
      HTTP_X_FOO: 'bär',
      CONTENT_TYPE: 'text/x',
      CONTENT_LENGTH: '6',
      SERVER_PORT: '8080',
      REMOTE_PORT: undefined,
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(variables[name], value, name);
    assert.equal(stdin, 'héllo');
  });

  it('a streamed body arrives whole, and its announced length is held', async (t) => {
    const { client } = await open(t);
    const pieces = async function* () {
      for (let i = 0; i < 6; i++) yield 'x'.repeat(10_000);
    };
    assert.equal((await echo(client, { body: pieces() })).stdin.length, 60_000);
    const sent = await echo(client, {
      body: Readable.from([Buffer.from('abc'), 'def']),
      variables: { CONTENT_LENGTH: '6' },
    });
    assert.deepEqual([sent.stdin, sent.variables.CONTENT_LENGTH], ['abcdef', '6']);
    for (const length of ['999', '5']) {
      const wrong = client.request({
        body: Readable.from(['abcdef']),
        headers: { 'Content-Length': length },
      });
      await assert.rejects(wrong, code('GW_ERR_HTTP_BODY_CUT'));
    }
  });

  it('a body that fails is an error, and the application never takes it for complete', async (t) => {
    const { client, application } = await open(t);
    const body = async function* () {
      yield 'half';
      throw new Error('the disk is gone');
    };
    await assert.rejects(client.request({ body: body() }), /could not be read to its end: the disk is gone/);
    await application.whenAllClosed();
    assert.equal(application.requests[0]?.stdinEnded, false);
  });

  it('a stream that was never read is let go', async () => {
    const client = createClient('unix:/nowhere/none.sock');
    const body = new Readable({ read() {} });
    await assert.rejects(client.request({ body }), code('GW_ERR_SOURCE_CONNECT'));
    assert.equal(body.destroyed, true);
    await client.close();
  });

  it('a signal gives it up: before, while waiting and while reading', async (t) => {
    const { play, application } = await open(t);
    await assert.rejects(play('page', { signal: AbortSignal.abort(new Error('never')) }), /never/);
    const first = new AbortController();
    const waiting = play('silence', { signal: first.signal });
    first.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    const second = new AbortController();
    const response = await play('no-end', { signal: second.signal });
    const text = response.text();
    second.abort(new Error('enough'));
    await assert.rejects(text, /enough/);
    await application.whenAllClosed();
  });

  it('a Filter gets its file after STDIN; an Authorizer no variables of the resource', async (t) => {
    const address = `unix:${createTestDirectory()}/app.sock`;
    const server = await serve(
      async (request) => {
        const read = async (input: AsyncIterable<Buffer>) => {
          let text = '';
          for await (const chunk of input) text += chunk;
          return text;
        };
        const { FCGI_DATA_LENGTH, SCRIPT_NAME } = Object.fromEntries(request.params);
        const found = [request.role, await read(request.stdin), await read(request.data)];
        request.write(`Content-Type: a/b\n\n${JSON.stringify([...found, FCGI_DATA_LENGTH, SCRIPT_NAME])}`);
      },
      { listen: address },
    );
    const client = createClient(address);
    t.after(async () => {
      await client.close();
      await server.close();
    });
    const ask = async (request: RequestOptions) =>
      (await client.request({ script: '/a', ...request })).json();
    const file = Readable.from(['one', 'two']);
    assert.deepEqual(await ask({ role: 'Filter', data: file }), ['Filter', '', 'onetwo', null, '/a']);
    assert.deepEqual(await ask({ role: 'Filter', body: 'in', data: 'file' }), [
      'Filter',
      'in',
      'file',
      '4',
      '/a',
    ]);
    assert.deepEqual(await ask({ role: 'Filter' }), ['Filter', '', '', '0', '/a']);
    const body = Readable.from(['in']);
    assert.deepEqual(await ask({ role: 'Filter', body, data: 'file' }), ['Filter', 'in', 'file', '4', '/a']);
    assert.deepEqual(await ask({ role: 'Authorizer' }), ['Authorizer', '', '', null, null]);
  });
});

describe('client: GET_VALUES', () => {
  it('has a limit, since many never answer', async (t) => {
    const clock = new ManualClock();
    const { client, application } = await open(t, { clock });
    const silent = client.getValues({ timeoutMs: 50 });
    await assert.rejects(passUntil(clock, silent), code('GW_ERR_SOURCE_READ_TIMEOUT'));
    const controller = new AbortController();
    const asked = client.getValues({ timeoutMs: 60_000, signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(asked, /enough/);
    await application.whenAllClosed();
  });

  it('says that the application closed the connection', async (t) => {
    const { client } = await open(t, {}, { closesAtOnce: true });
    await assert.rejects(client.getValues({ timeoutMs: 20_000 }), code('GW_ERR_SOURCE_CLOSED'));
  });
});

describe('client: connections', () => {
  it('are kept and shared', async (t) => {
    const { play, application } = await open(t);
    for (let i = 0; i < 5; i++) await (await play('page')).text();
    assert.equal(application.accepted, 1);
    await Promise.all(Array.from({ length: 20 }, async () => (await play('slow')).text()));
    assert.ok(application.accepted <= 21);
  });

  it('are not kept for PHP', async (t) => {
    const { play, application } = await open(t, { keepConnections: 0 });
    for (let i = 0; i < 3; i++) await (await play('page')).text();
    assert.equal(application.accepted, 3);
    assert.equal(application.requests[0]?.keepConn, false);
  });

  it('close waits for what is under way, and refuses more', async (t) => {
    const { play, client } = await open(t);
    const slow = play('slow');
    const closed = client.close();
    await assert.rejects(play('page'), code('GW_ERR_SOURCE_STOPPED'));
    assert.equal(await (await slow).text(), 'slow');
    await closed;
  });
});

describe('client: multiplexing', () => {
  it('shares a connection with an application of ours, where one request is given up alone', async (t) => {
    const seen = { connections: 0, together: 0, most: 0, aborted: 0 };
    const given = new AbortController();
    const path = `${createTestDirectory()}/app.sock`;
    const application = createServer({ pauseOnConnect: true }, (socket) => {
      seen.connections++;
      void serveConnection(socket, async (request) => {
        seen.most = Math.max(seen.most, ++seen.together);
        const query = request.params.get('QUERY_STRING');
        if (query === 'never') {
          given.abort(new Error('enough'));
          await once(request.signal, 'abort');
          seen.aborted++;
          return;
        }
        let bytes = 0;
        for await (const chunk of request.stdin) bytes += chunk.length;
        seen.together--;
        request.write(`Content-Type: text/plain\r\n\r\n${query} ${bytes}`);
        request.end();
      });
    }).listen(path);
    const client = createClient(`unix:${path}`, { multiplexedRequestsMax: 50 });
    t.after(async () => {
      await client.close();
      application.close();
    });
    const get = async (query: string) =>
      (await client.request({ query, body: 'x'.repeat(Number(query)) })).text();
    for (let i = 0; i < 2; i++) await (await client.request({ query: `${i}` })).text();
    const never = client.request({ query: 'never', signal: given.signal });
    const answers = Promise.all(Array.from({ length: 40 }, (_, i) => get(`${i * 1000}`)));
    await assert.rejects(never, /enough/);
    assert.deepEqual(
      await answers,
      Array.from({ length: 40 }, (_, i) => `${i * 1000} ${i * 1000}`),
    );
    assert.deepEqual([seen.connections, seen.aborted], [1, 1]);
    assert.ok(seen.most > 10, `${seen.most} at a time`);
  });
});
