/** What may stand for a rule: matches and handlers, with their defaults and reasons. */
import { z } from 'zod';
import { toByteString } from '../base/byte-string.ts';
import { usualReadTimeoutMs } from '../client/timeouts.ts';
import { findUnknownVariable } from '../handler/redirect-variables.ts';
import { bodyMemoryBytesMax } from '../handler/request-body.ts';
import { spoolMemoryBytesMax } from '../handler/response-spool.ts';
import { symlinkPolicies } from '../handler/symlinks.ts';
import { AddressSet } from '../http/address-set.ts';
import {
  combine,
  everything,
  type Match,
  nothing,
  type ValueMatch,
  type ValueMatches,
} from '../http/match.ts';
import type { TrustedProxies } from '../http/real-ip.ts';
import { held } from './held.ts';
import { rights } from './rights-definition.ts';
import {
  type AuthorizeConfig,
  type AuthorizeInput,
  type BalancerConfig,
  balancerPolicies,
  type HandlerConfig,
  type HandlerInput,
  type MatchInput,
  type RealIpInput,
  type RuleConfig,
  type RuleInput,
  type ValueMatchInput,
} from './types.ts';
import {
  addressBlock,
  byteString,
  byteVariables,
  count,
  durationMs,
  expression,
  fieldName,
  fileName,
  filledByteString,
  filledText,
  foreignPath,
  listOf,
  positiveCount,
  printBytes,
  rootPath,
  strict,
  textExpression,
  tolerate,
  urlPath,
  variableName,
} from './values.ts';

/** The parts of a rule. */
export interface RuleDefinition {
  readonly rule: z.ZodType<RuleConfig, RuleInput>;
  /** In place of what is wrong it has what nothing can be said about. */
  readonly tolerant: z.ZodType<RuleConfig>;
  readonly authorize: z.ZodType<AuthorizeConfig, AuthorizeInput>;
  readonly match: z.ZodType<Match, MatchInput>;
  readonly handler: z.ZodType<HandlerConfig, HandlerInput>;
}

const underscoreName = fieldName.refine((name) => /^[a-z0-9-]*_[a-z0-9_-]*$/.test(name), {
  error: 'Must be the name of a request header with "_", as api_key',
});

const accelPrefix = urlPath.refine((path) => path.endsWith('/'), { error: 'Must end with "/"' });

export const errorPages: z.ZodType<ErrorPages, Readonly<Record<string, string>>> = z
  .record(z.string().regex(/^[45]\d\d$/, { error: 'Must be a status from 400 to 599' }), filledByteString)
  .transform(
    (pages): ErrorPages => new Map(Object.entries(pages).map(([status, page]) => [Number(status), page])),
  );
type ErrorPages = ReadonlyMap<number, string>;

const proxies = strict({
  trusted: z
    .array(addressBlock)
    .prefault([])
    .transform((blocks) => new AddressSet(blocks))
    .describe(
      'Addresses and blocks of proxies that are believed; `unix` for whoever comes over a unix socket. None: anybody can write a field.',
    ),
  field: fieldName
    .prefault('x-forwarded-for')
    .describe(
      "The one field that tells the client's address: the one that your proxy writes. `x-forwarded-for` and `forwarded` (RFC 7239) are read from right to left, up to the first address that is not trusted; what is no address ends the search at the last that was one. Any other, as `x-real-ip` or `cf-connecting-ip`, has one value, and a request in which it comes twice is 400: one of the two is the client's.",
    ),
  protoField: z
    .union([fieldName, z.literal(false)])
    .optional()
    .describe(
      'Tells whether the client came by `https`, in its last value. `x-forwarded-proto` without it, or the `proto` of `forwarded` when that is the `field`.',
    ),
  hostField: z
    .union([fieldName, z.literal(false)])
    .optional()
    .describe(
      'Tells the host that the client asked for, as `x-forwarded-host`: by it the virtual server is chosen, and HTTP_HOST is it. Without it none, as many proxies pass on what a client wrote there; the `host` of `forwarded` when that is the `field`.',
    ),
  portField: z
    .union([fieldName, z.literal(false)])
    .prefault(false)
    .describe(
      'Tells SERVER_PORT, as `x-forwarded-port`. Without it that is the port in the host, or the usual one of the scheme, once a proxy tells either.',
    ),
}).transform(({ trusted, field, protoField, hostField, portField }): TrustedProxies => {
  const isForwarded = field === 'forwarded';
  return {
    trusted,
    field,
    protoField: orNone(protoField ?? (isForwarded ? 'forwarded' : 'x-forwarded-proto')),
    hostField: orNone(hostField ?? (isForwarded && 'forwarded')),
    portField: orNone(portField),
  };
});

