/**
 * What may stand for a source, with its defaults and their reasons. Three kinds, each with keys of its own: the kind is chosen
 * by the key that is there, so that a key of another kind gets a sentence and not a list of failed alternatives.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { usualKeptConnections } from '../client/places.ts';
import {
  connectTimeoutMsOf,
  usualHoldMs,
  usualReadTimeoutMs,
  usualSendTimeoutMs,
  usualSpawnTimeoutMs,
  usualTotalTimeoutMs,
} from '../client/timeouts.ts';
import { waitingMax, waitingTimeoutMs } from '../client/waiting-line.ts';
import { memoryReadMs, startWaitingMax } from '../source/interpreter/reconcile.ts';
import { isPhpVersion } from '../source/php/php-version.ts';
import { statusEveryMs } from '../source/remote/status-page.ts';
import { held, type WithoutKind } from './held.ts';
import { printNearest } from './nearest.ts';
import { rights } from './rights-definition.ts';
import type {
  LocalSourceConfig,
  PhpSourceConfig,
  RemoteSourceConfig,
  SourceConfig,
  SourceInput,
} from './types.ts';
import {
  address,
  addressTemplate,
  count,
  durationMs,
  filePath,
  filledText,
  kindOfTemplate,
  positiveCount,
  printDuration,
  strict,
  text,
  textVariables,
} from './values.ts';

/** More would be a mistake: each is a program in memory. */
const processesMax = 1024;
const phpKinds = ['auto', 'fpm', 'cgi', 'embedded'] as const;

export function createSourceDefinition(directory: string): z.ZodType<SourceConfig, SourceInput> {
  const php = phpKeys(directory);
  const local = localKeys(directory);
  const remote = remoteKeys(directory);
  const known = new Set([php, local, remote].flatMap(Object.keys));
  const explain = (kind: SourceConfig['kind']) => (key: string) =>
    known.has(key) ? printMisplaced(kind, key, key in php && !(key in local)) : undefined;
  const kinds = z.discriminatedUnion('kind', [
    strict(php, explain('php'))
      .extend({ kind: z.literal('php') })
      .transform(toPhpSource),
    strict(local, explain('local'))
      .extend({ kind: z.literal('local') })
      .transform((value, context) => toLocalSource(value, directory, context)),
    strict(remote, explain('remote'))
      .extend({ kind: z.literal('remote') })
      .transform(toRemoteSource),
  ]);
  return held<SourceConfig, SourceInput>()(
    z.preprocess(
      (written: WithoutKind<z.input<typeof kinds>>, context) => addKind(written, known, context),
      kinds,
    ),
  );
}

/** Anything that is not an object stays as it is, to be reported. */
function addKind(written: object, known: ReadonlySet<string>, context: z.RefinementCtx): unknown {
  if (typeof written !== 'object' || written === null || Array.isArray(written)) return written;
  const fail = (message: string) => void context.issues.push({ code: 'custom', input: written, message });
  if ('kind' in written)
    fail('Unknown key "kind"; a source is what its "php", "interpreter" or "address" says');
  const kind = kindOf(written);
  // A key that nobody knows is the address, mistyped.
  if (kind === undefined && Object.keys(written).every((key) => known.has(key))) {
    fail('Say what it is: "php", "address" or "interpreter"');
  }
  return { ...written, kind: kind ?? 'remote' };
}

function kindOf(written: object): SourceConfig['kind'] | undefined {
  if ('php' in written) return 'php';
  if ('interpreter' in written) return 'local';
  return 'address' in written ? 'remote' : undefined;
}

