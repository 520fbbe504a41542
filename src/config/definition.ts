/**
 * The one definition of the configuration: every key, its default and the reason, as zod schemas.
 * `schema.json` and `docs/configuration.md` are made from it. Loads zod, so that only the loader may reach it.
 */
import { z } from 'zod';
import { unixPathBytesMax } from '../base/address.ts';
import { logLevels } from '../base/log.ts';
import { symlinkPolicies } from '../handler/symlinks.ts';
import { usualFrontLimits } from '../http/front-limits.ts';
import { fieldLinesMax } from '../http/head-check.ts';
import type { ListenAddress } from '../server/listen.ts';
import { errorPages } from './handler-definition.ts';
import { held, type WithoutKind } from './held.ts';
import { usualServers, usualSources } from './presets.ts';
import { realIp } from './real-ip-definition.ts';
import { accountName } from './rights-definition.ts';
import { createRuleDefinition } from './rule-definition.ts';
import { createSourceDefinition } from './source-definition.ts';
import {
  type Config,
  type ConfigInput,
  type LimitsConfig,
  type ListenInput,
  type MetricsConfig,
  presetNames,
  type RuleConfig,
} from './types.ts';
import {
  count,
  durationMs,
  fileName,
  filePath,
  filledText,
  positiveCount,
  printBytes,
  printDuration,
  rootPath,
  strict,
  tolerate,
} from './values.ts';

export interface Definition {
  readonly config: z.ZodType<Config, ConfigInput>;
  /** In place of what is wrong it has what nothing can be said about, so that the rest can be looked at as a whole. */
  readonly tolerant: z.ZodType<Config>;
  /** What the JSON Schema gives a name of its own. */
  readonly parts: Readonly<Record<string, z.ZodType>>;
}

/**
 * @param directory absolute; relative paths of the configuration start here
 * @param bodyBytesMax of handlers that name no `maxBodyBytes`: that of the limits
 */
