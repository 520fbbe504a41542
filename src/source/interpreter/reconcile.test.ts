import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  admit,
  chooseProcess,
  lookInterval,
  needsStart,
  type ProcessFacts,
  type ProcessPolicy,
  reconcile,
  refusesLate,
  type Situation,
} from './reconcile.ts';

const ready: ProcessFacts = {
  state: 'ready',
  pid: 1,
  busy: 0,
  hasPlace: true,
  isSuccessor: false,
  requests: 0,
  readyAt: 0,
  idleSince: 0,
  memoryBytes: 0,
};

const situation = (
  processes: readonly Partial<ProcessFacts>[],
  facts: Partial<Situation<ProcessFacts>> = {},
): Situation<ProcessFacts> => ({
  processes: processes.map((one, index) => ({ ...ready, pid: index + 1, ...one })),
  places: 1,
  waiting: 0,
  isInUse: true,
  isStarting: false,
  startDelayMs: 0,
  isMemoryDue: false,
  now: 0,
  ...facts,
});

const several: ProcessPolicy = { processes: { min: 1, max: 3, idleMs: 1_000 } };

/** What is to be done, and to which process. */
function step(
  processes: readonly Partial<ProcessFacts>[],
  facts: Partial<Situation<ProcessFacts>> = {},
  policy: ProcessPolicy = several,
): string {
  const action = reconcile(situation(processes, facts), policy);
  if (action === undefined) return 'nothing';
  if (action.kind === 'start') return 'start';
  return action.kind === 'end'
    ? `end ${action.interpreter.pid}`
    : `replace ${action.interpreter.pid}: ${action.reason}`;
}

test('the minimum is kept from the first request on', () => {
  assert.equal(step([], { isInUse: false }), 'nothing');
  assert.equal(step([]), 'start');
  assert.equal(step([{ state: 'leaving' }]), 'start');
  assert.equal(step([{ state: 'starting' }]), 'nothing');
  assert.equal(step([{}]), 'nothing');
  assert.equal(step([], {}, { processes: { min: 0, max: 3, idleMs: 1_000 } }), 'nothing');
});

test('one more is started for requests that wait, one after the other, up to the maximum', () => {
  assert.equal(step([{ busy: 1 }], { waiting: 1 }), 'start');
  assert.equal(step([{ busy: 1 }], { waiting: 1, isStarting: true }), 'nothing');
  assert.equal(step([{ busy: 1 }], { waiting: 1, startDelayMs: 5 }), 'nothing');
  assert.equal(step([{}, {}, {}], { waiting: 1 }), 'nothing');
  assert.equal(step([{}, {}, { state: 'leaving' }], { waiting: 1 }), 'start');
  assert.equal(step([{}], { waiting: 1 }, {}), 'nothing', 'without a policy there is one');
});

test('of more than the maximum, which may have become less, the last one leaves after its requests', () => {
  assert.equal(step([{}, {}, {}, { busy: 2 }]), 'end 4');
  assert.equal(step([{}, {}, { busy: 1 }, { state: 'leaving' }]), 'nothing');
  assert.equal(
    step([{}, {}, {}, { state: 'loading', isSuccessor: true }]),
    'nothing',
    'it replaces one of them',
  );
  assert.equal(step([{}, {}, {}, { state: 'starting' }], { isStarting: true }), 'nothing');
});

test('while one is in doubt, nothing is started in its place; a start that waits for its delay is one', () => {
  assert.equal(step([{ state: 'doubted' }], { waiting: 1 }), 'nothing');
  assert.equal(needsStart(situation([], { startDelayMs: 5 }), several), true);
});

test('the last one that is idle ends, not below the minimum, and not while requests wait', () => {
  const facts = { now: 1_000 };
  assert.equal(step([{}, {}, { idleSince: 1 }], facts), 'end 2');
  assert.equal(step([{}, {}, { busy: 1 }], facts), 'end 2');
  assert.equal(step([{}, { state: 'leaving' }], facts), 'nothing');
  assert.equal(step([{}, {}], { now: 999 }), 'nothing');
  assert.equal(step([{}, {}], { ...facts, waiting: 1, isStarting: true }), 'nothing');
});

