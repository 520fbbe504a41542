/**
 * The PHP preset: finds a PHP, writes what it needs into a private directory, and runs it as a local source.
 * Each source has its own processes: php.ini directives of one site never reach another (T8).
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Address, printAddress } from '../../base/address.ts';
import { chooseRunAs, type RunAs } from '../../process/run-as.ts';
import type { LocalSourceOptions, LocalTuning, RecycleOptions } from '../interpreter/local-options.ts';
import { createLocalSource, type LocalSource } from '../interpreter/local-source.ts';
import { printIni } from './php-ini.ts';
import { type FoundPhp, findPhp, machineSearch, type PhpSearch } from './php-search.ts';

export interface PhpSourceOptions
  extends Omit<
    LocalSourceOptions,
    | 'interpreter'
    | 'address'
    | 'socket'
    | 'processes'
    | 'chroot'
    | 'profile'
    | 'statusPath'
    | 'statusAddress'
    | 'runAs'
    | 'prepare'
    | 'adapt'
    | 'description'
  > {
  /** `auto`, `fpm`, `cgi`, `embedded`, a version as `8.4`, or the path of a php-fpm or php-cgi. */
  readonly php: string;
  /** Requests at the same time; default: as many as the machine has processors, at least 4 and at most 16. */
  readonly workers?: number | undefined;
  /** php.ini directives. */
  readonly ini?: Readonly<Record<string, string>> | undefined;
  /** Extensions of what it may run, in lower case without dot; default `php`. */
  readonly runs?: ReadonlySet<string>;
  /** Where to look for PHP; default: PATH of `environment`, and where php-fpm usually lies. */
  readonly search?: PhpSearch | undefined;
}

/**
 * Looks for PHP, and starts nothing before the first request; the embedded PHP when the source starts.
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no PHP is there, with what to install;
 * GW_ERR_SOURCE_SPAWN: the configured user is not there or not allowed
 */
export function createPhpSource(options: PhpSourceOptions): LocalSource {
  const projects = [process.cwd(), ...(options.documentRoot === undefined ? [] : [options.documentRoot])];
  const found = findPhp(options.php, options.search ?? machineSearch(options.environment?.PATH, projects));
  const workers = options.workers ?? Math.min(16, Math.max(4, availableParallelism()));
  const runAs = chooseRunAs({
    ...options,
    reads: found.kind === 'embedded' ? [process.execPath, embeddedProgram, found.loader] : [found.path],
  });
  if (runAs?.warning !== undefined) options.log.warn(runAs.warning, { source: options.name });
  const plan = planFor(found, workers, options, runAs);
  return createLocalSource({
    ...options,
    ...plan,
    runAs,
    // Each is told the address: php-fpm by its configuration, which the command itself does not show.
    socket: 'own',
    env: { ...plan.env, ...options.env },
    profile: found.kind === 'fpm' ? 'php-fpm' : 'php-cgi',
    adapt: ({ recycle, capacity = workers, spawnTimeoutMs, ...tuning }): LocalTuning =>
      found.kind === 'embedded'
        ? {
            ...tuning,
            capacity,
            recycle,
            processes: startedWithUs,
            spawnTimeoutMs: Math.max(spawnTimeoutMs ?? 0, embeddedStartMs),
          }
        : // php-fpm and php-cgi replace their workers themselves.
          { ...tuning, capacity, recycle: withoutRequests(recycle), spawnTimeoutMs },
    description: describe(found, workers, options.php, runAs),
  });
}

/** The first page would wait for a start that takes seconds. */
const startedWithUs = { min: 1, max: 1, idleMs: Number.POSITIVE_INFINITY };
/** Node has to start before the embedded PHP can listen. */
const embeddedStartMs = 10_000;
/** Runs from the sources and from the package: the same ending as this file. */
const embeddedProgram = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../embedded-php.ts' : '../../embedded-php.js',
    import.meta.url,
  ),
);

type Plan = Required<Pick<LocalSourceOptions, 'interpreter' | 'prepare' | 'env'>> &
  Pick<LocalSourceOptions, 'isRepeated'>;

