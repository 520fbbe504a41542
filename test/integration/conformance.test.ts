/** The conformance kit: what programs are known to do must be what it finds. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { serve } from '../../src/app/index.ts';
import {
  applicationCases,
  checkApplication,
  checkWebServer,
  startScriptedApplication,
  webServerCases,
} from '../../src/testing/index.ts';
import { type ProgramName, startEcho } from '../support/fastcgi-programs.ts';
import { runFastway, startGateway } from '../support/gateway-process.ts';
import { createTestDirectory } from '../support/test-directory.ts';

/** Cases in which a program is silent, and only a wait would show it. */
const silentCases: Partial<Record<ProgramName, readonly string[]>> = {
  'libfcgi (C)': ['management/get-values', 'management/only-asked'],
};

/** What each program does not pass. */
const known: Partial<Record<ProgramName, Readonly<Record<string, string>>>> = {
  fastway: {},
  'libfcgi (C)': { 'connection/multiplexed': 'not supported', 'roles/unknown': 'fail' },
  'php-fpm': {
    'pairs/across-records': 'fail',
    'roles/filter': 'not supported',
    'end/stdout': 'fail',
    'connection/multiplexed': 'not supported',
    'management/unknown-type': 'not supported',
    'roles/unknown': 'fail',
    'faults/version': 'fail',
  },
};

describe('conformance of applications', () => {
  for (const [name, expected] of Object.entries(known) as [ProgramName, Record<string, string>][]) {
    it(name, async () => {
      const program = await startEcho(name);
      try {
        const skipped = silentCases[name] ?? [];
        const only = applicationCases.filter((id) => !skipped.includes(id));
        const results = await checkApplication(program.address, {
          script: program.script,
          timeoutMs: 20_000,
          only,
        });
        assert.equal(results.length, only.length);
        const others = results.filter(({ outcome }) => outcome !== 'pass');
        assert.deepEqual(
          Object.fromEntries(others.map(({ id, outcome }) => [id, outcome])),
          expected,
          JSON.stringify(others, null, 2),
        );
      } finally {
        await program.stop();
      }
    });
  }

  const outcomes = async (address: string, only: readonly string[], timeoutMs?: number) =>
    (await checkApplication(address, { only, timeoutMs })).map(({ id, outcome, note }) => [
      id,
      outcome,
      note,
    ]);

  it('nobody there', async () => {
    assert.deepEqual(await outcomes('unix:/nowhere/none.sock', ['one-write']), [
      ['request/one-write', 'fail', 'it could not be connected to (ENOENT)'],
    ]);
  });

  it('what only an echo would show is not tested without one', async (t) => {
    const address = `unix:${createTestDirectory()}/app.sock`;
    const server = await serve((request) => void request.write('Content-Type: text/plain\n\nhello'), {
      listen: address,
    });
    t.after(() => server.close());
    const note = 'the application does not echo what it gets';
    assert.deepEqual(await outcomes(address, ['one-write', 'stdin/small']), [
      ['request/one-write', 'pass', ''],
      ['stdin/small', 'not tested', note],
    ]);
  });

  it('an application that answers with another request id fails', async (t) => {
    const application = await startScriptedApplication({ play: 'wrong-id' });
    t.after(() => application.close());
    assert.deepEqual(await outcomes(application.address, ['one-write'], 300), [
      ['request/one-write', 'fail', 'it closed the connection after 2 records'],
    ]);
  });
});

describe('conformance of web servers', () => {
  it('our gateway passes every case, with kept connections and without', async () => {
    for (const keepConnections of [0, 4]) {
      const directory = createTestDirectory();
      const listen = `unix:${directory}/app.sock`;
      const gateway = await startGateway({
        config: {
          sources: { app: { address: listen, keepConnections } },
          virtualServers: [
            {
              documentRoot: directory,
              rules: [{ handler: { type: 'fastcgi', source: 'app', checkFile: false } }],
            },
          ],
        },
      });
      try {
        const results = await checkWebServer({ listen, url: `${gateway.origin}/app`, timeoutMs: 30_000 });
        assert.equal(results.length, webServerCases.length);
        const others = results.filter(({ outcome }) => outcome !== 'pass');
        assert.deepEqual(others, []);
      } finally {
        await gateway.stop();
      }
    }
  });

  it('a web server that makes things up fails', async () => {
    const server = createServer((_request, response) => response.end('Hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, stdout } = await runFastway([
      ...['conformance', '--listen', `unix:${createTestDirectory()}/app.sock`],
      ...['--url', `http://127.0.0.1:${port}/`, '--only', 'request/begin', '--only', 'broken/eof'],
    ]);
    server.close();
    assert.equal(code, 1);
    assert.match(stdout, /^fail +request\/begin .*\n +the web server sent no request to the application$/m);
    assert.match(stdout, /^fail +broken\/eof .*\n +the client got 200, complete, 5 bytes "Hello"$/m);
    assert.match(stdout, /^2 cases: 2 fail$/m);
  });
});

describe('fastway conformance', () => {
  it('prints each case and a sum, or JSON', async () => {
    const program = await startEcho('libfcgi (C)');
    try {
      const plain = await runFastway([
        'conformance',
        program.address,
        '--only',
        'pairs/',
        '--timeout',
        '20000',
      ]);
      assert.equal(plain.code, 0, plain.stderr);
      assert.match(plain.stdout, /^pass +pairs\/lengths +Values of 0, 127 and 128 bytes arrive \(3\.4\)$/m);
      assert.match(plain.stdout, /^6 cases: 6 pass$/m);
      const json = await runFastway(['conformance', program.address, '--only', 'pairs/bytes', '--json']);
      assert.deepEqual(JSON.parse(json.stdout)[0].outcome, 'pass');
    } finally {
      await program.stop();
    }
  });

  for (const args of [
    [],
    ['unix:/a', '--listen', 'unix:/b', '--url', 'http://x/'],
    ['--listen', 'unix:/b'],
    ['--url', 'http://x/'],
    ['--listen', 'unix:/b', '--url', 'https://x/'],
  ]) {
    it(`says what is wrong with: ${args.join(' ')}`, async () => {
      const { code, stderr } = await runFastway(['conformance', ...args]);
      assert.equal(code, 2);
      assert.match(stderr, /^(Say what to check: fastway conformance ADDRESS|--url is "https)/);
    });
  }
});
