/** What a conformance case is, and how its result is found. */

/** `not supported`: the peer lacks something, and says so or does no harm. `not tested`: the case could not see. */
export type Outcome = 'pass' | 'fail' | 'not supported' | 'not tested';

export interface Case<Target> {
  /** Stable, for choosing: `pairs/large`. */
  readonly id: string;
  /** Section of the FastCGI 1.0 specification, or `RFC 3875 6.2`. */
  readonly section: string;
  /** What a peer does that passes. */
  readonly title: string;
  /** @throws when it does not pass: `NotSupported`, `NotTested`, else it failed */
  run(target: Target): Promise<void>;
}

export interface CaseResult {
  readonly id: string;
  readonly section: string;
  readonly title: string;
  readonly outcome: Outcome;
  /** Why it did not pass; empty when it did. */
  readonly note: string;
}

export class NotSupported extends Error {}

export class NotTested extends Error {}

/** One case after the other; `heard` is told of each. @param only parts of ids; none: all */
export async function runCases<Target>(
  cases: readonly Case<Target>[],
  target: Target,
  only: readonly string[] = [],
  heard: (result: CaseResult) => void = () => {},
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const { id, section, title, run } of cases) {
    if (only.length > 0 && !only.some((part) => id.includes(part))) continue;
    const { outcome, note } = await judge(() => run(target));
    const result = { id, section, title, outcome, note };
    results.push(result);
    heard(result);
  }
  return results;
}

async function judge(run: () => Promise<void>): Promise<{ outcome: Outcome; note: string }> {
  try {
    await run();
    return { outcome: 'pass', note: '' };
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error);
    if (error instanceof NotSupported) return { outcome: 'not supported', note };
    if (error instanceof NotTested) return { outcome: 'not tested', note };
    return { outcome: 'fail', note };
  }
}

/** @throws {Error} with the note */
export function expect(condition: boolean, note: string): asserts condition {
  if (!condition) throw new Error(note);
}
