/** The conformance kit: what programs are known to do must be what it finds. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { serve } from '../../src/app/index.ts';
import { applicationCases, checkApplication, startScriptedApplication } from '../../src/testing/index.ts';
import { type ProgramName, startEcho } from '../support/fastcgi-programs.ts';
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

  it('what only an echo would show is not tested without one', async () => {
    const address = `unix:${createTestDirectory()}/app.sock`;
    const server = await serve((request) => void request.write('Content-Type: text/plain\n\nhello'), {
      listen: address,
    });
    const note = 'the application does not echo what it gets';
    assert.deepEqual(await outcomes(address, ['one-write', 'stdin/small']), [
      ['request/one-write', 'pass', ''],
      ['stdin/small', 'not tested', note],
    ]);
    await server.close();
  });

  it('an application that answers with another request id fails', async () => {
    const application = await startScriptedApplication();
    assert.deepEqual(await outcomes(application.address, ['one-write', 'id-256'], 300), [
      ['request/one-write', 'pass', ''],
      ['request/id-256', 'fail', 'it closed the connection after 3 records'],
    ]);
    await application.close();
  });
});