export const realIp: z.ZodType<TrustedProxies, RealIpInput> = held<TrustedProxies, RealIpInput>()(proxies);

function orNone(field: string | false): string | undefined {
  return field === false ? undefined : field;
}

/** @param bodyBytesMax of handlers that name no `maxBodyBytes` */
export function createRuleDefinition(directory: string, bodyBytesMax: number): RuleDefinition {
  const match = createMatchDefinition();
  const handler = createHandlerDefinition(directory, bodyBytesMax);
  const authorize = createAuthorizeDefinition();
  const keys = {
    match: match.optional().describe('What the handler is for; without it, everything.'),
    authorize: z
      .union([authorize, z.array(authorize)])
      .optional()
      .describe(
        'A FastCGI Authorizer, or several in a row, asked before the handler. Its 200 lets the request through; anything else is the answer.',
      ),
    handler: handler.describe('Who answers.'),
  };
  return {
    rule: held<RuleConfig, RuleInput>()(strict(keys).transform(toRule)),
    tolerant: tolerate(keys, {
      match: nothing,
      handler: handler.parse({ type: 'error', status: 404 }),
    }).transform(toRule),
    authorize,
    match,
    handler,
  };
}

interface RuleKeys {
  readonly match?: Match | undefined;
  readonly authorize?: AuthorizeConfig | AuthorizeConfig[] | undefined;
  readonly handler: HandlerConfig;
}

function toRule({ match = everything, authorize = [], handler }: RuleKeys): RuleConfig {
  return { match, authorize: Array.isArray(authorize) ? authorize : [authorize], handler };
}

