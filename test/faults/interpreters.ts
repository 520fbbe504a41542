/** Interpreters that cannot start, do not stay, or do not go. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { copyApplication } from '../support/applications.ts';
import { startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { descendants, isAlive } from '../support/process-facts.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { count } from './counts.ts';
import { type FaultGateway, see } from './fault-gateway.ts';
import { type Situation, withGateway, withStoppedClock } from './stage.ts';

/** Answers with its process id, one request after the other. */
const perl = ['perl', join(copyApplication('perl'), 'pid.pl')] as const;

const startsOf = ({ lines }: FaultGateway) =>
  lines.filter(({ message }) => message === 'The interpreter is up').map(({ fields }) => Number(fields.pid));

/** What the source itself said, and not the requests that it failed. */
const errorsOf = ({ lines }: FaultGateway) =>
  lines.filter(({ level, fields }) => level === 'error' && fields.request === undefined);

/** All at once; each has to be 503 and to say when to come again. */
async function expectUnavailable({ origin }: FaultGateway, requests: number): Promise<number> {
  const answers = await Promise.all(Array.from({ length: requests }, () => see(origin, '/')));
  for (const { status } of answers) assert.equal(status, 503);
  return Math.min(...answers.map(({ headers }) => Number(headers['retry-after'])));
}

export const interpreters: readonly Situation[] = [
  ...(
    [
      ['vanishes (ENOENT)', (program: string) => rmSync(program)],
      ['may not be run any more (EACCES)', (program: string) => chmodSync(program, 0o644)],
    ] as const
  ).map(([what, breakIt]) => ({
    rows: 'F45',
    title: `the program of an interpreter ${what}; 35 requests`,
    promise: '503, Retry-After: 30; one try, told once; another 30 s later',
    run: () => {
      const program = join(createTestDirectory(), 'interpreter');
      const put = () => writeFileSync(program, `#!/bin/sh\nexec ${perl.join(' ')}\n`, { mode: 0o755 });
      put();
      return withStoppedClock((forward) =>
        withGateway({ a: { interpreter: [program] } }, { '/': ['a'] }, async (gateway) => {
          breakIt(program);
          assert.equal(await expectUnavailable(gateway, 30), 30);
          assert.equal(await expectUnavailable(gateway, 5), 30);
          assert.equal(errorsOf(gateway).length, 1, JSON.stringify(errorsOf(gateway)));
          put();
          chmodSync(program, 0o755);
          forward(30_001);
          assert.equal((await see(gateway.origin, '/')).status, 200);
          return '503, Retry-After: 30; one line; 200 once it is there again';
        }),
      );
    },
  })),
  {
    rows: 'F46',
    title: 'an interpreter ends at each start; requests all the time',
    promise: '503 with Retry-After, exit code and last words in the log; at most 12 starts a minute',
    run: () => {
      const folder = createTestDirectory();
      openToAll(folder);
      const starts = join(folder, 'starts');
      writeFileSync(starts, '');
      chmodSync(starts, 0o666);
      const interpreter = ['sh', '-c', `echo >> ${starts}; echo I cannot find my shoes >&2; exit 7`];
      return withStoppedClock((forward) =>
        withGateway({ a: { interpreter, socket: 'own' } }, { '/': ['a'] }, async (gateway) => {
          const started = () => readFileSync(starts, 'latin1').length;
          assert.ok((await expectUnavailable(gateway, 30)) > 20);
          const told = /ended with exit code 7 before it answered: .*I cannot find my shoes/;
          assert.ok(errorsOf(gateway).some(({ message }) => told.test(message)));
          for (let minute = 0; minute < count(3, 1); minute++) {
            const before = minute === 0 ? 0 : started();
            for (let seconds = 0; seconds < 60; seconds += 5) {
              forward(5_000);
              assert.ok((await expectUnavailable(gateway, 3)) >= 1);
            }
            const inMinute = started() - before;
            assert.ok(inMinute >= 1 && inMinute <= 12, `${inMinute} starts in a minute`);
          }
          return '503 with Retry-After; never more than 12';
        }),
      );
    },
  },
  {
    rows: 'F47',
    title: '500 requests while no process runs',
    promise: 'one start, all answered',
    run: () =>
      withGateway({ a: { interpreter: perl } }, { '/': ['a'] }, async (gateway) => {
        const answers = await Promise.all(
          Array.from({ length: 500 }, () => see(gateway.origin, '/', { timeoutMs: 60_000 })),
        );
        const [pid] = startsOf(gateway);
        for (const { status, body } of answers) assert.deepEqual([status, body], [200, `pid=${pid}\n`]);
        assert.equal(startsOf(gateway).length, 1);
        return '500 of 500 answered by one process';
      }),
  },
  {
    rows: 'F48',
    title: 'the master of php-cgi is killed; its two children live on and could answer',
    promise: 'they are ended, and the next request starts a new one',
    run: () => {
      const php = { interpreter: ['php-cgi', '-b', '{address}'], env: { PHP_FCGI_CHILDREN: '2' } };
      return withGateway({ a: php }, { '/': ['a'] }, async (gateway) => {
        // Whatever it says of a script that is not there.
        const ask = async () =>
          assert.match((await see(gateway.origin, '/')).body, /No input file specified/);
        await ask();
        const [master] = startsOf(gateway);
        const children = descendants(master!).map(({ pid }) => pid);
        assert.equal(children.length, 2);
        process.kill(master!, 'SIGKILL');
        await until(() => !children.some(isAlive), 'the end of the children');
        await ask();
        assert.equal(startsOf(gateway).length, 2);
        return 'ended; answered by a new one';
      });
    },
  },
  {
    rows: 'F49',
    title: 'the gateway itself is killed (SIGKILL)',
    promise: 'its interpreter ends too; zombies are the business of process 1 (docs/interpreters.md)',
    run: async () => {
      const handler = { type: 'fastcgi' as const, checkFile: false, source: 'a' };
      const gateway = await startGateway({
        config: {
          sources: { a: { interpreter: perl } },
          virtualServers: [{ documentRoot: createTestDirectory(), rules: [{ handler }] }],
        },
      });
      const { text } = await fetchAnswer(gateway.origin, '/');
      const pid = Number(/pid=(\d+)/.exec(text)?.[1]);
      assert.ok(isAlive(pid));
      await gateway.stop('SIGKILL');
      await until(() => !isAlive(pid), 'the end of the interpreter');
      return 'ended';
    },
  },
];