export function createDefinition(directory: string, bodyBytesMax: number): Definition {
  const source = createSourceDefinition(directory);
  const rules = createRuleDefinition(directory, bodyBytesMax);
  const listen = createListenDefinition(directory);
  const metrics = createMetricsDefinition();
  const virtualServer = {
    name: filledText.default('default').describe('For logs and for people.'),
    hosts: z
      .array(
        z
          .string()
          .transform((host) => host.toLowerCase())
          .refine((host) => /^(\*|(\*\.)?[\w-]+(\.[\w-]+)*|\[[0-9a-f:.]+\])$/.test(host), {
            error: 'Must be a host name without port, "*.example.com", or "*" for all',
          }),
      )
      .min(1)
      .prefault(['*'])
      .describe('Names that it answers for: exact ones first, then `*.example.com`, then `*`.'),
    documentRoot: rootPath(directory).describe('Directory of the files; relative to the configuration file.'),
    directoryIndex: z
      .array(fileName)
      .prefault(['index.php', 'index.html'])
      .describe(
        'Files that stand for a directory; the first that exists. The application before the placeholder.',
      ),
    symlinks: z
      .enum(symlinkPolicies)
      .default('trusted')
      .describe(
        "Where a symbolic link may lead. `trusted`: links of root anywhere, links of the document root's owner to what that user may read, as `uploads` of a deploy or a package's `/usr/share`; those of anybody else nowhere outside the document root, as one in an upload must not open the system. `deny`: none outside. `owner`: as `trusted`, and also to what belongs to the link's owner; so with the preset `laravel`, whose storage is a link. `allow`: anywhere.",
      ),
    guard: z
      .boolean()
      .default(true)
      .describe(
        "Neither run nor send what the `.htaccess` of a folder denies to everybody, or what a well-known application (DokuWiki's `data/`, MediaWiki's `includes/`, `vendor/` ...) keeps for itself: 404, as for what is not there. Off for a folder that is meant to be seen all the same. See [security.md](security.md#what-a-folder-never-sends).",
      ),
    encodedSlashes: z
      .union([z.boolean(), z.literal('alike')])
      .default('alike')
      .describe(
        'Whether a path that holds an encoded slash reaches an application, as `/wiki/AC%2FDC`; it stays `%2F` there, in PATH_INFO and REQUEST_URI. `alike`: when the rules choose the same one for the path with a slash in its place and no dot segment appears, else 404, so that an application which decodes it is reached by no way around a rule. `true`: always. `false`: never. No file is looked up by such a path.',
      ),
    mediaTypes: z
      .record(
        filledText.transform((name) => name.replace(/^\./, '').toLowerCase()),
        z.string().regex(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; ?[\w.+-]+=[\w.+-]+)*$/, {
          error: 'Must be a media type, as "model/gltf-binary" or "text/plain; charset=utf-8"',
        }),
      )
      .prefault({})
      .transform((types): ReadonlyMap<string, string> => new Map(Object.entries(types)))
      .describe(
        'Content-Type by extension, as `{ "glb": "model/gltf-binary" }`, before what everybody knows (the list of mime-db). A file of an unknown type is `application/octet-stream`, which no browser takes for a page.',
      ),
    errorPages: errorPages
      .prefault({})
      .describe(
        'Status to page, as `{ "404": "/404.html" }`: `https://...` redirects, `/path` is a URL of this virtual server, else a file below the document root.',
      ),
    accessLog: z
      .union([
        z.literal(false),
        strict({
          format: z
            .enum(['combined', 'json'])
            .default('combined')
            .describe(
              '`combined` is what every tool reads; `json` says more: the source, how often one was asked, `appStatus` when not 0 (of an application that works on behind an answer it is in the log only).',
            ),
          file: z
            .union([z.literal('-'), filePath(directory)])
            .default('-')
            .describe('A file, or `-` for stdout.'),
        }),
      ])
      .default(false)
      .describe('One line per request. Off by default: on a terminal it would hide what matters.'),
    preset: z
      .enum(presetNames)
      .optional()
      .describe(
        'Rules written for you, after your own ones. `php` when there are no rules. `fastway print-config` shows them.',
      ),
    source: filledText
      .optional()
      .describe(
        'The source of the preset. Without it the one that is named like the preset, `php`, or the only one.',
      ),
    rules: z
      .array(rules.rule)
      .optional()
      .describe('The first that matches answers; without a match it is 404.'),
  };
  const namedServer = strict(virtualServer).transform(toServer);
  const config = {
    $schema: z.string().optional().describe('For editors: `./node_modules/fastway/schema.json`.'),
    listen: z
      .array(listen)
      .min(1)
      .prefault([{ host: usualHost, port: usualPort }])
      .describe('Where clients connect.'),
    sources: z
      .record(
        z
          .string()
          .regex(/^[A-Za-z0-9][\w.-]*$/, { error: 'A source is named by letters, digits, "-", "_" and "."' }),
        source,
      )
      .prefault(usualSources)
      .describe(
        'Information sources by name: where answers come from. A source is started when it is first needed.',
      ),
    virtualServers: z
      .array(namedServer)
      .min(1)
      .prefault(usualServers)
      .describe(
        'Sets of host names with a document root and rules. The first answers for hosts that no other one names.',
      ),
    realIp: realIp
      .prefault({})
      .describe('Proxies in front of us that are trusted: [proxies.md](proxies.md).'),
    limits: limits.prefault({}).describe('Bounds of the HTTP front.'),
    log: strict({
      level: z.enum(logLevels).default('info').describe('Lowest level that is written.'),
      format: z.enum(['text', 'json']).default('text').describe('`text` for people, `json` for collectors.'),
    })
      .prefault({})
      .describe('Our log, on stderr.'),
    metrics: z
      .union([z.literal(false), metrics])
      .default(false)
      .describe(
        'A separate listener for `/metrics` (Prometheus), `/livez` and `/readyz`. Off by default: nothing listens unless it is asked for.',
      ),
    runtimeDir: filePath(directory)
      .optional()
      .describe(
        "Folder in which a private directory for sockets and large bodies is made. Where root starts, nobody else may be able to exchange files there: it belongs to root, and others cannot write into it, or it is sticky as /tmp is. Without it the system's temporary directory.",
      ),
    user: accountName
      .optional()
      .describe(
        'Started by root, the whole process becomes this user (name or number) for good once it listens and its logs are open, so that no file is sent that only root may read. Interpreters and CGI programs run as the same user then. Without it Fastway stays what it was started as.',
      ),
    group: accountName.optional().describe("Its group. Without it the user's own."),
  };
  const tolerantServer = tolerate(
    { ...virtualServer, rules: z.array(rules.tolerant).optional() },
    { documentRoot: '/dev/null', hosts: [], rules: [] },
  );
  const tolerant = {
    ...config,
    sources: z.record(
      z.string(),
      source.catch(() => source.parse({ address: 'tcp://127.0.0.1:9000' })),
    ),
    virtualServers: z.array(tolerantServer.transform(toServer)),
  };
  return {
    config: held<Config, ConfigInput>()(strict(config).transform(toConfig)),
    tolerant: tolerate(tolerant, { listen: [], sources: {}, virtualServers: [] }).transform(toConfig),
    parts: {
      Listen: listen,
      Source: source,
      VirtualServer: namedServer,
      Rule: rules.rule,
      Authorize: rules.authorize,
      Match: rules.match,
      Handler: rules.handler,
      Metrics: metrics,
      Limits: limits,
    },
  };
}

/** The preset is rules by now. */
function toServer<
  Server extends { preset?: unknown; source?: unknown; rules?: readonly RuleConfig[] | undefined },
>({ preset, source, rules = [], ...rest }: Server) {
  return { ...rest, rules };
}

function toConfig<Written extends { $schema?: unknown }>({ $schema, ...rest }: Written) {
  return rest;
}

const usualHost = '127.0.0.1';
const usualPort = 8080;
const usualMode = '0660';

