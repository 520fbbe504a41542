/** What the program that starts the embedded PHP may set: one JSON object in one environment variable. */
import { ConfigError } from '../base/errors.ts';

/** The environment variable that holds the settings. */
export const settingsVariable = 'FASTWAY_EMBEDDED_PHP';

export interface EmbeddedPhpSettings {
  /** Where to listen, as `unix:/path` or `tcp://host:port`. */
  readonly address: string;
  /** Most worker processes; each runs one request at a time and takes 130 to 200 MB. */
  readonly workers: number;
  /** php.ini settings by name; they win over ours. */
  readonly ini: Readonly<Record<string, string>>;
  /** Of PHP, as `8.4`. */
  readonly version: string;
  /** The package of that version, and the one that it depends on: absolute paths of modules, or names to look for beside Fastway. */
  readonly loader: string;
  readonly universal: string;
  /** A worker that holds more memory than this is replaced after its request. WebAssembly memory never shrinks. */
  readonly recycleRssMb: number;
  /** A worker that had no request for so long is ended, unless it is the only one. */
  readonly idleMs: number;
}

const isText = (value: unknown) => typeof value === 'string' && value !== '';
const isPositive = (value: unknown) => typeof value === 'number' && value > 0;
// A line feed would begin another setting.
const isIni = (value: unknown) =>
  value instanceof Object &&
  Object.entries(value).every(
    ([name, directive]) =>
      /^[\w.]+$/.test(name) && typeof directive === 'string' && !/[\r\n\0]/.test(directive),
  );
const isWorkers = (value: unknown) => Number.isInteger(value) && isPositive(value) && Number(value) <= 64;

/** Without a library: each of the processes would carry 15 MB of it. */
const checks: Readonly<
  Record<keyof EmbeddedPhpSettings, readonly [isRight: (value: unknown) => boolean, must: string]>
> = {
  address: [isText, 'be an address'],
  workers: [isWorkers, 'be a whole number from 1 to 64'],
  ini: [isIni, 'be an object of php.ini directives, each with a text of one line'],
  version: [isText, 'be a version of PHP'],
  loader: [isText, 'be a module'],
  universal: [isText, 'be a module'],
  recycleRssMb: [isPositive, 'be a positive number'],
  idleMs: [isPositive, 'be a positive number'],
};
const defaults: Partial<EmbeddedPhpSettings> = {
  ini: {},
  version: '8.4',
  loader: '@php-wasm/node-8-4',
  universal: '@php-wasm/universal',
  recycleRssMb: 600,
  idleMs: 60_000,
};

/** @throws {ConfigError} the text is not JSON of that shape */
export function parseSettings(text: string | undefined): EmbeddedPhpSettings {
  const settings = { ...defaults, ...Object(parseJson(text ?? '')) } as EmbeddedPhpSettings;
  const problems = Object.entries(checks)
    .filter(([name, [isRight]]) => !isRight(settings[name as keyof EmbeddedPhpSettings]))
    .map(([name, [, must]]) => ({ path: `${settingsVariable}.${name}`, message: `Must ${must}` }));
  if (problems.length > 0) throw new ConfigError(problems);
  return settings;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
