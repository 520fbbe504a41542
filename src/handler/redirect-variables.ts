/** The variables that a redirect's `to` may hold. */

/**
 * `$1` to `$9`: groups of the match's `request`; `$0`: all of what it found, or the path without it. `$path`: the decoded path;
 * `$query`: the query as it came; `$host`: the host without port; `$nearest`: what the match's `nearest` found; `$$`: a dollar.
 */
export const redirectVariable: RegExp = /\$(?:(\$|\d)|([A-Za-z]+)|\{(\w+)\})/g;
const names: readonly string[] = ['path', 'query', 'host', 'nearest'];

/** The first variable that nobody knows, as it is written; undefined for none. */
export function findUnknownVariable(to: string): string | undefined {
  const known = (name: string | undefined) => name === undefined || names.includes(name) || /^\d$/.test(name);
  for (const [written, , plain, braced] of to.matchAll(redirectVariable)) {
    if (!known(plain) || !known(braced)) return written;
  }
  return undefined;
}