function createMatchDefinition(): z.ZodType<Match, MatchInput> {
  const valueMatch: z.ZodType<ValueMatch, ValueMatchInput> = z.union([
    z.literal(true),
    byteString,
    strict({ regex: expression.describe('A regular expression that is found in the value.') }).transform(
      ({ regex }) => regex,
    ),
  ]);
  const match: z.ZodType<Match, MatchInput> = z.lazy(() => held<Match, MatchInput>()(written()));
  const written = () =>
    strict({
      directory: urlPath
        .transform((path) => path.replace(/\/+$/, ''))
        .optional()
        .describe('This path and everything below it, by whole segments: `/static` is not `/statics`.'),
      extensions: listOf(
        filledText
          .refine((name) => !name.includes('/'), { error: 'Must be an extension, as "php"' })
          .transform((name) => name.replace(/^\./, '').toLowerCase()),
      )
        .optional()
        .describe(
          'A segment of the path ends in one of these: `/a.php` and `/a.php/info`, not `/a.php.txt`.',
        ),
      path: urlPath.optional().describe('Exactly this path, decoded.'),
      request: expression
        .optional()
        .describe(
          'A regular expression that is found in the decoded path. Its groups are `$1` ... in a redirect.',
        ),
      exists: z
        .union([
          z.literal(true),
          z.literal('file'),
          z.literal('request'),
          z.literal('extensions'),
          z.array(fileName.or(urlPath)).min(1),
        ])
        .optional()
        .describe(
          '`true`: the path names a file or directory below the document root, that of the handler where it has one. `"file"`: a file, or a directory that has an index. `"request"`, `"extensions"`: the part of the path up to the end of what `request` or `extensions` found names one. Names: one of them lies in the directory of the path; `/name`: in the document root.',
        ),
      nearest: fileName
        .optional()
        .describe(
          'A folder on the way to the path holds this file, the deepest one counts: the front controller of an application in a subfolder. `$nearest` in a redirect is its path. A script below the root that only refuses (comments, `header`, `exit`: "silence is golden") does not count.',
        ),
      header: z
        .record(fieldName, valueMatch)
        .optional()
        .describe('Header fields: `true` for any value, text for exactly this one, `{ "regex": "..." }`.'),
      method: listOf(
        z
          .string()
          .regex(/^[A-Za-z][\w-]*$/, { error: 'Must be a method, as GET' })
          .transform((name) => name.toUpperCase()),
      )
        .optional()
        .describe('One of these methods.'),
      from: listOf(addressBlock)
        .transform((blocks) => new AddressSet(blocks))
        .optional()
        .describe(
          'The client has one of these addresses, or one in these blocks; `unix`: it came over a unix socket, and nobody told its address.',
        ),
      query: z
        .record(z.string(), valueMatch)
        .transform((parameters) =>
          Object.fromEntries(Object.entries(parameters).map(([name, value]) => [toByteString(name), value])),
        )
        .optional()
        .describe('Query parameters, decoded; as in `header`.'),
      all: z.array(match).min(1).optional().describe('Each of these matches.'),
      any: z.array(match).min(1).optional().describe('At least one of these matches.'),
      not: match.optional().describe('This does not match.'),
    })
      .refine((value) => Object.values(value).some((part) => part !== undefined), {
        error: 'Is empty; leave "match" out for a rule that takes everything',
      })
      .transform(toMatch);
  return match;
}

/** What a match says, key by key. */
interface MatchKeys {
  readonly method?: readonly string[] | undefined;
  readonly path?: string | undefined;
  readonly directory?: string | undefined;
  readonly extensions?: readonly string[] | undefined;
  readonly request?: RegExp | undefined;
  readonly from?: AddressSet | undefined;
  readonly header?: ValueMatches | undefined;
  readonly query?: ValueMatches | undefined;
  readonly exists?: true | 'file' | 'request' | 'extensions' | readonly string[] | undefined;
  readonly nearest?: string | undefined;
  readonly any?: readonly Match[] | undefined;
  readonly not?: Match | undefined;
  readonly all?: readonly Match[] | undefined;
}

/** What costs least is asked first; the disk last. */
function toMatch({ all = [], any, not, ...keys }: MatchKeys): Match {
  const { method, path, directory, extensions, request, from, header, query, exists, nearest } = keys;
  const parts: Match[] = [];
  if (method !== undefined) parts.push({ kind: 'method', methods: method });
  if (path !== undefined) parts.push({ kind: 'path', path });
  if (directory !== undefined) parts.push({ kind: 'directory', directory });
  if (extensions !== undefined) parts.push({ kind: 'extensions', extensions });
  if (request !== undefined) parts.push({ kind: 'request', expression: request });
  if (from !== undefined) parts.push({ kind: 'from', addresses: from });
  if (header !== undefined) parts.push({ kind: 'header', values: header });
  if (query !== undefined) parts.push({ kind: 'query', values: query });
  if (exists === 'file') parts.push({ kind: 'servable' });
  else if (exists === 'request' && request !== undefined) parts.push({ kind: 'found', expression: request });
  else if (exists === 'extensions' && extensions !== undefined) parts.push({ kind: 'script', extensions });
  else if (exists !== undefined) {
    parts.push({ kind: 'exists', names: typeof exists === 'object' ? exists : undefined });
  }
  if (nearest !== undefined) parts.push({ kind: 'nearest', name: nearest });
  if (any !== undefined) parts.push(combine('or', any));
  if (not !== undefined) parts.push({ kind: 'not', part: not });
  return combine('and', [...parts, ...all]);
}

