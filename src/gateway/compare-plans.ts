/**
 * What one plan changes of another: which long-lived things stay as they are, are told something anew, make room for others, come,
 * or go. Pure. The things that a generation takes from the shelf follow the same comparison.
 */
import type { ListenAddress } from '../server/listen.ts';
import { printKey } from './identity.ts';
import type { GatewayPlan } from './plan.ts';

/** What becomes of a thing. `tuned`: the same thing, told something anew. `replaced`: another thing with the same name. */
export type Change = 'kept' | 'tuned' | 'replaced' | 'added' | 'removed';

/** A thing as a plan has it. */
export interface Planned {
  readonly key: string;
  /** Undefined: it cannot be told anything anew. */
  readonly tuningKey?: string | undefined;
}

/** By what a person calls the thing. */
export type Changes = ReadonlyMap<string, Change>;

export interface PlanChanges {
  /** By their names. */
  readonly sources: Changes;
  /** By their files. */
  readonly accessLogs: Changes;
  /** By their paths (byte strings), with what is held of symbolic links there. */
  readonly documentRoots: Changes;
  /** By host and port, or path. */
  readonly listeners: Changes;
}

export function comparePlans(before: GatewayPlan, after: GatewayPlan): PlanChanges {
  const compare = (namesOf: (plan: GatewayPlan) => Named) => compareAll(namesOf(before), namesOf(after));
  return {
    sources: compare(({ sources }) => new Map(sources.map((source) => [source.name, source]))),
    accessLogs: compare(({ sites }) => {
      const logs = sites.flatMap(({ accessLog }) => accessLog ?? []);
      return new Map(logs.map((log) => [log.file, log]));
    }),
    documentRoots: compare(({ sites }) => {
      const roots = sites.flatMap(({ root, rules }) => [root, ...rules.flatMap((rule) => rule.root ?? [])]);
      return new Map(roots.map((root) => [root.key, root]));
    }),
    listeners: compare(
      ({ config }) => new Map(config.listen.map((address) => [nameOf(address), { key: printKey(address) }])),
    ),
  };
}

/** Of two that have the same name. */
export function compareThings(before: Planned, after: Planned): 'kept' | 'tuned' | 'replaced' {
  if (before.key !== after.key) return 'replaced';
  return before.tuningKey === after.tuningKey ? 'kept' : 'tuned';
}

type Named = ReadonlyMap<string, Planned>;

function compareAll(before: Named, after: Named): Changes {
  const changes = new Map<string, Change>();
  for (const [name, thing] of before) {
    const next = after.get(name);
    changes.set(name, next === undefined ? 'removed' : compareThings(thing, next));
  }
  for (const name of after.keys()) if (!before.has(name)) changes.set(name, 'added');
  return changes;
}

function nameOf(address: ListenAddress): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`;
}