function planFor(
  found: FoundPhp,
  workers: number,
  { ini = {}, documentRoot = '/', recycle, runs = new Set(['php']) }: PhpSourceOptions,
  runAs: RunAs | undefined,
): Plan {
  const requestsMax = recycle?.requests ?? 0;
  const iniText = printIni(ini);
  switch (found.kind) {
    case 'fpm':
      return {
        // As root only where nobody else can read the site; php-fpm wants to hear that twice.
        interpreter: [
          found.path,
          '--nodaemonize',
          // Else it would log into error_log, a file.
          '--force-stderr',
          ...(runAs?.uid === 0 ? ['--allow-to-run-as-root'] : []),
          '--fpm-config',
          '{settingsDir}/php-fpm.conf',
        ],
        env: iniEnvironment,
        isRepeated: isRepeatedByFpm,
        prepare: (directory, address) => {
          directory.writeSetting('fastway.ini', iniText);
          directory.writeSetting('php-fpm.conf', printPool(address, { workers, requestsMax, runs }, runAs));
        },
      };
    case 'cgi':
      return {
        interpreter: [found.path, '-b', '{address}'],
        env: {
          ...iniEnvironment,
          PHP_FCGI_CHILDREN: String(workers),
          // As php-fpm's: its own default of 128 is full while it starts under load.
          PHP_FCGI_BACKLOG: '511',
          // 0: never replaced.
          PHP_FCGI_MAX_REQUESTS: String(requestsMax),
        },
        prepare: (directory) => directory.writeSetting('fastway.ini', iniText),
      };
    case 'embedded':
      return {
        interpreter: [process.execPath, ...execArguments(), embeddedProgram],
        env: {
          FASTWAY_EMBEDDED_PHP: JSON.stringify({
            address: 'unix:{path}',
            workers,
            documentRoot,
            ini,
            version: found.version,
            loader: found.loader,
            universal: found.universal,
          }),
        },
        prepare: () => {},
      };
  }
}

/** Read after the machine's own php.ini and its folder of parts: an empty part of the list stands for that folder. */
const iniEnvironment = { PHP_INI_SCAN_DIR: ':{settingsDir}' } as const;

/** From the sources node needs the loader that it was started with; a test run's own flags are not for children. */
function execArguments(): string[] {
  if (!embeddedProgram.endsWith('.ts')) return [];
  return process.execArgv.filter((flag) => !/^--(test|inspect|watch)/.test(flag));
}

function withoutRequests(recycle: RecycleOptions | undefined): RecycleOptions | undefined {
  if (recycle?.ageMs === undefined && recycle?.memoryMb === undefined) return undefined;
  return { ageMs: recycle.ageMs, memoryMb: recycle.memoryMb };
}

function printPool(
  address: Address,
  {
    workers,
    requestsMax,
    runs,
  }: { readonly workers: number; readonly requestsMax: number } & Required<Pick<PhpSourceOptions, 'runs'>>,
  runAs: RunAs | undefined,
): string {
  const listen = address.kind === 'unix' ? address.path : printAddress(address).slice('tcp://'.length);
  return [
    '[global]',
    // Opened at the start, and not written: the distribution's own one belongs to root.
    'error_log = /dev/null',
    'daemonize = no',
    'log_level = warning',
    '[fastway]',
    `listen = ${listen}`,
    'listen.mode = 0600',
    'listen.backlog = 511',
    'pm = static',
    `pm.max_children = ${workers}`,
    `pm.max_requests = ${requestsMax}`,
    'catch_workers_output = yes',
    'decorate_workers_output = no',
    // The environment is already only what was configured.
    'clear_env = no',
    // The rules decide first; this holds where a rule does not look at the disk (`checkFile: false`).
    `security.limit_extensions = ${[...runs].map((extension) => `.${extension}`).join(' ')}`,
    ...(runAs?.uid === 0 ? ['user = root', 'group = root'] : []),
    '',
  ].join('\n');
}

/** php-fpm writes an error message of a script to its own stderr too, besides the request's STDERR; several lines with a trace. */
function isRepeatedByFpm(line: string, isPreviousRepeated: boolean): boolean {
  return (
    line.startsWith('PHP message: ') ||
    (isPreviousRepeated && /^(Stack trace:|#\d+ | {2}thrown in |Next )/.test(line))
  );
}

function describe(found: FoundPhp, workers: number, asked: string, runAs: RunAs | undefined): string {
  const what =
    found.kind === 'embedded'
      ? `the embedded PHP ${found.version} (WebAssembly) with up to`
      : `php-${found.kind} ${found.version} with`;
  const count = `${workers} ${workers === 1 ? 'worker' : 'workers'}`;
  const as = runAs === undefined ? '' : ` as ${runAs.name}`;
  return `${what} ${count}${as}, because ${explainChoice(found, asked)}`;
}

function explainChoice(found: FoundPhp, asked: string): string {
  const isAuto = asked === 'auto';
  switch (found.kind) {
    case 'fpm':
      return isAuto ? `it was found at ${found.path}` : `it was asked for, at ${found.path}`;
    case 'cgi':
      return isAuto ? `no php-fpm was found, only ${found.path}` : `it was asked for, at ${found.path}`;
    case 'embedded':
      return isAuto ? 'no php-fpm or php-cgi was found' : 'it was asked for';
  }
}
