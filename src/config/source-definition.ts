/** What may stand for a source, with its defaults and their reasons. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { printNearest } from './nearest.ts';
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

const phpKinds = ['auto', 'fpm', 'cgi', 'embedded'] as const;
const phpKeys = ['workers', 'ini'] as const;
const interpreterKeys = ['spawnTimeoutMs', 'user', 'group', 'env', 'inheritEnv', 'workingDirectory'] as const;

/** One shape for all kinds, so that a misplaced key gets a sentence and not a list of failed alternatives. */
export function createSourceDefinition(directory: string): z.ZodType<SourceConfig, SourceInput> {
  const userName = z.union([filledText, z.int().min(0).transform(String)]).optional();
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
      .describe('PHP: php.ini directives, as `{ "memory_limit": "256M" }`.'),
    address: address(directory)
      .optional()
      .describe(
        'Where the FastCGI server listens: `tcp://host:port`, `unix:/path` or `unix:@name`. With an `interpreter` it may hold `{runtimeDir}`, and without one it has to stand alone. It never comes from a request.',
      ),
    interpreter: z
      .array(text)
      .min(1)
      .optional()
      .describe(
        'Program and arguments that are started when nothing answers at the address; no shell. `{address}`, `{path}`, `{host}`, `{port}` and `{runtimeDir}` are filled in.',
      ),
    keepConnections: count
      .max(1024)
      .optional()
      .describe(
        'Idle connections kept to the application. 8, because connecting costs more than a small request; 0 for PHP, where a kept connection holds a whole worker.',
      ),
    capacity: positiveCount
      .optional()
      .describe(
        'Most requests in flight; more wait in a queue of 100 for 5 s, then get 503. Without it no limit, as the application has its own queue; for PHP its workers.',
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
    spawnTimeoutMs: durationMs
      .optional()
      .describe('Longest wait for a started interpreter to answer. 3000: a visitor waits for it.'),
    user: userName.describe(
      'Started by root, the interpreter runs as this user (name or number). Without it: the owner of the document root, never root by accident.',
    ),
    group: userName.describe("Its group. Without it the user's own."),
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
      php: ['interpreter', 'address'],
      local: phpKeys,
      remote: [...phpKeys, ...interpreterKeys],
    } as const;
    for (const key of refused[kind]) if (value[key] !== undefined) fail(misplaced(kind, key), key);

    const limits = {
      capacity: value.capacity,
      connectTimeoutMs: value.connectTimeoutMs ?? (value.address?.startsWith('tcp:') ? 3000 : 1000),
      readTimeoutMs: value.readTimeoutMs,
      sendTimeoutMs: value.sendTimeoutMs,
    };
    const life = {
      spawnTimeoutMs: value.spawnTimeoutMs ?? 3000,
      user: value.user,
      group: value.group,
      env: value.env ?? {},
      inheritEnv: value.inheritEnv ?? false,
      workingDirectory: value.workingDirectory,
    };
    if (value.php !== undefined) {
      const keepConnections = value.keepConnections ?? 0;
      return {
        kind: 'php',
        php: value.php,
        workers: value.workers,
        ini: value.ini ?? {},
        keepConnections,
        ...limits,
        ...life,
      };
    }
    const keepConnections = value.keepConnections ?? 8;
    const interpreter = value.interpreter?.map((word, index) =>
      index === 0 && word.includes('/') && !word.startsWith('{') ? resolve(directory, word) : word,
    );
    if (interpreter !== undefined) {
      if (interpreter[0] === '') fail('The program is empty', 'interpreter');
      return { kind: 'local', address: value.address, interpreter, keepConnections, ...limits, ...life };
    }
    if (value.address === undefined) {
      fail('Say what it is: "php", "address" or "interpreter"');
    } else if (value.address.includes('{')) {
      fail('Placeholders need an "interpreter"; write the address that the server listens on', 'address');
    }
    return { kind: 'remote', address: value.address ?? '', keepConnections, ...limits };
  }) as z.ZodType<SourceConfig, SourceInput>;
}

function isPhpKind(text: string): boolean {
  return (phpKinds as readonly string[]).includes(text);
}

function misplaced(kind: SourceConfig['kind'], key: string): string {
  switch (kind) {
    case 'php':
      return `A PHP source has no "${key}": it is found and started by us; remove "php" or "${key}"`;
    case 'local':
      return `Only a PHP source has "${key}"; pass it to the interpreter by its arguments`;
    case 'remote':
      return (phpKeys as readonly string[]).includes(key)
        ? `Only a PHP source has "${key}"; add "php": "auto", or remove it`
        : `Has no effect on a server that somebody else runs; add an "interpreter", or remove it`;
  }
}