const weightedSource = z.union([
  filledText.transform((source) => ({ source, weight: 1 })),
  strict({
    source: filledText.describe('Name of a source.'),
    weight: positiveCount.max(1000).default(1).describe('Its share relative to the others.'),
  }),
]);

/** Which application is asked. */
const sourceChoice = {
  balancer: strict({
    policy: z
      .enum(balancerPolicies)
      .default('round-robin')
      .describe(
        '`round-robin`: in turn, by weight; fair with the least thought. `ip-hash`: a client stays at its source. `failover`: the first that works, in order. `least-busy`: the fewest requests in flight.',
      ),
    sources: z
      .array(weightedSource)
      .min(1)
      .describe('Names of sources, or `{ "source": name, "weight": 2 }`.'),
  })
    .optional()
    .describe('Which sources, and how one is chosen.'),
  source: filledText.optional().describe('Short for a balancer with this one source.'),
};

/** One of the two, as a balancer. */
function toBalancer<T extends { balancer?: BalancerConfig | undefined; source?: string | undefined }>(
  { balancer: given, source, ...rest }: T,
  context: z.RefinementCtx,
): Omit<T, 'balancer' | 'source'> & { balancer: BalancerConfig } {
  if ((given === undefined) === (source === undefined)) {
    context.issues.push({
      code: 'custom',
      input: given,
      message:
        given === undefined
          ? 'Says no source; add "source": name, or a "balancer" with several'
          : 'Has "source" and "balancer"; keep one of them',
    });
  }
  return {
    ...rest,
    balancer: given ?? { policy: 'round-robin', sources: [{ source: source ?? '', weight: 1 }] },
  };
}

function createAuthorizeDefinition(): z.ZodType<AuthorizeConfig, AuthorizeInput> {
  const authorize = strict({
    ...sourceChoice,
    env: byteVariables
      .prefault({})
      .describe(
        'Variables for the Authorizer; they win over everything else. One that runs scripts (PHP) wants its `SCRIPT_FILENAME` here.',
      ),
    cacheMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(0)
      .describe(
        'How long a 200 is remembered. 0: every request is asked about, as only the Authorizer knows when its mind changes.',
      ),
    cacheKey: z
      .array(variableName)
      .min(1)
      .optional()
      .describe(
        'Variables that the decision hangs on, as `["HTTP_COOKIE", "REMOTE_ADDR"]`: requests that are alike in them share a remembered 200. Without it all variables count but REMOTE_PORT.',
      ),
  }).transform((value, context): AuthorizeConfig => {
    const { env, cacheMs, cacheKey, balancer } = toBalancer(value, context);
    return { balancer, env, cacheMs, cacheKey };
  });
  return held<AuthorizeConfig, AuthorizeInput>()(authorize);
}

