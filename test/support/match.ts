/** Matches as people write them. */

import { createRuleDefinition } from '../../src/config/rule-definition.ts';
import type { MatchInput } from '../../src/config/types.ts';
import { everything, type Match } from '../../src/http/match.ts';
import { compileMatch, type Matcher } from '../../src/server/rule.ts';

const { match } = createRuleDefinition('/', 0);

/** Undefined: everything. */
export function parseMatch(written: MatchInput | undefined): Match {
  return written === undefined ? everything : match.parse(written);
}

export function compileWritten(written: MatchInput | undefined): Matcher {
  return compileMatch(parseMatch(written));
}
