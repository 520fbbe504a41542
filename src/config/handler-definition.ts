/** What may stand for a handler of a rule, with its defaults and reasons. */
import { z } from 'zod';
import { usualReadTimeoutMs } from '../client/timeouts.ts';
import { findUnknownVariable } from '../handler/redirect-variables.ts';
import { bodyMemoryBytesMax } from '../handler/request-body.ts';
import { spoolMemoryBytesMax } from '../handler/response-spool.ts';
import { symlinkPolicies } from '../handler/symlinks.ts';
import { held } from './held.ts';
import { realIp } from './real-ip-definition.ts';
import { rights } from './rights-definition.ts';
import { sourceChoice, toBalancer } from './source-choice.ts';
import type { HandlerConfig, HandlerInput } from './types.ts';
import {
  byteVariables,
  count,
  durationMs,
  fieldName,
  filledByteString,
  foreignPath,
  positiveCount,
  printBytes,
  rootPath,
  strict,
  textExpression,
  urlPath,
} from './values.ts';

const underscoreName = fieldName.refine((name) => /^[a-z0-9-]*_[a-z0-9_-]*$/.test(name), {
  error: 'Must be the name of a request header with "_", as api_key',
});

const accelPrefix = urlPath.refine((path) => path.endsWith('/'), { error: 'Must end with "/"' });

type ErrorPages = ReadonlyMap<number, string>;

export const errorPages: z.ZodType<ErrorPages, Readonly<Record<string, string>>> = z
  .record(z.string().regex(/^[45]\d\d$/, { error: 'Must be a status from 400 to 599' }), filledByteString)
  .transform(
    (pages): ErrorPages => new Map(Object.entries(pages).map(([status, page]) => [Number(status), page])),
  );
/** @param bodyBytesMax of handlers that name no `maxBodyBytes` */
export function createHandlerDefinition(
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
        'A program that prints nothing for this long is ended: as long as an application may be silent. One whose client has left may work on for as long.',
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
