/**
 * What becomes of a request after a try has failed: another source, another try in a moment, or the end.
 * The rules, by how far the request came (`Delivery`):
 * - *unsent* and *rejected* take up to two further sources, whatever the method.
 * - *maybe* is tried once more, if it may run twice: an idempotent method (RFC 9110 9.2.2).
 * - Where nobody listens just now (a restart, a full queue) and no source is left, the request waits: it asks again
 *   after growing pauses, for as long as the source's `holdMs`. Nothing of it has reached an application meanwhile.
 * - Requests that take a further try are at most a fifth of all; waiting ones at most `waitingMax`.
 */

import type { Balancer } from '../balancer/balancer.ts';
import type { Clock } from '../base/clock.ts';
import { errorFacts } from '../base/error-facts.ts';
import { type GatewayError, SourceError } from '../base/errors.ts';
import type { Source } from '../source/source.ts';

/** What all requests of one rule share. */
export interface TryContext {
  readonly balancer: Balancer;
  readonly options: {
    readonly clock: Pick<Clock, 'now'>;
    /** 0 to 1. */
    readonly random: () => number;
  };
  /** Requests under way; those of them that are a further try; those that wait. */
  active: number;
  retrying: number;
  waiting: number;
}

/** Where to ask next. */
export interface NextTry {
  /** Undefined: the balancer chooses after the pause. */
  readonly source: Source | undefined;
  readonly pauseMs: number;
}

const safeTriesMax = 2;
const maybeTriesMax = 1;

/** Further tries under way are at most a fifth of all requests under way, or this many: a failing application is not flooded. */
const retryingMin = 10;
const retryingShare = 0.2;

/** Beyond this, requests are answered at once: each holds a client's connection. */
const waitingMax = 1_000;
/** Pauses double from the first to the last; jitter takes or adds a quarter, so that waiting requests do not come all together. */
const firstPauseMs = 10;
const pauseMsMax = 250;

/** Of an error that no source told. */
const unknownDelivery = { delivery: 'maybe', isTransient: false } as const;

const isAvailable = (source: Source) => source.isAvailable();
const isUsable = (source: Source) => source.isUsable();

/**
 * The first choice, and the one after a pause. Of none in service the one that the policy would take: it may be back
 * (F43).
 * @param ask `preview` takes no turn: for `explain`
 * @throws {SourceError} GW_ERR_SOURCE_STOPPED: an operator took out all of them
 */
export function chooseSource(balancer: Balancer, clientAddress: string, ask: 'pick' | 'preview'): Source {
  const source = balancer[ask](clientAddress, isAvailable) ?? balancer[ask](clientAddress, isUsable);
  if (source !== undefined) return source;
  const names = balancer.sources.map(({ source: { name } }) => name).join(', ');
  const message = `All sources are in maintenance: ${names}`;
  throw new SourceError('GW_ERR_SOURCE_STOPPED', message, { delivery: 'unsent' });
}

/** Made for a request when its first try has failed. */
export class FurtherTries {
  readonly #context: TryContext;
  readonly #clientAddress: string;
  readonly #mayRunTwice: boolean;
  /** Sources that were asked since the last pause. */
  #failed: Source[] = [];
  #safeTries = 0;
  #maybeTries = 0;
  #isCounted = false;
  #pauses = 0;
  #waitsUntil: number | undefined;

  constructor(context: TryContext, clientAddress: string, mayRunTwice: boolean) {
    this.#context = context;
    this.#clientAddress = clientAddress;
    this.#mayRunTwice = mayRunTwice;
  }

  /**
   * @param source the one that has failed
   * @param wasRepeated it has run a second time there already
   * @returns undefined: there is no further try
   */
  after(error: GatewayError, source: Source, wasRepeated = false): NextTry | undefined {
    const { retry } = errorFacts[error.code];
    if (retry === 'nowhere') return undefined;
    const { delivery, isTransient } = error instanceof SourceError ? error : unknownDelivery;
    const isSafe = delivery !== 'maybe';
    if (wasRepeated) this.#maybeTries += 1;
    this.#failed.push(source);
    if (isSafe ? this.#safeTries < safeTriesMax : this.#mayRunTwice && this.#maybeTries < maybeTriesMax) {
      const next = this.#untried();
      if (next !== undefined && this.#count()) {
        if (isSafe) this.#safeTries += 1;
        else this.#maybeTries += 1;
        return { source: next, pauseMs: 0 };
      }
      // A worker that died takes nothing with it: its siblings at the same address are another try, also for a request
      // that it accepted and did not read.
      if (retry === 'same source too' && this.#count()) {
        if (isSafe) {
          this.#safeTries += 1;
          return { source, pauseMs: 0 };
        }
        this.#maybeTries += 1;
        return this.#afterPause();
      }
    }
    return isTransient && this.#mayHold() ? this.#afterPause() : undefined;
  }

  /** The request is over. Called once. */
  end(): void {
    if (this.#isCounted) this.#context.retrying -= 1;
    if (this.#waitsUntil !== undefined) this.#context.waiting -= 1;
  }

  #untried(): Source | undefined {
    const { balancer } = this.#context;
    const isUntried = (source: Source) => source.isUsable() && !this.#failed.includes(source);
    return (
      balancer.pick(this.#clientAddress, (source) => isUntried(source) && source.isAvailable()) ??
      balancer.pick(this.#clientAddress, isUntried)
    );
  }

  /** Takes a place in the retry budget, once for a request. */
  #count(): boolean {
    const { active, retrying } = this.#context;
    if (this.#isCounted) return true;
    if (retrying >= Math.max(retryingMin, active * retryingShare)) return false;
    this.#context.retrying += 1;
    this.#isCounted = true;
    return true;
  }

  #mayHold(): boolean {
    const { balancer, waiting, options } = this.#context;
    const now = options.clock.now();
    if (this.#waitsUntil === undefined) {
      const holdMs = Math.max(...balancer.sources.map(({ source }) => source.holdMs));
      if (holdMs === 0 || waiting >= waitingMax) return false;
      this.#waitsUntil = now + holdMs;
      this.#context.waiting += 1;
    }
    return now < this.#waitsUntil;
  }

  #afterPause(): NextTry {
    const pauseMs = Math.min(pauseMsMax, firstPauseMs * 2 ** this.#pauses++);
    this.#failed = [];
    this.#safeTries = 0;
    return { source: undefined, pauseMs: pauseMs * (0.75 + this.#context.options.random() / 2) };
  }
}
