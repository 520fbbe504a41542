/**
 * What every application must answer through the gateway, whatever its language: one suite, run for each.
 * The programs are in test/applications; all have the same routes, told by PATH_INFO.
 */

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { it } from 'node:test';
import { encodeForm, encodeMultipart } from './form-data.ts';
import { type Answer, fetchAnswer, measureBody, openAnswer, sha256 } from './http-client.ts';
import { patternDigest, patternStream } from './pattern.ts';
import { until } from './until.ts';

export interface SuiteTarget {
  /** `http://127.0.0.1:port`, known only when the tests run. */
  readonly origin: () => string;
  /** SCRIPT_NAME that the application must see: the path in front of the routes; `` for an application at `/`. */
  readonly scriptName: string;
  /** What SCRIPT_FILENAME must end with; undefined where the application shows none. */
  readonly scriptFilename?: string;
  /** The application's library sends an answer only when it is complete: no events one by one. */
  readonly answersAtOnce?: boolean;
  /** Lines of the gateway's log; checked for what the application writes to its error stream. */
  readonly logLines?: () => readonly string[];
}

/** Every byte value, some of them in pairs that careless code changes (CR LF, the boundary's dashes). */
const binary = Buffer.concat([
  Buffer.from(Array.from({ length: 1024 }, (_, at) => (at * 7) & 255)),
  Buffer.from('\r\n--\r\n\0\0\xff\xfe', 'latin1'),
  Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * at) & 255)),
]);

