/**
 * What a local source has to do about its processes, out of what there is and what is wanted: pure, one step at a time.
 * The source does it, and asks again when something has changed.
 */
import type { ProcessesOptions, RecycleOptions } from './local-options.ts';

/**
 * `loading`: connections to it wait until it accepts them, so that it gets requests only when no other process serves.
 * `doubted`: a request found nobody listening. `leaving`: gets no more requests, and ends after those that it has.
 */
export type ProcessState = 'starting' | 'loading' | 'ready' | 'doubted' | 'leaving' | 'gone';

/** What is to be known of a process; times as those of `Situation.now`. */
export interface ProcessFacts {
  readonly state: ProcessState;
  /** Undefined: somebody else runs it. */
  readonly pid: number | undefined;
  /** Requests under way. */
  readonly busy: number;
  /** Its own queue would not make the next request wait. */
  readonly hasPlace: boolean;
  /** Requests that it got so far. */
  readonly requests: number;
  /** A `loading` one is to replace another. */
  readonly isSuccessor: boolean;
  readonly readyAt: number;
  /** When its last request ended, or when it became ready. */
  readonly idleSince: number;
  /** Only asked for where `isMemoryDue`: the answer takes milliseconds. */
  readonly memoryBytes: number;
}

export interface ProcessPolicy {
  readonly processes?: ProcessesOptions | undefined;
  readonly recycle?: RecycleOptions | undefined;
}

export interface Situation<P extends ProcessFacts> {
  /** By their numbers. */
  readonly processes: readonly P[];
  /** Most requests at a time that a process is given. */
  readonly places: number;
  /** Requests that wait for a process. */
  readonly waiting: number;
  /** A request came, or the source was started: from now on the minimum is kept. */
  readonly isInUse: boolean;
  /** One is being started, which may be enough. */
  readonly isStarting: boolean;
  /** Until the next start is due; 0: now. */
  readonly startDelayMs: number;
  readonly isMemoryDue: boolean;
  /** Monotonic milliseconds. */
  readonly now: number;
}

export type Action<P> =
  | { readonly kind: 'start' }
  /** Start another one, then let this one leave. The reason is for people: `it had 500 requests`. */
  | { readonly kind: 'replace'; readonly interpreter: P; readonly reason: string }
  /** Let it leave: it is not needed any more. */
  | { readonly kind: 'end'; readonly interpreter: P };

/**
 * Most requests that wait at a local source, for a start as for a place: one bound, so that nobody is refused who was let in.
 * Twice as many as php-fpm's own queue of connections takes (F47).
 */
export const startWaitingMax = 1_000;
/** Between two readings of the memory of all processes, which take some milliseconds. */
export const memoryReadMs = 3_000;

/** Longest and shortest time between two looks. */
const lookMsMax = 250;
const lookMsMin = 10;
const mebibyte = 1_048_576;

/** Milliseconds between two looks. */
export function lookInterval({ processes, recycle }: ProcessPolicy): number {
  const shortest = Math.min(processes?.idleMs ?? lookMsMax, recycle?.ageMs ?? lookMsMax);
  return Math.max(lookMsMin, Math.min(lookMsMax, shortest / 4));
}

/** The least busy process that has a place for one more request; one that is loading only where none is ready. */
export function chooseProcess<P extends ProcessFacts>(
  processes: readonly P[],
  places: number,
): P | undefined {
  let best: P | undefined;
  let isAnyReady = false;
  for (const interpreter of processes) {
    const { state } = interpreter;
    if (state === 'ready' && !isAnyReady) {
      isAnyReady = true;
      best = undefined;
    }
    if (state !== 'ready' && (state !== 'loading' || isAnyReady)) continue;
    if (interpreter.busy >= places || !interpreter.hasPlace) continue;
    if (best === undefined || interpreter.busy < best.busy) best = interpreter;
  }
  return best;
}

/** Some process takes requests, now or when it has a place. */
export function serves(processes: readonly ProcessFacts[]): boolean {
  return processes.some(({ state }) => state === 'ready' || state === 'loading');
}

/** Requests are refused that waited too long for a place: not while one more process is about to bring some. */
export function refusesLate(processes: readonly ProcessFacts[]): boolean {
  return (
    serves(processes) && !processes.some(({ state, isSuccessor }) => state === 'loading' && !isSuccessor)
  );
}

/** What a request is told for which `chooseProcess` found none. `stopped` and `not due` refuse it. */
export type Admission = 'wait' | 'stopped' | 'not due';

