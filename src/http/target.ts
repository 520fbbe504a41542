/**
 * The request-target, once and for all: one canonical path that routing, access rules, scripts and files share.
 * Decoded exactly once, then dot segments are removed; no other code decodes a path (T25, T29).
 */

/** A request-target made canonical. Strings are byte strings (latin1). */
export interface Target {
  /** Decoded, absolute, without dot segments, without empty segments; keeps a trailing slash. */
  readonly path: string;
  /** The path as it came: still encoded, without the query. */
  readonly rawPath: string;
  /** After the first `?`, as it came; empty when there is none. */
  readonly query: string;
  /** There was a `?`. */
  readonly hasQuery: boolean;
  /** Authority of an absolute-form target; it beats the Host field (RFC 9112 3.2.2, T15). */
  readonly authority: string | undefined;
}
