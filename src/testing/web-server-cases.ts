/** What a web server must send to an application, and must make of its answers: legal ones, odd ones and broken ones. */
import { type Case, expect, NotSupported } from './case.ts';
import {
  type AskOptions,
  describeAnswer,
  type HttpAnswer,
  type WebServerTarget,
} from './web-server-target.ts';

type WebServerCase = Case<WebServerTarget>;

/** Meta-variables that a web server must set (RFC 3875 4.1). */
const requiredVariables = [
  'GATEWAY_INTERFACE',
  'QUERY_STRING',
  'REMOTE_ADDR',
  'REQUEST_METHOD',
  'SCRIPT_NAME',
  'SERVER_NAME',
  'SERVER_PORT',
  'SERVER_PROTOCOL',
  'SERVER_SOFTWARE',
];

/** More than the buffers of a connection hold, and less than web servers refuse. */
const large = new Uint8Array(700_000);

function expectWhole(answer: HttpAnswer, body: string): void {
  expect(answer.status === 200 && answer.isComplete && answer.body === body, describeAnswer(answer));
}

/** The client gets exactly this. */
function whole(
  id: string,
  section: string,
  title: string,
  [play, body, options]: readonly [play: string, body: string, options?: AskOptions],
): WebServerCase {
  return { id, section, title, run: async (target) => expectWhole(await target.ask(play, options), body) };
}

/** The client gets an error, or sees that something is missing; nothing that the application did not say in order. */
function honest(id: string, section: string, title: string, play: string): WebServerCase {
  return {
    id,
    section,
    title,
    async run(target) {
      const answer = await target.ask(play);
      expect(!answer.body.includes('EVIL'), describeAnswer(answer));
      expect(answer.status === 0 || answer.status >= 500 || !answer.isComplete, describeAnswer(answer));
    },
  };
}

/** The client gets an error page. */
function refused(id: string, section: string, title: string, play: string): WebServerCase {
  return {
    id,
    section,
    title,
    async run(target) {
      const answer = await target.ask(play);
      expect(answer.status >= 500 && answer.status < 600, describeAnswer(answer));
    },
  };
}

/** An answer whose STDOUT is this; not percent-encoded, since web servers refuse URLs with control bytes. */
const says = (content: string) => `stdout&hex=${Buffer.from(content, 'latin1').toString('hex')}`;
const textHead = 'Content-Type: text/plain\r\n\r\n';

const requestCases: readonly WebServerCase[] = [
  {
    id: 'request/begin',
    section: '5.1',
    title: 'A request begins as a Responder, with an id from 1',
    async run(target) {
      expectWhole(await target.ask('page'), 'Hello');
      const { role, id } = target.lastRequest;
      expect(role === 1 && id >= 1, `role ${role}, id ${id}`);
    },
  },
  {
    id: 'request/variables',
    section: 'RFC 3875 4.1',
    title: 'All variables that must be there are there',
    async run(target) {
      await target.ask('page');
      const { variables } = target.lastRequest;
      const missing = requiredVariables.filter((name) => !variables.has(name));
      expect(missing.length === 0, `missing: ${missing.join(', ')}`);
    },
  },
  {
    id: 'request/header',
    section: 'RFC 3875 4.1.18',
    title: 'A header field of 7 000 bytes becomes an HTTP_ variable',
    async run(target) {
      const value = 'x'.repeat(7_000);
      await target.ask('page', { headers: { 'X-Word': value } });
      const found = target.lastRequest.variables.get('HTTP_X_WORD');
      expect(found === value, `it has ${found?.length ?? 'no'} bytes`);
    },
  },
  {
    id: 'request/proxy-header',
    section: 'CVE-2016-5385',
    title: 'A Proxy header does not become HTTP_PROXY',
    async run(target) {
      const answer = await target.ask('page', { headers: { Proxy: 'http://evil.example' } });
      if (answer.status === 200) expect(!target.lastRequest.variables.has('HTTP_PROXY'), 'it does');
    },
  },
  {
    id: 'request/body',
    section: '5.3',
    title: 'A body of 66 000 bytes arrives, with its CONTENT_LENGTH',
    async run(target) {
      const body = Buffer.alloc(66_000, '0123456789abcde');
      await target.ask('page', { method: 'POST', body });
      const { stdin, variables } = target.lastRequest;
      expect(
        stdin.equals(body),
        `${stdin.length} bytes arrived${stdin.length === body.length ? ', others' : ''}`,
      );
      expect(
        variables.get('CONTENT_LENGTH') === '66000',
        `CONTENT_LENGTH is ${variables.get('CONTENT_LENGTH')}`,
      );
    },
  },
  {
    id: 'request/chunked-body',
    section: 'RFC 3875 4.2',
    title: 'A chunked body arrives decoded',
    async run(target) {
      const before = target.requestCount;
      const body = Buffer.alloc(10_000, 'abc');
      const answer = await target.ask('page', {
        method: 'POST',
        body,
        headers: { 'Transfer-Encoding': 'chunked' },
      });
      if (answer.status === 411 || answer.status === 501)
        throw new NotSupported(`refused with ${answer.status}`);
      expect(target.requestCount > before, describeAnswer(answer));
      const { stdin, variables } = target.lastRequest;
      expect(stdin.equals(body), `${stdin.length} bytes arrived`);
      const length = variables.get('CONTENT_LENGTH');
      expect(length === undefined || length === '' || length === '10000', `CONTENT_LENGTH is ${length}`);
    },
  },
];