/** Of every source. */
const exchangeKeys = {
  state: z
    .enum(['active', 'drain', 'maintenance'])
    .default('active')
    .describe(
      '`drain`: takes new requests only when no other source can. `maintenance`: takes none. A program changes it with `gateway.setSourceState`.',
    ),
  check: strict({
    path: filledText
      .default('/')
      .describe('REQUEST_URI and SCRIPT_NAME; for php-fpm its `ping.path`, else with a `script`.'),
    script: filledText.optional().describe('SCRIPT_FILENAME, as the application sees it. Without it `path`.'),
    everyMs: durationMs.default(10_000).describe('Time between two checks: each is a request too.'),
    timeoutMs: durationMs.default(2_000).describe('An answer that takes longer is a bad one.'),
    expectStatus: z.int().min(200).max(599).default(200).describe('Any other status is a bad answer.'),
    expectText: filledText.optional().describe('Text that the body has to contain.'),
    up: positiveCount.default(2).describe('This many good answers in a row bring the source back.'),
    down: positiveCount.default(3).describe('This many bad answers in a row take it out of service.'),
  })
    .optional()
    .describe(
      'Health checks: real requests at an interval, from the start on. Without them only the outcome of client requests shows how a source is.',
    ),
  keepConnections: count
    .max(1024)
    .optional()
    .describe(
      `Idle connections kept to the application. Without it ${usualKeptConnections}, because connecting costs more than a small request, but at most half of its capacity; 0 for PHP, where a kept connection holds a whole worker.`,
    ),
  capacity: positiveCount
    .optional()
    .describe(
      `Most requests in flight; ${waitingMax} more wait here (${startWaitingMax} at an interpreter of ours), for ${printDuration(waitingTimeoutMs)}, then get 503. Without it what php-fpm shows at \`statusPath\` or the application says to FCGI_GET_VALUES, else no limit, as it has its own queue; for PHP its workers. With \`processes\`: of each one, and 1.`,
    ),
  connectTimeoutMs: durationMs
    .optional()
    .describe(
      `Without it ${connectTimeoutMsOf('tcp')} for tcp, ${connectTimeoutMsOf('unix')} for unix: a reachable server accepts in far less, and another source can take over.`,
    ),
  readTimeoutMs: durationMs
    .default(usualReadTimeoutMs)
    .describe('Longest silence of the application. As in nginx: by then people have left.'),
  sendTimeoutMs: durationMs
    .default(usualSendTimeoutMs)
    .describe('Longest wait until the application takes more of the request. As in nginx.'),
  totalTimeoutMs: durationMs
    .default(usualTotalTimeoutMs)
    .describe(
      'Longest time for a whole request, so that an application that drips ends too. Answers that stream have no such limit.',
    ),
  holdMs: z
    .union([z.literal(0), durationMs])
    .default(usualHoldMs)
    .describe(
      'How long requests wait, and ask again, while nobody listens at an address that has answered before, or its queue of connections is full. A restart takes less, and visitors wait this long. 0: not at all.',
    ),
};

