/** `fastway/client` and `fastway request` with applications that others wrote, and with ours. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { type Client, createClient } from '../../src/client/index.ts';
import { type ProgramName, type RunningProgram, startEcho } from '../support/fastcgi-programs.ts';
import { runFastway } from '../support/gateway-process.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const programs: readonly ProgramName[] = ['php-fpm', 'php-cgi', 'libfcgi (C)', 'fastway'];

for (const name of programs) {
  describe(`the client with ${name}`, () => {
    let program: RunningProgram;
    let client: Client;
    before(async () => {
      program = await startEcho(name);
      client = createClient(program.address, { keepConnections: name.startsWith('php') ? 0 : 8 });
    });
    after(async () => {
      await client?.close();
      await program?.stop();
    });

    it('asks and gets an answer', async () => {
      const { script } = program;
      const response = await client.request({ script, query: 'a=b', headers: { 'X-Word': 'grün' } });
      const text = await response.text();
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type')!, /^text\/plain/);
      assert.match(text, /^QUERY_STRING=a=b$/m);
      assert.match(text, /^HTTP_X_WORD=grün$/m);
      assert.equal(response.appStatus, 0);
    });

    it('sends a streamed body of known length, and streams the answer', async () => {
      const piece = Buffer.alloc(100_000, '0123456789');
      const response = await client.request({
        script: program.script,
        method: 'PUT',
        body: Readable.from(Array.from({ length: 20 }, () => piece)),
        headers: { 'Content-Length': '2000000', 'Content-Type': 'application/octet-stream' },
      });
      const text = Buffer.concat(await response.body.toArray()).toString();
      assert.equal(text.slice(text.indexOf('\n\n') + 2), piece.toString().repeat(20));
    });

    it('asks 40 times at once, and mixes no answer', async () => {
      await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const response = await client.request({ script: program.script, body: `body ${i}.` });
          assert.ok((await response.text()).endsWith(`\n\nbody ${i}.`));
        }),
      );
    });
  });
}

describe('the client with libfcgi (C)', () => {
  let program: RunningProgram;
  let client: Client;
  before(async () => {
    program = await startEcho('libfcgi (C)');
    client = createClient(program.address);
  });
  after(async () => {
    await client?.close();
    await program?.stop();
  });

  it('gets error output and an exit status', async () => {
    const response = await client.request({ variables: { ANSWER_STDERR: 'oops', ANSWER_STATUS: '7' } });
    await response.text();
    assert.deepEqual([response.stderr, response.appStatus], ['oops', 7]);
  });

  it('lets a Filter work on a file', async () => {
    const data = Readable.from(Array.from({ length: 50 }, () => Buffer.alloc(10_000, 'f')));
    const variables = { FCGI_DATA_LENGTH: '500000', FCGI_DATA_LAST_MOD: '1000000000' };
    const response = await client.request({ role: 'Filter', body: 'in', data, variables });
    const text = await response.text();
    assert.match(text, /^FCGI_DATA_LAST_MOD=1000000000$/m);
    assert.equal(text.slice(text.indexOf('\n\n') + 2), `in${'f'.repeat(500_000)}`);
  });

  it('fastway request asks a Filter about a file, without a script', async () => {
    const file = join(createTestDirectory(), 'file.txt');
    writeFileSync(file, 'the file');
    const filter = ['--role', 'Filter', '--data', file, '--env', 'ANSWER_STATUS=5'];
    const { code, stdout, stderr } = await runFastway(['request', program.address, ...filter]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^FCGI_DATA_LENGTH=8$/m);
    assert.ok(stdout.endsWith('\n\nthe file'), stdout);
    assert.match(stderr, /^Status 200, appStatus 5, /m);
    const wrong = await runFastway(['request', program.address, '--path-info', '/', '--data', file]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /^--data is for --role Filter$/m);
  });

  it('fastway request prints the answer as it is, and every record when asked', async () => {
    const { code, stdout, stderr } = await runFastway([
      ...['request', program.address, '--script', '/srv/a.cgi', '--header', 'X-Word: grün', '--trace'],
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Content-Type: text\/plain\r\n\r\n/);
    assert.match(stdout, /^HTTP_X_WORD=grün$/m);
    assert.match(stderr, /^-> BEGIN_REQUEST 1, Responder$/m);
    assert.match(stderr, /^ {5}HTTP_X_WORD = grün$/m);
    assert.match(stderr, /^<- END_REQUEST 1, appStatus 0, REQUEST_COMPLETE$/m);
    assert.match(stderr, /^Status 200, appStatus 0, first byte after \d+ ms, \d+ ms$/m);
  });
});

for (const [name, workers] of [
  ['php-cgi', '2'],
  ['libfcgi (C)', '1'],
  ['libfcgi (Perl)', '1'],
] as const) {
  it(`fastway request --values asks ${name} what it can do`, async () => {
    const program = await startEcho(name);
    try {
      const { code, stdout } = await runFastway([
        'request',
        program.address,
        '--values',
        '--timeout',
        '20000',
      ]);
      assert.equal(code, 0);
      assert.deepEqual(stdout.trim().split('\n').sort(), [
        `FCGI_MAX_CONNS = ${workers}`,
        `FCGI_MAX_REQS = ${workers}`,
        'FCGI_MPXS_CONNS = 0',
      ]);
    } finally {
      await program.stop();
    }
  });
}
