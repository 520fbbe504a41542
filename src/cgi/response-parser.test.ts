import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../../test/fuzz/response-head.ts';
import { everyChunking } from '../../test/support/every-chunking.ts';
import type { CgiError, ErrorCode } from '../base/errors.ts';
import { type ResponseHead, ResponseParser } from './response-parser.ts';

type Expected = Partial<Omit<ResponseHead, 'body'>>;

/** Parses the text in every chunking, and expects these parts of the head and this body. */
function parses(text: string, expected: Expected, body = ''): void {
  everyChunking(Buffer.from(text, 'latin1'), (feed, chunking) => {
    const parser = new ResponseParser();
    let head: ResponseHead | undefined;
    let rest = '';
    feed((chunk) => {
      if (head === undefined) {
        head = parser.push(chunk);
        if (head !== undefined) rest += Buffer.from(head.body).toString('latin1');
      } else rest += chunk.toString('latin1');
    });
    assert.ok(head !== undefined, `${chunking}: ${JSON.stringify(text)}`);
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(
        head[name as keyof ResponseHead],
        value,
        `${name} of ${JSON.stringify(text)}, ${chunking}`,
      );
    }
    assert.equal(rest, body, chunking);
  });
}

function refuses(text: string, code: ErrorCode = 'GW_ERR_CGI_HEAD', message = /./): void {
  everyChunking(Buffer.from(text, 'latin1'), (feed, chunking) => {
    const parser = new ResponseParser();
    assert.throws(
      () => {
        feed((chunk) => assert.equal(parser.push(chunk), undefined));
        throw parser.end();
      },
      (error: CgiError) => {
        assert.equal(error.name, 'CgiError', `${JSON.stringify(text)}, ${chunking}: ${error.message}`);
        assert.equal(error.code, code, `${JSON.stringify(text)}, ${chunking}: ${error.message}`);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test('a document response: 200 without a Status, fields in order, the body exact', () => {
  parses(
    'Content-Type: text/plain\r\nX-A:b\r\n\r\nhello\r\n\r\n',
    { status: 200, reason: '', fields: ['Content-Type', 'text/plain', 'X-A', 'b'], contentLength: undefined },
    'hello\r\n\r\n',
  );
});

test('any line ending, also mixed', () => {
  for (const nl of ['\n', '\r\n']) {
    for (const end of ['\n', '\r\n']) {
      parses(
        `Status: 201 Made${nl}A: b${nl}${end}body`,
        { status: 201, reason: 'Made', fields: ['A', 'b'] },
        'body',
      );
    }
  }
  parses('Location: http://a/\r\n\n\nrest', { status: 302 }, '\nrest');
});

test('Status: with and without a reason, and not for the client', () => {
  parses('Status: 404 Not Found\n\n', { status: 404, reason: 'Not Found', fields: [] });
  parses('status:599\n\n', { status: 599, reason: '' });
  parses('Status: 200 OK\nStatus: 200 OK\n\n', { status: 200 });
  parses(`Status: 200 ${'x'.repeat(1011)}\n\n`, { status: 200, reason: 'x'.repeat(1011) });
  parses('Status: 304 Not Modified\nETag: "a"\n\n', { status: 304, fields: ['ETag', '"a"'] });
  for (const value of ['abc', '99', '30', '1000', '100', '101', '600', '-200', '200OK', '2e2', '', ' ']) {
    refuses(`Status: ${value}\n\n`);
  }
});

test('interim heads are told apart from the answer, in every chunking', () => {
  const text =
    'Status: 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.js>\r\n\r\nHTTP/1.1 102 Processing\n\nStatus: 201\nA: b\n\nbody';
  parses(text, { status: 201, fields: ['A', 'b'] }, 'body');
  everyChunking(Buffer.from(text, 'latin1'), (feed) => {
    const heard: unknown[] = [];
    const parser = new ResponseParser({ interim: (status, fields) => heard.push([status, ...fields]) });
    feed((chunk) => void (heard.length < 2 && parser.push(chunk)));
    assert.deepEqual(heard, [[103, 'Link', '</a.css>', 'Link', '</b.js>'], [102]]);
  });
  refuses('Status: 103\nLink: </a>\n\n', 'GW_ERR_CGI_NO_HEAD', /interim head/);
  refuses('Status: 103\n\nStatus: 2', 'GW_ERR_CGI_HEAD');
  parses('Status: 199\n\n\n', { status: 200, fields: [], isEmpty: true });
  refuses('Status: 103\n\n'.repeat(300), 'GW_ERR_CGI_HEAD_TOO_LARGE');
});

test('a status line of its own, as non-parsed-header scripts send it', () => {
  parses(
    'HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nx',
    { status: 404, reason: 'Not Found', fields: ['A', 'b'] },
    'x',
  );
  parses('HTTP/1.0 200\nLocation: /x\n\n', { status: 200, localRedirect: undefined });
  refuses('HTTP/1.1\n\n');
  refuses('HTTP/1.1 abc\n\n');
  refuses('HTTP/1.1 100 Continue\n\n');
  refuses('A: b\nHTTP/1.1 200 OK\n\n');
});

test('Location without a Status is a 302; a path is also named as a local redirect', () => {
  parses('Location: http://a/b\n\n', {
    status: 302,
    localRedirect: undefined,
    fields: ['Location', 'http://a/b'],
  });
  parses('Location:/b?c\n\n', { status: 302, localRedirect: '/b?c', fields: ['Location', '/b?c'] });
  parses('Location: //evil/\n\n', { status: 302, localRedirect: undefined });
  parses('Status: 302 Found\nLocation: /b\n\n', { status: 302, localRedirect: undefined });
  parses('Status: 201\nLocation: /b\n\n', { status: 201, localRedirect: undefined });
});

test('Set-Cookie lines stay apart and in order; an empty value stays; a tab is a value byte', () => {
  parses('Set-Cookie: a=1\nSet-Cookie: b=2\nX-Empty: \nX-Tab: a\tb\nX-High: \xe4\n\n', {
    fields: ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Empty', '', 'X-Tab', 'a\tb', 'X-High', '\xe4'],
  });
});

test('no Content-Type is invented', () => {
  parses('X-A: b\n\n<script>', { status: 200, fields: ['X-A', 'b'] }, '<script>');
});

test('response splitting: control bytes and bad names refuse the whole response', () => {
  for (const text of [
    'X-A: b\rX-B: c\n\n',
    'X-A: b\0\n\n',
    'X-A: \x01\n\n',
    'X-A: \x7f\n\n',
    'X A: b\n\n',
    'X-A : b\n\n',
    'X\0A: b\n\n',
    'X-\xe4: b\n\n',
    ': b\n\n',
    'bogus\n\n',
    'A: b\nno colon\n\nC: d',
    'A: b\n folded\n\n',
    'A: b\n\tfolded\n\n',
    'A: b\r\r\n\r\n',
    'Status: 200 a\rb\n\n',
    'HTTP/1.1 200 a\0b\n\n',
    'Location: http://a/\rX: y\n\n',
  ]) {
    refuses(text);
  }
});

test('Content-Length: digits only, and one value', () => {
  parses('Content-Length: 5\n\nhello', { contentLength: 5, fields: ['Content-Length', '5'] }, 'hello');
  parses('Content-Length: 5\ncontent-length: 5\n\n', { contentLength: 5, fields: ['Content-Length', '5'] });
  parses('Content-Length: 9007199254740991\n\n', { contentLength: Number.MAX_SAFE_INTEGER });
  for (const value of [
    'abc',
    '-1',
    '+5',
    '5, 5',
    '0x5',
    '',
    '5 5',
    '9007199254740992',
    '99999999999999999999',
  ]) {
    const faults = [
      `Response head line 2 is no valid Content-Length; the length is not believed: "Content-Length:${value === '' ? '' : ' '}${value}"`,
    ];
    const text = `A: b\nContent-Length:${value === '' ? '' : ' '}${value}\n\nhello`;
    parses(text, { contentLength: undefined, fields: ['A', 'b'], faults }, 'hello');
  }
  parses(
    'content-length: 5\nContent-Length: 6\nContent-Length: 5\nA: b\n\nhello',
    { contentLength: undefined, fields: ['A', 'b'] },
    'hello',
  );
  parses('Content-Length: 5\n\nhello', { faults: undefined }, 'hello');
});

test('of two statuses the first counts, and it is said', () => {
  const faults = ['Response head line 2 names a second status; the first counts: "Status: 500 Oh"'];
  parses('Status: 404 None\nStatus: 500 Oh\n\n', { status: 404, reason: 'None', faults });
  parses('HTTP/1.1 201 Made\nStatus: 200\n\n', { status: 201, reason: 'Made' });
  parses('Status: 404\nStatus: 404 Again\n\n', { status: 404, reason: '', faults: undefined });
});

test('hop-by-hop fields stay here, and so does a framing of its own, with the length beside it', () => {
  parses('Connection: close\nKeep-Alive: x\nUpgrade: h2c\nTE: x\nTrailer: x\nProxy-Connection: x\nA: b\n\n', {
    fields: ['A', 'b'],
  });
  parses('Transfer-Encoding: identity\n\n', { fields: [], faults: undefined });
  const faults = [
    'Response head line 1 is a Transfer-Encoding, which an application must not send; it is dropped: "Transfer-Encoding: chunked"',
  ];
  const body = '5\r\nhello\r\n0\r\n\r\n';
  parses(`Transfer-Encoding: chunked\n\n${body}`, { fields: [], faults }, body);
  for (const text of [
    'Transfer-Encoding: chunked\nContent-Length: 5\n\nhello',
    'Content-Length: 5\nTransfer-Encoding: gzip, chunked\n\nhello',
  ])
    parses(text, { fields: [], contentLength: undefined }, 'hello');
});

test('words to the web server are reported and do not reach the client', () => {
  parses(
    'X-Sendfile: /srv/a b.zip\nX-Accel-Redirect: /protected/x\nX-Accel-Buffering: No\nX-Accel-Expires: 5\n' +
      'X-Accel-Limit-Rate: 1\nX-Accelerate: keep\n\n',
    {
      sendfile: '/srv/a b.zip',
      accelRedirect: '/protected/x',
      buffering: false,
      fields: [
        ...['X-Sendfile', '/srv/a b.zip', 'X-Accel-Redirect', '/protected/x', 'X-Accel-Buffering', 'No'],
        ...['X-Accel-Expires', '5', 'X-Accel-Limit-Rate', '1', 'X-Accelerate', 'keep'],
      ],
    },
  );
  parses('X-Accel-Buffering: yes\n\n', { buffering: true, sendfile: undefined, accelRedirect: undefined });
});

test('an empty head is a head: 200 without a field', () => {
  parses('\n', { status: 200, fields: [], isEmpty: true });
  parses('\r\nbody', { status: 200, fields: [] }, 'body');
});

test('nothing, and no blank line: two different faults', () => {
  refuses('', 'GW_ERR_CGI_NO_HEAD');
  refuses('Status: 404\r\n', 'GW_ERR_CGI_HEAD', /blank line/);
});

test('messages name the line and show its first 64 bytes, escaped', () => {
  refuses('A: b\n\x1b[31m<html>\n\n', 'GW_ERR_CGI_HEAD', /line 2 .*"\\x1b\[31m<html>"/);
  refuses(`${'x'.repeat(100)}\n\n`, 'GW_ERR_CGI_HEAD', /"x{64}\.\.\."$/);
});

test('limits: 64 KiB with the blank line, and 256 lines', () => {
  const push = (text: string) => new ResponseParser().push(Buffer.from(text, 'latin1'));
  const large = `A: ${'x'.repeat(65_536 - 5)}\n\n`;
  assert.equal(Buffer.byteLength(large), 65_536);
  assert.equal(push(large)?.status, 200);
  const tooLarge = { name: 'CgiError', code: 'GW_ERR_CGI_HEAD_TOO_LARGE' };
  assert.throws(() => push(large.replace('A', 'AA')), tooLarge);
  assert.throws(() => push('x'.repeat(200_000)), tooLarge);
  assert.equal(push(`${'A: b\n'.repeat(256)}\n`)?.fields.length, 512);
  assert.throws(() => push(`${'A: b\n'.repeat(257)}\n`), tooLarge);

  const parser = new ResponseParser();
  let pushed = 0;
  assert.throws(() => {
    for (; pushed < 100_000; pushed++) parser.push(Buffer.from('x'));
  }, tooLarge);
  assert.equal(pushed, 65_536);
});

test('the body is a view into the chunk, and the chunk may be any Uint8Array', () => {
  const bytes = new Uint8Array(Buffer.from('--A: b\n\nbody')).subarray(2);
  const head = new ResponseParser().push(bytes);
  assert.equal(head?.body.buffer, bytes.buffer);
  assert.equal(Buffer.from(head!.body).toString(), 'body');
});

test('any bytes are a head or the layer’s own error', () => fuzz(1, 3_000));