/** Two kinds, of which each has keys of its own: `path` makes it a unix socket. */
function createListenDefinition(directory: string): z.ZodType<ListenAddress, ListenInput> {
  const tcp = {
    host: filledText
      .default(usualHost)
      .describe(
        'Address or name. By default for this machine, so that nothing is public by accident; `0.0.0.0` or `::` for everybody.',
      ),
    port: count.max(65_535).default(usualPort).describe('0 takes a free one.'),
  };
  const unix = {
    path: filePath(directory)
      .refine((path) => Buffer.byteLength(path) <= unixPathBytesMax, {
        error: `The path of a unix socket has at most ${unixPathBytesMax} bytes; use a shorter one`,
      })
      .describe('A unix socket in place of host and port.'),
    mode: z
      .string()
      .regex(/^0?[0-7]{3}$/, { error: 'Must be a file mode, as "0660"' })
      .default(usualMode)
      .describe(
        'Mode of the unix socket. By default for our group, so that a web server in front can connect.',
      ),
  };
  const onlyTcp = (key: string) =>
    key in tcp ? `A unix socket has no ${key}; remove "${key}", or "path"` : undefined;
  const onlyUnix = (key: string) =>
    key in unix ? `Only a unix socket has a ${key}; remove it, or give a "path"` : undefined;
  const kinds = z.discriminatedUnion('kind', [
    strict(tcp, onlyUnix)
      .extend({ kind: z.literal('tcp') })
      .transform(({ host, port }): ListenAddress => ({ host, port })),
    strict(unix, onlyTcp)
      .extend({ kind: z.literal('unix') })
      .transform(({ path, mode }): ListenAddress => ({ path, mode: Number.parseInt(mode, 8) })),
  ]);
  return held<ListenAddress, ListenInput>()(
    z.preprocess((written: WithoutKind<z.input<typeof kinds>>, context) => {
      if (typeof written !== 'object' || written === null || Array.isArray(written)) return written;
      if ('kind' in written)
        context.issues.push({ code: 'custom', input: written, message: 'Unknown key "kind"' });
      return { ...(written as object), kind: 'path' in written ? 'unix' : 'tcp' };
    }, kinds),
  );
}

function createMetricsDefinition(): z.ZodType<MetricsConfig, Partial<MetricsConfig>> {
  return held<MetricsConfig, Partial<MetricsConfig>>()(
    strict({
      host: filledText
        .default(usualHost)
        .describe('Address or name. By default for this machine: what is told here is not for others.'),
      port: count.max(65_535).default(9180).describe('0 takes a free one.'),
      hosts: z
        .array(
          z
            .string()
            .transform((host) => host.toLowerCase())
            .refine((host) => /^[\w-]+(\.[\w-]+)*$/.test(host), {
              error: 'Must be a host name without port',
            }),
        )
        .prefault([])
        .describe(
          'Names by which it may be asked, besides `localhost`, `host` and any address. Others get 421, so that no page in a browser reads it through a name of its own.',
        ),
    }),
  );
}

const limits: z.ZodObject<{ readonly [Key in keyof LimitsConfig]: z.ZodDefault<z.ZodNumber> }> = strict({
  headerBytesMax: positiveCount
    .min(1024)
    .max(1024 * 1024)
    .default(usualFrontLimits.headerBytesMax)
    .describe('Bytes of a request head, else 431. Enough for every honest set of cookies.'),
  headerLinesMax: positiveCount
    .max(2000)
    .default(fieldLinesMax)
    .describe('Lines of a request head, else 431. Browsers send about 20.'),
  headerTimeoutMs: durationMs
    .default(usualFrontLimits.headerTimeoutMs)
    .describe('For a whole request head. Long for any client, short for slowloris.'),
  bodyIdleTimeoutMs: durationMs
    .default(usualFrontLimits.bodyIdleTimeoutMs)
    .describe(
      `Longest silence within a request body. After ${printDuration(usualFrontLimits.bodyGraceMs)} of a body, ${usualFrontLimits.bodyBytesPerSecondMin} bytes per second on average are expected too.`,
    ),
  sendIdleTimeoutMs: durationMs
    .default(usualFrontLimits.sendIdleTimeoutMs)
    .describe('Longest wait for a client to take more of an answer.'),
  keepAliveTimeoutMs: durationMs
    .default(usualFrontLimits.keepAliveTimeoutMs)
    .describe(
      'How long an idle connection stays. Enough to go from page to page, and short enough to free descriptors soon.',
    ),
  requestsPerConnectionMax: positiveCount
    .default(usualFrontLimits.requestsPerConnectionMax)
    .describe('Then the connection is closed, so that clients spread again. As in nginx.'),
  maxBodyBytes: count
    .default(usualFrontLimits.maxBodyBytes)
    .describe(
      `Largest request body, else 413, for handlers that name none. ${printBytes(usualFrontLimits.maxBodyBytes)}: enough for photographs, not for disk images.`,
    ),
  shutdownGraceMs: durationMs
    .default(usualFrontLimits.shutdownGraceMs)
    .describe('How long running requests may go on when Fastway stops. As long as Kubernetes allows.'),
});

/** The largest request body of handlers that name none, in a configuration as it is written. */
export function findBodyLimit(written: unknown): number {
  const schema = z.object({ limits: z.object({ maxBodyBytes: limits.shape.maxBodyBytes }).prefault({}) });
  return schema.catch({ limits: { maxBodyBytes: 0 } }).parse(written).limits.maxBodyBytes;
}