function createHandlerDefinition(
  directory: string,
  bodyBytesMax: number,
): z.ZodType<HandlerConfig, HandlerInput> {
  const orNothing = <T extends z.ZodType>(schema: T) =>
    schema.nullish().transform((value) => value ?? undefined);
  const guard = z.boolean().optional().describe("In place of the virtual server's `guard`, for this rule.");
  const scriptOptions = {
    checkFile: z
      .boolean()
      .default(true)
      .describe(
        'On: the path is walked on disk, the first regular file is the script and the rest PATH_INFO; nothing found is 404, and the source is not contacted. Off, for an application that runs the whole tree (Django, Rails): nothing is read, SCRIPT_NAME is the directory of the match. On, because PHP must only run what is there.',
      ),
    scriptAlias: orNothing(rootPath(directory)).describe('Every request of the rule runs this one script.'),
    errorHandler: z
      .boolean()
      .default(true)
      .describe(
        "On: the application's own error pages are sent as generated, as it knows best what went wrong. Off: its 4xx and 5xx bodies are replaced by the error pages.",
      ),
    passRequestHeaders: z
      .boolean()
      .default(true)
      .describe(
        'Every request header becomes `HTTP_*`, as applications expect. Off: only the well-known ones.',
      ),
    underscoreHeaders: z
      .array(underscoreName)
      .prefault([])
      .describe(
        'Names of request headers with `_` that reach the application: `["api_key"]` as HTTP_API_KEY. `api-key` does not, then: the two would be one variable, and a client could speak in the name of a proxy that sets the other. Without this every header with `_` is dropped, and a line at debug says so.',
      ),
    xSendfile: z
      .boolean()
      .default(false)
      .describe(
        'Honour `X-Sendfile` and `X-Accel-Redirect`. Off: an application that can be made to write a header could send any file below the roots.',
      ),
    sendfileRoots: z
      .array(rootPath(directory))
      .prefault([])
      .describe('Directories that `xSendfile` may send from; without any it sends nothing.'),
    accelRoots: z
      .record(accelPrefix, rootPath(directory))
      .prefault({})
      .describe(
        'What prefixes of an `X-Accel-Redirect` stand for: `"/protected/": "/srv/files"` is a location of nginx with `internal` and `alias`. The longest that fits counts, and nothing else is tried then.',
      ),
    env: byteVariables.prefault({}).describe('Variables for the application; they win over everything else.'),
    documentRoot: orNothing(rootPath(directory)).describe(
      "An alternative root for this rule. With a `directory` match it takes that directory's place: `/static/a.css` is its `/a.css`.",
    ),
    symlinks: z
      .enum(symlinkPolicies)
      .optional()
      .describe("In place of the virtual server's `symlinks`, for this rule."),
    scriptRoot: orNothing(foreignPath).describe(
      'The same root as the application sees it, in its container or chroot.',
    ),
    guard,
    realIp: orNothing(realIp).describe("In place of the top level's `realIp`, for this rule."),
    bufferRequest: z
      .boolean()
      .default(true)
      .describe(
        `Receive the whole request body (${printBytes(bodyMemoryBytesMax)} in memory, then a file) before a source is contacted: a slow client holds no worker, and no half request runs. Off, only a body that comes without a length is: CGI has no word for that.`,
      ),
    bufferResponse: z
      .boolean()
      .default(true)
      .describe(
        `A slow client does not hold the source: the answer waits in memory (${printBytes(spoolMemoryBytesMax)}), then in a file. Answers to fast clients pass at once, event streams too.`,
      ),
    maxBodyBytes: count
      .optional()
      .transform((bytes) => bytes ?? bodyBytesMax)
      .describe('Largest request body in bytes, else 413. Without it, `limits.maxBodyBytes`.'),
    localRedirect: z
      .boolean()
      .default(false)
      .describe(
        '`Location: /path` without a Status is answered by us from that path (RFC 3875 6.2.2). Off: the client is redirected, as PHP programs expect.',
      ),
    errorPages: errorPages.prefault({}).describe("Error pages of this rule, before the virtual server's."),
    failurePattern: textExpression
      .optional()
      .describe(
        'A regular expression. When it is found in a message of the error output before the answer began, the answer counts as failed: another source is asked where that is safe, else the client gets a 502, and three in a row within 10 s take the source out of service. For applications that answer 200 although they are broken.',
      ),
  };
  const fastcgi = strict({
    type: z.literal('fastcgi').describe('An application at one of several sources.'),
    upgrade: z
      .boolean()
      .default(false)
      .describe(
        'On: the application speaks WebSocket or another protocol to which it upgrades. A GET with `Upgrade` reaches it with HTTP_UPGRADE and an open STDIN; after `Status: 101` bytes pass both ways until one side ends. It is closed when neither side sends anything for `readTimeoutMs` of the source: let one of them send pings.',
      ),
    ...sourceChoice,
    ...scriptOptions,
  }).transform(toBalancer);
  const {
    checkFile,
    scriptAlias,
    scriptRoot,
    xSendfile,
    sendfileRoots,
    accelRoots,
    localRedirect,
    ...applicationOptions
  } = scriptOptions;
  const filter = strict({
    type: z
      .literal('filter')
      .describe(
        'A FastCGI Filter, which makes the answer out of the file below the document root: that is found as by `files`, and sent to it as DATA.',
      ),
    ...sourceChoice,
    ...applicationOptions,
  }).transform(toBalancer);
  const cgi = strict({
    type: z.literal('cgi').describe('A program that is started for each request.'),
    timeoutMs: durationMs
      .default(usualReadTimeoutMs)
      .describe(
        'A program that prints nothing for so long is ended: as long as an application may be silent. One whose client has left may work on for as long.',
      ),
    capacity: positiveCount
      .default(32)
      .describe(
        'Programs that run at the same time; more requests wait, so that a flood of them cannot take the machine.',
      ),
    ...rights,
    ...scriptOptions,
  });
  const files = strict({
    type: z.literal('files').describe('The file below the document root.'),
    documentRoot: scriptOptions.documentRoot,
    symlinks: scriptOptions.symlinks,
    sendLeftovers: z
      .boolean()
      .default(false)
      .describe(
        'Also send what is usually left by mistake: copies (`.bak`, `.php.1`), logs, databases, keys. Dot files and scripts never.',
      ),
    guard,
    precompressed: z
      .boolean()
      .default(true)
      .describe(
        'Send `name.br` or `name.gz` when it lies beside the file and the client takes it: smaller, and no work.',
      ),
  });
  const lookedUpRoot = orNothing(rootPath(directory)).describe(
    "Where `exists` and `nearest` of this rule's match look: with a `directory` match it takes that directory's place.",
  );
  const redirect = strict({
    type: z.literal('redirect').describe('Another URL.'),
    to: filledByteString
      .refine((to) => !/[\x00-\x20\x7f]/.test(to), {
        error: 'Holds a space or a control byte; encode it as %20',
      })
      .refine((to) => findUnknownVariable(to) === undefined, {
        error: ({ input }) =>
          `Has a variable ${findUnknownVariable(String(input))}, which nobody knows; known are $0 to $9, $path, $query, $host and $nearest, and $$ is a dollar`,
      })
      .describe(
        "Where to. `$1` ... `$9` are the groups of the match's `request`, `$0` all of what it found, or the path without one; `$path`, `$query`, `$host` (without port) are the request's, `$nearest` the match's; `$$` is a dollar, and a name may stand in braces. Each is encoded for the part of the URL in which it stands. The request's query is added, with `&` behind one in `to`, unless `to` holds `$query` or ends with `?`.",
      ),
    status: z
      .literal([301, 302, 303, 307, 308])
      .default(302)
      .describe('Of an external redirect. 302, which nobody remembers for ever when it was a mistake.'),
    internal: z
      .boolean()
      .default(false)
      .describe(
        'A rewrite: the rules run again for `to`, at most 10 times; method, body and REQUEST_URI stay the original.',
      ),
    documentRoot: lookedUpRoot,
  }).superRefine((value, context) => {
    if (value.internal && !/^(?:\/|\$\{?(?:path|nearest)\b)/.test(value.to)) {
      context.addIssue({
        code: 'custom',
        path: ['to'],
        message: 'An internal redirect stays here: start with "/"',
      });
    }
  });
  const error = strict({
    type: z.literal('error').describe('An error page.'),
    status: z.int().min(400).max(599).describe('From 400 to 599.'),
    documentRoot: lookedUpRoot,
  });
  return held<HandlerConfig, HandlerInput>()(
    z.discriminatedUnion('type', [fastcgi, cgi, filter, files, redirect, error]),
  );
}
