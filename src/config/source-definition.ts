/** What may stand for a source, with its defaults and their reasons. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { printNearest } from './nearest.ts';
import { rights } from './rights-definition.ts';
import type { SourceConfig, SourceInput } from './schema.ts';
import {
  address,
  count,
  durationMs,
  filePath,
  filledText,
  positiveCount,
  strict,
  text,
  textVariables,
} from './values.ts';

/** More would be a mistake: each is a program in memory. */
const processesMax = 1024;
const phpKinds = ['auto', 'fpm', 'cgi', 'embedded'] as const;
const phpKeys = ['workers', 'ini'] as const;
const notPhpKeys = ['interpreter', 'address', 'profile', 'statusPath', 'statusAddress'] as const;
const localKeys = ['socket', 'processes', 'chroot'] as const;
const interpreterKeys = [
  'spawnTimeoutMs',
  'recycle',
  'user',
  'group',
  'groups',
  'umask',
  'nice',
  'limits',
  'env',
  'inheritEnv',
  'workingDirectory',
] as const;

/** One shape for all kinds, so that a misplaced key gets a sentence and not a list of failed alternatives. */
export function createSourceDefinition(directory: string): z.ZodType<SourceConfig, SourceInput> {
  const iniValue = z.union([
    text,
    z.number().transform(String),
    z.boolean().transform((on) => (on ? '1' : '0')),
  ]);
  const php = filledText
    .superRefine((kind, context) => {
      if (isPhpKind(kind) || kind.includes('/')) return;
      const message = `Is ${JSON.stringify(kind)}, but must be ${phpKinds.join(', ')} or a path${printNearest(kind, phpKinds)}`;
      context.addIssue({ code: 'custom', message });
    })
    .transform((kind) => (isPhpKind(kind) ? kind : resolve(directory, kind)));
  return strict({
    php: php
      .optional()
      .describe(
        'PHP, found and run by us: `auto` takes php-fpm, else php-cgi, else the embedded PHP; `fpm`, `cgi` and `embedded` take that one; or the path of a php-fpm or php-cgi.',
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
      .optional()
      .describe(
        'PHP: php.ini directives, as `{ "memory_limit": "256M" }`. Without them `upload_max_filesize` and `post_max_size` are the largest `maxBodyBytes` of the rules that ask it.',
      ),
    address: address(directory)
      .optional()
      .describe(
        'Where the FastCGI server listens: `tcp://host:port`, `unix:/path` or `unix:@name`. With an `interpreter` it may hold `{runtimeDir}` and `{process}`, and without one it has to stand alone. It never comes from a request.',
      ),
    interpreter: z
      .array(text)
      .min(1)
      .optional()
      .describe(
        'Program and arguments that are started when nothing answers at the address; no shell. `{address}`, `{path}`, `{host}`, `{port}`, `{runtimeDir}` and `{process}` (its number, from 1) are filled in.',
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
        .describe('One more than `min` ends after so long without a request. 5 min: visitors come in waves.'),
    })
      .optional()
      .describe(
        'How many processes of the interpreter run, each with an address of its own and `capacity` requests at a time. Without it one, from the first request on.',
      ),
    recycle: strict({
      requests: positiveCount.optional().describe('After so many requests; for PHP of each worker.'),
      ageMs: durationMs.optional().describe('After so long.'),
      memoryMb: positiveCount
        .optional()
        .describe('When it and its children take more memory (resident, looked at every 3 s, on Linux).'),
    })
      .optional()
      .describe(
        'When a process is replaced, for applications that leak. The new one answers before the old one leaves, after its last request.',
      ),
    profile: z
      .enum(['php-fpm', 'php-cgi', 'generic', 'multiplexing'])
      .optional()
      .describe(
        'What kind of application it is. Without it a server that somebody else runs is asked (FCGI_GET_VALUES, on a connection of its own) after its first answer. PHP: no connection is kept. `multiplexing`: requests share connections, each with an id of its own.',
      ),
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
      script: filledText
        .optional()
        .describe('SCRIPT_FILENAME, as the application sees it. Without it `path`.'),
      everyMs: durationMs.default(10_000).describe('Between two checks. 10 s: a check is a request too.'),
      timeoutMs: durationMs.default(2_000).describe('An answer that takes longer is a bad one.'),
      expectStatus: z.int().min(200).max(599).default(200).describe('Any other status is a bad answer.'),
      expectText: filledText.optional().describe('Has to be in the body.'),
      up: positiveCount.default(2).describe('So many good answers in a row bring the source back.'),
      down: positiveCount.default(3).describe('So many bad answers in a row take it out of service.'),
    })
      .optional()
      .describe(
        'Health checks: real requests, again and again, from the start on. Without them only what becomes of the requests of clients tells how a source is.',
      ),
    keepConnections: count
      .max(1024)
      .optional()
      .describe(
        'Idle connections kept to the application. Without it 8, because connecting costs more than a small request, but at most half of its capacity; 0 for PHP, where a kept connection holds a whole worker.',
      ),
    capacity: positiveCount
      .optional()
      .describe(
        'Most requests in flight; more wait in a queue of 100 for 5 s, then get 503. Without it what php-fpm shows at `statusPath` or the application says to FCGI_GET_VALUES, else no limit, as it has its own queue; for PHP its workers. With `processes`: of each one, and 1.',
      ),
    statusPath: filledText
      .refine((path) => /^\/[^?#]*$/.test(path), { error: 'Must start with "/", and have no query' })
      .optional()
      .describe(
        'The `pm.status_path` of a php-fpm, which tells its capacity: the page is looked at after the first answer, and every 10 s while there are requests. A configured `capacity` wins.',
      ),
    statusAddress: address(directory)
      .optional()
      .describe(
        'Where that page is: the `pm.status_listen` of php-fpm. Without it where the requests go, where it needs a free worker and is not seen while all are busy.',
      ),
    connectTimeoutMs: durationMs
      .optional()
      .describe(
        '3000 for tcp, 1000 for unix: a reachable server accepts in far less, and another source can take over.',
      ),
    readTimeoutMs: durationMs
      .default(60_000)
      .describe('Longest silence of the application. 60 s, as in nginx: people have gone by then.'),
    sendTimeoutMs: durationMs
      .default(60_000)
      .describe('Longest wait until the application takes more of the request. 60 s, as in nginx.'),
    totalTimeoutMs: durationMs
      .default(300_000)
      .describe(
        'Longest time for a whole request, so that an application that drips ends too. 5 minutes; answers that stream have no such limit.',
      ),
    holdMs: z
      .union([z.literal(0), durationMs])
      .default(5_000)
      .describe(
        'How long requests wait, and ask again, while nobody listens at an address that has answered before, or its queue of connections is full. 5 s: a restart takes less, and a visitor waits so long. 0: not at all.',
      ),
    spawnTimeoutMs: durationMs
      .optional()
      .describe('Longest wait for a started interpreter to answer. 3000: a visitor waits for it.'),
    ...rights,
    chroot: filePath(directory)
      .optional()
      .describe(
        'The only files that it sees, and where it works; the program lies inside. For root, and for an interpreter that inherits its socket or listens on tcp.',
      ),
    env: textVariables.optional().describe("Variables in the interpreter's environment."),
    inheritEnv: z
      .boolean()
      .optional()
      .describe(
        "Hand our whole environment to the interpreter. Off: it may hold secrets that a script's `phpinfo()` would show.",
      ),
    workingDirectory: filePath(directory).optional().describe('Where the interpreter is started.'),
  }).transform((value, context): SourceConfig => {
    const fail = (message: string, key?: string): void => {
      context.issues.push({ code: 'custom', input: value, message, path: key === undefined ? [] : [key] });
    };
    const kind = value.php !== undefined ? 'php' : value.interpreter !== undefined ? 'local' : 'remote';
    const refused = {
      php: [...notPhpKeys, ...localKeys],
      local: phpKeys,
      remote: [...phpKeys, ...localKeys, ...interpreterKeys],
    } as const;
    for (const key of refused[kind]) if (value[key] !== undefined) fail(misplaced(kind, key), key);

    if (value.statusPath !== undefined && (value.profile ?? 'php-fpm') !== 'php-fpm') {
      fail(`Only php-fpm has a status page, and the profile is ${value.profile}`, 'statusPath');
    }
    if (value.statusAddress !== undefined && value.statusPath === undefined) {
      fail('Has no effect without "statusPath", the page that is asked for there', 'statusAddress');
    }

    const limits = {
      profile: value.profile,
      state: value.state,
      check: value.check,
      keepConnections: value.keepConnections,
      capacity: value.capacity,
      statusPath: value.statusPath,
      statusAddress: value.statusAddress,
      connectTimeoutMs: value.connectTimeoutMs ?? (value.address?.startsWith('tcp:') ? 3000 : 1000),
      readTimeoutMs: value.readTimeoutMs,
      sendTimeoutMs: value.sendTimeoutMs,
      totalTimeoutMs: value.totalTimeoutMs,
      holdMs: value.holdMs,
    };
    const life = {
      spawnTimeoutMs: value.spawnTimeoutMs ?? 3000,
      recycle: value.recycle,
      user: value.user,
      group: value.group,
      groups: value.groups,
      umask: value.umask,
      nice: value.nice,
      limits: value.limits,
      env: value.env ?? {},
      inheritEnv: value.inheritEnv ?? false,
      workingDirectory: value.workingDirectory,
    };
    if (value.php !== undefined) {
      return {
        kind: 'php',
        php: value.php,
        workers: value.workers,
        ini: value.ini ?? {},
        ...limits,
        ...life,
      };
    }
    const interpreter = value.interpreter?.map((word, index) =>
      index === 0 && word.includes('/') && !word.startsWith('{') && value.chroot === undefined
        ? resolve(directory, word)
        : word,
    );
    if (interpreter !== undefined) {
      if (interpreter[0] === '') fail('The program is empty', 'interpreter');
      const { address, socket, chroot } = value;
      if (chroot !== undefined) {
        if (value.workingDirectory !== undefined) {
          fail('The chroot is the working directory; remove one of them', 'workingDirectory');
        }
        const isToldOfFiles = interpreter.some((word) => /\{(address|path|runtimeDir)\}/.test(word));
        if (isToldOfFiles && !address?.startsWith('tcp:')) {
          fail(
            'Its socket would lie outside; let it inherit one (leave the placeholder out), or give a tcp address',
            'chroot',
          );
        }
      }
      const processes = value.processes && {
        ...value.processes,
        max: value.processes.max ?? Math.max(value.processes.min, 2 * availableParallelism()),
      };
      if (processes !== undefined && processes.min > processes.max) {
        fail(`"min" is ${processes.min}, but "max" only ${processes.max}`, 'processes');
      }
      if (value.statusPath !== undefined && (processes?.max ?? 1) > 1) {
        fail('Of several processes each takes "capacity" requests; remove it, or "processes"', 'statusPath');
      }
      const mayBeSeveral = (processes?.max ?? 1) > 1 || value.recycle !== undefined;
      if (mayBeSeveral && address !== undefined && !address.includes('{process}')) {
        fail(
          'Several processes cannot listen at one address; write {process} into it, or leave it out',
          'address',
        );
      }
      return {
        kind: 'local',
        address,
        interpreter,
        socket,
        chroot,
        processes,
        ...limits,
        ...life,
      };
    }
    if (value.address === undefined) {
      fail('Say what it is: "php", "address" or "interpreter"');
    } else if (value.address.includes('{')) {
      fail('Placeholders need an "interpreter"; write the address that the server listens on', 'address');
    }
    if (value.statusAddress?.includes('{')) {
      fail('Placeholders need an "interpreter"; write the address of the page', 'statusAddress');
    }
    return { kind: 'remote', address: value.address ?? '', ...limits };
  }) as z.ZodType<SourceConfig, SourceInput>;
}

function isPhpKind(text: string): boolean {
  return (phpKinds as readonly string[]).includes(text);
}

function misplaced(kind: SourceConfig['kind'], key: string): string {
  switch (kind) {
    case 'php':
      if (key === 'processes') return 'A PHP source has "workers"; write their number there';
      return `A PHP source has no "${key}": it is found and started by us; remove "php" or "${key}"`;
    case 'local':
      return `Only a PHP source has "${key}"; pass it to the interpreter by its arguments`;
    case 'remote':
      return (phpKeys as readonly string[]).includes(key)
        ? `Only a PHP source has "${key}"; add "php": "auto", or remove it`
        : `Has no effect on a server that somebody else runs; add an "interpreter", or remove it`;
  }
}
