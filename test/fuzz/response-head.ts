/** Fuzz of the CGI response head: any bytes in any chunking are one clean head, or an error of the CGI layer. */
import assert from 'node:assert/strict';
import { CgiError } from '../../src/base/errors.ts';
import { type ResponseHead, ResponseParser } from '../../src/cgi/response-parser.ts';
import { createRandom } from '../support/random.ts';

const pieces = [
  ...[
    '\n',
    '\r\n',
    '\n\n',
    '\r\n\r\n',
    '\r',
    '\0',
    ':',
    ' ',
    '\t',
    '\x7f',
    '\xff',
    'HTTP/1.1 200 OK\r\n',
    'HTTP/',
  ],
  ...[
    'Status: 200 OK\r\n',
    'Status: 99\n',
    'Status:',
    'Location: /x\n',
    'Location: http://a/\r\n',
    'Content-Length: 5\n',
  ],
  ...[
    'Content-Length: ',
    '18446744073709551616',
    'Set-Cookie: a=b\n',
    'Transfer-Encoding: chunked\n',
    'Connection: x\n',
  ],
  ...[
    'X-Sendfile: /etc/passwd\n',
    'X-Accel-Redirect: /x\n',
    'X-Accel-Buffering: no\n',
    'Content-Type: text/html\r\n',
  ],
  ...['__proto__: x\n', 'A: b\n', '<html>', 'a'.repeat(300), 'A: b\n'.repeat(90)],
];

/** @throws {AssertionError} with the bytes that broke a rule; the same seed gives the same bytes */
export function fuzz(seed: number, rounds: number): void {
  const random = createRandom(seed);
  for (let round = 0; round < rounds; round++) {
    let text = '';
    for (let count = Math.floor(random() * 14); count > 0; count--) {
      text +=
        random() < 0.85
          ? pieces[Math.floor(random() * pieces.length)]
          : String.fromCharCode(Math.floor(random() * 256));
    }
    const bytes = Buffer.from(text, 'latin1');
    const whole = parse(bytes, () => bytes.length);
    const cut = parse(bytes, () => 1 + Math.floor(random() * 40));
    assert.deepEqual(cut, whole, JSON.stringify(text));
    if (typeof whole === 'object') check(whole.head, text);
  }
}

/** The head and the whole body, or the error's code and message. */
function parse(bytes: Buffer, nextLength: () => number): { head: ResponseHead; body: string } | string {
  const parser = new ResponseParser();
  try {
    for (let at = 0; at < bytes.length; ) {
      const end = at + nextLength();
      const head = parser.push(bytes.subarray(at, end));
      at = end;
      if (head === undefined) continue;
      const body = Buffer.concat([head.body, bytes.subarray(at)]).toString('latin1');
      return { head: { ...head, body: new Uint8Array() }, body };
    }
    throw parser.end();
  } catch (error) {
    if (!(error instanceof CgiError)) throw error;
    assert.match(error.code, /^GW_ERR_CGI_(HEAD|HEAD_TOO_LARGE|NO_HEAD)$/);
    assert.ok(error.message.length < 600 && !/[\x00-\x1f\x7f]/.test(error.message), error.message);
    return `${error.code} ${error.message}`;
  }
}

function check(head: ResponseHead, text: string): void {
  const note = JSON.stringify(text);
  assert.ok(Number.isInteger(head.status) && head.status >= 200 && head.status <= 599, note);
  assert.ok(!/[\x00-\x08\x0a-\x1f\x7f]/.test(head.reason + head.fields.join('')), note);
  assert.equal(head.fields.length % 2, 0, note);
  const names = head.fields.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  assert.ok(
    names.every((name) => /^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name)),
    note,
  );
  assert.ok(names.filter((name) => name === 'content-length').length <= 1, note);
  assert.ok(!names.some((name) => /^(status|connection|transfer-encoding)$/.test(name)), note);
}
