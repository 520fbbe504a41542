/** As whom, and with how much, a program is started: the keys of interpreters and of CGI programs. */
import { z } from 'zod';
import { held } from './held.ts';
import type { RightsConfig, RightsInput } from './types.ts';
import { filledText, positiveCount, strict } from './values.ts';

/** Name or number of a user or group, as text. */
export const accountName: z.ZodType<string, string | number> = z.union([
  filledText,
  z.int().min(0).transform(String),
]);

const keys = {
  user: accountName
    .optional()
    .describe(
      'Started by root, it runs as this user (name or number). Without it: the owner of the document root, never root by accident.',
    ),
  group: accountName.optional().describe("Its group. Without it the user's own."),
  groups: z
    .array(accountName)
    .optional()
    .describe('Its supplementary groups. Without it those of the user; `[]` for none.'),
  umask: z
    .string()
    .regex(/^[0-7]{3}$/, { error: 'Must be three octal digits in quotes, as "027"' })
    .transform((digits) => Number.parseInt(digits, 8))
    .optional()
    .describe('Permissions that the files it makes do not get, as `"027"`. Without it ours.'),
  nice: z
    .int()
    .min(-20)
    .max(19)
    .optional()
    .describe('Added to our priority: 19 gives way to everybody, below 0 is for root. Without it ours.'),
  limits: strict({
    openFiles: positiveCount.optional().describe('Open files and sockets.'),
    memoryMb: positiveCount.optional().describe('Address space, which is more than the memory in use.'),
    cpuSeconds: positiveCount
      .optional()
      .describe('Processor time in its whole life; the kernel kills it then.'),
    processes: positiveCount.optional().describe('Processes and threads of its user.'),
    fileMb: positiveCount.optional().describe('Size of a file that it writes.'),
  })
    .optional()
    .describe('Resource limits of each process (on Linux, by prlimit). Without them ours.'),
};
held<RightsConfig, RightsInput>()(z.object(keys));

export const rights: {
  readonly [Key in keyof RightsConfig]-?: z.ZodOptional<
    z.ZodType<NonNullable<RightsConfig[Key]>, NonNullable<RightsInput[Key]>>
  >;
} = keys;
