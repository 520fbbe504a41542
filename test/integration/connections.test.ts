/** Connections of clients: kept, pipelined, asked to continue, slow, cut; and what of their fields reaches PHP. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { GatewayProcess } from '../support/gateway-process.ts';
import { fetchAnswer, sha256 } from '../support/http-client.ts';
import { startPhpGateway } from '../support/php-gateway.ts';
import { exchangeRaw } from '../support/raw-client.ts';

const host = 'Host: test\r\n';
const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${host}${fields}\r\n`;

describe('connections', () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startPhpGateway({
      limits: { maxBodyBytes: 1_000_000, requestsPerConnectionMax: 5 },
    });
  });
  after(() => gateway?.stop());

  const statuses = async (bytes: string, options = {}, { port } = gateway) => {
    const { responses, closed, text } = await exchangeRaw(port, bytes, options);
    return { statuses: responses.map((response) => response.status), responses, closed, text };
  };

  describe('Expect: 100-continue', () => {
    const head = `POST /application.php/body HTTP/1.1\r\n${host}Content-Length: 5\r\nConnection: close\r\n`;
    for (const value of ['100-continue', '100-Continue']) {
      it(`${value}: the client is told to go on, then answered`, async () => {
        const answer = await statuses(`${head}Expect: ${value}\r\n\r\n`, {
          later: ['hello'],
          laterWhen: (text: string) => text.includes(' 100 Continue'),
        });
        assert.deepEqual(answer.statuses, [100, 200], answer.text);
        assert.equal(JSON.parse(answer.responses[1]!.body).sha256, sha256(Buffer.from('hello')));
      });
    }
    it('a client that does not wait is answered as well', async () => {
      const answer = await statuses(`${head}Expect: 100-continue\r\n\r\nhello`);
      assert.equal(answer.statuses.at(-1), 200, answer.text);
    });
    it('an expectation that nobody knows is 417', async () => {
      const answer = await statuses(`${head}Expect: a-miracle\r\n\r\nhello`);
      assert.equal(answer.statuses[0], 417, answer.text);
    });
    it('HTTP/1.0 knows no 100', async () => {
      const answer = await statuses(
        `POST /application.php/body HTTP/1.0\r\n${host}Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello`,
      );
      assert.deepEqual(answer.statuses, [200], answer.text);
    });
    it('a file takes no body, so that the client is not asked for it', async () => {
      const answer = await statuses(
        `POST /page.html HTTP/1.1\r\n${host}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
      );
      assert.deepEqual(answer.statuses, [405], answer.text);
      assert.ok(answer.closed);
    });
  });

  describe('pipelining', () => {
    it('four requests with bodies in one write: each answer to its own, in order', async () => {
      const bodies = ['one', 'twotwo', '', 'x'.repeat(70_000)];
      const bytes = bodies.map((body, at) => {
        const last = at === bodies.length - 1 ? 'Connection: close\r\n' : '';
        return `POST /application.php/body HTTP/1.1\r\n${host}Content-Length: ${body.length}\r\n${last}\r\n${body}`;
      });
      const answer = await statuses(bytes.join(''));
      assert.deepEqual(
        answer.responses.map((response) => JSON.parse(response.body).sha256),
        bodies.map((body) => sha256(Buffer.from(body))),
      );
    });
    it('a slow script does not let the next answer overtake', async () => {
      const answer = await statuses(
        get('/application.php/sleep?ms=200') + get('/page.html', 'Connection: close\r\n'),
      );
      assert.deepEqual(answer.statuses, [200, 200]);
      assert.match(answer.responses[1]!.body, /the page/);
    });
    it('HEAD, 404, 304 and a redirect leave the connection in step', async () => {
      const first = await fetchAnswer(gateway.origin, '/page.html');
      const answer = await statuses(
        `HEAD /page.html HTTP/1.1\r\n${host}\r\n` +
          get('/nothing.html') +
          get('/page.html', `If-None-Match: ${first.headers.etag}\r\n`) +
          get('/application.php/redirect') +
          get('/page.html'),
        { methods: ['HEAD'], until: (text: string) => text.endsWith('the page\n') },
      );
      assert.deepEqual(answer.statuses, [200, 404, 304, 302, 200], answer.text);
    });
  });

  describe('keeping', () => {
    /** Asks once more, on the same connection, when the first answer is there. */
    const askedAgain = {
      laterWhen: (text: string) => text.endsWith('the page\n'),
      later: [get('/page.html', 'Connection: close\r\n')],
    };
    it('HTTP/1.1 is kept, until the client says close', async () => {
      const kept = await statuses(get('/page.html'), askedAgain);
      assert.deepEqual([kept.statuses, kept.closed], [[200, 200], true]);
      const closed = await statuses(get('/page.html', 'Connection: close\r\n'));
      assert.deepEqual([closed.statuses, closed.closed], [[200], true]);
    });
    it('HTTP/1.0 is closed, unless the client asks to keep', async () => {
      const closed = await statuses('GET /page.html HTTP/1.0\r\n\r\n');
      assert.deepEqual([closed.statuses, closed.closed], [[200], true]);
      const kept = await statuses('GET /page.html HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', askedAgain);
      assert.deepEqual([kept.statuses, kept.closed], [[200, 200], true]);
    });
    it('a connection ends after its number of requests', async () => {
      const answer = await statuses(get('/page.html').repeat(8));
      assert.deepEqual([answer.statuses.filter((status) => status === 200).length, answer.closed], [5, true]);
    });
    it('an answer without length is chunked in HTTP/1.1, and ends with the connection in HTTP/1.0', async () => {
      const target = '/application.php/download?bytes=300000';
      const later = await statuses(get(target, 'Connection: close\r\n'));
      assert.equal(later.responses[0]?.body.length, 300_000);
      assert.deepEqual(later.responses[0]?.fields.get('transfer-encoding'), ['chunked']);
      const earlier = await statuses(`GET ${target} HTTP/1.0\r\n\r\n`);
      assert.equal(earlier.responses[0]?.body.length, 300_000);
      assert.equal(earlier.responses[0]?.fields.get('transfer-encoding'), undefined);
    });
  });

  describe('slow clients', () => {
    let strict: GatewayProcess;
    before(async () => {
      strict = await startPhpGateway({
        limits: { headerTimeoutMs: 1000, bodyIdleTimeoutMs: 500, keepAliveTimeoutMs: 700 },
      });
    });
    after(() => strict?.stop());

    it('an idle connection is closed without a word', async () => {
      const answer = await statuses(get('/page.html'), {}, strict);
      assert.deepEqual([answer.statuses, answer.closed], [[200], true]);
    });
    it('a head that does not come to its end is 408', async () => {
      const answer = await statuses('GET /page.html HTTP/1.1\r\nHost: te', {}, strict);
      assert.deepEqual([answer.statuses, answer.closed], [[408], true]);
    });
    it('a head in drips is 408 too', async () => {
      const drips = Array.from({ length: 30 }, (_, at) => `X-${at}: drip\r\n`);
      const answer = await statuses(
        `GET /page.html HTTP/1.1\r\n${host}`,
        { later: drips, pauseMs: 100 },
        strict,
      );
      assert.deepEqual([answer.statuses, answer.closed], [[408], true]);
    });
    it('a connection that never says anything is closed', async () => {
      const answer = await statuses('', {}, strict);
      assert.ok(answer.closed);
    });
    it('a body that does not come is 408', async () => {
      const answer = await statuses(
        `POST /application.php/body HTTP/1.1\r\n${host}Content-Length: 50\r\n\r\nhello`,
        {},
        strict,
      );
      assert.deepEqual([answer.statuses, answer.closed], [[408], true]);
    });
    it('a head in single bytes is no fault', async () => {
      const [first, ...rest] = get('/page.html', 'Connection: close\r\n');
      const answer = await statuses(first!, { later: rest, pauseMs: 1 });
      assert.deepEqual(answer.statuses, [200]);
    });
  });

  it('a client that leaves at any time does no harm', async () => {
    const request = `POST /application.php/body HTTP/1.1\r\n${host}Content-Length: 100000\r\n\r\n${'b'.repeat(100_000)}`;
    for (let at = 0; at < request.length; at += 5003) {
      await new Promise<void>((resolve) => {
        const socket = connect(gateway.port, '127.0.0.1', () => {
          socket.write(request.slice(0, at), () => socket.resetAndDestroy());
        });
        socket.on('error', () => {});
        socket.on('close', () => resolve());
      });
    }
    assert.equal((await fetchAnswer(gateway.origin, '/application.php/echo')).status, 200);
  });

  describe('fields on their way to the application', () => {
    const variables = async (fields: string, target = '/application.php/echo') => {
      const answer = await statuses(get(target, `${fields}Connection: close\r\n`));
      assert.equal(answer.statuses[0], 200, answer.text.slice(0, 500));
      return JSON.parse(answer.responses[0]!.body).variables as Record<string, string>;
    };
    it('names that could pass for others are dropped', async () => {
      const found = await variables(
        'X-Forwarded-For: 192.0.2.1\r\nX_Forwarded_For: 192.0.2.2\r\nContent_Length: 99\r\nContent_Type: x/y\r\n' +
          'X.Dot: d\r\npRoXy: http://evil.example\r\n__proto__: p\r\n',
      );
      assert.equal(found.HTTP_X_FORWARDED_FOR, '192.0.2.1');
      for (const name of [
        'HTTP_CONTENT_LENGTH',
        'HTTP_CONTENT_TYPE',
        'HTTP_X_DOT',
        'HTTP_X.DOT',
        'HTTP_PROXY',
      ]) {
        assert.equal(found[name], undefined, name);
      }
      assert.equal(Object.keys(found).filter((name) => /proto__/i.test(name)).length, 0);
    });
    it('clients decide nothing but HTTP_*', async () => {
      const found = await variables(
        'Script-Filename: /etc/passwd\r\nPHP-VALUE: auto_prepend_file=/etc/passwd\r\nRemote-User: root\r\n' +
          'Redirect-Status: 999\r\nDocument-Root: /\r\nHTTPS: on\r\n',
      );
      assert.match(found.SCRIPT_FILENAME!, /\/php\/application\.php$/);
      assert.match(found.DOCUMENT_ROOT!, /\/php$/);
      assert.deepEqual([found.PHP_VALUE, found.REMOTE_USER, found.HTTPS], [undefined, undefined, undefined]);
      assert.equal(found.HTTP_REMOTE_USER, 'root');
    });
    it('repeated fields are joined, cookies with a semicolon', async () => {
      const found = await variables('X-A: 1\r\nX-A: 2\r\nCookie: a=1\r\nCookie: b=2\r\n');
      assert.deepEqual([found.HTTP_X_A, found.HTTP_COOKIE], ['1, 2', 'a=1; b=2']);
    });
    it('a second Authorization is 400', async () => {
      const answer = await statuses(
        get(
          '/application.php/echo',
          'Authorization: Basic eA==\r\nAuthorization: Basic eQ==\r\nConnection: close\r\n',
        ),
      );
      assert.equal(answer.statuses[0], 400);
    });
    it('an address of nobody whom we trust is not believed', async () => {
      const found = await variables(
        'X-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.2\r\nForwarded: for=192.0.2.3\r\n',
      );
      assert.equal(found.REMOTE_ADDR, '127.0.0.1');
    });
    it('Connection cannot take a field away', async () => {
      const found = await variables('X-Forwarded-For: 192.0.2.1\r\nConnection: X-Forwarded-For\r\n');
      assert.deepEqual([found.REMOTE_ADDR, found.HTTP_X_FORWARDED_FOR], ['127.0.0.1', '192.0.2.1']);
    });
    it('trailers are no fields', async () => {
      const answer = await statuses(
        `POST /application.php/echo HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTrailer: X-Auth\r\n` +
          'Connection: close\r\n\r\n5\r\nhello\r\n0\r\nX-Auth: 1\r\n\r\n',
      );
      const { variables: found } = JSON.parse(answer.responses[0]!.body);
      assert.equal(found.HTTP_X_AUTH, undefined);
      assert.equal(found.CONTENT_LENGTH, '5');
    });
    it('the host of an absolute target beats the Host field', async () => {
      const found = await variables('', 'http://other.example:81/application.php/echo');
      assert.equal(found.HTTP_HOST, 'other.example:81');
    });
    it('the query never becomes arguments of the interpreter', async () => {
      for (const query of ['-s', '-d+allow_url_include%3d1', '%ADs']) {
        const answer = await statuses(get(`/application.php/echo?${query}`, 'Connection: close\r\n'));
        assert.equal(JSON.parse(answer.responses[0]!.body).variables.QUERY_STRING, query);
      }
    });
  });
});