/** @param isOpen starts failed so often that none is tried before its time */
export function admit(processes: readonly ProcessFacts[], isStopped: boolean, isOpen: boolean): Admission {
  if (isStopped) return 'stopped';
  return isOpen && !serves(processes) ? 'not due' : 'wait';
}

/** The next step: to end what is idle or too much, to replace what is worn, or to start what is missing; undefined: all is as it should be. */
export function reconcile<P extends ProcessFacts>(
  situation: Situation<P>,
  policy: ProcessPolicy,
): Action<P> | undefined {
  const idle = findSurplus(situation, policy) ?? findIdle(situation, policy);
  if (idle !== undefined) return { kind: 'end', interpreter: idle };
  if (situation.isStarting || situation.startDelayMs > 0) return undefined;
  // One at a time, so that the others carry the load.
  const isAnyChanging = situation.processes.some(({ state }) => state === 'leaving' || state === 'loading');
  const worn = isAnyChanging ? undefined : findWorn(situation, policy);
  if (worn !== undefined) return worn;
  return needsStart(situation, policy) ? { kind: 'start' } : undefined;
}

/** Whether a process is missing: they are started one after the other, as each may be enough. */
export function needsStart<P extends ProcessFacts>(
  { processes, places, waiting, isInUse, isStarting }: Situation<P>,
  policy: ProcessPolicy,
): boolean {
  if (isStarting) return false;
  let coming = 0;
  for (const { state, busy } of processes) if (state === 'loading') coming += places - busy;
  const living = countLiving(processes);
  const { min = 1, max = 1 } = policy.processes ?? {};
  if (isInUse && living < min) return true;
  return waiting > coming && living < max && !processes.some(({ state }) => state === 'doubted');
}

/** It had as many requests as a process may have. */
export function isUsedUp({ requests }: ProcessFacts, { recycle }: ProcessPolicy): boolean {
  return requests >= (recycle?.requests ?? Number.POSITIVE_INFINITY);
}

/** One more than there may be, since `max` is less now. */
function findSurplus<P extends ProcessFacts>(
  { processes, isStarting }: Situation<P>,
  { processes: wanted }: ProcessPolicy,
): P | undefined {
  if (wanted === undefined || isStarting || countLiving(processes) <= wanted.max) return undefined;
  // Its successor is among them.
  if (processes.some(({ state }) => state === 'loading')) return undefined;
  return processes.findLast(({ state }) => state === 'ready');
}

/** One that had no request for long; the last ones first, since the first ones get most of the work. */
function findIdle<P extends ProcessFacts>(
  { processes, waiting, now }: Situation<P>,
  policy: ProcessPolicy,
): P | undefined {
  const wanted = policy.processes;
  if (wanted === undefined || waiting > 0 || countLiving(processes) <= wanted.min) return undefined;
  // One that is loading is no reason yet to do without another.
  if (processes.some(({ state }) => state === 'loading')) return undefined;
  return processes.findLast(
    ({ state, busy, idleSince }) => state === 'ready' && busy === 0 && now - idleSince >= wanted.idleMs,
  );
}

function findWorn<P extends ProcessFacts>(
  { processes, isMemoryDue, now }: Situation<P>,
  policy: ProcessPolicy,
): Action<P> | undefined {
  const { recycle } = policy;
  if (recycle === undefined) return undefined;
  const { ageMs = Number.POSITIVE_INFINITY, memoryMb = Number.POSITIVE_INFINITY } = recycle;
  for (const interpreter of processes) {
    if (interpreter.state !== 'ready' || interpreter.pid === undefined) continue;
    const age = now - interpreter.readyAt;
    const megabytes =
      isMemoryDue && memoryMb !== Number.POSITIVE_INFINITY ? interpreter.memoryBytes / mebibyte : 0;
    const reason = isUsedUp(interpreter, policy)
      ? `it had ${interpreter.requests} requests`
      : age >= ageMs
        ? `it is ${Math.round(age / 1000)} s old`
        : megabytes > memoryMb
          ? `it takes ${Math.round(megabytes)} MiB of memory`
          : undefined;
    if (reason !== undefined) return { kind: 'replace', interpreter, reason };
  }
  return undefined;
}

/** Processes that work, or are about to. */
function countLiving(processes: readonly ProcessFacts[]): number {
  return processes.filter(({ state }) => state !== 'leaving' && state !== 'gone').length;
}