test('a worn process is replaced, for a reason, one at a time', () => {
  const policy = { ...several, recycle: { requests: 500, ageMs: 60_000, memoryMb: 100 } };
  const now = 60_000;
  const fresh = { readyAt: now, idleSince: now };
  const large = { ...fresh, memoryBytes: 101 * 1_048_576 };
  const replaced = (one: Partial<ProcessFacts>, facts: Partial<Situation<ProcessFacts>> = {}) =>
    step([fresh, { ...fresh, ...one }], { now, ...facts }, policy);
  assert.equal(replaced({ requests: 500 }), 'replace 2: it had 500 requests');
  assert.equal(replaced({ readyAt: 0 }), 'replace 2: it is 60 s old');
  assert.equal(replaced(large, { isMemoryDue: true }), 'replace 2: it takes 101 MiB of memory');
  assert.equal(replaced(large), 'nothing', 'nobody looked');
  assert.equal(replaced({ requests: 500, pid: undefined }), 'nothing', 'somebody else runs it');
  assert.equal(replaced({ requests: 500 }, { isStarting: true }), 'nothing');
  assert.equal(replaced({ requests: 500 }, { startDelayMs: 5 }), 'nothing');
  assert.equal(step([{ ...fresh, requests: 500 }, { state: 'leaving' }], { now }, policy), 'nothing');
});

test('memory is read only where it is due', () => {
  const unread = {
    ...ready,
    get memoryBytes(): number {
      throw new Error('read');
    },
  };
  const facts = { ...situation([]), processes: [unread] };
  assert.equal(reconcile(facts, { recycle: { memoryMb: 1 } }), undefined);
  assert.throws(() => reconcile({ ...facts, isMemoryDue: true }, { recycle: { memoryMb: 1 } }), /read/);
});

test('a request goes to the least busy process that is ready and has a place', () => {
  const { processes } = situation([{ busy: 2 }, { busy: 1 }, { busy: 1 }, { state: 'doubted' }]);
  assert.equal(chooseProcess(processes, 2)?.pid, 2);
  assert.equal(chooseProcess(processes, 1), undefined);
  assert.equal(chooseProcess([], 1), undefined);
});

test('a process that is loading gets requests only while none is ready', () => {
  const choose = (...states: readonly Partial<ProcessFacts>[]) =>
    chooseProcess(situation(states).processes, 1)?.pid;
  assert.equal(choose({ state: 'loading' }, { busy: 1 }), undefined, 'the ready one will be free');
  assert.equal(choose({ busy: 1 }, { state: 'loading' }), undefined);
  assert.equal(choose({ state: 'loading' }, {}), 2);
  assert.equal(choose({ state: 'loading' }, { state: 'leaving' }), 1);
  assert.equal(choose({ state: 'loading', busy: 1 }, { state: 'loading' }), 2);
  assert.equal(choose({ hasPlace: false }, { state: 'loading' }), undefined);
});

test('no more are started than those need that wait, what is loading counted', () => {
  const loading = { state: 'loading' } as const;
  assert.equal(step([{ busy: 1 }, loading], { waiting: 1 }), 'nothing');
  assert.equal(step([{ busy: 1 }, loading], { waiting: 2 }), 'start');
  assert.equal(step([{ ...loading, busy: 1 }], { waiting: 1 }), 'start');
  assert.equal(step([{ busy: 1 }, loading], { waiting: 4, places: 4 }), 'nothing');
});

test('one that is loading lets no other end: neither as idle, nor as worn', () => {
  const facts = { now: 1_000 };
  assert.equal(step([{}, { state: 'loading' }], facts), 'nothing');
  const policy = { ...several, recycle: { requests: 5 } };
  assert.equal(step([{ requests: 5 }, { state: 'loading' }], { now: 0 }, policy), 'nothing');
});

test('who cannot have a process waits, unless no start is due or all is over', () => {
  const answer = (isStopped: boolean, isOpen: boolean, ...states: readonly Partial<ProcessFacts>[]) =>
    admit(situation(states).processes, isStopped, isOpen);
  assert.equal(answer(false, false), 'wait');
  assert.equal(answer(false, true), 'not due');
  assert.equal(answer(false, true, { busy: 1 }), 'wait', 'one still serves');
  assert.equal(answer(false, true, { state: 'loading' }), 'wait');
  assert.equal(answer(true, false, {}), 'stopped');
});

test('who waits too long is refused, but not while one more process is about to serve', () => {
  const refuses = (...states: readonly Partial<ProcessFacts>[]) => refusesLate(situation(states).processes);
  assert.equal(refuses({ busy: 1 }), true);
  assert.equal(refuses(), false, 'the start decides');
  assert.equal(refuses({ state: 'starting' }), false);
  assert.equal(refuses({ busy: 1 }, { state: 'loading' }), false);
  assert.equal(refuses({ busy: 1 }, { state: 'loading', isSuccessor: true }), true);
});

test('how often to look follows the shortest time of the policy', () => {
  assert.equal(lookInterval({}), 62.5);
  assert.equal(lookInterval({ processes: { min: 1, max: 1, idleMs: 200 } }), 50);
  assert.equal(lookInterval({ recycle: { ageMs: 4 } }), 10);
  assert.equal(lookInterval({ recycle: { requests: 1 } }), 62.5);
});