const answerCases: readonly WebServerCase[] = [
  whole('answer/padding', '3.3', 'Padding of up to 255 bytes, a full record, an empty STDERR', [
    'padded',
    `${'x'.repeat(65_535)}!`,
  ]),
  whole('answer/byte-by-byte', '3.3', 'An answer that comes byte by byte', ['byte-by-byte', 'Hello']),
  whole('answer/management', '4.2', 'A management record of an unknown type in the body is skipped', [
    'management-99-in-body',
    'hello',
  ]),
  whole('answer/unknown-type', '4.2', 'UNKNOWN_TYPE in the body is skipped', [
    'unknown-type-0-in-body',
    'hello',
  ]),
  whole('answer/stderr', '5.3', 'STDERR between STDOUT records is no part of the body', [
    'stderr-between',
    'Hello',
  ]),
  whole('answer/stderr-flood', '5.3', '5 MB of STDERR before the answer do no harm', [
    'stderr-flood',
    'after the flood',
  ]),
  whole('answer/no-stdout-end', '5.5', 'END_REQUEST without an end of STDOUT, as PHP sends it', [
    'no-stdout-end',
    'Hello',
  ]),
  whole('answer/app-status', '5.5', 'A page of an application that then failed (appStatus 3)', [
    'exit-status',
    'Hello',
  ]),
  whole('answer/open-connection', '5.1', 'An application that does not close does not hold up the client', [
    'waits-for-close',
    'Hello',
  ]),
  whole('answer/early', '6.2', 'An answer to a body that was never read', [
    'answer-without-reading',
    'early',
    { method: 'POST', body: large },
  ]),
  whole('answer/line-feeds', 'RFC 3875 6.2', 'A head whose lines end in line feeds', [
    says('Content-Type: text/plain\n\nhello'),
    'hello',
  ]),
  {
    id: 'answer/large',
    section: '6.2',
    title: 'A body of 20 MB arrives whole',
    async run(target) {
      const { status, body, isComplete } = await target.ask('large&bytes=20000000&length=no');
      const found = `${body.length} bytes${isComplete ? '' : ', cut'}`;
      expect(status === 200 && isComplete && body.length === 20_000_000, `status ${status}, ${found}`);
    },
  },
  {
    id: 'answer/status',
    section: 'RFC 3875 6.3.3',
    title: 'Status and two Set-Cookie lines reach the client',
    async run(target) {
      const answer = await target.ask(
        says(`Status: 404 Gone\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n${textHead}x`),
      );
      expect(answer.status === 404, describeAnswer(answer));
      const cookies = answer.fields.filter((_, i, all) => i % 2 === 1 && all[i - 1] === 'set-cookie');
      expect(cookies.join('|') === 'a=1|b=2', `Set-Cookie: ${cookies.join(' and ')}`);
    },
  },
];

