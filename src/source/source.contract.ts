/** What every source promises its handlers; each kind's test runs this suite. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { turns } from '../../test/support/manual-clock.ts';
import { until } from '../../test/support/until.ts';
import { CgiError, GatewayError } from '../base/errors.ts';
import type { Source, SourceExchange, SourceListener, SourceRequest } from './source.ts';

/** A source whose application answers these requests. */
export interface SourceUnderTest {
  readonly source: Source;
  /** A small answer that holds `Hello`. */
  readonly page: SourceRequest;
  /** An answer of at least `largeBytes`. */
  readonly large: SourceRequest;
  /** No byte comes, for minutes. */
  readonly silent: SourceRequest;
  /** The application breaks off before its answer is complete. Undefined: it cannot be made to. */
  readonly broken: SourceRequest | undefined;
  /** Ends what stands behind the source; called after `source.close`. */
  stop?(): unknown;
}

/** Less than what a shared connection holds for a slow reader. */
export const largeBytes = 600_000;

type Call = 'stdout' | 'stderr' | 'end' | 'error';

/** Hears one request, and notices what must not be. */
class Hearing implements SourceListener {
  readonly calls: Call[] = [];
  readonly faults: string[] = [];
  text = '';
  bytes = 0;
  failure: GatewayError | undefined;
  isOpened = false;
  /** Nothing may be called any more. */
  isOver = false;
  exchange: SourceExchange | undefined;
  /** What `stdout` returns. */
  takesMore = true;
  onEnd = (): void => {};
  onStdout = (): void => {};

  static open(source: Source, request: SourceRequest, prepare = (_hearing: Hearing) => {}): Hearing {
    const hearing = new Hearing();
    prepare(hearing);
    hearing.exchange = source.open(request, hearing);
    hearing.isOpened = true;
    return hearing;
  }

  stdout(chunk: Buffer): boolean {
    this.#note('stdout');
    if (this.text.length < 1_000) this.text += chunk.toString('latin1');
    this.bytes += chunk.length;
    this.onStdout();
    return this.takesMore;
  }

  stderr(): void {
    this.#note('stderr');
  }

  end(): void {
    this.#note('end');
    this.isOver = true;
    this.onEnd();
  }

  error(error: GatewayError): void {
    this.#note('error');
    this.isOver = true;
    this.failure = error;
  }

  #note(call: Call): void {
    if (!this.isOpened) this.faults.push(`${call} before open had returned`);
    if (this.isOver) this.faults.push(`${call} after the end`);
    this.calls.push(call);
  }
}

/** @param kind name of what is tested @param open makes a source of its own for each test */
export function testSource(
  kind: string,
  open: (t: TestContext) => Promise<SourceUnderTest> | SourceUnderTest,
): void {
  const check = (what: string, run: (under: SourceUnderTest) => Promise<void>) =>
    test(`${kind}: ${what}`, async (t) => {
      const under = await open(t);
      try {
        await run(under);
        await until(() => under.source.active === 0, 'the end of all requests');
      } finally {
        await under.source.close();
        // May be called twice.
        await under.source.close();
        await under.stop?.();
      }
    });

  check('an answer: nothing before open has returned, nothing after the end', async ({ source, page }) => {
    const hearings = Array.from({ length: 3 }, () => Hearing.open(source, page));
    for (const hearing of hearings) {
      await until(() => hearing.isOver, 'an answer');
      assert.match(hearing.text, /Hello/, String(hearing.failure));
      assert.equal(hearing.calls.at(-1), 'end');
    }
    await pause();
    for (const { faults } of hearings) assert.deepEqual(faults, []);
  });

  check(
    'an application that breaks off: one error, and nothing after it',
    async ({ source, broken, page }) => {
      if (broken === undefined) return;
      const hearing = Hearing.open(source, broken);
      await until(() => hearing.isOver, 'an error');
      assert.ok(hearing.failure instanceof GatewayError, hearing.calls.join());
      await pause();
      assert.deepEqual(hearing.faults, []);
      // The next request is none the worse for it; an interpreter may have to start again first.
      await until(async () => {
        const next = Hearing.open(source, page);
        await until(() => next.isOver, 'another answer');
        return next.failure === undefined;
      }, 'an answer after the broken one');
    },
  );

  check(
    'a listener that pauses hears nothing before it resumes, and loses nothing',
    async ({ source, large }) => {
      const hearing = Hearing.open(source, large, (it) => {
        it.takesMore = false;
        let isPausing = false;
        it.onStdout = () => {
          if (isPausing) return;
          isPausing = true;
          // What was read together with the chunk still comes in this turn.
          setImmediate(() => {
            const { length } = it.calls;
            void turns(20).then(() => {
              if (it.calls.length > length && !it.isOver) it.faults.push('it was called while it paused');
              isPausing = false;
              it.exchange!.resume();
            });
          });
        };
      });
      await until(() => hearing.isOver, 'the whole answer');
      assert.deepEqual(hearing.faults, []);
      assert.equal(hearing.failure, undefined);
      assert.ok(hearing.bytes >= largeBytes, `${hearing.bytes} bytes came`);
    },
  );

  check('abort, at any time and twice: nothing more is heard', async ({ source, silent, large, page }) => {
    const atOnce = Hearing.open(source, page);
    atOnce.exchange!.abort();
    atOnce.isOver = true;
    const waiting = Hearing.open(source, silent);
    const running = Hearing.open(source, large);
    await until(() => running.calls.length > 0, 'the first bytes');
    for (const hearing of [waiting, running]) {
      hearing.exchange!.abort();
      hearing.isOver = true;
      hearing.exchange!.abort();
    }
    await until(() => source.active === 0, 'that nothing is under way');
    await pause();
    for (const { faults } of [atOnce, waiting, running]) assert.deepEqual(faults, []);
  });

  check(
    'disown from within the end, and whatever is called after it, harms nothing',
    async ({ source, page }) => {
      const hearing = Hearing.open(source, page, (it) => {
        it.onEnd = () => {
          for (let i = 0; i < 2; i++) it.exchange!.disown(new CgiError('GW_ERR_CGI_NO_HEAD', 'no head'));
        };
      });
      await until(() => hearing.isOver, 'the end');
      const exchange = hearing.exchange!;
      exchange.resume();
      exchange.liftTotalLimit();
      exchange.answered();
      exchange.abort();
      exchange.disown(new CgiError('GW_ERR_CGI_NO_HEAD', 'no head'));
      assert.ok(exchange.waitedMs >= 0);
      assert.equal(exchange.wasRepeated, false);
      await pause();
      assert.deepEqual(hearing.faults, []);
    },
  );

  check('once it is closed a request is an error, told after open has returned', async ({ source, page }) => {
    const before = Hearing.open(source, page);
    await until(() => before.isOver, 'an answer');
    await source.close();
    const hearing = Hearing.open(source, page);
    await until(() => hearing.isOver, 'an error');
    assert.ok(hearing.failure instanceof GatewayError, hearing.calls.join());
    assert.deepEqual(hearing.faults, []);
  });
}

/** What would come too late has come by then. */
async function pause(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}
