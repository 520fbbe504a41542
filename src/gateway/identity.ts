/**
 * What makes a source the one that it is, and what it can be told anew while it runs. Pure. A source whose identity has
 * changed is another source, which starts before the old one ends; one whose tuning has changed keeps its processes, its
 * connections, its health, and the requests that wait.
 */
import type {
  LocalSourceConfig,
  PhpSourceConfig,
  RemoteSourceConfig,
  SourceConfig,
} from '../config/types.ts';
import { isOneAtATime } from '../source/interpreter/local-options.ts';

/** Of a key: whether it belongs to the tuning. A new key does not compile before that is said. */
type Tunable<Config> = { readonly [Key in keyof Required<Config>]: boolean };

const exchange = {
  kind: false,
  state: true,
  check: true,
  keepConnections: true,
  capacity: true,
  connectTimeoutMs: true,
  readTimeoutMs: true,
  sendTimeoutMs: true,
  totalTimeoutMs: true,
  holdMs: true,
} as const;

/** What belongs to a process is what it was started with. */
const start = {
  spawnTimeoutMs: true,
  user: false,
  group: false,
  groups: false,
  umask: false,
  nice: false,
  limits: false,
  env: false,
  inheritEnv: false,
  workingDirectory: false,
} as const;

const profile = { profile: false, statusPath: true, statusAddress: true } as const;

const remote: Tunable<RemoteSourceConfig> = { ...exchange, ...profile, address: false };
const local: Tunable<LocalSourceConfig> = {
  ...exchange,
  ...profile,
  ...start,
  interpreter: false,
  address: false,
  socket: false,
  chroot: false,
  processes: true,
  recycle: true,
};
const php: Tunable<PhpSourceConfig> = {
  ...exchange,
  ...start,
  php: false,
  workers: false,
  ini: false,
  // php-fpm and php-cgi replace their workers themselves, and hear of it when they start.
  recycle: false,
};
const tunable: Readonly<Record<SourceConfig['kind'], Readonly<Record<string, boolean>>>> = {
  remote,
  local,
  php,
};

/** The two parts of a source's configuration. */
export function splitSource(source: SourceConfig): { readonly identity: object; readonly tuning: object } {
  const isTunable = tunable[source.kind];
  const entries = Object.entries(source);
  const identity = Object.fromEntries(entries.filter(([key]) => isTunable[key] !== true));
  const tuning = Object.fromEntries(entries.filter(([key]) => isTunable[key] === true));
  // Where its processes listen depends on whether there may be two.
  return {
    identity: source.kind === 'local' ? { ...identity, isOneAtATime: isOneAtATime(source) } : identity,
    tuning,
  };
}

/** One text for one value: names in order, what is undefined left out. */
export function printKey(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => {
    if (inner instanceof RegExp) return String(inner);
    if (inner instanceof Set) return [...inner].sort();
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}