/** Registers the suite's tests in the current `describe`. */
export function applicationSuite({
  origin,
  scriptName,
  scriptFilename,
  answersAtOnce,
  logLines,
}: SuiteTarget): void {
  const send = (path: string, request = {}) => fetchAnswer(origin(), scriptName + path, request);
  const json = (answer: Answer) => {
    assert.equal(answer.status, 200, answer.text.slice(0, 500));
    return JSON.parse(answer.text);
  };

  it('GET: the CGI variables', async () => {
    const answer = await send('/echo?a=1&b=two%20words', {
      headers: { 'X-Custom-Field': 'its value', 'User-Agent': 'test', Proxy: 'http://evil.example' },
    });
    const { variables, query } = json(answer);
    assert.deepEqual({ ...query }, { a: '1', b: 'two words' });
    const { host, port, hostname } = new URL(origin());
    const expected: Record<string, string> = {
      REQUEST_METHOD: 'GET',
      SCRIPT_NAME: scriptName,
      PATH_INFO: '/echo',
      QUERY_STRING: 'a=1&b=two%20words',
      REQUEST_URI: `${scriptName}/echo?a=1&b=two%20words`,
      SERVER_PROTOCOL: 'HTTP/1.1',
      SERVER_NAME: hostname,
      SERVER_PORT: port,
      REMOTE_ADDR: '127.0.0.1',
      HTTP_HOST: host,
      HTTP_X_CUSTOM_FIELD: 'its value',
      HTTP_USER_AGENT: 'test',
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(variables[name], value, name);
    assert.equal(variables.HTTP_PROXY, undefined, 'CVE-2016-5385');
    if (scriptFilename !== undefined) {
      assert.ok(variables.SCRIPT_FILENAME.endsWith(scriptFilename), variables.SCRIPT_FILENAME);
    }
  });

  it('PATH_INFO is decoded once, REQUEST_URI is as it came', async () => {
    const { variables } = json(await send('/echo/a%20b/%C3%A9/x.y.z/?q=%2F'));
    assert.equal(variables.PATH_INFO, '/echo/a b/é/x.y.z/');
    assert.equal(variables.REQUEST_URI, `${scriptName}/echo/a%20b/%C3%A9/x.y.z/?q=%2F`);
    assert.equal(variables.QUERY_STRING, 'q=%2F');
  });

  it('HEAD: status and fields of GET, no body', async () => {
    const answer = await send('/echo', { method: 'HEAD' });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, 0);
  });

  it('POST of a form', async () => {
    const fields = { name: 'Zoë & Jürgen', text: 'a=b&c\r\nd', empty: '' };
    const answer = await send('/form', {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: encodeForm(fields),
    });
    assert.deepEqual(json(answer).fields, fields);
  });

  it('multipart upload with binary content', async () => {
    const { type, body } = encodeMultipart({ note: 'with a file' }, [
      { name: 'file', filename: 'every byte.bin', type: 'application/octet-stream', content: binary },
    ]);
    const answer = await send('/upload', { method: 'POST', headers: { 'Content-Type': type }, body });
    assert.deepEqual(json(answer), {
      fields: { note: 'with a file' },
      filename: 'every byte.bin',
      bytes: binary.length,
      sha256: sha256(binary),
    });
  });

  it('bodies of 0, 1, 65 535, 65 536 and 3 000 000 bytes arrive whole, with a length and chunked', async () => {
    for (const bytes of [0, 1, 65_535, 65_536, 3_000_000]) {
      for (const chunked of [false, true]) {
        const headers = {
          'Content-Type': 'application/octet-stream',
          ...(chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': bytes }),
        };
        const answer = await send('/body', { method: 'PUT', headers, body: patternStream(bytes) });
        assert.deepEqual(
          json(answer),
          { bytes, sha256: patternDigest(bytes) },
          `${bytes}, chunked ${chunked}`,
        );
      }
    }
  });

  it('cookies both ways, two Set-Cookie lines in order', async () => {
    const answer = await send('/cookies', { headers: { Cookie: 'left=1; right=2' } });
    assert.deepEqual(json(answer).cookies, { left: '1', right: '2' });
    const set = (answer.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]);
    assert.deepEqual(set, ['first=one', 'second=two']);
  });

  it('a redirect goes to the client', async () => {
    const answer = await send('/redirect');
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.location, `${scriptName}/echo?from=redirect`);
    const followed = await fetchAnswer(origin(), answer.headers.location!);
    assert.equal(json(followed).variables.QUERY_STRING, 'from=redirect');
  });

  it("the application's own 404 and 500 pass unchanged", async () => {
    const missing = await send('/nothing-here');
    assert.deepEqual([missing.status, missing.text], [404, 'no such route']);
    const broken = await send('/broken');
    assert.deepEqual([broken.status, broken.text], [500, 'broken on purpose']);
  });

  it('downloads of 5 MB, with and without a Content-Length', async () => {
    const bytes = 5_000_000;
    for (const query of [`bytes=${bytes}`, `bytes=${bytes}&length`]) {
      const answer = await openAnswer(origin(), `${scriptName}/download?${query}`);
      assert.equal(answer.statusCode, 200);
      assert.deepEqual(await measureBody(answer), { bytes, sha256: patternDigest(bytes) }, query);
      if (query.endsWith('length')) assert.equal(answer.headers['content-length'], String(bytes));
    }
  });

  it(`server-sent events arrive ${answersAtOnce ? 'whole' : 'one by one'}`, async () => {
    // A busy machine may hold up this client, and not ten times in a row.
    for (let triesLeft = 9; ; triesLeft--) {
      const answer = await openAnswer(origin(), `${scriptName}/events`);
      assert.match(answer.headers['content-type'] ?? '', /^text\/event-stream/);
      const arrivals: number[] = [];
      let text = '';
      for await (const chunk of answer) {
        text += chunk;
        arrivals.push(performance.now());
      }
      assert.equal(text, 'data: 1\n\ndata: 2\n\ndata: 3\n\n');
      // The application waits 100 ms between two events.
      if (answersAtOnce || arrivals.at(-1)! - arrivals[0]! > 80) return;
      assert.ok(triesLeft > 0, `the events came late, in ${arrivals.length} pieces`);
    }
  });

  it('a kept client connection serves request after request', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      for (let number = 0; number < 10; number++) {
        const answer = await send(`/echo?number=${number}`, { agent });
        assert.equal(json(answer).query.number, String(number));
      }
    } finally {
      agent.destroy();
    }
  });

  it('40 requests at once: each client gets its own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, number) => send(`/echo?number=${number}`)),
    );
    assert.deepEqual(
      answers.map((answer) => json(answer).query.number),
      answers.map((_, number) => String(number)),
    );
  });

  if (logLines !== undefined) {
    it("the application's error stream ends in our log", async () => {
      assert.equal((await send('/log')).text, 'logged');
      const logged = () => logLines().some((line) => line.includes('a message for the log'));
      await until(logged, 'the line in the log', () => logLines().slice(-10).join('\n'));
    });
  }
}
