/**
 * The fault matrix, through the whole gateway: every scenario on a fresh and on a kept connection, and every situation
 * that needs a stage of its own. The run writes docs/faults.md.
 */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { repository } from '../support/gateway-process.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { until } from '../support/until.ts';
import { connecting } from './connecting.ts';
import { isFull } from './counts.ts';
import { type FaultGateway, type Seen, see, startFaultGateway } from './fault-gateway.ts';
import { interpreters } from './interpreters.ts';
import { notPlayed } from './not-played.ts';
import { ownLimits } from './own-limits.ts';
import { findMissing, type MatrixRow, printFaults, type SituationRow } from './report.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { situations } from './situations.ts';
import { startAndStop } from './start-and-stop.ts';

const rows: MatrixRow[] = [];
const situationRows: SituationRow[] = [];

describe('every scenario', () => {
  let application: ScriptedApplication;
  let gateway: FaultGateway;
  let number = 0;
  before(async () => {
    application = await startScriptedApplication({ tcp: true });
    const limits = { address: application.address, readTimeoutMs: 1000, sendTimeoutMs: 1000 };
    gateway = await startFaultGateway(
      { fresh: { ...limits, keepConnections: 0 }, kept: { ...limits, keepConnections: 8 } },
      { '/fresh': ['fresh'], '/kept': ['kept'] },
    );
  });
  after(async () => {
    await gateway.close();
    await application.close();
  });

  for (const scenario of scenarios) {
    const row = { fault: scenario.fault, expected: scenario.expected };
    const cells = { fresh: '', kept: '' };
    for (const route of ['fresh', 'kept'] as const) {
      it(`${scenario.fault}, ${route}`, async () => {
        const plain = () => see(gateway.origin, `/${route}/before?play=page`);
        if (route === 'kept') assert.equal((await plain()).body, 'Hello');
        const path = `/${route}/${++number}`;
        const begin = gateway.lines.length;
        const seen = await see(gateway.origin, `${path}?play=${scenario.play}`, {
          method: scenario.post === undefined ? 'GET' : 'POST',
          ...(scenario.post === undefined ? {} : { body: scenario.post }),
        });
        const runs = application.requests.filter(
          ({ variables }) => variables.get('PATH_INFO') === `/${number}`,
        );
        const times = runs.length === 1 ? '' : `, asked ${runs.length} times`;
        cells[route] = print(seen) + times;
        const due = (route === 'kept' ? scenario.runsWhenKept : undefined) ?? scenario.runs ?? 1;
        assert.equal(runs.length, due, 'times that the application was asked');
        check(scenario, seen);
        if (seen.status >= 500 || seen.isCut) {
          const loud = gateway.lines
            .slice(begin)
            .filter(({ level, fields }) => /warn|error/.test(level) && fields.code !== undefined);
          assert.equal(loud.length, 1, `one failure is one line: ${JSON.stringify(loud)}`);
        }
        if (scenario.strikesLater === true)
          await until(() => application.open === 0, 'the end of an idle connection');
        // Whatever it left behind, the next answer is whole and clean.
        const next = await plain();
        assert.deepEqual([next.status, next.body, next.isCut], [200, 'Hello', false]);
      });
    }
    rows.push({ ...row, cells });
  }
});

const allSituations = [...connecting, ...situations, ...interpreters, ...ownLimits, ...startAndStop];

describe('every situation', () => {
  for (const { rows: names, title, promise, run } of allSituations) {
    it(`${names}: ${title}`, async () => {
      const row = { rows: names, title, promise, result: 'failed' };
      situationRows.push(row);
      row.result = await run();
    });
  }
});

it('each fault of the design is played, or the report says why not', () => {
  const played = [...scenarios.map(({ fault }) => fault), ...allSituations.map(({ rows: names }) => names)];
  assert.deepEqual(findMissing([...played, ...notPlayed.map(({ rows: names }) => names)]), []);
});

after(() => {
  if (!isFull) return;
  writeFileSync(join(repository, 'docs/faults.md'), printFaults(rows, situationRows, notPlayed));
});

function print({ status, isCut }: Seen): string {
  if (status >= 500) return String(status);
  return `${status} ${isCut ? 'cut' : 'complete'}`;
}

function check(scenario: Scenario, seen: Seen): void {
  assert.equal(print(seen), scenario.expected);
  if (scenario.body !== undefined) assert.equal(seen.body, scenario.body);
  assert.ok(!seen.body.includes('EVIL'), 'content of a foreign record reached the client');
  if (seen.status === 503) assert.match(seen.headers['retry-after'] ?? '', /^\d+$/);
}
