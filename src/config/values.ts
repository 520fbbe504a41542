/** The configuration's small words as zod schemas: names, durations, paths, byte strings. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { parseAddress } from '../base/address.ts';
import { printNearest } from './nearest.ts';

/** Text -> byte string: each unit of the result is one byte of the text's UTF-8. */
export function toByteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/**
 * An object whose keys are all known. Its message for unknown keys has one line per key, in order;
 * `parse.ts` makes one problem of each.
 */
export function strict<Shape extends z.core.$ZodShape>(
  shape: Shape,
): z.ZodObject<z.core.util.Writeable<Shape>, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys
            .map(
              (key) =>
                `Unknown key ${JSON.stringify(key)}${printNearest(key, Object.keys(shape)) || `; known are ${Object.keys(shape).join(', ')}`}`,
            )
            .join('\n')
        : undefined,
  });
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
export const expression: z.ZodType<string, string> = filledText.transform((source, context) => {
  const bytes = toByteString(source);
  try {
    new RegExp(bytes);
  } catch (error) {
    context.issues.push({
      code: 'custom',
      input: source,
      message: `Is no regular expression: ${(error as Error).message.replace(/^.*: (?=[^:]*$)/, '')}`,
    });
  }
  return bytes;
});

/** Name of a request field, in lower case. */
export const fieldName: z.ZodType<string, string> = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]+$/, { error: 'Must be the name of a request field, as X-Real-IP' })
  .transform((name) => name.toLowerCase());

/** An IP address, a CIDR block, or `unix` for a peer on a unix socket. */
export const addressBlock: z.ZodType<string, string> = z.string().superRefine((block, context) => {
  if (block === 'unix') return;
  const [address, bits, rest] = block.split('/');
  const family = isIP(address!);
  const bitsMax = family === 4 ? 32 : 128;
  if (family === 0 || rest !== undefined || address!.includes('%')) {
    context.addIssue({
      code: 'custom',
      message: 'Must be an IP address, a block such as 10.0.0.0/8 or fd00::/8, or unix',
    });
  } else if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax)) {
    context.addIssue({ code: 'custom', message: `A block of IPv${family} has 0 to ${bitsMax} bits` });
  }
});

/** Name of a variable; anything else could be mistaken for another name by an application (CVE-2025-65082, T9). */
export const variableName: z.ZodType<string, string> = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
  error: 'A variable is named by letters, digits and "_", and starts with no digit',
});

/** Most bytes of one variable's value: a name-value pair has to fit in one record (T10). */
const valueBytesMax = 64_000;

/** Variables for an application. */
export const byteVariables: z.ZodType<Record<string, string>, Record<string, string>> = z.record(
  variableName,
  byteString.refine((value) => value.length <= valueBytesMax, {
    error: `A value has at most ${valueBytesMax} bytes`,
  }),
);

/** Variables for an interpreter's environment. */
export const textVariables: z.ZodType<Record<string, string>, Record<string, string>> = z.record(
  variableName,
  text,
);

/** Where a FastCGI server listens; a relative unix path starts at `directory`. Placeholders are checked when they are filled. */
export function address(directory: string): z.ZodType<string, string> {
  return filledText.transform((value, context) => {
    const absolute = value.replace(
      /^(unix:)?(?=\.{1,2}\/)(.*)$/s,
      (_, __, path) => `unix:${resolve(directory, path)}`,
    );
    if (absolute.includes('{')) return absolute;
    try {
      parseAddress(absolute);
    } catch (error) {
      context.issues.push({ code: 'custom', input: value, message: (error as Error).message });
    }
    return absolute;
  });
}

/** One value where a list is expected is a list of one. */
export function listOf<Item extends z.ZodType>(
  item: Item,
): z.ZodType<z.output<Item>[], z.input<Item> | readonly z.input<Item>[]> {
  return z
    .union([item, z.array(item).min(1)])
    .transform((value) => (Array.isArray(value) ? value : [value])) as z.ZodType<
    z.output<Item>[],
    z.input<Item> | readonly z.input<Item>[]
  >;
}
