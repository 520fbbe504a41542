/** How deep a configuration may be nested: code that reads it walks it by recursion, and a stack ends. */

/** Far more than any configuration has: `not` in `all` in `any` of a match grows by two a time. */
const depthMax = 100;

export const tooDeep: string = `Is nested deeper than ${depthMax} levels; write it flat (a list that holds itself has no end)`;

/** Whether a value has more levels of lists and objects; a value that holds itself has. */
export function isTooDeep(value: unknown): boolean {
  let level = new Set([value]);
  for (let depth = 0; depth <= depthMax; depth++) {
    const next = new Set<unknown>();
    for (const holder of level) {
      if (typeof holder !== 'object' || holder === null) continue;
      for (const inner of Object.values(holder)) next.add(inner);
    }
    if (next.size === 0) return false;
    level = next;
  }
  return true;
}