const faultCases: readonly WebServerCase[] = [
  honest('broken/eof', '5.5', 'The connection ends without END_REQUEST', 'eof-without-end&before=20000'),
  honest('broken/short-record', '3.3', 'The connection ends inside a record', 'short-record&before=20000'),
  honest(
    'broken/short-header',
    '3.3',
    "The connection ends inside a record's header",
    'short-header&before=20000',
  ),
  honest(
    'broken/content-length',
    'RFC 3875 6.3',
    'Content-Length is longer than the body',
    'content-length-too-long',
  ),
  honest('broken/version', '3.3', 'Records of version 2', 'version-2'),
  honest('broken/http', '3.3', 'The application speaks HTTP', 'plain-http'),
  honest('broken/id', '3.3', 'All records have another id', 'wrong-id'),
  honest('broken/nothing', '5.5', 'The connection closes without a byte', 'close-without-a-byte'),
  {
    id: 'broken/id-in-body',
    section: '3.3',
    title: "Records of another id are never in this request's body",
    async run(target) {
      const answer = await target.ask('wrong-id-in-body');
      expect(!answer.body.includes('EVIL'), describeAnswer(answer));
    },
  },
  {
    id: 'broken/type-in-body',
    section: '3.3',
    title: 'Records of an unknown type are never in the body',
    async run(target) {
      const answer = await target.ask('type-99-in-body');
      expect(!answer.body.includes('EVIL'), describeAnswer(answer));
    },
  },
  {
    id: 'broken/second-answer',
    section: '5.5',
    title: "What follows END_REQUEST is nobody's answer",
    async run(target) {
      expectWhole(await target.ask('second-answer'), 'first');
      for (let i = 0; i < 4; i++) expectWhole(await target.ask('page'), 'Hello');
    },
  },
  {
    id: 'broken/extra-body',
    section: 'RFC 3875 6.3',
    title: 'Bytes after the Content-Length never reach the client',
    async run(target) {
      const answer = await target.ask('content-length-too-short');
      expect(answer.body === '01234' || answer.status >= 500, describeAnswer(answer));
    },
  },
  refused('refused/overloaded', '5.5', 'protocolStatus OVERLOADED', 'overloaded'),
  refused('refused/cant-mpx', '5.5', 'protocolStatus CANT_MPX_CONN', 'cant-mpx'),
  refused('refused/unknown-role', '5.5', 'protocolStatus UNKNOWN_ROLE', 'unknown-role'),
  refused('refused/no-answer', 'RFC 3875 6.1', 'END_REQUEST without an answer', 'end-only'),
  refused('refused/no-head-end', 'RFC 3875 6.2', 'A head that never ends', 'head-never-ends'),
  ...['abc', '99', '1000'].map((status) =>
    refused(
      `refused/status-${status}`,
      'RFC 3875 6.3.3',
      `Status: ${status}`,
      says(`Status: ${status}\r\n${textHead}a`),
    ),
  ),
  ...['abc', '-1'].map(
    (length): WebServerCase => ({
      id: `refused/length-${length}`,
      section: 'RFC 9110 8.6',
      title: `Content-Length: ${length} never reaches the client`,
      async run(target) {
        const answer = await target.ask(says(`Content-Length: ${length}\r\n${textHead}a`));
        const isDropped = answer.status === 200 && answer.isComplete && answer.body === 'a';
        expect(isDropped || answer.status >= 500, describeAnswer(answer));
      },
    }),
  ),
  {
    id: 'refused/control-bytes',
    section: 'RFC 9110 5.5',
    title: 'A bare CR or NUL in a field never reaches the client',
    async run(target) {
      for (const byte of ['\r', '\0']) {
        const answer = await target.ask(says(`X-Word: a${byte}b\r\n${textHead}a`));
        // A client that cannot read the answer got the byte.
        expect(answer.status !== 0, 'the answer is invalid HTTP');
        const value = answer.fields[answer.fields.indexOf('x-word') + 1] ?? '';
        expect(!answer.fields.includes('x-word') || !value.includes(byte), `it got ${JSON.stringify(value)}`);
      }
    },
  },
];

export const webServerCaseList: readonly WebServerCase[] = [...requestCases, ...answerCases, ...faultCases];
