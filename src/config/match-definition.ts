/** What may stand for a rule's match, and the tree that it becomes. */
import { z } from 'zod';
import { toByteString } from '../base/byte-string.ts';
import { AddressSet } from '../http/address-set.ts';
import { combine, type Match, type ValueMatch, type ValueMatches } from '../http/match.ts';
import { held } from './held.ts';
import type { MatchInput, ValueMatchInput } from './types.ts';
import {
  addressBlock,
  byteString,
  expression,
  fieldName,
  fileName,
  filledText,
  listOf,
  strict,
  urlPath,
} from './values.ts';

export function createMatchDefinition(): z.ZodType<Match, MatchInput> {
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
