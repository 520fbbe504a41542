/**
 * The HTTP front against raw bytes: what must be refused, what must be taken, and where one request ends (RFC 9112).
 * A refusal is one answer and the end of the connection, so that nothing hidden behind it is ever read as a request.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { GatewayProcess } from '../support/gateway-process.ts';
import { sha256 } from '../support/http-client.ts';
import { startPhpGateway } from '../support/php-gateway.ts';
import { exchangeRaw } from '../support/raw-client.ts';

const host = 'Host: test\r\n';
const get = (fields: string, target = '/page.html') => `GET ${target} HTTP/1.1\r\n${fields}\r\n`;
const post = (fields: string, body: string) =>
  `POST /application.php/body HTTP/1.1\r\n${host}${fields}\r\n${body}`;
const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body);
const hidden = 'GET /hidden.html HTTP/1.1\r\nHost: test\r\n\r\n';

/** What it is -> the bytes and the statuses that are right. */
const refused: Readonly<Record<string, readonly [string, ...number[]]>> = {
  'Content-Length and Transfer-Encoding': [
    post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nX'),
    400,
  ],
  'Transfer-Encoding and Content-Length': [
    post('Transfer-Encoding: chunked\r\nContent-Length: 6\r\n', '0\r\n\r\nX'),
    400,
  ],
  'two different lengths': [post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello'), 400],
  'the same length twice': [post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'), 400],
  'a list of lengths': [post('Content-Length: 5, 5\r\n', 'hello'), 400],
  'a length with plus': [post('Content-Length: +5\r\n', 'hello'), 400],
  'a negative length': [post('Content-Length: -1\r\n', 'hello'), 400],
  'a hexadecimal length': [post('Content-Length: 0x5\r\n', 'hello'), 400],
  'a length of two numbers': [post('Content-Length: 5 5\r\n', 'hello'), 400],
  'an empty length': [post('Content-Length:\r\n', 'hello'), 400],
  'a length past every integer': [post('Content-Length: 99999999999999999999999\r\n', 'hello'), 400],
  'a folded field': [get(`${host}X-A: b\r\n c\r\n`), 400],
  'a space before the colon': [get(`${host}X-A : b\r\n`), 400],
  'a field without colon': [get(`${host}X-A\r\n`), 400],
  'a field without name': [get(`${host}: b\r\n`), 400],
  'a space in a field name': [get(`${host}X A: b\r\n`), 400],
  'a bracket in a field name': [get(`${host}X(A): b\r\n`), 400],
  'LF after the request line': [`GET /page.html HTTP/1.1\n${host}\r\n`, 400],
  'LF between fields': [get('Host: test\nX-A: b\r\n'), 400],
  'CR alone between fields': [get(`Host: test\rX-A: b\r\n`), 400],
  'LF LF at the end of the head': ['GET /page.html HTTP/1.1\r\nHost: test\n\n', 400],
  'CR in a value': [get(`${host}X-A: b\rX-B: c\r\n`), 400],
  'NUL in a value': [get(`${host}X-A: b\0c\r\n`), 400],
  'NUL in a name': [get(`${host}X\0A: b\r\n`), 400],
  'a control byte in a value': [get(`${host}X-A: b\x01c\r\n`), 400],
  'a field line that starts with a space': [get(` X-A: b\r\n${host}`), 400],
  'a chunk size of letters': [chunked('zz\r\nhello\r\n0\r\n\r\n'), 400],
  'a negative chunk size': [chunked('-5\r\nhello\r\n0\r\n\r\n'), 400],
  'a chunk size with 0x': [chunked('0x5\r\nhello\r\n0\r\n\r\n'), 400],
  'an empty chunk size': [chunked('\r\nhello\r\n0\r\n\r\n'), 400],
  'a chunk size past every integer': [chunked('FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n'), 400],
  'a chunk longer than its size': [chunked('3\r\nhello\r\n0\r\n\r\n'), 400],
  'LF after a chunk size': [chunked('5\nhello\r\n0\r\n\r\n'), 400],
  'LF after a chunk': [chunked('5\r\nhello\n0\r\n\r\n'), 400],
  'a space after a chunk size': [chunked('5 \r\nhello\r\n0\r\n\r\n'), 400],
  'CR in a chunk extension': [chunked('5;a\rb\r\nhello\r\n0\r\n\r\n'), 400],
  'LF in a chunk extension': [chunked('5;a\nb\r\nhello\r\n0\r\n\r\n'), 400],
  '20 KB of chunk extension': [chunked(`5;a=${'b'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`), 400, 413],
  'a length as a trailer': [chunked('5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n'), 400],
  'a trailer without colon': [chunked('5\r\nhello\r\n0\r\nX-A\r\n\r\n'), 400],
  'Transfer-Encoding gzip, chunked': [
    post('Transfer-Encoding: gzip, chunked\r\n', '5\r\nhello\r\n0\r\n\r\n'),
    501,
  ],
  'Transfer-Encoding chunked, gzip': [post('Transfer-Encoding: chunked, gzip\r\n', 'hello'), 400, 501],
  'Transfer-Encoding xchunked': [post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'), 400, 501],
  'Transfer-Encoding identity': [post('Transfer-Encoding: identity\r\n', 'hello'), 400, 501],
  'an empty Transfer-Encoding': [post('Transfer-Encoding:\r\n', 'hello'), 400, 501],
  'Transfer-Encoding twice': [
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    400,
    501,
  ],
  'Transfer-Encoding with a vertical tab': [
    post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n'),
    400,
    501,
  ],
  'chunked in HTTP/1.0': [
    `POST /application.php/body HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  'no Host': [get(''), 400],
  'two Hosts': [get(`${host}Host: other\r\n`), 400],
  'the same Host twice': [get(`${host}${host}`), 400],
  'Host with junk': [get('Host: a b"<>/../x\r\n'), 400],
  'Host with a comma': [get('Host: test, other\r\n'), 400],
  'Host with a user': [get('Host: user@test\r\n'), 400],
  'Host with a path': [get('Host: test/page\r\n'), 400],
  'Host with a port of letters': [get('Host: test:80x\r\n'), 400],
  'Host with a port too large': [get('Host: test:999999\r\n'), 400],
  'Host with an open bracket': [get('Host: [::1\r\n'), 400],
  'HTTP/2.0 in the request line': [`GET /page.html HTTP/2.0\r\n${host}\r\n`, 400, 505],
  'HTTP/1.2': [`GET /page.html HTTP/1.2\r\n${host}\r\n`, 400, 505],
  'HTTP/0.9': ['GET /page.html\r\n\r\n', 400],
  'the preface of HTTP/2': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 505],
  'http in small letters': [`GET /page.html http/1.1\r\n${host}\r\n`, 400],
  'no protocol at all': ['hello\r\n\r\n', 400],
  'a TLS greeting': ['\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', 400],
  'a FastCGI record': ['\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00', 400],
  'a method that is no token': [`G@T /page.html HTTP/1.1\r\n${host}\r\n`, 400],
  'a space before the method': [` GET /page.html HTTP/1.1\r\n${host}\r\n`, 400],
  'a tab after the method': [`GET\t/page.html HTTP/1.1\r\n${host}\r\n`, 400],
  'a space in the target': [get(host, '/page .html'), 400],
  'a # in the target': [get(host, '/page.html#part'), 400],
  'a target without slash': [get(host, 'page.html'), 400],
  'the asterisk with GET': [get(host, '*'), 400],
  CONNECT: [`CONNECT test:443 HTTP/1.1\r\n${host}\r\n`, 405],
  TRACE: [`TRACE / HTTP/1.1\r\n${host}\r\n`, 405],
  '129 fields': [get(host + 'X-A: b\r\n'.repeat(128)), 431],
  '3000 fields': [get(host + 'X-A: b\r\n'.repeat(3000)), 431],
  'a field of 40 KB': [get(`${host}X-A: ${'b'.repeat(40_000)}\r\n`), 431],
  'a target of 40 KB': [get(host, `/${'b'.repeat(40_000)}`), 414, 431],
  'a body too large, with another request inside': [post('Content-Length: 2000000\r\n', hidden), 413],
  'a body too large, chunked': [chunked(`${'10000\r\n'}${'b'.repeat(65_536)}\r\n`.repeat(17)), 413],
  'a body too large, for a client that waits': [
    post('Content-Length: 2000000\r\nExpect: 100-continue\r\n', ''),
    413,
  ],
};

/** Bad paths are refused too, but the framing is whole: the connection may live. */
const refusedPaths: Readonly<Record<string, number>> = {
  '/page%00.html': 400,
  '/page%0a.html': 400,
  '/page%7f': 400,
  '/%': 400,
  '/%1': 400,
  '/%zz': 400,
  '/../page.html': 400,
  '/%2e%2e/page.html': 400,
  '/a/%2E./.%2e/page.html': 400,
  '/a%2fb': 404,
  '/..%2f..%2fetc/passwd': 404,
  '/%252e%252e/page.html': 404,
  '/%FF': 404,
  '/..%5c..%5cpage.html': 404,
  '/page.html/more': 404,
  '/PAGE.HTML': 404,
  '/application.php.': 404,
  '/application.php%20': 404,
  '/application.PHP': 404,
  '/page.html/x.php': 404,
  '/application.phpx': 404,
  '/.htaccess': 404,
  '/.git/config': 404,
};

const taken: Readonly<Record<string, string>> = {
  'an empty line first': `\r\n${get(host)}`,
  'the absolute form': get(host, 'http://test/page.html'),
  'a port in Host': get('Host: test:8080\r\n'),
  'IPv6 in Host': get('Host: [::1]:8080\r\n'),
  'a tab and UTF-8 in a value': get(`${host}X-A: b\tc\xc3\xa9\r\n`),
  'an empty value': get(`${host}X-A:\r\n`),
  'every character of a token in a name': get(`${host}!#$%&'*+-.^_\`|~9a: b\r\n`),
  'names that JavaScript knows': get(`${host}__proto__: a\r\nconstructor: b\r\nhasOwnProperty: c\r\n`),
  '128 fields': get(host + 'X-A: b\r\n'.repeat(127)),
  '20 KB of fields': get(host + `X-A: ${'b'.repeat(1000)}\r\n`.repeat(20)),
  'an upgrade that nobody wants': get(`${host}Connection: Upgrade\r\nUpgrade: h2c\r\n`),
  'HTTP/1.0 without Host': 'GET /page.html HTTP/1.0\r\n\r\n',
  'an encoded letter': get(host, '/%70age.html'),
  'dot segments': get(host, '/a/.././page.html'),
  'many slashes': get(host, '//page.html'),
};

const takenBodies: Readonly<Record<string, readonly [string, string]>> = {
  'spaces around the length': [post('Content-Length: \t5  \r\n', 'hello'), 'hello'],
  'no body': [post('Content-Length: 0\r\n', ''), ''],
  'Chunked with a capital': [post('Transfer-Encoding: Chunked\r\n', '5\r\nhello\r\n0\r\n\r\n'), 'hello'],
  'several chunks': [chunked('2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n'), 'hello'],
  'a size with zeros in front, in capitals': [chunked('00A\r\n0123456789\r\n000\r\n\r\n'), '0123456789'],
  'a chunk extension': [chunked('5;name=value\r\nhello\r\n0;end\r\n\r\n'), 'hello'],
  trailers: [chunked('5\r\nhello\r\n0\r\nX-A: b\r\n\r\n'), 'hello'],
  'bytes that look like records': [
    post('Content-Length: 16\r\n', '\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00'),
    '\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00',
  ],
};

describe('the HTTP front', () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startPhpGateway({ limits: { maxBodyBytes: 1_000_000 } });
  });
  after(() => gateway?.stop());

  for (const [name, [bytes, ...statuses]] of Object.entries(refused)) {
    it(`refuses ${name}: ${statuses.join(' or ')}`, async () => {
      const { responses, closed, text } = await exchangeRaw(gateway.port, bytes, {
        later: [hidden],
      });
      assert.ok(statuses.includes(responses[0]?.status ?? 0), text.slice(0, 300));
      assert.equal(responses.length, 1, `more than one answer: ${text.slice(0, 1000)}`);
      assert.ok(closed, 'the connection stays open');
    });
  }

  for (const [target, status] of Object.entries(refusedPaths)) {
    it(`answers ${target} with ${status}`, async () => {
      const { responses, text } = await exchangeRaw(
        gateway.port,
        get(`${host}Connection: close\r\n`, target),
      );
      assert.deepEqual(
        responses.map((response) => response.status),
        [status],
      );
      assert.ok(!text.includes('<?php'), 'the source of a script was sent');
    });
  }

  for (const [name, bytes] of Object.entries(taken)) {
    it(`takes ${name}`, async () => {
      const { responses, text } = await exchangeRaw(gateway.port, bytes, {
        until: (received) => received.includes('the page'),
      });
      assert.equal(responses[0]?.status, 200, text.slice(0, 300));
    });
  }

  for (const [name, [bytes, body]] of Object.entries(takenBodies)) {
    it(`takes ${name}, and the request after it`, async () => {
      const { responses, text } = await exchangeRaw(gateway.port, bytes + get(host), {
        until: (received) => received.includes('the page'),
      });
      assert.deepEqual(
        responses.map((response) => response.status),
        [200, 200],
        text.slice(0, 500),
      );
      const content = Buffer.from(body, 'latin1');
      assert.deepEqual(JSON.parse(responses[0]!.body), { bytes: content.length, sha256: sha256(content) });
    });
  }

  it('answers OPTIONS * itself', async () => {
    const { responses } = await exchangeRaw(
      gateway.port,
      `OPTIONS * HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
    );
    assert.ok([200, 204].includes(responses[0]?.status ?? 0));
  });

  it('still serves after all that', async () => {
    const { responses } = await exchangeRaw(gateway.port, get(`${host}Connection: close\r\n`));
    assert.equal(responses[0]?.status, 200);
  });
});
