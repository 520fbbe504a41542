/** The configuration's small words as zod schemas: names, durations, paths, byte strings. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { type Address, parseAddress, printAddress } from '../base/address.ts';
import { toByteString } from '../base/byte-string.ts';
import { isAddressRange } from '../http/address-set.ts';
import { printNearest } from './nearest.ts';

/**
 * An object whose keys are all known. Its message for unknown keys has one line per key, in order;
 * `parse.ts` makes one problem of each.
 * @param explain what is wrong with a key that is known elsewhere
 */
export function strict<Shape extends z.core.$ZodShape>(
  shape: Shape,
  explain: (key: string) => string | undefined = () => undefined,
): z.ZodObject<z.core.util.Writeable<Shape>, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys
            .map(
              (key) =>
                explain(key) ??
                `Unknown key ${JSON.stringify(key)}${printNearest(key, Object.keys(shape)) || `; known are ${Object.keys(shape).join(', ')}`}`,
            )
            .join('\n')
        : undefined,
  });
}

/** The same keys, each of which becomes what `instead` says where it is wrong, else its default. Other keys are passed over. */
export function tolerate<Shape extends Readonly<Record<string, z.ZodType>>>(
  shape: Shape,
  instead: { readonly [Key in keyof Shape]?: z.output<Shape[Key]> },
): z.ZodObject<{ [Key in keyof Shape]: z.ZodCatch<Shape[Key]> }> {
  const entries = Object.entries(shape).map(([key, schema]) => [
    key,
    schema.catch(() => (key in instead ? instead[key] : schema.parse(undefined))),
  ]);
  return z.object(Object.fromEntries(entries) as { [Key in keyof Shape]: z.ZodCatch<Shape[Key]> });
}

/** For the reason beside a default: `60 s`, `5 min`. */
export function printDuration(ms: number): string {
  if (ms % 1000 !== 0) return `${ms} ms`;
  const seconds = ms / 1000;
  return seconds > 60 && seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

/** As `printDuration`: `32 KiB`. */
export function printBytes(bytes: number): string {
  const kibibytes = bytes / 1024;
  return kibibytes % 1024 === 0 ? `${kibibytes / 1024} MiB` : `${kibibytes} KiB`;
}

/** The longest duration: 24 days. `setTimeout` fires at once beyond 2^31 - 1 ms (T102). */
const durationMsMax = 24 * 24 * 3600 * 1000;

export const durationMs: z.ZodNumber = z
  .int()
  .min(1, { error: 'A duration is at least 1 ms' })
  .max(durationMsMax, { error: `A duration is at most 24 days, ${durationMsMax} ms` });

export const count: z.ZodNumber = z.int().min(0);
export const positiveCount: z.ZodNumber = z.int().min(1);

/** Text without NUL, which no path, name or variable can hold. */
export const text: z.ZodType<string, string> = z
  .string()
  .refine((value) => !value.includes('\0'), { error: 'Holds a NUL byte' });

export const filledText: z.ZodType<string, string> = z
  .string()
  .min(1)
  .refine((value) => !value.includes('\0'), { error: 'Holds a NUL byte' });

export const byteString: z.ZodType<string, string> = text.transform(toByteString);
export const filledByteString: z.ZodType<string, string> = filledText.transform(toByteString);

/** A file name without a folder. */
export const fileName: z.ZodType<string, string> = filledText
  .refine((value) => !value.includes('/'), { error: 'Must be a file name, without a folder' })
  .transform(toByteString);

/** An absolute path of the system, as text; relative ones start at `directory`. */
export function filePath(directory: string): z.ZodType<string, string> {
  return filledText.transform((path) => resolve(directory, path));
}

/** Like `filePath`, as a byte string without trailing slash. */
export function rootPath(directory: string): z.ZodType<string, string> {
  return filePath(directory).transform(toByteString);
}

/** A path of another system (container, chroot): absolute, kept as it is but for the trailing slash. */
export const foreignPath: z.ZodType<string, string> = filledText
  .refine((path) => path.startsWith('/'), { error: 'Must be an absolute path, as the application sees it' })
  .transform((path) => toByteString(path.replace(/\/+$/, '') || '/'));

/** The path part of a URL, decoded, without dot segments: what rules compare with. */
export const urlPath: z.ZodType<string, string> = filledText
  .refine((path) => path.startsWith('/'), { error: 'Must start with "/"' })
  .refine((path) => !/[?#]|\/\/|\/\.{1,2}(\/|$)/.test(path), {
    error: 'Must be a decoded path without query, "//", "/./" and "/../"',
  })
  .transform(toByteString);

/** A JavaScript regular expression, compiled for bytes: without the u flag, over a byte string. */
export const expression: z.ZodType<RegExp, string> = filledText.transform((source, context) =>
  compileExpression(toByteString(source), context),
);

/** A JavaScript regular expression over text. */
export const textExpression: z.ZodType<RegExp, string> = filledText.transform(compileExpression);

function compileExpression(source: string, context: z.RefinementCtx): RegExp {
  try {
    return new RegExp(source);
  } catch (error) {
    context.issues.push({
      code: 'custom',
      input: source,
      message: `Is no regular expression: ${(error as Error).message.replace(/^.*: (?=[^:]*$)/, '')}`,
    });
    return z.NEVER;
  }
}

/** Name of a request field, in lower case. */
export const fieldName: z.ZodType<string, string> = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]+$/, { error: 'Must be the name of a request field, as X-Real-IP' })
  .transform((name) => name.toLowerCase());

