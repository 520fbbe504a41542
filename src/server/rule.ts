/** A rule: a match, and the handler for what matches. First match wins. */

import type { DocumentRoot } from '../handler/document-root.ts';
import type { Handler } from '../handler/handler.ts';
import type { HttpExchange } from '../http/message.ts';
import type { Target } from '../http/target.ts';

/** What a match may look at. */
export interface MatchInput {
  readonly exchange: HttpExchange;
  /** GET after an internal redirect that does not keep the method. */
  readonly method: string;
  readonly target: Target;
  readonly clientAddress: string;
  readonly documentRoot: DocumentRoot;
}

/** What a match that succeeded tells its handler. */
export interface MatchResult {
  /** The `directory` that matched, without trailing slash; `` for none. */
  readonly directory: string;
  readonly captures: readonly string[];
  /** The `extensions` that matched, lower case without dot; undefined when the match names none. */
  readonly extensions: readonly string[] | undefined;
}

/** One compiled match: undefined for no. */
export type Match = (input: MatchInput) => MatchResult | undefined;

export interface Rule {
  readonly match: Match;
  readonly handler: Handler;
  /** For `explain`: the rule as written. */
  readonly description: string;
}