/** Of an application that may be php-fpm, or another one. */
const profileKeys = {
  profile: z
    .enum(['php-fpm', 'php-cgi', 'generic', 'multiplexing', 'auto'])
    .optional()
    .describe(
      'What kind of application it is. PHP, and a server of which nothing is said: each request has a connection of its own, since a kept one may hold a worker. `generic`: connections are kept. `multiplexing`: requests share connections, each with an id of its own. `auto`: it is asked (FCGI_GET_VALUES, on a connection of its own) after its first answer; some applications die of that.',
    ),
  statusPath: filledText
    .refine((path) => /^\/[^?#]*$/.test(path), { error: 'Must start with "/", and have no query' })
    .optional()
    .describe(
      `The \`pm.status_path\` of a php-fpm, which tells its capacity: the page is looked at after the first answer, and every ${printDuration(statusEveryMs)} while there are requests. A configured \`capacity\` wins.`,
    ),
};

const statusAddressText =
  'Where that page is: the `pm.status_listen` of php-fpm. Without it where the requests go, where it needs a free worker and is not seen while all are busy.';

/** Of what we start. */
function createStartKeys(directory: string) {
  return {
    recycle: strict({
      requests: positiveCount.optional().describe('After this many requests; for PHP, of each worker.'),
      ageMs: durationMs.optional().describe('After this long.'),
      memoryMb: positiveCount
        .optional()
        .describe(
          `When it and its children take more memory (resident, looked at every ${printDuration(memoryReadMs)}, on Linux).`,
        ),
    })
      .optional()
      .describe(
        'When a process is replaced, for applications that leak. The new one answers before the old one leaves, after its last request.',
      ),
    spawnTimeoutMs: durationMs
      .default(usualSpawnTimeoutMs)
      .describe('Longest wait for a started interpreter to answer: a visitor is waiting.'),
    ...rights,
    env: textVariables.prefault({}).describe("Variables in the interpreter's environment."),
    inheritEnv: z
      .boolean()
      .default(false)
      .describe(
        "Pass our whole environment to the interpreter. Off by default: it may hold secrets that a script's `phpinfo()` would show.",
      ),
    workingDirectory: filePath(directory)
      .optional()
      .describe('Directory in which the interpreter is started.'),
  };
}

/** A version without quotes; `8.0` has become 8, and only who wrote it knows. */
const versionNumber = z
  .number()
  .refine((version) => isPhpVersion(String(version)), {
    error: ({ input }) => `Is ${input}, but must be text; write a version in quotes, as "8.0"`,
  })
  .transform(String);

function phpKeys(directory: string) {
  const iniValue = z.union([
    text,
    z.number().transform(String),
    z.boolean().transform((on) => (on ? '1' : '0')),
  ]);
  const kindOfPhp = z
    .union([filledText, versionNumber])
    .superRefine((kind, context) => {
      if (isPhpKind(kind) || kind.includes('/')) return;
      const message = `Is ${JSON.stringify(kind)}, but must be ${phpKinds.join(', ')}, a version (8.4) or a path${printNearest(kind, phpKinds)}`;
      context.addIssue({ code: 'custom', message });
    })
    .transform((kind) => (isPhpKind(kind) ? kind : resolve(directory, kind)));
  return {
    php: kindOfPhp.describe(
      'PHP, found and run by us: `auto` takes php-fpm, else php-cgi, else the embedded PHP; `fpm`, `cgi` and `embedded` take that one; a version, as `8.4`, the first of them that has it; or the path of a php-fpm or php-cgi.',
    ),
    workers: positiveCount
      .max(1024)
      .optional()
      .describe(
        'PHP: requests that run at the same time. Without it the machine decides, by its processors.',
      ),
    ini: z
      .record(
        z.string().regex(/^[A-Za-z_][\w.-]*$/, { error: 'Must be the name of a php.ini directive' }),
        iniValue,
      )
      .prefault({})
      .describe(
        'PHP: php.ini directives, as `{ "memory_limit": "256M" }`. Without them `upload_max_filesize` and `post_max_size` are the largest `maxBodyBytes` of the rules that ask it.',
      ),
    ...exchangeKeys,
    ...createStartKeys(directory),
  };
}

function localKeys(directory: string) {
  return {
    interpreter: z
      .array(text)
      .min(1)
      .describe(
        'Program and arguments that are started when nothing answers at the address; no shell. `{address}`, `{path}`, `{host}`, `{port}`, `{runtimeDir}` and `{process}` (its number, from 1) are filled in.',
      ),
    address: addressTemplate(directory)
      .optional()
      .describe(
        'Where it listens: `tcp://host:port`, `unix:/path` or `unix:@name`; may hold `{runtimeDir}` and `{process}`. Without it a unix socket in a private directory.',
      ),
    socket: z
      .enum(['inherit', 'own'])
      .optional()
      .describe(
        'Who listens. `inherit`: we do, before the interpreter starts, which takes the socket as descriptor 0 (FCGI_LISTENSOCK_FILENO), so that the first requests wait in its backlog and not for a start. `own`: the interpreter. Without it, `inherit` if neither `address` nor a placeholder names an address.',
      ),
    processes: strict({
      min: count
        .max(processesMax)
        .default(0)
        .describe('Run even without a request. 0: the first request starts one.'),
      max: positiveCount
        .max(processesMax)
        .optional()
        .describe(
          'Started one after the other while requests wait for a place. Without it twice the processors.',
        ),
      idleMs: durationMs
        .default(300_000)
        .describe('A process beyond `min` ends after this long without a request: visitors come in waves.'),
    })
      .transform(({ min, max = Math.max(min, 2 * availableParallelism()), idleMs }, context) => {
        if (min > max) {
          const message = `"min" is ${min}, but "max" only ${max}`;
          context.issues.push({ code: 'custom', input: min, message });
        }
        return { min, max, idleMs };
      })
      .optional()
      .describe(
        'How many processes of the interpreter run, each with an address of its own and `capacity` requests at a time. Without it one, from the first request on.',
      ),
    chroot: filePath(directory)
      .optional()
      .describe(
        'The only files that it sees, and where it works; the program lies inside. For root, and for an interpreter that inherits its socket or listens on tcp.',
      ),
    ...profileKeys,
    statusAddress: addressTemplate(directory).optional().describe(statusAddressText),
    ...exchangeKeys,
    ...createStartKeys(directory),
  };
}

function remoteKeys(directory: string) {
  return {
    address: address(
      directory,
      'Placeholders need an "interpreter"; write the address that the server listens on',
    ).describe(
      'Where the FastCGI server listens: `tcp://host:port`, `unix:/path` or `unix:@name`. It never comes from a request.',
    ),
    ...profileKeys,
    statusAddress: address(directory, 'Placeholders need an "interpreter"; write the address of the page')
      .optional()
      .describe(statusAddressText),
    ...exchangeKeys,
  };
}

/** Of a checked source, before its defaults that depend on its address. */
type Unfinished<Source extends SourceConfig> = Omit<Source, 'connectTimeoutMs'> & {
  readonly connectTimeoutMs?: number | undefined;
};

function toPhpSource({
  connectTimeoutMs = connectTimeoutMsOf('unix'),
  ...rest
}: Unfinished<PhpSourceConfig>): PhpSourceConfig {
  return { ...rest, connectTimeoutMs };
}

function toLocalSource(
  source: Unfinished<LocalSourceConfig>,
  directory: string,
  context: z.RefinementCtx,
): LocalSourceConfig {
  report([...findStatusContradictions(source), ...findContradictions(source)], source, context);
  const { connectTimeoutMs = connectTimeoutMsOf(kindOfTemplate(source.address)), ...rest } = source;
  const { chroot } = rest;
  const [program = '', ...args] = rest.interpreter;
  const isPath = program.includes('/') && !program.startsWith('{') && chroot === undefined;
  const interpreter = [isPath ? resolve(directory, program) : program, ...args];
  return { ...rest, connectTimeoutMs, interpreter };
}

function toRemoteSource(
  source: Unfinished<RemoteSourceConfig>,
  context: z.RefinementCtx,
): RemoteSourceConfig {
  report([...findStatusContradictions(source)], source, context);
  const { connectTimeoutMs = connectTimeoutMsOf(source.address.kind), ...rest } = source;
  return { ...rest, connectTimeoutMs };
}

function report(found: readonly Contradiction[], input: unknown, context: z.RefinementCtx): void {
  for (const [key, message] of found) context.issues.push({ code: 'custom', input, message, path: [key] });
}

type Contradiction = readonly [key: string, message: string];

function* findStatusContradictions({
  profile = 'php-fpm',
  statusPath,
  statusAddress,
}: Pick<
  Unfinished<LocalSourceConfig | RemoteSourceConfig>,
  'profile' | 'statusPath' | 'statusAddress'
>): Generator<Contradiction> {
  if (statusPath !== undefined && profile !== 'php-fpm' && profile !== 'auto') {
    yield ['statusPath', `Only php-fpm has a status page, and the profile is ${profile}`];
  }
  if (statusAddress !== undefined && statusPath === undefined) {
    yield ['statusAddress', 'Has no effect without "statusPath", the page that is asked for there'];
  }
}

function* findContradictions(source: Unfinished<LocalSourceConfig>): Generator<Contradiction> {
  const { interpreter, address, chroot, workingDirectory, processes, recycle, statusPath } = source;
  if (interpreter[0] === '') yield ['interpreter', 'The program is empty'];
  if (chroot !== undefined && workingDirectory !== undefined) {
    yield ['workingDirectory', 'The chroot is the working directory; remove one of them'];
  }
  const isToldOfFiles = interpreter.some((word) => /\{(address|path|runtimeDir)\}/.test(word));
  if (chroot !== undefined && isToldOfFiles && kindOfTemplate(address) !== 'tcp') {
    yield [
      'chroot',
      'Its socket would lie outside; let it inherit one (leave the placeholder out), or give a tcp address',
    ];
  }
  const areSeveral = processes !== undefined && processes.max > 1;
  if (statusPath !== undefined && areSeveral) {
    yield ['statusPath', 'Of several processes each takes "capacity" requests; remove it, or "processes"'];
  }
  if ((areSeveral || recycle !== undefined) && address !== undefined && !address.includes('{process}')) {
    yield [
      'address',
      'Several processes cannot listen at one address; write {process} into it, or leave it out',
    ];
  }
}

function isPhpKind(text: string): boolean {
  return (phpKinds as readonly string[]).includes(text) || isPhpVersion(text);
}

/** @param isPhps whether only a PHP source has the key */
function printMisplaced(kind: SourceConfig['kind'], key: string, isPhps: boolean): string {
  if (kind === 'php') {
    return key === 'processes'
      ? 'A PHP source has "workers"; write their number there'
      : `A PHP source has no "${key}": it is found and started by us; remove "php" or "${key}"`;
  }
  if (!isPhps) return 'Has no effect on a server that somebody else runs; add an "interpreter", or remove it';
  return kind === 'local'
    ? `Only a PHP source has "${key}"; pass it to the interpreter by its arguments`
    : `Only a PHP source has "${key}"; add "php": "auto", or remove it`;
}