/** An IP address, a CIDR block, or `unix` for a peer on a unix socket. */
export const addressBlock: z.ZodType<string, string> = z.string().superRefine((block, context) => {
  if (isAddressRange(block)) return;
  const address = block.replace(/\/.*$/s, '');
  const message =
    block !== address && isAddressRange(address) && address !== 'unix'
      ? `A block of ${address.includes(':') ? 'IPv6 has 0 to 128' : 'IPv4 has 0 to 32'} bits`
      : 'Must be an IP address, a block such as 10.0.0.0/8 or fd00::/8, or unix';
  context.addIssue({ code: 'custom', message });
});

/** Name of a variable; anything else could be mistaken for another name by an application (CVE-2025-65082, T9). */
export const variableName: z.ZodType<string, string> = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
  error: 'A variable is named by letters, digits and "_", and starts with no digit',
});

/** Most bytes of one variable's value: a name-value pair has to fit in one record (T10). */
const valueBytesMax = 64_000;

/** Variables for an application. */
export const byteVariables: z.ZodType<Variables, Readonly<Record<string, string>>> = z
  .record(
    variableName,
    byteString.refine((value) => value.length <= valueBytesMax, {
      error: `A value has at most ${valueBytesMax} bytes`,
    }),
  )
  .transform((variables): Variables => new Map(Object.entries(variables)));
type Variables = ReadonlyMap<string, string>;

/** Variables for an interpreter's environment. */
export const textVariables: z.ZodType<Record<string, string>, Record<string, string>> = z.record(
  variableName,
  text,
);

/**
 * Where a FastCGI server listens; a relative unix path starts at `directory`.
 * @param noPlaceholders what is said to somebody who writes `{...}` into it
 */
export function address(directory: string, noPlaceholders: string): z.ZodType<Address, string> {
  return filledText
    .refine((value) => !value.includes('{'), { error: noPlaceholders })
    .transform((value, context) => {
      try {
        return parseAddress(resolveAddress(value, directory));
      } catch (error) {
        context.issues.push({ code: 'custom', input: value, message: (error as Error).message });
        return z.NEVER;
      }
    });
}

/** Like `address`, as text that may hold placeholders, which are filled for each process. */
export function addressTemplate(directory: string): z.ZodType<string, string> {
  return filledText.transform((value, context) => {
    const absolute = resolveAddress(value, directory);
    if (absolute.includes('{')) return absolute;
    try {
      return printAddress(parseAddress(absolute));
    } catch (error) {
      context.issues.push({ code: 'custom', input: value, message: (error as Error).message });
      return z.NEVER;
    }
  });
}

/** What a template makes an address of, whatever the placeholders become. @param template undefined: a unix socket of ours */
export function kindOfTemplate(template: string | undefined): Address['kind'] {
  return template === undefined
    ? 'unix'
    : parseAddress(template.replaceAll('{runtimeDir}', '/run').replaceAll(/\{\w+\}/g, '1')).kind;
}

function resolveAddress(written: string, directory: string): string {
  return written.replace(/^(unix:)?(?=\.{1,2}\/)(.*)$/s, (_, __, path) => `unix:${resolve(directory, path)}`);
}

/** One value where a list is expected is a list of one. */
export function listOf<Item extends z.ZodType>(
  item: Item,
): z.ZodType<z.output<Item>[], z.input<Item> | readonly z.input<Item>[]> {
  return z.union([item.transform((value) => [value]), z.array(item).min(1)]);
}
